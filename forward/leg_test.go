package forward

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"
	"stentor/forward/cc"
	"stentor/transport"
)

// listening is one leg, the tray that it sends into, and the listener who opens what is sent.
type listening struct {
	*studio
	leg  *leg
	tray *tray
	open *srtp.Context
}

func listen(t testing.TB, slots, lines int, profile srtp.ProtectionProfile) *listening {
	t.Helper()
	s := newStudio(t, slots, 1)
	p := s.joins(lines)
	p.shard = s.plane.shards[0]
	return &listening{
		studio: s, leg: newLeg(p, newEgress(t, profile), transport.Dest{}), tray: &tray{keep: true}, open: opener(t, profile),
	}
}

// gets offers a packet to the leg.
func (l *listening) gets(pk *Packet) Drop {
	var shared [headerSize]byte
	header(&shared, pk)
	return l.leg.send(pk, &shared, l.tray)
}

// hears takes what was sent, opened.
func (l *listening) hears() (out []rtp.Packet) {
	l.Helper()
	for _, b := range l.tray.sent {
		out = append(out, received(l, l.open, b))
	}
	l.tray.sent = nil
	return out
}

func TestHeaderIsWhatTheAnswerPromises(t *testing.T) {
	for _, profile := range []srtp.ProtectionProfile{gcm, cm} {
		for _, levelID := range []uint8{0, 1, 14} {
			l := listen(t, 3, 3, profile)
			l.leg.lines[1].pt, l.leg.lines[1].levelID = 96, levelID
			pk := &Packet{
				seq: 70_000, ts: 0xFEDCBA98, csrc: 0x01020304, origin: new(Peer), slot: 1, level: 0x80 | 23, marker: true,
				payload: voice,
			}
			if d := l.gets(pk); d != dropCount {
				t.Fatal(d)
			}
			clear := l.tray.sent[0][:16]
			if clear[0]&0xEF != 0x81 || clear[1] != 0x80|96 {
				t.Errorf("header begins with %x", clear[:2])
			}
			got := l.hears()[0]
			if got.Version != 2 || got.Padding || !got.Marker || got.PayloadType != 96 ||
				got.Timestamp != pk.ts || got.SSRC != l.room.ssrcs[1] || len(got.CSRC) != 1 || got.CSRC[0] != pk.csrc {
				t.Errorf("header %+v", got.Header)
			}
			if string(got.Payload) != string(voice) {
				t.Errorf("payload %x", got.Payload)
			}
			if levelID == 0 {
				if got.Extension {
					t.Error("a level that was not agreed on")
				}
				continue
			}
			if got.ExtensionProfile != rtp.ExtensionProfileOneByte || len(got.Extensions) != 1 {
				t.Errorf("extensions %+v", got.Header)
			}
			if ext := got.GetExtension(levelID); len(ext) != 1 || ext[0] != pk.level {
				t.Errorf("level %x, want %x", ext, pk.level)
			}
			pk.marker, pk.seq = false, pk.seq+1
			l.gets(pk)
			if l.hears()[0].Marker {
				t.Error("a marker in mid-spurt")
			}
		}
	}
}

// TestSequenceHasOnlyTheGapsOfLoss sends two roll-overs' worth of packets, with losses, oneself's voice and packets
// too long for a datagram among them. The listener decrypts all, so the roll-over count is his too.
func TestSequenceHasOnlyTheGapsOfLoss(t *testing.T) {
	for _, profile := range []srtp.ProtectionProfile{gcm, cm} {
		rng := rand.New(rand.NewPCG(1, 5))
		l := listen(t, 1, 1, profile)
		other, long := new(Peer), make([]byte, transport.DatagramSize-headerSize)
		seq, ts := uint64(0), uint32(1<<32-1<<20)
		last, sent, left := l.leg.lines[0].seq, uint64(0), true // left: the last packet was left out, or none was before
		if last >= 1<<15 {
			t.Fatalf("the sequence starts behind %d: a listener that misses the start may miscount roll-overs", last)
		}
		for n := range 140_000 {
			lost := uint64(0)
			if rng.IntN(20) == 0 {
				lost = 1 + uint64(rng.IntN(lossMax))/20
			}
			seq, ts = seq+1+lost, ts+960*uint32(1+lost)
			pk := &Packet{seq: seq, ts: ts, origin: other, payload: voice[:8]}
			want := dropCount
			switch rng.IntN(40) {
			case 0:
				pk.origin, want = l.leg.peer, DropOwnVoice
			case 1:
				pk.payload, want = long, DropTooLong
			}
			if d := l.gets(pk); d != want {
				t.Fatalf("packet %d: %v, want %v", n, d, want)
			}
			if want != dropCount {
				left = true
				continue
			}
			if left { // a loss beside what we leave out cannot be told from it
				lost = 0
			}
			last, left = last+1+lost, false
			got := l.hears()[0]
			if got.SequenceNumber != uint16(last) || got.Timestamp != ts {
				t.Fatalf("packet %d: %d at %d, want %d at %d", n, got.SequenceNumber, got.Timestamp, uint16(last), ts)
			}
			sent++
		}
		if rolled := l.leg.lines[0].seq >> 16; rolled < 2 {
			t.Errorf("only %d roll-overs", rolled)
		}
		if l.leg.packets != sent || uint64(l.leg.lines[0].packets) != sent || uint64(l.leg.lines[0].octets) != sent*8 {
			t.Errorf("counted %d and %+v, sent %d", l.leg.packets, l.leg.lines[0], sent)
		}
	}
}

