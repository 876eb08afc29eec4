package model

import "time"

// line is the bottleneck and the queue before it. A datagram's leaving is worked out when it enters, over the rates that
// are to come: what enters later cannot change it.
type line struct {
	free    time.Duration // when the last datagram has left
	waiting []entry       // of those that have not, in order
	octets  int           // of waiting
}

// entry is a datagram in the queue, the one on the line included.
type entry struct {
	leaves time.Duration
	size   int
}

// enter queues a datagram of size octets on the wire at p.now, or drops it. The one on the line does not count as waiting
// any less than the others: a driver's queue holds it, too.
func (l *line) enter(p *Path, size int) (leaves time.Duration, ok bool) {
	c := &p.steps[p.step].Conditions
	l.leave(p.now)
	if c.Rate == 0 {
		return max(p.now, l.free), true
	}
	if l.octets+size > c.Queue {
		return 0, false
	}
	l.free = p.passed(max(p.now, l.free), size)
	l.waiting = append(l.waiting, entry{l.free, size})
	l.octets += size
	return l.free, true
}

// leave forgets what has left.
func (l *line) leave(now time.Duration) {
	n := 0
	for n < len(l.waiting) && l.waiting[n].leaves <= now {
		l.octets -= l.waiting[n].size
		n++
	}
	l.waiting = append(l.waiting[:0], l.waiting[n:]...)
}

// passed is when so many octets, which begin at from, have gone over the line.
func (p *Path) passed(from time.Duration, octets int) time.Duration {
	bits := float64(octets) * 8
	for i := p.step; ; i++ {
		end := far
		if i+1 < len(p.steps) {
			end = p.steps[i+1].At
		}
		if end <= from {
			continue
		}
		rate := float64(p.steps[i].Rate)
		if rate == 0 {
			return from
		}
		takes := time.Duration(bits / rate * float64(time.Second))
		if end == far || takes <= end-from {
			return from + takes
		}
		bits -= rate * (end - from).Seconds()
		from = end
	}
}
