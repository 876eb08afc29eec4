package forward

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// TestReceptionFollowsASenderOverRollOvers holds the extended numbers against those of a sender that counts in 64
// bits from the start.
func TestReceptionFollowsASenderOverRollOvers(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var r reception
		seq0, ts0 := uint64(rng.Uint32()&0xffff), uint64(rng.Uint32())
		var pending []uint64
		var base uint64
		received, highest := uint64(0), uint64(0)
		now := time.Unix(1e9, 0)
		const step = 960 * 40 // four roll-overs of the sequence and more than two of the clock
		for n := uint64(0); n < 4<<16; n++ {
			if rng.Float64() < 0.1 && received > 0 {
				continue
			}
			pending = append(pending, n)
			if received > 0 && len(pending) < 3 && rng.Float64() < 0.2 {
				continue // comes later, behind its successors
			}
			rng.Shuffle(len(pending), func(i, j int) { pending[i], pending[j] = pending[j], pending[i] })
			for _, n := range pending {
				h := rtp.Header{SSRC: 5, SequenceNumber: uint16(seq0 + n), Timestamp: uint32(ts0 + n*step)}
				now = now.Add(time.Millisecond)
				seq, ts, restarted := r.take(&h, now)
				if restarted != (received == 0) {
					t.Fatalf("packet %d: restarted %v", n, restarted)
				}
				if received == 0 {
					base, highest = n, n
				}
				received++
				highest = max(highest, n)
				if seq != seqStart+seq0+n || ts != tsStart+ts0+n*step {
					t.Fatalf("packet %d: %x %x, want %x %x", n, seq, ts, seqStart+seq0+n, tsStart+ts0+n*step)
				}
			}
			pending = pending[:0]
			if want := highest - base + 1 - min(received, highest-base+1); r.lost() != want {
				t.Fatalf("packet %d: %d lost, want %d", n, r.lost(), want)
			}
		}
	}
}

func TestReceptionBeginsAnew(t *testing.T) {
	at := time.Unix(1e9, 0)
	for name, c := range map[string]struct {
		h    rtp.Header
		want bool
	}{
		"next":             {rtp.Header{SSRC: 1, SequenceNumber: 101}, false},
		"before":           {rtp.Header{SSRC: 1, SequenceNumber: 99}, false},
		"another SSRC":     {rtp.Header{SSRC: 2, SequenceNumber: 101}, true},
		"a minute ahead":   {rtp.Header{SSRC: 1, SequenceNumber: 3100}, false},
		"more ahead":       {rtp.Header{SSRC: 1, SequenceNumber: 3101}, true},
		"a minute behind":  {rtp.Header{SSRC: 1, SequenceNumber: 65536 - 2900}, false},
		"more behind":      {rtp.Header{SSRC: 1, SequenceNumber: 65536 - 2901}, true},
		"the clock's jump": {rtp.Header{SSRC: 1, SequenceNumber: 101, Timestamp: 1 << 31}, false},
	} {
		var r reception
		r.take(&rtp.Header{SSRC: 1, SequenceNumber: 100}, at)
		r.received = 50
		_, _, restarted := r.take(&c.h, at)
		if restarted != c.want {
			t.Errorf("%s: restarted %v", name, restarted)
		}
		if restarted && (r.received != 1 || r.lost() != 0 || r.ssrc != c.h.SSRC) {
			t.Errorf("%s: the old stream's numbers live on: %+v", name, r)
		}
	}
}

// TestLossFractionByHand works RFC 3550 A.3 through: 256 times the loss of each interval, rounded down.
func TestLossFractionByHand(t *testing.T) {
	var r reception
	send := func(seqs ...uint16) {
		for _, s := range seqs {
			r.take(&rtp.Header{SSRC: 1, SequenceNumber: s}, time.Unix(1e9, 0))
		}
	}
	for i, step := range []struct {
		seqs []uint16
		want uint8
		lost uint64
	}{
		{[]uint16{65530, 65531, 65532, 65533}, 0, 0}, // 4 of 4
		{[]uint16{65534, 1}, 128, 2},                 // 2 of 4: 65535 and 0 are lost
		{[]uint16{3, 4, 5}, 64, 3},                   // 3 of 4
		{[]uint16{2}, 0, 2},                          // none expected, one late
		{[]uint16{9, 10, 12}, 146, 6},                // 3 of 7: 4·256/7 = 146.3
		{[]uint16{1012}, 255, 1005},                  // 1 of 1000: 999·256/1000 = 255.7
		{nil, 0, 1005},
	} {
		send(step.seqs...)
		if got := r.fraction(); got != step.want || r.lost() != step.lost {
			t.Errorf("interval %d: fraction %d, %d lost; want %d, %d", i, got, r.lost(), step.want, step.lost)
		}
	}
}

// TestJitterByHand works RFC 3550 A.8 through for packets that are 0, 5, 5 and 1 ms late.
func TestJitterByHand(t *testing.T) {
	var r reception
	start := time.Unix(1e9, 0)
	want := 0.0
	late := []int{0, 5, 5, 1}
	for i, ms := range late {
		at := start.Add(time.Duration(i)*frameTime + time.Duration(ms)*time.Millisecond)
		r.take(&rtp.Header{SSRC: 1, SequenceNumber: uint16(i), Timestamp: uint32(1<<32 - 960 + i*960)}, at)
		if i > 0 {
			want += (math.Abs(float64(ms-late[i-1]))*48 - want) / 16
		}
	}
	// 15; 15 - 15/16 = 14.0625; 14.0625 + (192 - 14.0625)/16 = 25.18359375
	if want != 25.18359375 || math.Abs(r.jitter-want) > 1e-9 {
		t.Errorf("jitter %v, by the RFC %v", r.jitter, want)
	}
}

// TestJitterAtAnyDate: products of time and clock rate must stay within 64 bits.
func TestJitterAtAnyDate(t *testing.T) {
	for _, year := range []int{1971, 2000, 2026, 2038, 2106, 2262} {
		var r reception
		start := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range 500 {
			r.take(&rtp.Header{SSRC: 1, SequenceNumber: uint16(i), Timestamp: uint32(i * 960)}, start.Add(time.Duration(i)*frameTime))
		}
		if r.jitter > 1 {
			t.Errorf("%d: a perfect stream has a jitter of %v", year, r.jitter)
		}
	}
}
