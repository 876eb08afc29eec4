package forward

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"stentor/forward/cc"
	"stentor/transport"
)

const (
	// visitTick is how often a shard looks at a tenth of its legs, so that each is visited once a second and no tick
	// brings a burst. It does so with what it sends, and need not wake for it.
	visitTick  = 100 * time.Millisecond
	visitParts = 10
	// visitAll is how often it wakes to visit those that are overdue, because nothing was to be sent.
	visitAll = visitParts * visitTick
	// srEvery is the interval of sender reports: the usual 5 s of RFC 3550 §6.2.
	srEvery = 5 * time.Second
)

// follow is a shard's cursor into one room's program, and the legs that it serves from there.
type follow struct {
	room  *Room // Immutable.
	shard *shard

	legs   [renditions]atomic.Int32           // how many follow each, for the Reader
	forms  [renditions][formsMax]atomic.Int32 // of those, how many want redundancy in each form
	queued atomic.Bool                        // stands in shard.dirty

	cursor  uint64 // Owned by who has the shard's turn.
	lists   [renditions][]*leg
	waiting []*leg // that want another rendition, each once
}

// wants tells whether somebody follows a packet's rendition, or waits for the boundary that it is. For the Reader. Of what
// nobody wants the shard need not know: its cursor passes over it with the next packet that somebody wants.
func (f *follow) wants(pk *Packet) bool {
	if pk.bounds == 0 {
		return f.legs[pk.rendition].Load() > 0
	}
	for i := range f.legs {
		if f.legs[i].Load() > 0 {
			return true
		}
	}
	return false
}

// size is how many legs there are.
func (f *follow) size() (n int) {
	for _, list := range f.lists {
		n += len(list)
	}
	return n
}

// shard owns a disjoint set of legs, and has one goroutine. That, or the Reader for a small burst, works on them in the
// shard's turn.
type shard struct {
	id    int // Immutable.
	plane *Plane
	out   transport.Sender
	load  atomic.Int32 // legs attached or about to be
	busy  busy         // in its turn
	// behind is how many packets of a room's program were waiting at the last pass, of the room where most were, in
	// 1024ths of the ring: from 1024 on they are lost.
	behind atomic.Uint32

	followers [renditions]atomic.Int32
	rungs     [cc.Packed120One + 1]atomic.Int32 // legs by rung, those that adapt
	moves     [cc.MovesN]atomic.Uint64
	resent    atomic.Uint64
	copies    atomic.Uint64
	refused   [cc.RefusalsN]atomic.Uint64
	limit     atomic.Uint32 // of those who only listen, so many tenths are packed to spare the shard

	mu       sync.Mutex
	commands []func(now time.Time)
	dirty    []*follow // rooms with new packets
	stopped  bool

	wake chan struct{} // capacity 1
	quit chan struct{}
	done chan struct{}

	turn sync.Mutex // of who works on what follows

	// Owned by who has the turn.
	legs    []*leg
	came    uint32    // legs so far
	visit   int       // next leg to visit
	visited time.Time // when legs were visited last
	spare   []*follow
	rtcp    [transport.DatagramSize]byte
	burst   burst
	doubted []*leg    // that are stamped
	now     time.Time // when the turn began
	touched byte      // so that the compiler does not leave out what touch reads

	drops Drops
}

// run serves until quit, and what is queued by then.
func (s *shard) run() {
	defer close(s.done)
	tick := time.NewTimer(visitAll)
	defer tick.Stop()
	ticking := true
	for {
		some := false
		select {
		case <-s.wake:
			some = s.serve()
		case <-tick.C:
			some, ticking = s.tick(), false
		case <-s.quit:
			s.mu.Lock()
			s.stopped = true
			s.mu.Unlock()
			for s.serve(); s.queued(); {
				s.serve()
			}
			return
		}
		if some && !ticking {
			tick.Reset(visitAll)
			ticking = true
		}
	}
}

// tick takes the turn and visits who is overdue. It tells whether there are legs.
func (s *shard) tick() bool {
	s.turn.Lock()
	defer s.turn.Unlock()
	now := time.Now() // not before: to wait for the turn is no work, and another has counted it
	s.begin(now)
	s.visitLegs(now)
	s.out.Flush()
	s.busy.end(time.Now())
	return len(s.legs) > 0
}

// serve takes the turn, forwards what is new, and runs commands. It tells whether there are legs. It is one pass: a shard
// that is late comes to its commands between passes, or nobody could join, leave or be packed until it has caught up.
func (s *shard) serve() bool {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.serveNew()
	s.mu.Lock()
	commands := s.commands
	s.commands = nil
	s.mu.Unlock()
	if len(commands) > 0 {
		now := time.Now()
		s.begin(now)
		for _, f := range commands {
			f(now)
		}
		s.out.Flush()
		s.busy.end(time.Now())
	}
	return len(s.legs) > 0
}

func (s *shard) begin(now time.Time) {
	s.now = now
	s.busy.begin(now)
}

// queued tells whether there is something to serve.
func (s *shard) queued() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dirty)+len(s.commands) > 0
}

