package forward

import "time"

// A shard's legs belong to whoever has its turn: its own goroutine, or the Reader. To wake a sleeping goroutine costs two
// thread switches, and what the scheduler does besides; and two threads that send at once are in each other's way in the
// kernel. So the Reader serves a shard by itself where that is soon done. What is not, the shards' goroutines do side by
// side:
//
//  1. How many packets does the shard owe its legs?
//  2. Is that less than the Reader may do at once? Then it takes the turn, else it wakes the shard.
//  3. When all that must wake are awake, the Reader serves.

const (
	// turnCost is what a packet takes to send, for step 2: measured are 4.5 to 6 µs.
	turnCost = 6 * time.Microsecond
	// turnMax is how long the Reader may serve at once, and not receive: a fifth of a packet's time. It is 666 packets.
	turnMax = 4 * time.Millisecond
	// turnShare is one in how much of its time the Reader may serve. The other half is for who sends: one thread that does
	// all must not become full while others sleep.
	turnShare = 2
)

// turns is how long the Reader may serve. Owned by the Reader.
type turns struct {
	left  time.Duration
	since time.Time // when left was true
	taken []*shard  // scratch
}

// grow adds what time has brought.
func (t *turns) grow(now time.Time) {
	t.left = min(turnMax, t.left+now.Sub(t.since)/turnShare)
	t.since = now
}

// take tells whether the Reader may send n packets by itself.
func (t *turns) take(n int) bool {
	if cost := time.Duration(n) * turnCost; cost <= t.left {
		t.left -= cost
		return true
	}
	return false
}

// serve has the shards served whose rooms have got packets.
func (rd *Reader) serve() {
	t := &rd.turns
	t.grow(time.Now())
	for i, touched := range rd.touched {
		if !touched {
			continue
		}
		rd.touched[i] = false
		switch s := rd.plane.shards[i]; {
		case !s.turn.TryLock(): // it is awake
			s.nudge()
		case t.take(s.owes()):
			t.taken = append(t.taken, s)
		default:
			s.turn.Unlock()
			s.nudge()
		}
	}
	for i, s := range t.taken {
		s.serveNew()
		s.turn.Unlock()
		t.taken[i] = nil
	}
	t.taken = t.taken[:0]
}

// owes is how many packets are to be sent. In the shard's turn.
func (s *shard) owes() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.dirty {
		n += f.owes()
	}
	return n
}

func (f *follow) owes() (n int) {
	head := f.room.program.head.Load()
	for i := max(f.cursor, head-min(head, programSize)); i < head; i++ {
		if pk := f.room.program.at(i); pk != nil && pk.bounds == 0 {
			n += len(f.lists[pk.rendition])
		}
	}
	return n
}
