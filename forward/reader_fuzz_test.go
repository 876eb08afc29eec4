package forward

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtp"
	"stentor/forward/cc"
)

// FuzzReader lets three hostile speakers say anything at any time, behind decryption: each 12 octets of the input are
// one packet or one change of rights. Whatever they do, the program's promises hold.
func FuzzReader(f *testing.F) {
	f.Add([]byte("twelve bytes"))
	f.Add([]byte{
		0, 20, 0, 1, 0, 0, 0, 0, 30, 0xF8, 9, 0, 0, 20, 0, 2, 0, 0, 3, 0xC0, 30, 0xF8, 9, 0,
		1, 20, 0, 1, 0xFF, 0xFF, 0xFF, 0, 10, 0xFB, 6, 0, 0, 20, 0, 40, 0x80, 0, 0, 0, 30, 0xF8, 9, 0,
		0xF0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 255, 0, 3, 0, 0, 7, 0x80, 30, 0xF8, 1, 0,
	})
	f.Add([]byte{
		0, 20, 0, 1, 0, 0, 0, 0, 30, 0xF8, 9, 0, 0, 20, 0, 3, 0, 0, 7, 0x80, 0x0F, 0, 1, 4,
		0, 20, 0, 9, 0, 0, 0x1E, 0, 0x1E, 0, 2, 4, 0, 20, 0, 8, 0, 0, 0x1A, 0x40, 0xF8, 0xF8, 3, 4,
	})
	endpoint := newEndpoint(f) // one for all: its certificate costs more than a script
	f.Fuzz(func(t *testing.T, script []byte) {
		s := newStudioOn(t, endpoint, 2, 1)
		peers := []*Peer{s.speaker(), s.speaker(), s.speaker()}
		tl := newTimeline(t)
		for n := 0; len(script) >= 12 && n < 400; n, script = n+1, script[12:] {
			hostile(s, peers, script[:12])
			got := s.published()
			tl.follow(got)
			holds(s, got)
		}
		for _, p := range peers {
			p.Leave()
		}
		s.rd.runCommands(s.now)
		s.passes(10 * tickGrid)
		tl.follow(s.published())
		if len(s.rd.live) != 0 || s.room.Heard(0) != nil || s.room.Heard(1) != nil {
			t.Fatalf("all have left, and %d sources live", len(s.rd.live))
		}
	})
}

// hostile plays 12 octets: who and how, time, sequence, timestamp, level, three octets of payload.
func hostile(s *studio, peers []*Peer, b []byte) {
	p := peers[int(b[0]&0x0f)%len(peers)]
	s.passes(time.Duration(b[1]) * time.Millisecond)
	if b[0]&0xF0 == 0xF0 {
		p.Set(b[2]&1 == 0, b[2]&2 != 0, b[2]&4 != 0)
		s.rd.runCommands(s.now)
		return
	}
	h := rtp.Header{
		Version: 2, PayloadType: 111, SequenceNumber: binary.BigEndian.Uint16(b[2:]),
		Timestamp: binary.BigEndian.Uint32(b[4:]), SSRC: uint32(b[0] >> 6), Padding: b[0]&0x20 != 0,
	}
	if b[11]&0x04 != 0 { // redundant, with the octets before the payload as headers
		h.PayloadType = 63
		s.arrives(p, h, append([]byte{0x80 | 111, b[8], b[9] & 0xfc, b[10] & 3, 111}, b[8:11]...))
		return
	}
	if b[0]&0x10 == 0 {
		if err := h.SetExtension(1, b[8:9]); err != nil {
			s.Fatal(err)
		}
	}
	s.arrives(p, h, b[9:9+int(b[11])%4])
}

