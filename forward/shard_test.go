package forward

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"weak"

	"stentor/forward/cc"
	"stentor/transport"
)

// speaks publishes one packet of the peer, as hear does with a frame in order.
func (s *studio) speaks(p *Peer, slot int, n int, payload []byte) {
	f := &frame{ts: uint64(tsStart + n*frameSamples), payload: payload, samples: frameSamples, level: loud}
	s.rd.publish(&p.src, slot, f, false, 0, s.room.epoch.Add(time.Duration(n)*frameTime))
}

// attach attaches a peer by hand.
func (s *studio) attach(p *Peer, sh *shard) *leg {
	s.Helper()
	p.shard = sh
	p.leg = newLeg(p, newEgress(s, gcm), transport.Dest{})
	sh.attach(p.leg, s.now)
	return p.leg
}

// catchUp serves until nothing is left.
func catchUp(sh *shard) {
	for sh.serve(); sh.queued(); {
		sh.serve()
	}
}

func TestLateShardLosesPacketsNotMemory(t *testing.T) {
	s := newStudio(t, 1, 2)
	late, prompt := s.plane.shards[0], s.plane.shards[1]
	l, m := s.attach(s.joins(1), late), s.attach(s.joins(1), prompt)
	ann := s.joins(0)
	var first weak.Pointer[Packet]
	const packets = 1000
	late.turn.Lock() // it is busy with something else
	for n := range packets {
		s.speaks(ann, 0, n, voice)
		if n == 0 {
			first = weak.Make(s.room.program.at(0))
		}
		s.rd.wake()
		prompt.serve()
	}
	runtime.GC()
	if first.Value() != nil {
		t.Error("a packet that the program has passed is still in memory")
	}
	if n := len(late.dirty); n != 1 {
		t.Errorf("the late shard has %d entries queued for one room", n)
	}
	late.turn.Unlock()
	catchUp(late)
	if l.packets != programLeast || l.lost != packets-programLeast {
		t.Errorf("the late shard sent %d and lost %d, want %d and %d", l.packets, l.lost, programLeast, packets-programLeast)
	}
	if n := late.drops[DropShardLate].Load(); n != l.lost {
		t.Errorf("%d counted as late, want %d", n, l.lost)
	}
	if m.packets != packets || m.lost != 0 {
		t.Errorf("the prompt shard sent %d and lost %d", m.packets, m.lost)
	}
	s.speaks(ann, 0, packets, voice)
	s.rd.wake()
	late.serve()
	if l.packets != programLeast+1 {
		t.Error("the late shard does not follow any more")
	}
}

// TestALateShardTakesCommandsBetweenPasses: or nobody could leave it, or be packed, until it has caught up, and it never might.
func TestALateShardTakesCommandsBetweenPasses(t *testing.T) {
	s := newStudio(t, 1, 1)
	sh := s.plane.shards[0]
	l := s.attach(s.joins(1), sh)
	ann := s.joins(0)
	const packets = programLeast / 2
	for n := range packets {
		s.speaks(ann, 0, n, voice)
	}
	var sent uint64
	sh.do(func(time.Time) { sent = l.packets })
	<-sh.wake
	sh.serve()
	if sent == 0 || sent > passMax {
		t.Errorf("the command has waited for %d packets, want some and not more than %d", sent, passMax)
	}
	if st := s.plane.Stats(s.now).Shards[0]; st.Behind < 0.49 || st.Behind > 0.51 {
		t.Errorf("half a program has waited, and the shard tells %.2f", st.Behind)
	}
	if len(sh.wake) != 1 {
		t.Error("a shard that is late does not go on by itself")
	}
	catchUp(sh)
	sh.serve()
	if st := s.plane.Stats(s.now).Shards[0]; l.packets != packets || st.Behind != 0 {
		t.Errorf("%d of %d packets sent, still behind by %.2f", l.packets, packets, st.Behind)
	}
}