// serveNew forwards what is new, a pass of each room, and flushes. Rooms that have more than that are queued again, behind
// the others. In the shard's turn.
func (s *shard) serveNew() {
	now := time.Now()
	s.begin(now)
	s.mu.Lock()
	dirty := s.dirty
	s.dirty = s.spare[:0]
	s.mu.Unlock()
	behind, more := uint64(0), false
	for _, f := range dirty {
		f.queued.Store(false) // before the head is read: what is published from now on queues again
		behind = max(behind, f.behind())
		if s.forward(f) {
			s.mark(f)
			more = true
		}
	}
	clear(dirty) // a closed room must not hang on here
	s.spare = dirty
	s.behind.Store(uint32(behind))
	s.visitLegs(now)
	s.out.Flush()
	s.busy.end(time.Now())
	if more {
		s.nudge()
	}
}

// behind is how much of the ring waits to be sent, in 1024ths of it.
func (f *follow) behind() uint64 {
	p := &f.room.program
	return min((p.head.Load()-f.cursor)*1024/p.size(), 1024)
}

// passMax is how much of a program a shard goes through at once: more than what eight slots bring in one tick, a live
// and a packed packet of each and a boundary, so that who is not late needs one pass.
const passMax = 2 * burstMax

// forward sends a room's new packets to its legs, one pass at most. It tells whether there are more.
func (s *shard) forward(f *follow) (more bool) {
	head := f.room.program.head.Load()
	if behind, size := head-f.cursor, f.room.program.size(); behind > size {
		s.late(f, behind-size)
		f.cursor = head - size
	}
	for end := f.cursor + passMax; f.cursor < min(head, end); {
		b := &s.burst
		bound := f.gather(b, min(head, end))
		if b.overtaken > 0 {
			s.late(f, b.overtaken)
		}
		for rend, list := range f.lists {
			if b.count[rend] > 0 {
				s.send(Rendition(rend), list, b)
			}
		}
		if bound != 0 {
			s.change(f, bound)
			head = f.room.program.head.Load() // what nobody wanted before may have come without a mark
		}
	}
	return f.cursor < head
}

// burst is what a shard sends to one listener after the other: with the listener in the outer loop its leg is in the
// cache once, and its packets stand side by side for UDP GSO.
type burst struct {
	packets   [burstMax]*Packet
	headers   [burstMax][headerSize]byte
	n         int
	count     [renditions]int
	overtaken uint64
}

// burstMax is how many packets are taken at once: what three slots bring in one tick, in all renditions.
const burstMax = 12

// gather takes packets from the program up to the head, or up to a boundary, which it returns.
func (f *follow) gather(b *burst, head uint64) (bound bounds) {
	b.n, b.count, b.overtaken = 0, [renditions]int{}, 0
	for f.cursor < head && b.n < burstMax {
		pk := f.room.program.at(f.cursor)
		f.cursor++
		if pk == nil { // overtaken just now
			b.overtaken++
			continue
		}
		if pk.bounds != 0 {
			return pk.bounds
		}
		if len(f.lists[pk.rendition]) == 0 {
			continue
		}
		b.packets[b.n] = pk
		header(&b.headers[b.n], pk)
		b.count[pk.rendition]++
		b.n++
	}
	return 0
}

// send sends a burst's packets of one rendition to the legs that follow it.
func (s *shard) send(rend Rendition, list []*leg, b *burst) {
	for j, l := range list {
		// Between two bursts the legs have left the caches. Their misses are waited for side by side, not one after the
		// other, if a leg is read two ahead of its turn and its keys one ahead.
		if j+2 < len(list) {
			s.touched |= list[j+2].touch()
		}
		if j+1 < len(list) {
			s.touched |= list[j+1].egress.Touch()
		}
		for i := range b.n {
			if pk := b.packets[i]; pk.rendition == rend {
				if d := l.send(pk, &b.headers[i], s.out); d != dropCount {
					s.drops[d].Add(1)
				}
			}
		}
	}
}

// follow makes a leg wait for a boundary where it may change to another rendition.
func (s *shard) follow(l *leg, rend Rendition) {
	f := &l.peer.room.follows[s.id]
	if l.want != l.rendition { // it still waits for another one
		s.counted(l.peer.room, l.want, -1, -1)
	} else if rend != l.rendition {
		f.waiting = append(f.waiting, l)
	}
	l.want = rend
	if rend == l.rendition { // back before anything has changed
		f.waiting = remove(f.waiting, l)
		s.counted(l.peer.room, rend, -1, -1)
	}
}

// change moves the legs that wait and may change here.
func (s *shard) change(f *follow, b bounds) {
	f.waiting = slices.DeleteFunc(f.waiting, func(l *leg) bool {
		if !b.has(l.rendition) || !b.has(l.want) {
			return false
		}
		f.lists[l.rendition] = remove(f.lists[l.rendition], l)
		f.lists[l.want] = append(f.lists[l.want], l)
		s.followers[l.rendition].Add(-1)
		s.followers[l.want].Add(1)
		f.legs[l.rendition].Add(-1)
		f.legs[l.want].Add(1)
		s.counted(f.room, l.rendition, -1, -1)
		f.protects(l, -1)
		l.rendition = l.want
		f.protects(l, 1)
		for i := range l.lines {
			l.lines[i].resync = true
		}
		return true
	})
}

