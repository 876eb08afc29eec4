package forward

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pion/srtp/v2"
	"stentor/forward/red"
	"stentor/transport"
)

// guarded are listeners of a room by hand, each with its tray.
type guarded struct {
	*studio
	ann  *Peer
	m    *mouth
	next int // frame that ann says next
	out  *tray
	open *srtp.Context
}

func newGuarded(t *testing.T) *guarded {
	s := newStudio(t, 3, 1)
	g := &guarded{studio: s, ann: s.speaker(), out: &tray{keep: true}, open: opener(t, gcm)}
	g.m = s.mouth(g.ann, 100, 5000)
	s.plane.shards[0].out = g.out
	return g
}

// says lets ann say n packets, and returns what the one listener is sent.
func (g *guarded) says(n int) (got []string) {
	for range n {
		g.m.says(loud, numbered(g.next))
		g.next++
		g.passes(frameTime)
	}
	return g.sent()
}

// passes lets time pass with the room's boundaries, and the shard served.
func (g *guarded) passes(d time.Duration) {
	for end := g.now.Add(d); g.now.Before(end); {
		g.studio.passes(tickGrid)
		g.rd.runCommands(g.now)
		g.rd.tickRooms(g.now)
		g.rd.wake()
		g.plane.shards[0].serve()
	}
}

// sent tells of what was sent: "63+1: 4 5" is packet 5, redundant, one number after the one before, with 4.
func (g *guarded) sent() (got []string) {
	g.Helper()
	g.rd.wake()
	g.plane.shards[0].serve()
	var last uint16
	for i, b := range g.out.sent {
		if b[1] >= 192 && b[1] <= 223 {
			continue
		}
		p := received(g, g.open, b)
		step := p.SequenceNumber - last
		if last = p.SequenceNumber; i == 0 {
			step = 1
		}
		text := fmt.Sprintf("%d+%d:", p.PayloadType, step)
		primary := p.Payload
		if p.PayloadType == 63 {
			var r red.Packet
			if !r.Parse(p.Payload) || r.PayloadType != 111 && r.PayloadType != 96 {
				g.Fatalf("no redundant payload: %x", p.Payload)
			}
			for _, b := range r.Redundant {
				text += fmt.Sprintf(" %d", number(b.Payload))
				if want := uint32(number(r.Primary)-number(b.Payload)) * frameSamples; number(b.Payload) >= 0 && number(r.Primary) >= 0 && b.Offset != want {
					g.Errorf("packet %d is %d samples before %d", number(b.Payload), b.Offset, number(r.Primary))
				}
			}
			primary = r.Primary
		}
		got = append(got, text+fmt.Sprintf(" %d", number(primary)))
	}
	g.out.sent = nil
	return got
}

func (g *guarded) are(got []string, want ...string) {
	g.Helper()
	if !slices.Equal(got, want) {
		g.Errorf("sent %q, want %q", got, want)
	}
}

func TestDepthChangesAtAnyPacketWithoutAGap(t *testing.T) {
	g := newGuarded(t)
	sh := g.plane.shards[0]
	l := g.attach(g.joins(3), sh)
	g.are(g.says(2), "111+1: 0", "111+1: 1")
	sh.protect(l, 1)
	g.are(g.says(3), "111+1: 2", "63+1: 2 3", "63+1: 3 4")
	sh.protect(l, 2)
	g.are(g.says(2), "63+1: 3 4 5", "63+1: 4 5 6")
	sh.protect(l, 0)
	g.are(g.says(2), "111+1: 7", "111+1: 8")
	sh.protect(l, 2)
	g.are(g.says(3), "111+1: 9", "63+1: 9 10", "63+1: 9 10 11")
}

// Spread copies are of the second and the fourth packet before, and of nothing that the line was not sent.
func TestSpreadCopiesReachFourPacketsBack(t *testing.T) {
	g := newGuarded(t)
	sh := g.plane.shards[0]
	l := g.attach(g.joins(3), sh)
	sh.protect(l, 7) // more than there is: the furthest
	g.are(g.says(6), "111+1: 0", "111+1: 1", "63+1: 0 2", "63+1: 1 3", "63+1: 0 2 4", "63+1: 1 3 5")
	l.lines[0].resync = true // as after a change of rendition
	g.are(g.says(5), "111+1: 6", "111+1: 7", "111+1: 8", "111+1: 9", "63+1: 6 8 10")
}

func TestOnlyWhatSomebodyWantsIsMade(t *testing.T) {
	g := newGuarded(t)
	sh := g.plane.shards[0]
	l := g.attach(g.joins(3), sh)
	made := func(depth int) (n int) {
		for i := range 3 {
			if pk := g.room.program.at(g.room.program.head.Load() - uint64(i+1)); pk.red != nil && pk.red[depth-1] != nil {
				n++
			}
		}
		return n
	}
	for depth := range depthMax + 1 {
		sh.protect(l, depth)
		g.says(5)
		for d := 1; d <= depthMax; d++ {
			if n := made(d); n != map[bool]int{true: 3}[d == depth] {
				t.Errorf("depth %d is wanted, %d of 3 packets have depth %d", depth, n, d)
			}
		}
	}
	sh.detach(l, g.now)
	g.says(5)
	if made(1)+made(2) > 0 || g.room.protected.Load() != 0 {
		t.Error("made for nobody")
	}
}

