package forward

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/srtp/v2"
	"stentor/forward/cc"
	"stentor/transport"
)

// nackOf asks for numbers of a stream, as clients do.
func nackOf(ssrc uint32, seqs ...uint16) []byte {
	b := []byte{0x80 | 1, 205, 0, 0, 0, 0, 0, 1}
	b = binary.BigEndian.AppendUint32(b, ssrc)
	for _, seq := range seqs {
		b = binary.BigEndian.AppendUint16(b, seq)
		b = append(b, 0, 0)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	return b
}

// asking is a listener who misses packets, and what he was sent, by stream and extended number.
type asking struct {
	*studio
	sh   *shard
	leg  *leg
	tray *tray
	ann  *Peer
	seqs [renditions][]uint64
	ts   uint32
	next uint64 // in the program
	was  map[[2]uint64][]byte
	list [][2]uint64

	octets int // of all that was sent for the first time
	r      *rand.Rand
}

func newAsking(t testing.TB, profile srtp.ProtectionProfile, line Line, seed uint64) *asking {
	return newAskingOf(newStudio(t, 2, 1), profile, line, seed)
}

// newAskingOf is one with two lines, however many slots the room has.
func newAskingOf(s *studio, profile srtp.ProtectionProfile, line Line, seed uint64) *asking {
	s.plane.adapt = true
	a := &asking{studio: s, sh: s.plane.shards[0], tray: &tray{keep: true}, was: map[[2]uint64][]byte{}, r: rand.New(rand.NewPCG(seed, 9))}
	a.sh.out = a.tray
	for i := range a.seqs {
		a.seqs[i] = make([]uint64, len(s.room.slots))
	}
	a.ann = s.joins(0)
	p := s.room.Join(PeerConfig{Lines: []Line{line, line}})
	p.shard = a.sh
	a.leg = newLeg(p, newEgress(s, profile), transport.Dest{})
	a.leg.control = newControl(p, netip.Addr{}, s.now)
	a.leg.remember(s.now)
	a.sh.now = s.now
	a.sh.attach(a.leg, s.now)
	a.leg.control.said.Resend = true
	for i := range a.leg.lines {
		a.leg.lines[i].seq = 65_400 // the wrap is near
	}
	return a
}

// speaking is the slot of whoever says the next packet: two talk at once, and others after a while. Where that is more than there are
// lines, these are given from slot to slot.
func (a *asking) speaking() uint8 {
	return uint8((a.next/40 + uint64(a.r.IntN(2))) % uint64(len(a.room.slots)))
}

// publishes brings a packet of one rendition, and what the leg is sent of it.
func (a *asking) publishes(rend Rendition, slot uint8, main bool) {
	a.now = a.now.Add(frameTime)
	a.sh.now = a.now
	a.ts += frameSamples
	a.seqs[rend][slot]++
	a.rd.emit(a.room, &Packet{
		rendition: rend, seq: a.seqs[rend][slot], ts: a.ts, csrc: 1000 + uint32(slot), origin: a.ann, slot: slot, level: uint8(a.r.IntN(256)),
		marker: a.r.IntN(20) == 0, main: main, samples: frameSamples, payload: fmt.Appendf([]byte{31 << 3}, "%d of %d", a.ts, a.r.Uint64()),
	})
	for head := a.room.program.head.Load(); a.next < head; a.next++ {
		pk := a.room.program.at(a.next)
		if pk.bounds != 0 || pk.rendition != a.leg.rendition {
			continue
		}
		var shared [headerSize]byte
		header(&shared, pk)
		a.leg.send(pk, &shared, a.tray)
	}
	a.keeps()
}

// keeps files what was sent for the first time.
func (a *asking) keeps() {
	for _, b := range a.tray.sent {
		if b[1] >= 192 && b[1] <= 223 {
			continue
		}
		key, _ := a.keyOf(b)
		if a.was[key] != nil {
			a.Fatalf("number %d was given twice", key[1])
		}
		a.files(key, b)
	}
	a.tray.sent = nil
}

func (a *asking) files(key [2]uint64, b []byte) {
	a.was[key] = b
	a.list = append(a.list, key)
	a.octets += len(b)
}

// keyOf is a packet's stream and extended number, and its line.
func (a *asking) keyOf(b []byte) (key [2]uint64, line int) {
	ssrc, seq := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[2:])
	for i := range a.leg.lines {
		if ln := &a.leg.lines[i]; ln.ssrc == ssrc {
			return [2]uint64{uint64(ssrc), ln.seq - uint64(uint16(ln.seq)-seq)}, i
		}
	}
	a.Fatalf("a packet of stream %d, which is none of his", ssrc)
	return key, 0
}

