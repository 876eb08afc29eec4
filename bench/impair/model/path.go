package model

import (
	"math"
	"math/rand/v2"
	"time"
)

// Fate is what becomes of a datagram.
type Fate uint8

// Fates.
const (
	Delivered  Fate = iota
	LostDown        // the path was down
	LostQueue       // the queue was full
	LostRandom      // behind the queue
	Fates           // how many there are
)

// far is a moment that no schedule reaches.
const far = time.Duration(math.MaxInt64)

// Path is one direction of a path. It is not safe for concurrent use.
type Path struct {
	start time.Time // Immutable.
	steps []Step    // Immutable. In order of time; the first is at 0.

	now   time.Duration // never goes back
	step  int           // of now
	line  line
	loss  loss
	delay *rand.Rand
	last  time.Duration // when the latest datagram arrives
	bulk  bulk
	fates [Fates]uint64
}

// New makes a path that starts at a time. The schedule must be in order of time and its conditions valid; before its
// first step the path is perfect. Paths of the same seed and schedule meet the same sends with the same fates.
func New(seed uint64, schedule []Step, start time.Time) *Path {
	p := &Path{start: start, steps: append([]Step{{}}, schedule...)}
	if len(schedule) > 0 && schedule[0].At <= 0 {
		p.steps = p.steps[1:]
	}
	p.loss.random = rand.New(rand.NewPCG(seed, 1))
	p.delay = rand.New(rand.NewPCG(seed, 2))
	p.bulk.random = rand.New(rand.NewPCG(seed, 3))
	p.bulk.resize(p.steps[0].Flows, 0)
	return p
}

// Send takes a datagram of size octets and tells when it arrives, if it is Delivered. A now before an earlier one counts
// as that.
func (p *Path) Send(now time.Time, size int) (at time.Time, fate Fate) {
	p.advance(now.Sub(p.start))
	arrives, fate := p.send(size + HeaderSize)
	p.fates[fate]++
	return p.start.Add(arrives), fate
}

// Queue is how long a datagram that comes now would wait before the bottleneck.
func (p *Path) Queue(now time.Time) time.Duration {
	p.advance(now.Sub(p.start))
	return max(0, p.line.free-p.now)
}

// Conditions are those of now.
func (p *Path) Conditions(now time.Time) Conditions {
	p.advance(now.Sub(p.start))
	return p.steps[p.step].Conditions
}

// Fates counts what became of the datagrams.
func (p *Path) Fates() [Fates]uint64 { return p.fates }

// BulkOctets is how much of the bulk flows has passed the bottleneck's queue, headers included.
func (p *Path) BulkOctets() uint64 { return p.bulk.octets }

// advance lets the time come, and the bulk flows send until then.
func (p *Path) advance(now time.Duration) {
	for end := p.until(); end <= now; end = p.until() {
		p.reach(end)
		p.step++
		p.bulk.resize(p.steps[p.step].Flows, p.now)
	}
	p.reach(now)
}

// reach lets the time come within the step under way.
func (p *Path) reach(now time.Duration) {
	p.bulk.run(p, now)
	p.now = max(p.now, now)
}

// until is when the step under way ends.
func (p *Path) until() time.Duration {
	if p.step+1 < len(p.steps) {
		return p.steps[p.step+1].At
	}
	return far
}

// send is the way of a datagram of size octets on the wire, now.
func (p *Path) send(size int) (arrives time.Duration, fate Fate) {
	c := &p.steps[p.step].Conditions
	if c.Down {
		return 0, LostDown
	}
	leaves, ok := p.line.enter(p, size)
	if !ok {
		return 0, LostQueue
	}
	jitter := time.Duration(p.delay.Float64() * float64(c.Jitter))
	if p.loss.next(c) {
		return 0, LostRandom
	}
	arrives = leaves + c.Delay + jitter
	if !c.Reorder {
		arrives = max(arrives, p.last)
	}
	p.last = max(p.last, arrives)
	return arrives, Delivered
}
