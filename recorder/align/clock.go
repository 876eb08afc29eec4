package align

import "math"

const (
	ms = SampleRate / 1000

	// A block keeps the least delayed of the packets that arrived within its span. 2 s hold 100 packets: enough for one
	// that met no queue, short enough for 500 ppm to move by 1 ms only. 256 of them look back over 8.5 minutes; an error
	// of 2 ms at an end of such a window is 4 ppm.
	blockSpan  = 2 * SampleRate
	blockCount = 256

	// A block with fewer packets, as in DTX, is no proof that a clock was set.
	blockPackets = 25

	// Below this span the slope is not the measured one alone: floors that are 2 ms off make 33 ppm of 60 s.
	slopeSpan = 60 * SampleRate

	// After a pause this long a block alone says too little to turn the line by: until there are as many as
	// settledBlocks (10 s), one of which has met an empty network, they can only lower it.
	pauseMin      = 10 * SampleRate
	settledBlocks = 5

	// Crystals are within 100 ppm, cheap USB devices within 500. What is measured beyond is not a drift.
	slopeMax = 600e-6

	// A clock that leaves the line by more than this has been set: no drift goes so far between two looks. Downwards one
	// packet proves it, because no network delivers early. Upwards it takes stepBlocks (30 s of speech), because
	// networks do deliver late.
	step       = 10 * ms
	stepBlocks = 15

	// Above the line by this much for a whole block, and not coming back: the source's clock stood still.
	standstill = 300 * ms
	// A queue that drains comes back by more than this within a block.
	draining = 100 * ms
)

// point is a packet's arrival and its delay, both in samples. Delays are against the anchor: they mean nothing alone.
type point struct{ at, delay float64 }

// clock maps the source's clock to the room's. A network only ever adds delay, so the true mapping is a straight line
// (its slope is the drift) beneath all points (arrival, arrival minus timestamp). It is found as in Moon, Skelly,
// Towsley, "Estimation and Removal of Clock Skew from Network Delay Measurements" (INFOCOM 1999): of all lines with no
// point below, the one nearest to the points on average, which is an edge of their lower convex hull.
type clock struct {
	at0 int64 // anchor
	ts0 uint64

	past  [blockCount]point // oldest first from first on, around
	first int
	n     int
	above int // how many blocks at the end lie above the line by more than step
	proof int // how many of them are full of packets
	since int // how many blocks have come since the last pause

	start  float64 // of the current block
	least  point   // of the current block
	opened float64 // delay of the current block's first packet
	count  int     // packets of the current block

	line     point   // a point of the line: the latest floor
	slope    float64 // of the line
	prior    float64 // slope that is believed until there is a better one
	measured bool    // whether slope has been measured over slopeSpan at least once

	hull [blockCount]point // scratch of fit
}

// anchor forgets all points, but not the drift: a source that comes back is mostly the same device.
func (c *clock) anchor(at int64, ts uint64) {
	c.at0, c.ts0 = at, ts
	c.forget()
	c.count = 0
}

func (c *clock) forget() {
	c.prior, c.n, c.first, c.above, c.proof, c.since = c.slope, 0, 0, 0, 0, 0
}

// point is where a packet lies against the anchor.
func (c *clock) point(p *Packet) point {
	at := p.At - c.at0
	return point{float64(at), float64(at - int64(p.TS-c.ts0))}
}

// over is how much later than by the line a point is, in samples; negative is earlier.
func (c *clock) over(p point) float64 { return p.delay - c.at(p.at) }

// at is the delay that the line gives for an arrival.
func (c *clock) at(arrival float64) float64 { return c.line.delay + c.slope*(arrival-c.line.at) }

// place is where on the room's timeline the packet's first sample belongs. It is never after the arrival of a packet
// that was observed.
func (c *clock) place(p *Packet) int64 {
	line := c.at(float64(p.At - c.at0))
	return min(p.At, c.at0+int64(p.TS-c.ts0)+int64(math.Round(line)))
}