// asks asks for a number and returns what comes.
func (a *asking) asks(ssrc uint32, seqs ...uint16) [][]byte {
	a.sh.takeNack(a.leg, nackOf(ssrc, seqs...), a.now)
	got := a.tray.sent
	a.tray.sent = nil
	return got
}

// TestWhatIsSentAgainIsTheSameDatagram lets everything that goes into a packet change at any time, and asks for what was sent.
// Two different datagrams under one number would give a listener's key away.
func TestWhatIsSentAgainIsTheSameDatagram(t *testing.T) {
	for _, profile := range []srtp.ProtectionProfile{gcm, cm} {
		for i, line := range []Line{
			{PayloadType: 111, RedundancyPT: 63, LevelID: 2, TWCCID: 5, NACK: true},
			{PayloadType: 96, RedundancyPT: 97, TWCCID: 5, NACK: true}, // blocks are retyped; no level
			{PayloadType: 111, LevelID: 14, NACK: true},
		} {
			a := newAskingOf(newStudio(t, 3, 1), profile, line, uint64(i))
			same, moved := 0, 0
			for range 3000 {
				a.mayChange(line)
				was := [2]int{a.leg.lines[0].slot, a.leg.lines[1].slot}
				a.publishes(Rendition(a.r.IntN(2)), a.speaking(), a.r.IntN(10) > 0)
				if was != [2]int{a.leg.lines[0].slot, a.leg.lines[1].slot} {
					moved++
				}
				if a.r.IntN(2) == 0 {
					same += a.compares()
				}
			}
			if same < 300 || moved < 30 {
				t.Errorf("%v: only %d packets were sent again, and lines given to another slot %d times", profile, same, moved)
			}
			a.opensAll(profile)
		}
	}
}

// mayChange changes now and then what a leg's packets are like.
func (a *asking) mayChange(line Line) {
	switch l := a.leg; a.r.IntN(12) {
	case 0:
		l.stamp = !l.stamp && line.TWCCID != 0
	case 1:
		a.sh.protect(l, a.r.IntN(formsMax+1))
	case 2:
		f := &a.room.follows[0]
		f.protects(l, -1)
		l.rendition = Rendition(a.r.IntN(2))
		f.protects(l, 1)
		for i := range l.lines {
			l.lines[i].resync = true
		}
	case 3:
		l.one = !l.one
	case 4:
		a.sh.probe(l, 1+a.r.IntN(255), a.now)
		a.keeps()
	}
}

// compares asks for one of the last packets, and tells how many came.
func (a *asking) compares() (n int) {
	if len(a.list) == 0 {
		return 0
	}
	key := a.list[len(a.list)-1-a.r.IntN(min(20, len(a.list)))]
	for _, b := range a.asks(uint32(key[0]), uint16(key[1])) {
		if !bytes.Equal(b, a.was[key]) {
			a.Fatalf("number %d:\n%x, and again\n%x", key[1], a.was[key], b)
		}
		n++
	}
	return n
}

// opensAll opens all that was sent, in order: nothing that was sent again has disturbed what followed.
func (a *asking) opensAll(profile srtp.ProtectionProfile) {
	open := opener(a, profile)
	for i := range a.leg.lines {
		open.SetROC(a.leg.lines[i].ssrc, 0)
	}
	for _, key := range a.list {
		received(a, open, a.was[key])
	}
	if len(a.list) < 1000 || a.leg.lines[0].seq < 1<<16 || a.leg.lines[1].seq < 1<<16 {
		a.Fatalf("%d packets, up to %d: the numbers have not wrapped", len(a.list), a.leg.lines[0].seq)
	}
}