// TestALateRoomDoesNotHoldUpAnother: rooms take turns, pass by pass.
func TestALateRoomDoesNotHoldUpAnother(t *testing.T) {
	s := newStudio(t, 1, 1)
	sh := s.plane.shards[0]
	l := s.attach(s.joins(1), sh)
	ann, quiet := s.joins(0), s.plane.OpenRoom(1, 0, nil)
	zoe, fan := quiet.Join(PeerConfig{}), quiet.Join(PeerConfig{Lines: make([]Line, 1)})
	m := s.attach(fan, sh)
	for n := range programLeast {
		s.speaks(ann, 0, n, voice)
	}
	s.rd.publish(&zoe.src, 0, &frame{ts: tsStart, payload: voice, samples: frameSamples, level: loud}, false, 0, quiet.epoch)
	sh.serve()
	if m.packets != 1 || l.packets == 0 || l.packets > passMax {
		t.Errorf("%d packets of the quiet room were sent, after %d of the late one", m.packets, l.packets)
	}
}

// ledger counts, on the shards, what each leg was due between its attach and its detach.
type ledger struct {
	mu  sync.Mutex
	due uint64
}

// TestEveryPacketIsSentOrDroppedForAReason is the law of conservation: for each leg and each packet that was
// published while it was attached, exactly one of "sent" and a reason. Legs come and go all the time.
func TestEveryPacketIsSentOrDroppedForAReason(t *testing.T) {
	s := newStudio(t, 3, 2)
	for _, sh := range s.plane.shards {
		sh.done = make(chan struct{})
		go sh.run()
	}
	book := new(ledger)
	ann := s.joins(3) // speaks and listens
	peers := []*Peer{ann}
	for n := range 8 {
		peers = append(peers, s.joins(n%4))
	}
	stop := make(chan struct{})
	var wg, all sync.WaitGroup
	all.Add(len(peers))
	for i, p := range peers {
		rng := rand.New(rand.NewPCG(uint64(i), 7))
		wg.Go(func() { book.comeAndGo(s, p, rng, all.Done, stop) })
	}
	all.Wait()
	long := make([]byte, 1470)
	for n := range 20_000 { // as the Reader
		payload := voice
		if n%37 == 0 {
			payload = long
		}
		s.speaks(peers[n/50%2], n%3, n/3, payload)
		if n%7 == 0 {
			s.rd.wake()
			runtime.Gosched()
		}
		if n < 10_000 && n%100 == 0 { // no shard is late in the first half; in the second they may be
			for _, sh := range s.plane.shards {
				sh.call(func(time.Time) {})
			}
		}
	}
	close(stop)
	wg.Wait()
	s.rd.wake()
	sent, dropped := uint64(0), uint64(0)
	for _, sh := range s.plane.shards {
		close(sh.quit)
		<-sh.done
		sent += sh.out.(*tray).rtp
		if len(sh.legs) != 0 || sh.load.Load() != 0 {
			t.Errorf("shard %d keeps %d legs, load %d", sh.id, len(sh.legs), sh.load.Load())
		}
	}
	reasons := map[string]uint64{}
	s.plane.Drops(func(reason string, n uint64) {
		dropped += n
		if n > 0 {
			reasons[reason] = n
		}
	})
	if sent == 0 || sent+dropped != book.due {
		t.Errorf("%d due, %d sent, %d dropped: %v", book.due, sent, dropped, reasons)
	}
	for _, d := range []Drop{DropOwnVoice, DropNoLine, DropTooLong} {
		if reasons[d.String()] == 0 {
			t.Errorf("nothing was dropped for %v: the story tells less than it should", d)
		}
	}
	for i := range s.room.follows {
		if n := s.room.follows[i].legs[Live].Load(); n != 0 {
			t.Errorf("the Reader believes in %d legs", n)
		}
	}
}

// comeAndGo attaches and detaches a peer until stop, after some hundred packets each time. It calls first when the
// peer is attached for the first time.
func (b *ledger) comeAndGo(s *studio, p *Peer, rng *rand.Rand, first func(), stop <-chan struct{}) {
	for ended := false; !ended; {
		sh := s.plane.shards[rng.IntN(2)]
		p.shard = sh
		l := newLeg(p, newEgress(s, gcm), transport.Dest{})
		sh.load.Add(1)
		f := &s.room.follows[sh.id]
		var from uint64
		sh.call(func(now time.Time) {
			sh.attach(l, now)
			from = f.cursor
		})
		if first != nil {
			first()
			first = nil
		}
		for until := s.room.program.head.Load() + uint64(rng.IntN(500)); !ended && s.room.program.head.Load() < until; {
			select {
			case <-stop:
				ended = true
			default:
				runtime.Gosched()
			}
		}
		sh.call(func(now time.Time) {
			b.mu.Lock()
			b.due += f.cursor - from
			b.mu.Unlock()
			sh.detach(l, now)
		})
		sh.load.Add(-1)
	}
}