func TestALineThatDidNotAgreeGetsNone(t *testing.T) {
	g := newGuarded(t)
	sh := g.plane.shards[0]
	g.room.follows[0].forms[Live][1].Add(1) // somebody else wants it, and it is made
	g.room.protected.Add(1)
	p := g.joins(3)
	for i := range p.config.Lines {
		p.config.Lines[i].RedundancyPT = 0
	}
	l := g.attach(p, sh)
	sh.protect(l, 2)
	if l.form != 0 {
		t.Errorf("redundancy %d without a line that takes it", l.form)
	}
	l.form = 2 // as it never should be
	g.are(g.says(3), "111+1: 0", "111+1: 1", "111+1: 2")
	if pk := g.room.program.at(g.room.program.head.Load() - 1); pk.red == nil {
		t.Error("nothing was made that could have been sent")
	}
}

func TestRedundancyEndsWhereASpurtBegins(t *testing.T) {
	g := newGuarded(t)
	sh := g.plane.shards[0]
	l := g.attach(g.joins(3), sh)
	sh.protect(l, 2)
	g.says(3)
	g.passes(time.Second) // ann has ended: silence, and its sign, with what was said last
	g.are(g.sent(), "63+1: 1 2 -1", "63+1: 2 -1 -1")
	g.m.skips(50)
	g.are(g.says(2), "111+1: 3", "63+1: 3 4")
}

func TestNobodyIsSentHisOwnVoiceAgain(t *testing.T) {
	g := newGuarded(t)
	sh := g.plane.shards[0]
	l := g.attach(g.ann, sh)
	sh.protect(l, 2)
	bob := g.mouth(g.joins(3), 7, 77)
	bob.ssrc = 78
	g.says(3)
	f := func(p *Peer, n int, marker bool) {
		pk := &Packet{seq: g.room.slots[0].seq + 1, ts: uint32(g.room.slots[0].end), origin: p, payload: numbered(n), marker: marker}
		g.room.slots[0].seq++
		g.room.slots[0].end += frameSamples
		g.rd.emit(g.room, pk)
	}
	f(bob.peer, 100, true)
	f(bob.peer, 101, false)
	f(g.ann, 102, true)
	f(bob.peer, 103, false) // as it never should be: without a marker
	f(bob.peer, 104, false)
	f(bob.peer, 105, false)
	g.are(g.sent(), "111+1: 100", "63+1: 100 101", "111+1: 103", "111+1: 104", "63+1: 103 104 105")
}

func TestALossOnTheWayInIsSteppedOver(t *testing.T) {
	g := newGuarded(t)
	sh := g.plane.shards[0]
	l := g.attach(g.joins(3), sh)
	sh.protect(l, 2)
	g.says(2)
	g.m.skips(2)
	g.next += 2
	g.m.says(loud, numbered(4))
	g.m.says(loud, numbered(5))
	g.are(g.sent(), "63+1: 0 1 4", "63+1: 1 4 5")
}

func TestWhatDoesNotFitIsLeftOutTheOldestFirst(t *testing.T) {
	for _, c := range []struct {
		sizes []int // of three packets
		want  int   // blocks with the third, beside itself
	}{
		{[]int{100, 100, 100}, 2},
		{[]int{400, 400, 400}, 1},
		{[]int{100, 600, 600}, 0},
		{[]int{600, 100, 600}, 1},
		{[]int{100, 1030, 50}, 0}, // no block is so long
		{[]int{1030, 50, 50}, 1},
		{[]int{10, 10, 1140}, 0},
		{[]int{10, 1, 1140}, 1},
	} {
		g := newGuarded(t)
		g.room.protected.Add(1)
		g.room.follows[0].forms[Live][1].Add(1)
		for i, size := range c.sizes {
			g.rd.emit(g.room, &Packet{seq: uint64(i), ts: uint32(i * frameSamples), payload: make([]byte, size)})
		}
		pk := g.published()[2]
		if pk.red == nil {
			if c.want != 0 {
				t.Errorf("%v: nothing", c.sizes)
			}
			continue
		}
		var r red.Packet
		if b := pk.red[1]; len(b) > packMax || !r.Parse(b) || len(r.Redundant) != c.want {
			t.Errorf("%v: %d octets with %d earlier packets, want %d", c.sizes, len(pk.red[1]), len(r.Redundant), c.want)
		}
	}
}

func TestWhatIsFartherThanCanBeSaidIsLeftOut(t *testing.T) {
	g := newGuarded(t)
	g.room.protected.Add(1)
	g.room.follows[0].forms[Packed120][1].Add(1)
	for i, ts := range []uint32{1<<32 - 5760, 0, 5760, 5760 + 1<<14, 5760} {
		g.rd.emit(g.room, &Packet{seq: uint64(i), ts: ts, rendition: Packed120, payload: voice})
	}
	var r red.Packet
	for i, want := range []int{0, 1, 2, 0, 0} {
		pk := g.room.program.at(uint64(i))
		n := 0
		if pk.red != nil {
			if !r.Parse(pk.red[1]) {
				t.Fatal("no redundant payload")
			}
			n = len(r.Redundant)
		}
		if n != want {
			t.Errorf("packet %d comes with %d, want %d", i, n, want)
		}
	}
}