// talks publishes n live packets of one who talks.
func (a *asking) talks(n int) {
	for range n {
		a.publishes(Live, 0, true)
	}
}

func (a *asking) refused(why cc.Refusal) uint64 { return a.sh.refused[why].Load() }

var asksAlways = Line{PayloadType: 111, RedundancyPT: 63, LevelID: 2, NACK: true}

func TestWhatIsAskedForInVain(t *testing.T) {
	a := newAsking(t, gcm, asksAlways, 1)
	a.talks(60)
	ln := &a.leg.lines[0]
	last := uint16(ln.seq)
	for _, c := range []struct {
		name string
		ssrc uint32
		seq  uint16
		why  cc.Refusal
	}{
		{"of nobody's stream", ln.ssrc + 7, last, cc.RefusedUnknown},
		{"not sent yet", ln.ssrc, last + 1, cc.RefusedUnknown},
		{"of the other line, which was silent", a.leg.lines[1].ssrc, last, cc.RefusedUnknown},
		{"half the numbers away", ln.ssrc, last + 1<<15, cc.RefusedUnknown},
		{"600 ms old", ln.ssrc, last - 30, cc.RefusedOld},
	} {
		if got := a.asks(c.ssrc, c.seq); len(got) != 0 || a.refused(c.why) == 0 {
			t.Errorf("%s: %d packets", c.name, len(got))
		}
		a.sh.refused[c.why].Store(0)
	}
	a.leg.control.said.Resend = false
	if got := a.asks(ln.ssrc, last); len(got) != 0 || a.refused(cc.RefusedCongested) != 1 {
		t.Errorf("%d packets on a full path", len(got))
	}
	a.leg.control.said.Resend = true
	ln.nack = false
	if got := a.asks(ln.ssrc, last); len(got) != 0 || a.refused(cc.RefusedNegotiated) != 1 {
		t.Errorf("%d packets for who has not agreed on it", len(got))
	}
	ln.nack = true
	a.leg.peer.room = a.plane.OpenRoom(1, 0, nil) // where nothing was said: as if the program had gone on for seconds
	if got := a.asks(ln.ssrc, last); len(got) != 0 || a.refused(cc.RefusedGone) != 1 {
		t.Errorf("%d packets that the program has passed", len(got))
	}
}

func TestNothingIsSentMoreThanThriceOrWithinARoundTrip(t *testing.T) {
	a := newAsking(t, gcm, asksAlways, 1)
	a.talks(30)
	a.leg.peer.Down.RTT.Store(int64(80 * time.Millisecond))
	ssrc, seq := a.leg.lines[0].ssrc, uint16(a.leg.lines[0].seq)
	var came []int // ms
	for ms := range 400 {
		if len(a.asks(ssrc, seq, seq, seq)) > 0 {
			came = append(came, ms)
		}
		a.now = a.now.Add(time.Millisecond)
	}
	if fmt.Sprint(came) != "[0 80]" {
		t.Errorf("sent again after %v ms", came)
	}
	if a.leg.nacked != 1 || a.leg.resent != 2 {
		t.Errorf("%d asked for, %d sent", a.leg.nacked, a.leg.resent)
	}
}

// TestANackFloodIsNoAmplifier asks for every number of every stream, over and over.
func TestANackFloodIsNoAmplifier(t *testing.T) {
	a := newAsking(t, gcm, asksAlways, 1)
	sent, again := 0, 0
	for range 500 { // 10 s
		a.talks(1)
		sent += len(a.was[a.list[len(a.list)-1]])
		for back := 0; back < 1<<16; back += 300 * 17 {
			a.sh.takeNack(a.leg, a.floodBefore(uint16(a.leg.lines[0].seq)-uint16(back)), a.now)
		}
		for _, b := range a.tray.sent {
			again += len(b)
		}
		a.tray.sent = nil
	}
	if again > sent/4+4000 || again < sent/8 {
		t.Errorf("%d octets were sent again, %d were sent", again, sent)
	}
	if a.refused(cc.RefusedBudget) == 0 {
		t.Error("nothing was refused for want of a budget")
	}
}

