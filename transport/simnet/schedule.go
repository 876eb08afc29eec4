package simnet

import (
	"container/heap"
	"time"
)

// late is a datagram under way.
type late struct {
	due  time.Time
	nth  uint64 // order of sending, for those due at the same time
	data []byte
	flow flowKey
}

// schedule is a heap of what is under way, the earliest first. It is a heap.Interface.
type schedule []late

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(i, j int) bool {
	if s[i].due.Equal(s[j].due) {
		return s[i].nth < s[j].nth
	}
	return s[i].due.Before(s[j].due)
}
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)   { *s = append(*s, x.(late)) }
func (s *schedule) Pop() any {
	last := len(*s) - 1
	out := (*s)[last]
	(*s)[last] = late{}
	*s = (*s)[:last]
	return out
}

// postpone puts a datagram into the schedule and sees to it that the timer fires for it. Called with mu held.
func (n *Network) postpone(l late) {
	n.sent++
	l.nth = n.sent
	heap.Push(&n.schedule, l)
	n.arm()
}

// arm sets the timer to the earliest datagram. A timer that has fired arms itself again when its turn ends, so
// only one that could be stopped is set anew. Called with mu held.
func (n *Network) arm() {
	if len(n.schedule) == 0 || n.closed {
		return
	}
	due := n.schedule[0].due
	switch {
	case n.timer == nil:
		n.firing.Add(1)
		n.timer = time.AfterFunc(time.Until(due), n.fire)
	case !n.armed:
		n.firing.Add(1)
		n.timer.Reset(time.Until(due))
	case due.Before(n.armedFor):
		if !n.timer.Stop() {
			return
		}
		n.timer.Reset(time.Until(due))
	default:
		return
	}
	n.armed, n.armedFor = true, due
}

// fire delivers what is due, on the timer's goroutine.
func (n *Network) fire() {
	defer n.firing.Done()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.armed = false
	if n.closed {
		return
	}
	n.deliverDue(time.Now())
	n.arm()
}

// deliverDue delivers what has arrived by now. Called with mu held.
func (n *Network) deliverDue(now time.Time) {
	for len(n.schedule) > 0 && !n.schedule[0].due.After(now) {
		l := heap.Pop(&n.schedule).(late)
		n.deliver(l.data, l.flow)
	}
}