func TestLegsAreVisitedOnceASecond(t *testing.T) {
	s := newStudio(t, 1, 1)
	sh := s.plane.shards[0]
	var legs []*leg
	for range 25 {
		legs = append(legs, s.attach(s.joins(1), sh))
	}
	ann := s.joins(0)
	s.speaks(ann, 0, 0, voice)
	s.rd.wake()
	sh.serve()
	sh.visited = s.now.Add(-visitTick)
	for i := range visitParts {
		sh.visitLegs(s.now.Add(time.Duration(i) * visitTick))
	}
	for i, l := range legs {
		if l.peer.Down.Packets.Load() != 1 || l.peer.Down.Bytes.Load() != uint64(headerSize+len(voice)+16) {
			t.Errorf("leg %d: %d packets, %d octets", i, l.peer.Down.Packets.Load(), l.peer.Down.Bytes.Load())
		}
	}
	out := sh.out.(*tray)
	if out.rtcp != 0 {
		t.Errorf("%d reports within the first second", out.rtcp)
	}
	for i := range 10 * visitParts { // only the first of two intervals saw a packet
		sh.visitLegs(s.now.Add(srEvery + time.Duration(i)*visitTick))
	}
	if out.rtcp != 25 {
		t.Errorf("%d sender reports, want one for each leg", out.rtcp)
	}
}

func TestAClosedRoomDoesNotHangOnToItsShard(t *testing.T) {
	s := newStudio(t, 1, 1)
	sh := s.plane.shards[0]
	p := s.joins(1)
	l := s.attach(p, sh)
	s.speaks(s.joins(0), 0, 0, voice)
	s.rd.wake()
	sh.serve()
	sh.detach(l, s.now)
	for _, f := range sh.spare[:cap(sh.spare)] {
		if f != nil {
			t.Error("the shard still refers to the room")
		}
	}
}

// TestWhatIsCommittedGoesToTheOldAddress: a Sender borrows addresses until Flush, so a move must not write into one.
func TestWhatIsCommittedGoesToTheOldAddress(t *testing.T) {
	s := newStudio(t, 1, 1)
	sh, out := s.plane.shards[0], &tray{keep: true}
	sh.out = out
	p, ann := s.joins(1), s.joins(0)
	old := netip.MustParseAddrPort("10.0.0.2:1")
	s.attach(p, sh).dest = s.plane.endpoint.Dest(old)
	s.speaks(ann, 0, 0, voice)
	p.Move(new(transport.Session)) // whose path is the zero address
	s.rd.wake()
	sh.serve()
	s.speaks(ann, 0, 1, voice)
	s.rd.wake()
	sh.serve()
	if want := []netip.AddrPort{old, {}}; !slices.Equal(out.went, want) {
		t.Errorf("sent to %v, want %v", out.went, want)
	}
}

// TestATenthOfThoseWhoListenIsATenth: whoever came to which shard, and however many there are.
func TestATenthOfThoseWhoListenIsATenth(t *testing.T) {
	for _, shards := range []int{1, 2, 5, 10} {
		s := newStudio(t, 1, shards)
		const each = 40
		for i := range shards * each {
			p := s.room.Join(PeerConfig{AudioID: 7 + uint32(i), Lines: []Line{{PayloadType: 111}}})
			sh := s.plane.leastLoaded()
			sh.load.Add(1)
			s.attach(p, sh)
		}
		for _, sh := range s.plane.shards {
			for tenths := range 11 {
				sh.limit.Store(uint32(tenths))
				packed := 0
				for _, l := range sh.legs {
					if sh.limitOf(l) != cc.Live {
						packed++
					}
				}
				if want := tenths * each / 10; packed != want {
					t.Errorf("%d shards: shard %d packs for %d of %d at %d tenths, want %d", shards, sh.id, packed, each, tenths, want)
				}
			}
		}
	}
}
