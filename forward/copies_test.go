package forward

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/srtp/v2"
	"stentor/forward/cc"
)

// twice is a stage for a listener who is sent everything twice.
type twice struct{ *asking }

// newTwice is a watched listener without RED who is sent copies.
func newTwice(t *testing.T, profile srtp.ProtectionProfile) *twice {
	a := newAsking(t, profile, Line{PayloadType: 111, LevelID: 2, TWCCID: 5}, 1)
	a.leg.control.ladder.Decide(a.now, cc.Demand{Talking: 1, Payload: 32_000, Main: 32_000})
	a.leg.stamp = true
	a.leg.remember(a.now)
	a.leg.copies = true
	return &twice{a}
}

// says publishes a packet and returns the datagrams that it makes.
func (w *twice) says(rend Rendition, slot uint8) [][]byte {
	w.now = w.now.Add(frameTime)
	w.sh.now = w.now
	w.ts += frameSamples
	w.seqs[rend][slot]++
	w.rd.emit(w.room, &Packet{
		rendition: rend, seq: w.seqs[rend][slot], ts: w.ts, csrc: 1000 + uint32(slot), origin: w.ann, slot: slot,
		level: uint8(w.r.IntN(256)), main: w.r.IntN(10) > 0, samples: frameSamples, payload: []byte{31 << 3, byte(w.ts), byte(w.ts >> 8), byte(w.r.IntN(256))},
	})
	for head := w.room.program.head.Load(); w.next < head; w.next++ {
		pk := w.room.program.at(w.next)
		if pk.bounds != 0 || pk.rendition != w.leg.rendition {
			continue
		}
		var shared [headerSize]byte
		header(&shared, pk)
		w.leg.send(pk, &shared, w.tray)
	}
	got := w.tray.sent
	w.tray.sent = nil
	return got
}

// TestACopyFollowsTheNextPacketOfItsLine goes through two lines whose numbers wrap, under both profiles.
func TestACopyFollowsTheNextPacketOfItsLine(t *testing.T) {
	for _, profile := range []srtp.ProtectionProfile{gcm, cm} {
		w := newTwice(t, profile)
		open := opener(w, profile)
		for i := range w.leg.lines {
			open.SetROC(w.leg.lines[i].ssrc, 0)
		}
		var last [2][]byte
		for i := range 600 {
			slot := uint8(i / 3 % 2)
			got := w.says(Live, slot)
			want := 2
			if last[slot] == nil {
				want = 1
			}
			if len(got) != want {
				t.Fatalf("%d datagrams for packet %d, want %d", len(got), i, want)
			}
			if len(got) == 2 && !bytes.Equal(got[1], last[slot]) {
				t.Fatalf("packet %d: behind it\n%x, and before it\n%x", i, got[1], last[slot])
			}
			received(w, open, got[0])
			last[slot] = got[0]
			if i%50 == 49 { // what was said 200 ms ago is not repeated
				w.now = w.now.Add(300 * time.Millisecond)
				last = [2][]byte{}
			}
		}
		if n := w.sh.copies.Load(); n < 500 || w.leg.resent != 0 || w.leg.packets != 600 || w.sh.resent.Load() != 0 {
			t.Errorf("%d copies of %d packets, %d sent again", n, w.leg.packets, w.leg.resent)
		}
		if got := w.leg.lines[0].packets + w.leg.lines[1].packets; uint64(got) != 600+w.sh.copies.Load() {
			t.Errorf("sender reports tell of %d packets", got)
		}
	}
}