// counted tells the Reader that legs have left a rendition, or wait no longer.
func (s *shard) counted(r *Room, rend Rendition, legs, switching int) {
	rd := s.plane.reader
	rd.do(func(now time.Time) { rd.want(r, rend, legs, switching, now) })
}

// late counts packets that the program has overtaken, for every leg: their rendition is not known any more.
func (s *shard) late(f *follow, n uint64) {
	s.drops[DropShardLate].Add(n * uint64(f.size()))
	for _, list := range f.lists {
		for _, l := range list {
			l.lost += n
		}
	}
}

// mark queues a room with new packets. For the Reader, which nudges when it has published its batch.
func (s *shard) mark(f *follow) {
	if f.queued.Swap(true) {
		return
	}
	s.mu.Lock()
	s.dirty = append(s.dirty, f)
	s.mu.Unlock()
}

func (s *shard) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// do runs f on the shard, soon.
func (s *shard) do(f func(now time.Time)) {
	s.mu.Lock()
	if !s.stopped {
		s.commands = append(s.commands, f)
	}
	s.mu.Unlock()
	s.nudge()
}

// call runs f on the shard and waits for it.
func (s *shard) call(f func(now time.Time)) {
	ran := make(chan struct{})
	s.do(func(now time.Time) { f(now); close(ran) })
	select {
	case <-ran:
	case <-s.done:
	}
}

func (s *shard) attach(l *leg, now time.Time) {
	f := &l.peer.room.follows[s.id]
	if f.size() == 0 {
		f.cursor = f.room.program.head.Load()
	} else {
		s.forward(f) // what came before is not for the new leg; on a late shard it is as late as the others
	}
	f.lists[l.rendition] = append(f.lists[l.rendition], l)
	s.followers[l.rendition].Add(1)
	f.legs[l.rendition].Add(1)
	f.protects(l, 1)
	l.report = now.Add(srEvery)
	// A number of the shard's own: those of peers are dealt out to the shards in turn, and here mostly end in the same digit.
	l.tenth = s.came % 10
	s.came++
	s.legs = append(s.legs, l)
	if l.control != nil {
		s.rungs[l.control.said.Rung].Add(1)
	}
	s.weigh(l, now)
	l.peer.attached.Store(l)
}

// detach says goodbye and forgets a leg.
func (s *shard) detach(l *leg, now time.Time) {
	l.peer.attached.Store(nil)
	s.sendRTCP(l, l.senderReports(s.rtcp[:], now, true))
	s.out.Flush() // the leg's Dest is borrowed until here
	l.gone = true
	if l.control != nil {
		s.rungs[l.control.said.Rung].Add(-1)
	}
	f := &l.peer.room.follows[s.id]
	f.lists[l.rendition] = remove(f.lists[l.rendition], l)
	s.followers[l.rendition].Add(-1)
	f.legs[l.rendition].Add(-1)
	f.protects(l, -1)
	s.counted(l.peer.room, l.rendition, -1, 0)
	if l.want != l.rendition {
		f.waiting = remove(f.waiting, l)
		s.counted(l.peer.room, l.want, -1, -1)
	}
	s.legs = remove(s.legs, l)
}

// remove takes a leg out of a list, whose order means nothing.
func remove(list []*leg, l *leg) []*leg {
	i := slices.Index(list, l)
	if i < 0 {
		return list
	}
	last := len(list) - 1
	list[i], list[last] = list[last], nil
	return list[:last]
}

// visitLegs brings legs up to date, a tenth for each visitTick that has passed. In the shard's turn; the caller flushes.
func (s *shard) visitLegs(now time.Time) {
	passed := now.Sub(s.visited)
	if passed < visitTick {
		return
	}
	s.visited = now.Add(-(passed % visitTick))
	s.weighDoubted(now)
	parts := int(min(visitParts, passed/visitTick))
	for range (len(s.legs)*parts + visitParts - 1) / visitParts {
		if s.visit >= len(s.legs) {
			s.visit = 0
		}
		s.visitLeg(s.legs[s.visit], now)
		s.visit++
	}
}

func (s *shard) visitLeg(l *leg, now time.Time) {
	d := &l.peer.Down
	d.Packets.Store(l.packets)
	d.Bytes.Store(l.bytes)
	d.Lost.Store(l.lost)
	d.Nacked.Store(l.nacked)
	d.Resent.Store(l.resent)
	if !now.Before(l.report) && l.packets != l.reported {
		l.report, l.reported = now.Add(srEvery), l.packets
		s.sendRTCP(l, l.senderReports(s.rtcp[:], now, false))
	}
	if !l.stamp { // those that are stamped are weighed more often
		s.weigh(l, now)
	}
}

// sendRTCP seals and commits a compound packet, if there is one.
func (s *shard) sendRTCP(l *leg, packet []byte) {
	if len(packet) == 0 || l.gone {
		return
	}
	if n := l.egress.SealRTCP(s.out.Reserve(), packet); n > 0 {
		s.out.Commit(n, &l.dest)
	}
}