// TestALossIsAGapAndOurChoiceIsNot is the same by hand.
func TestALossIsAGapAndOurChoiceIsNot(t *testing.T) {
	l := listen(t, 1, 1, gcm)
	other := new(Peer)
	base := uint16(l.leg.lines[0].seq)
	for _, c := range []struct {
		seq    uint64
		origin *Peer
		size   int
		want   int // our number less base; 0: not sent
	}{
		{500, other, 10, 1},
		{501, other, 10, 2},
		{504, other, 10, 5}, // 502 and 503 are lost
		{505, l.leg.peer, 10, 0},
		{506, l.leg.peer, 10, 0},
		{507, other, 10, 6},
		{508, other, 1490, 0}, // too long
		{509, other, 10, 7},
		{512, other, 10, 10},
	} {
		l.gets(&Packet{seq: c.seq, origin: c.origin, payload: make([]byte, c.size)})
		got := l.hears()
		if len(got) != min(c.want, 1) {
			t.Fatalf("%d: %d packets sent", c.seq, len(got))
		}
		if c.want > 0 && got[0].SequenceNumber != base+uint16(c.want) {
			t.Errorf("%d has number +%d, want +%d", c.seq, got[0].SequenceNumber-base, c.want)
		}
	}
}

func TestFewerLinesThanSlots(t *testing.T) {
	l := listen(t, 3, 2, gcm)
	other := new(Peer)
	var seq [3]uint64
	ts := uint32(1<<32 - 9600) // the clock rolls over on the way
	speak := func(slot uint8) Drop {
		seq[slot]++
		return l.gets(&Packet{seq: seq[slot], ts: ts, origin: other, slot: slot, payload: voice})
	}
	for range 20 { // both lines are busy
		if speak(0) != dropCount || speak(1) != dropCount {
			t.Fatal("two lines carry two voices")
		}
		if d := speak(2); d != DropNoLine {
			t.Fatalf("the third voice: %v, want %v", d, DropNoLine)
		}
		ts += frameSamples
	}
	byLine := map[uint32][]rtp.Packet{}
	for ts += lineIdle; len(byLine) == 0; {
		speak(0) // still speaks
		if d := speak(2); d != dropCount {
			t.Fatalf("a line is idle, and yet: %v", d)
		}
		if d := speak(1); d != DropNoLine {
			t.Fatalf("its line is given away: %v", d)
		}
		for _, p := range l.hears() {
			byLine[p.SSRC] = append(byLine[p.SSRC], p)
		}
	}
	if len(byLine) != 2 {
		t.Fatalf("%d lines in use", len(byLine))
	}
	for ssrc, packets := range byLine {
		if len(packets) != 21 {
			t.Errorf("%d packets on a line", len(packets))
		}
		for i := range packets[1:] {
			a, b := packets[i], packets[i+1]
			if b.SequenceNumber != a.SequenceNumber+1 || int32(b.Timestamp-a.Timestamp) <= 0 {
				t.Errorf("line %x: %d/%d follows %d/%d", ssrc, b.SequenceNumber, b.Timestamp, a.SequenceNumber, a.Timestamp)
			}
		}
	}
}

// TestAQuietNightLeavesLinesIdle: after more than half a turn of the 32-bit clock, 12.4 hours, differences of
// timestamps change their sign.
func TestAQuietNightLeavesLinesIdle(t *testing.T) {
	l := listen(t, 3, 1, gcm)
	ts := uint32(5)
	for hour := 1; hour < 60; hour++ {
		slot := uint8(hour % 3)
		pk := &Packet{seq: uint64(hour), ts: ts, origin: new(Peer), slot: slot, payload: voice}
		if d := l.gets(pk); d != dropCount {
			t.Fatalf("after a pause of %d hours: %v", hour-1, d)
		}
		ts += uint32(hour) * 3600 * 48000 // as many hours of silence
	}
}

func TestNobodyHearsHimself(t *testing.T) {
	for lines := range 4 {
		l := listen(t, 3, lines, gcm)
		for slot := range uint8(3) {
			if d := l.gets(&Packet{slot: slot, origin: l.leg.peer, payload: voice}); d != DropOwnVoice {
				t.Errorf("%d lines, slot %d: %v", lines, slot, d)
			}
		}
		if len(l.tray.sent) != 0 {
			t.Errorf("%d lines: his own voice was sent", lines)
		}
	}
}

func TestSendDoesNotAllocate(t *testing.T) {
	l := listen(t, 3, 3, gcm)
	l.tray.keep = false
	pk := &Packet{slot: 1, origin: new(Peer), payload: voice}
	var shared [headerSize]byte
	n := testing.AllocsPerRun(1000, func() {
		pk.seq++
		header(&shared, pk)
		if l.leg.send(pk, &shared, l.tray) != dropCount {
			t.Fatal("not sent")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for each packet", n)
	}
}

func BenchmarkLegSend(b *testing.B) {
	for name, c := range map[string]struct {
		profile srtp.ProtectionProfile
		mayAsk  bool
	}{"gcm": {gcm, false}, "cm": {cm, false}, "gcm, may ask": {gcm, true}} {
		b.Run(name, func(b *testing.B) {
			l := listen(b, 3, 3, c.profile)
			l.tray.keep = false
			if c.mayAsk {
				l.leg.history = cc.NewHistory(3, time.Time{})
			}
			pk := &Packet{slot: 1, origin: new(Peer), payload: append([]byte{31 << 3}, make([]byte, 79)...)}
			var shared [headerSize]byte
			header(&shared, pk)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				pk.seq++
				l.leg.send(pk, &shared, l.tray)
			}
		})
	}
}

func BenchmarkHeader(b *testing.B) {
	var shared [headerSize]byte
	pk := &Packet{ts: 1, csrc: 2, level: 3}
	for range b.N {
		header(&shared, pk)
	}
	if binary.BigEndian.Uint32(shared[12:]) != 2 {
		b.Fatal("no CSRC")
	}
}