// A leg that changes its rendition has heard what the first packets of the new one repeat.
func TestRedundancyBeginsAnewWithTheRendition(t *testing.T) {
	g := newGuarded(t)
	sh := g.plane.shards[0]
	p := g.joins(3)
	l := g.attach(p, sh)
	g.attach(g.joins(3), sh).rendition = Live
	other := g.joins(0)
	other.rendition = Packed60
	g.rd.want(g.room, Packed60, 1, 0, g.now)
	g.room.follows[0].legs[Packed60].Add(1)
	g.room.follows[0].forms[Packed60][0].Add(1)
	g.room.protected.Add(1)
	g.room.follows[0].lists[Live] = []*leg{l}
	sh.protect(l, 1)
	g.says(9)
	p.Follow(Packed60)
	g.m.says(loud, numbered(g.next))
	g.next++
	for range 12 {
		g.says(3)
	}
	g.out.sent = nil
	if l.rendition != Packed60 {
		t.Fatalf("follows %v", l.rendition)
	}
	g.room.follows[0].forms[Packed60][0].Add(-1)
	if n := g.room.follows[0].forms[Packed60][0].Load(); n != 1 {
		t.Errorf("%d legs want it packed, want 1", n)
	}
	if n := g.room.follows[0].forms[Live][0].Load(); n != 0 {
		t.Errorf("%d legs want it live", n)
	}
}

func TestAnUnusualPayloadTypeIsRight(t *testing.T) {
	g := newGuarded(t)
	sh := g.plane.shards[0]
	l := g.attach(g.joins(3), sh)
	sh.protect(l, 2)
	l.lines[0].pt = 96
	g.says(3)
	g.m.says(loud, numbered(3))
	g.rd.wake()
	sh.serve()
	p := received(t, g.open, g.out.sent[len(g.out.sent)-1])
	var r red.Packet
	if !r.Parse(p.Payload) || r.PayloadType != 96 || len(r.Redundant) != 2 || r.Redundant[0].PayloadType != 96 || r.Redundant[1].PayloadType != 96 {
		t.Errorf("a payload of %+v", r)
	}
	pk := g.room.program.at(g.room.program.head.Load() - 1)
	if !r.Parse(pk.red[1]) || r.PayloadType != 111 || !bytes.Equal(r.Primary, numbered(3)) {
		t.Error("the shared payload was changed")
	}
}

func TestSendingRedundancyDoesNotAllocate(t *testing.T) {
	for _, pt := range []uint8{111, 96} {
		l := listen(t, 3, 3, gcm)
		l.tray.keep = false
		l.leg.form, l.leg.lines[0].pt = 2, pt
		pk := &Packet{origin: new(Peer), payload: voice, red: new([formsMax][]byte)}
		pk.red[0] = red.Append(nil, []red.Block{{PayloadType: 111, Offset: frameSamples, Payload: voice}}, 111, voice)
		var shared [headerSize]byte
		header(&shared, pk)
		if n := testing.AllocsPerRun(1000, func() {
			pk.seq++
			if d := l.leg.send(pk, &shared, l.tray); d != dropCount {
				t.Fatal(d)
			}
		}); n != 0 {
			t.Errorf("payload type %d: %v allocations a packet", pt, n)
		}
	}
}

// BenchmarkProtect is what redundancy costs the Reader, a packet of 60 octets: once a room, not once a listener.
func BenchmarkProtect(b *testing.B) {
	for depth := 0; depth <= depthMax; depth++ {
		b.Run(fmt.Sprint(depth), func(b *testing.B) {
			s := newStudio(b, 3, 1)
			if depth > 0 {
				s.room.protected.Add(1)
				s.room.follows[0].forms[Live][depth-1].Add(1)
			}
			b.ReportAllocs()
			for i := range b.N {
				s.rd.emit(s.room, &Packet{seq: uint64(i), ts: uint32(i * frameSamples), payload: voice})
			}
		})
	}
}

// BenchmarkLegSendRedundant is the fan-out with depth 1, beside BenchmarkLegSend.
func BenchmarkLegSendRedundant(b *testing.B) {
	s := newStudio(b, 1, 1)
	p := s.joins(1)
	p.shard = s.plane.shards[0]
	l := newLeg(p, newEgress(b, gcm), transport.Dest{})
	l.form = 1
	pk := &Packet{origin: new(Peer), payload: voice, red: new([formsMax][]byte)}
	pk.red[0] = red.Append(nil, []red.Block{{PayloadType: 111, Offset: frameSamples, Payload: voice}}, 111, voice)
	var shared [headerSize]byte
	header(&shared, pk)
	out := new(tray)
	b.ReportAllocs()
	for range b.N {
		pk.seq++
		l.send(pk, &shared, out)
	}
}