// floodBefore asks for 5,100 numbers, the last of them seq.
func (a *asking) floodBefore(seq uint16) []byte {
	b := nackOf(a.leg.lines[0].ssrc)
	for first := seq - 300*17 + 1; first != seq+1; first += 17 {
		b = binary.BigEndian.AppendUint16(b, first)
		b = append(b, 0xff, 0xff)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	return b
}

// TestALongNackIsNotLookedThrough: what stands before the last 64 numbers is refused unseen, and counted all the same.
func TestALongNackIsNotLookedThrough(t *testing.T) {
	a := newAsking(t, gcm, asksAlways, 1)
	a.talks(30)
	last := uint16(a.leg.lines[0].seq)
	flood := a.floodBefore(last - 5000)
	copy(flood[12:], []byte{byte(last >> 8), byte(last), 0, 0}) // first of all one that would be sent: and 16 fewer
	a.sh.takeNack(a.leg, flood, a.now)
	if n := a.refused(cc.RefusedUnknown); len(a.tray.sent) != 0 || a.leg.nacked != 0 || n != 5100-16 {
		t.Errorf("%d packets are sent, %d noted, %d numbers of 5,084 refused", len(a.tray.sent), a.leg.nacked, n)
	}
	flood[8]++ // nobody's
	a.sh.takeNack(a.leg, flood, a.now)
	if n := a.refused(cc.RefusedUnknown); n != 2*(5100-16) {
		t.Errorf("%d numbers of two messages are refused", n)
	}
}

// One packet may hold as many NACKs as there are lines, and not a hundred.
func TestOfManyNacksInOnePacketFewAreTaken(t *testing.T) {
	a := newAsking(t, gcm, asksAlways, 1)
	a.talks(10)
	a.rd.compound(a.leg.peer, bytes.Repeat(nackOf(a.leg.lines[0].ssrc, uint16(a.leg.lines[0].seq)), 100), a.now)
	if n := a.plane.rtcpDropped.Load(); n != 100-messagesMost {
		t.Errorf("%d of 100 NACKs are dropped", n)
	}
}

// TestAFloodBeforeABusyShardDoesNotPileUp: of each kind one message waits, and the next one may when that is done.
func TestAFloodBeforeABusyShardDoesNotPileUp(t *testing.T) {
	a := newAsking(t, gcm, Line{PayloadType: 111, LevelID: 2, TWCCID: 5, NACK: true}, 1)
	a.talks(10)
	p := a.leg.peer
	nack := nackOf(a.leg.lines[0].ssrc, uint16(a.leg.lines[0].seq))
	feedback := []byte{0x8f, 205, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 0, 0, 0, 0x20, 1, 4, 0}
	report := []byte{0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 40, 0, 0, 9, 0, 0, 255, 200, 0, 0, 0, 90, 0, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(report[8:], a.room.ssrcs[0])
	for range 2 {
		a.sh.turn.Lock()
		for range 500 {
			a.rd.compound(p, slices.Concat(report, nack, feedback), a.now)
		}
		if n, dropped := len(a.sh.commands), a.plane.rtcpDropped.Swap(0); n != 3 || dropped != 3*499 {
			t.Errorf("%d of 1500 messages wait, %d are dropped", n, dropped)
		}
		a.sh.turn.Unlock()
		a.sh.serve()
		if len(a.sh.commands) != 0 {
			t.Errorf("%d commands are left", len(a.sh.commands))
		}
	}
	if len(a.tray.sent) == 0 {
		t.Error("the one that waited was not answered")
	}
}

// fed tells a leg by feedback which of its last n stamped packets have come.
func (a *asking) fed(last uint16, came ...bool) [][]byte {
	b := make([]byte, 20, 64)
	b[0], b[1] = 0x80|15, 205
	binary.BigEndian.PutUint16(b[12:], last-uint16(len(came))+1)
	binary.BigEndian.PutUint16(b[14:], uint16(len(came)))
	b[17], b[18] = byte(a.next>>8), byte(a.next) // any time
	var deltas []byte
	for _, c := range came { // a run of one each
		if c {
			b, deltas = append(b, 0x20, 1), append(deltas, 80)
		} else {
			b = append(b, 0, 1)
		}
	}
	b = append(b, deltas...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	a.leg.control.ladder.Feedback(b, a.now)
	a.leg.control.said.Resend = true
	a.sh.mend(a.leg, a.now)
	got := a.tray.sent
	a.tray.sent = nil
	return got
}

// inDoubt is a listener without NACK who is watched.
func inDoubt(t *testing.T, depth int) *asking {
	line := Line{PayloadType: 111, RedundancyPT: 63, LevelID: 2, TWCCID: 5}
	a := newAsking(t, gcm, line, 1)
	a.sh.protect(a.leg, depth)
	a.leg.control.ladder.Decide(a.now, cc.Demand{Talking: 1, Payload: 32_000, Main: 32_000})
	a.leg.stamp = true
	a.leg.remember(a.now)
	a.talks(10)
	return a
}

func TestFeedbackBringsBackWhatIsLost(t *testing.T) {
	a := inDoubt(t, 0)
	a.leg.peer.Down.RTT.Store(int64(20 * time.Millisecond))
	got := a.fed(a.leg.control.seq, true, true, false, true, false, true)
	if len(got) != 2 {
		t.Fatalf("%d packets for two that are lost", len(got))
	}
	n := len(a.list)
	for i, at := range []int{n - 2, n - 4} { // the newest first
		if !bytes.Equal(got[i], a.was[a.list[at]]) {
			t.Errorf("packet %d is another one", i)
		}
	}
	if got := a.fed(a.leg.control.seq, true, true, false, true, false, true); len(got) != 0 {
		t.Errorf("%d packets before the first ones can have come", len(got))
	}
	a.talks(7) // 20 ms for a round trip, 100 for feedback
	if got := a.fed(a.leg.control.seq, false, true); len(got) != 3 {
		t.Errorf("%d packets, though three are lost by now", len(got))
	}
}

// With two copies a packet is behind the next two: only what they have not brought is sent again.
func TestWhatRedundancyBringsIsNotSentAgain(t *testing.T) {
	for depth, want := range []int{3, 2, 1} {
		a := inDoubt(t, depth)
		got := a.fed(a.leg.control.seq, true, false, false, false, true, true)
		if len(got) != want {
			t.Errorf("depth %d: %d packets of a burst of three, want %d", depth, len(got), want)
		}
		if n := len(a.list); len(got) > 0 && !bytes.Equal(got[len(got)-1], a.was[a.list[n-5]]) {
			t.Errorf("depth %d: the first of the burst was not sent again", depth)
		}
	}
}

func TestAHealthyLegRemembersNothing(t *testing.T) {
	a := inDoubt(t, 0)
	a.leg.stamp = false
	a.leg.remember(a.now)
	if a.leg.history != nil {
		t.Error("the history outlives the doubt")
	}
	a.talks(1)
	if got := a.asks(a.leg.lines[0].ssrc, uint16(a.leg.lines[0].seq)); len(got) != 0 {
		t.Error("and is used")
	}
}

func TestWhoMayAskIsRememberedWithoutAllocations(t *testing.T) {
	a := newAsking(t, gcm, asksAlways, 1)
	a.talks(3)
	a.tray.keep = false
	pk := *a.room.program.at(a.next - 1)
	var shared [headerSize]byte
	header(&shared, &pk)
	n := testing.AllocsPerRun(200, func() {
		pk.seq++
		pk.ts += frameSamples
		a.leg.send(&pk, &shared, a.tray)
	})
	nack := nackOf(a.leg.lines[0].ssrc, uint16(a.leg.lines[0].seq)-1, 7, 8)
	m := testing.AllocsPerRun(200, func() { a.sh.takeNack(a.leg, nack, a.now) })
	if n != 0 || m != 0 {
		t.Errorf("%v allocations a packet, %v a NACK", n, m)
	}
}