// observe takes a packet's arrival into account.
func (c *clock) observe(p *Packet) {
	q := c.point(p)
	if c.count == 0 && c.n == 0 || c.over(q) < -step {
		c.forget()
		c.open(q)
		c.line = q
		return
	}
	if c.count > 0 && q.at-c.start >= blockSpan {
		c.close()
	}
	switch {
	case c.count == 0:
		c.open(q)
	case q.delay < c.least.delay:
		c.least = q
		c.count++
	default:
		c.count++
	}
	if c.over(q) < 0 {
		c.fit()
	}
}

func (c *clock) open(q point) {
	c.start, c.least, c.opened, c.count = q.at, q, q.delay, 1
}

// close ends the current block and looks whether the clock was set.
func (c *clock) close() {
	over, full := c.over(c.least), c.count >= blockPackets
	switch {
	case full && over > standstill && c.opened-c.least.delay < draining:
		c.forget()
	case over <= step:
		c.above, c.proof = 0, 0
	default:
		if c.above++; full {
			c.proof++
		}
	}
	if c.proof >= stepBlocks {
		// What lies above is the truth. The current block comes on top.
		keep := min(c.n, c.above-1)
		c.first, c.n = (c.first+c.n-keep)%blockCount, keep
		c.prior, c.above, c.proof = c.slope, 0, 0
	}
	if c.n == blockCount {
		c.first, c.n = (c.first+1)%blockCount, c.n-1
	}
	if c.since++; c.n > 0 && c.least.at-c.block(c.n-1).at > pauseMin {
		c.since = 1
	}
	c.n++
	*c.block(c.n - 1) = c.least
	c.count = 0
	c.fit()
}

// block is the i-th of the closed ones, the oldest first.
func (c *clock) block(i int) *point { return &c.past[(c.first+i)%blockCount] }

// fit lays the line beneath the points anew. It looks at each block once.
func (c *clock) fit() {
	turn := c.n // how many blocks may turn the line
	if c.since < settledBlocks && c.since < c.n {
		turn -= c.since
	}
	hull, sum := c.hull[:0], 0.0
	for i := range turn {
		p := *c.block(i)
		hull, sum = lower(hull, p), sum+p.at
	}
	if turn > 0 {
		c.turn(slopeAt(hull, sum/float64(turn)), hull[len(hull)-1].at-hull[0].at)
	}
	c.line = point{0, math.Inf(1)}
	for _, p := range hull {
		c.lay(p)
	}
	for i := turn; i < c.n; i++ {
		c.lay(*c.block(i))
	}
	if c.count > 0 {
		c.lay(c.least)
	}
}

// turn takes a slope that was measured over a span for as much as such a span can tell.
func (c *clock) turn(slope, span float64) {
	trust := min(1, span/slopeSpan)
	c.measured = c.measured || trust == 1
	slope = max(-slopeMax, min(slopeMax, slope))
	c.slope = c.prior + trust*trust*(slope-c.prior)
}

// lay moves the line to p, and no higher than it was.
func (c *clock) lay(p point) { c.line = point{p.at, min(p.delay, c.at(p.at))} }

// lower adds a point, later than all others, to a lower convex hull.
func lower(hull []point, p point) []point {
	for len(hull) > 1 {
		a, b := hull[len(hull)-2], hull[len(hull)-1]
		if (b.delay-a.delay)*(p.at-a.at) < (p.delay-a.delay)*(b.at-a.at) {
			break
		}
		hull = hull[:len(hull)-1]
	}
	return append(hull, p)
}

// slopeAt is the slope of the hull's edge over an arrival; 0 for a single point.
func slopeAt(hull []point, arrival float64) float64 {
	for i := 1; i < len(hull); i++ {
		a, b := hull[i-1], hull[i]
		if (b.at >= arrival || i == len(hull)-1) && b.at > a.at {
			return (b.delay - a.delay) / (b.at - a.at)
		}
	}
	return 0
}

// driftPPM is how much faster than the room's the source's clock is.
func (c *clock) driftPPM() float64 {
	if !c.measured {
		return 0
	}
	return 0 - c.slope*1e6
}