// holds checks what must be true of the room after every packet.
func holds(s *studio, got []*Packet) {
	s.Helper()
	for _, pk := range got {
		if d := s.ahead(pk); d > 6*time.Second || d < -8*time.Second {
			s.Fatalf("a packet %v ahead of the room's clock", d)
		}
		if len(pk.payload) == 0 || pk.csrc != pk.origin.config.AudioID || int(pk.slot) >= len(s.room.slots) {
			s.Fatalf("packet %+v", pk)
		}
	}
	for i, pl := range s.room.sel.places {
		if pl.holder == nil {
			if s.room.Heard(i) != nil {
				s.Fatalf("slot %d is free, and somebody is heard in it", i)
			}
			continue
		}
		if pl.holder.slot != i || !pl.holder.speech.active || s.room.Heard(i) != pl.holder.peer {
			s.Fatalf("slot %d: %+v", i, pl)
		}
		if src := pl.holder; !src.maySpeak || src.muted {
			s.Fatal("one who may not speak holds a slot")
		}
	}
	if n := len(s.rd.live); n > 3 {
		s.Fatalf("%d sources live", n)
	}
}

// FuzzListenersRTCP lets a listener who is watched, and may ask for what he misses, say anything: the input is compound packets,
// each with its length before it; an empty one is a probe of ours. The room has more slots than he has lines. He is sent no more than
// a quarter again, and nothing under a number that he was not sent under it.
func FuzzListenersRTCP(f *testing.F) {
	line := Line{PayloadType: 111, RedundancyPT: 63, LevelID: 2, TWCCID: 5, NACK: true}
	seed := func(packets ...[]byte) {
		var b []byte
		for range 60 { // nothing that could be read, until a line has got another slot
			b = append(b, 1, 0)
		}
		for _, packet := range packets {
			b = append(append(b, byte(len(packet))), packet...)
		}
		f.Add(append(b, 0, 1, 0, 0))
	}
	seed(nackOf(0, 65_420, 65_421, 4))
	seed(nackOf(1, 65_424), nackOf(0, 65_422), nackOf(0, 65_422))
	seed([]byte{0x8f, 205, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 54, 0, 6, 0, 0, 0, 0, 0xc4, 0x40, 1, 1, 1, 0, 0, 0})
	seed([]byte{0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 40, 0, 0, 9, 0, 0, 255, 200, 0, 0, 0, 90, 0, 0, 0, 0, 0, 0, 0, 0}, nackOf(0, 65_430))
	endpoint := newEndpoint(f)
	f.Fuzz(func(t *testing.T, script []byte) {
		a := newAskingOf(newStudioOn(t, endpoint, 3, 1), gcm, line, 1)
		a.leg.control.ladder.Decide(a.now, cc.Demand{Talking: 1, Payload: 32_000, Main: 32_000})
		a.leg.stamp = true
		again := 0
		for len(script) > 0 && a.next < 400 {
			a.publishes(Live, a.speaking(), true)
			n := min(int(script[0]), len(script)-1)
			packet := bytes.Clone(script[1 : 1+n])
			if script = script[1+n:]; len(packet) >= 12 && packet[8] == 0 { // the streams' numbers are the room's to choose
				binary.BigEndian.PutUint32(packet[8:], a.leg.lines[packet[11]&1].ssrc)
			}
			last := [2]uint64{a.leg.lines[0].seq, a.leg.lines[1].seq}
			if n == 0 {
				a.sh.probe(a.leg, 255, a.now)
			}
			a.rd.compound(a.leg.peer, packet, a.now)
			again += a.isSameOrNew(last)
		}
		if again > a.octets/4+4000 {
			t.Fatalf("%d octets were sent again, %d before", again, a.octets)
		}
	})
}

// isSameOrNew looks at what was sent beside the program: a number up to last is the datagram that was sent under it, any other one is
// new, and filed. It returns how many octets were sent again.
func (a *asking) isSameOrNew(last [2]uint64) (again int) {
	for _, b := range a.tray.sent {
		key, line := a.keyOf(b)
		switch was := a.was[key]; {
		case was != nil && bytes.Equal(b, was):
			again += len(b)
		case was != nil:
			a.Fatalf("number %d is another packet now", key[1])
		case key[1] <= last[line]:
			a.Fatalf("number %d was never sent, and is sent again", key[1])
		default:
			a.files(key, b)
		}
	}
	a.tray.sent = nil
	return again
}