// Whatever changes between a packet and the next one, the copy is the same datagram, and none is sent twice more.
func TestACopyIsTheSameDatagramWhateverChanges(t *testing.T) {
	for _, profile := range []srtp.ProtectionProfile{gcm, cm} {
		w := newTwice(t, profile)
		was, times := map[string]bool{}, map[string]int{}
		numbers := map[string][]byte{}
		for range 3000 {
			w.mayDiffer()
			for _, b := range append(w.tray.sent, w.says(Rendition(w.r.IntN(2)), uint8(w.r.IntN(2)))...) {
				key := string(b[2:4]) + string(b[8:12])
				if first := numbers[key]; first != nil && !bytes.Equal(first, b) {
					t.Fatalf("two datagrams under one number:\n%x\n%x", first, b)
				}
				numbers[key] = b
				was[string(b)] = true
				times[string(b)]++
			}
			w.tray.sent = nil
		}
		n := 0
		for _, k := range times {
			if k > 2 {
				t.Fatalf("a datagram was sent %d times", k)
			}
			n += k - 1
		}
		if n < 400 {
			t.Errorf("only %d copies", n)
		}
	}
}

// mayDiffer changes now and then what packets are like.
func (w *twice) mayDiffer() {
	switch l := w.leg; w.r.IntN(12) {
	case 0:
		l.rendition = Rendition(w.r.IntN(2))
		for i := range l.lines {
			l.lines[i].resync = true
		}
	case 1:
		l.one = !l.one
	case 2:
		w.sh.probe(l, 1+w.r.IntN(255), w.now)
	case 3:
		l.copies = !l.copies
	}
}

func TestCopiesAreMadeWithoutAllocations(t *testing.T) {
	w := newTwice(t, gcm)
	w.says(Live, 0)
	w.says(Live, 0)
	w.tray.keep = false
	pk := *w.room.program.at(w.next - 1)
	var shared [headerSize]byte
	header(&shared, &pk)
	before := w.sh.copies.Load()
	if n := testing.AllocsPerRun(200, func() {
		pk.seq++
		pk.ts += frameSamples
		w.leg.send(&pk, &shared, w.tray)
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
	if w.sh.copies.Load()-before < 200 {
		t.Error("no copies")
	}
}

// What feedback tells lost is sent again when its copy is lost, too: when the packet behind that has come.
func TestWhatHasACopyToComeIsNotSentAgain(t *testing.T) {
	w := newTwice(t, gcm)
	w.leg.control.ladder = copying(t, w)
	var list [][]byte
	for range 30 { // what was lost before is too old by now
		list = append(list, w.says(Live, 0)[0])
	}
	last := w.leg.control.seq
	if got := w.fed(last, true, true, false, true); len(got) != 0 {
		t.Errorf("%d packets though a copy is behind the last one that came", len(got))
	}
	w.says(Live, 0)
	if got := w.fed(last+1, true); len(got) != 1 || !bytes.Equal(got[0], list[len(list)-2]) {
		t.Errorf("%d packets for one that was lost twice", len(got))
	}
}

// copying is a ladder that wants copies.
func copying(t *testing.T, w *twice) *cc.Ladder {
	l := w.leg.control.ladder
	for range 400 {
		w.says(Live, 0)
		l.Feedback(toldOf(w.leg.control.seq, w.r.IntN(5) > 0, int(w.now.UnixMilli()&0xffffff)), w.now)
		if l.Decide(w.now, cc.Demand{Talking: 1, Payload: 32_000, Main: 32_000}).Copies {
			return l
		}
	}
	t.Fatal("a fifth is lost, and no copies are wanted")
	return nil
}

// toldOf is feedback about one packet that has come at a time in ms, or not.
func toldOf(seq uint16, came bool, ms int) []byte {
	b := make([]byte, 24)
	b[0], b[1], b[3] = 0x80|15, 205, 5
	binary.BigEndian.PutUint16(b[12:], seq)
	binary.BigEndian.PutUint16(b[14:], 1)
	ref := ms / 64
	b[16], b[17], b[18] = byte(ref>>16), byte(ref>>8), byte(ref)
	b[21] = 1
	if came {
		b[20], b[22] = 0x20, byte(ms%64*4)
	}
	return b
}
