package forward

import "time"

// A shard's legs belong to whoever has its turn: its own goroutine, or the Reader. To wake a sleeping goroutine costs two
// thread switches, and what the scheduler does besides; and two threads that send at once are in each other's way in the
// kernel. So the Reader serves a shard by itself where that is soon done. What is not, the shards' goroutines do side by
// side:
//
//  1. How long will it take to send what the shard owes its legs?
//  2. Is that less than the Reader may take at once? Then it takes the turn, else it wakes the shard.
//  3. When all that must wake are awake, the Reader serves.

const (
	// turnCost is what a packet takes to send, and turnMore what one more for the same listener takes, which joins the
	// first (UDP GSO): measured are 4 to 6 µs and 1 to 2 µs (docs/adr/0014).
	turnCost = 4500 * time.Nanosecond
	turnMore = 1500 * time.Nanosecond
	// turnMax is how long the Reader may serve at once, and not receive: a fifth of a packet's time. It is 888 packets.
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

// take tells whether the Reader may do by itself what costs that much.
func (t *turns) take(cost time.Duration) bool {
	if cost > t.left {
		return false
	}
	t.left -= cost
	return true
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
		case t.take(s.owes(t.left)):
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

// owes is what it costs to send what is to be sent, or something above most: who is late has more to count than the Reader
// has time for. In the shard's turn.
func (s *shard) owes(most time.Duration) (cost time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.dirty {
		if cost += f.owes(most - cost); cost > most {
			break
		}
	}
	return cost
}

func (f *follow) owes(most time.Duration) (cost time.Duration) {
	head := f.room.program.head.Load()
	var seen [renditions]bool
	for i := max(f.cursor, head-min(head, f.room.program.size())); i < head && cost <= most; i++ {
		pk := f.room.program.at(i)
		if pk == nil || pk.bounds != 0 {
			continue
		}
		each := turnCost
		if seen[pk.rendition] {
			each = turnMore
		}
		seen[pk.rendition] = true
		cost += time.Duration(len(f.lists[pk.rendition])) * each
	}
	return cost
}

// tryTurn takes the turn for one packet that came for one leg, if it is free. For the Reader, which ends it with endTurn.
func (s *shard) tryTurn() bool {
	if !s.turn.TryLock() {
		return false
	}
	s.begin(time.Now())
	return true
}

func (s *shard) endTurn() {
	s.busy.end(time.Now())
	s.turn.Unlock()
}
