package align

import "math"

const (
	ms = SampleRate / 1000

	// A block keeps the least delayed of the packets that arrived within its span. 2 s hold 100 packets: enough for one
	// that met no queue, short enough for 500 ppm to move by 1 ms only. 256 of them look back over 8.5 minutes; an error
	// of 2 ms at an end of such a window is 4 ppm.
	blockSpan  = 2 * SampleRate
	blockCount = 256

	// A block with fewer packets has not found its floor yet, and is asked only when it lies below the line.
	blockPackets = 25

	// Below this span the slope is not the measured one alone: floors that are 2 ms off make 33 ppm of 60 s.
	slopeSpan = 60 * SampleRate

	// Crystals are within 100 ppm, cheap USB devices within 500. What is measured beyond is not a drift.
	slopeMax = 600e-6

	// A clock that leaves the line by more than this has been set: no drift goes so far between two looks. Downwards one
	// packet proves it, because no network delivers early. Upwards it takes stepBlocks (20 s), because networks do
	// deliver late.
	step       = 10 * ms
	stepBlocks = 10

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

	start  float64 // of the current block
	least  point   // of the current block
	opened float64 // delay of the current block's first packet
	count  int     // packets of the current block

	line     point   // a point of the line: the latest floor
	slope    float64 // of the line
	prior    float64 // slope that is believed until there is a better one
	measured bool    // whether slope has been measured over slopeSpan at least once

	hull [blockCount + 1]point // scratch of fit
}

// anchor forgets all points, but not the drift: a source that comes back is mostly the same device.
func (c *clock) anchor(at int64, ts uint64) {
	c.at0, c.ts0 = at, ts
	c.forget()
	c.count = 0
}

func (c *clock) forget() {
	c.prior, c.n, c.first, c.above = c.slope, 0, 0, 0
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
	if c.count == 0 {
		c.open(q)
	} else {
		c.count++
		if q.delay >= c.least.delay && c.count != blockPackets {
			return
		}
		if q.delay < c.least.delay {
			c.least = q
		}
	}
	if c.count >= blockPackets || c.over(q) < 0 {
		c.fit()
	}
}

func (c *clock) open(q point) {
	c.start, c.least, c.opened, c.count = q.at, q, q.delay, 1
}

// close ends the current block and looks whether the clock was set.
func (c *clock) close() {
	over := c.over(c.least)
	if over > step {
		c.above++
	} else {
		c.above = 0
	}
	still := over > standstill && c.count >= blockPackets && c.opened-c.least.delay < draining
	switch {
	case still:
		c.forget()
	case c.above >= stepBlocks:
		keep := c.above - 1 // the current one comes on top
		c.prior, c.above = c.slope, 0
		c.first, c.n = (c.first+c.n-keep)%blockCount, keep
	}
	if c.n == blockCount {
		c.first, c.n = (c.first+1)%blockCount, c.n-1
	}
	c.past[(c.first+c.n)%blockCount] = c.least
	c.n++
	c.count = 0
	c.fit()
}

// fit lays the line beneath the points anew. It looks at each block once.
func (c *clock) fit() {
	hull, sum, n := c.hull[:0], 0.0, 0
	for i := range c.n {
		p := c.past[(c.first+i)%blockCount]
		hull, sum, n = lower(hull, p), sum+p.at, n+1
	}
	if c.count >= blockPackets || c.count > 0 && (n == 0 || c.over(c.least) < 0) {
		hull, sum, n = lower(hull, c.least), sum+c.least.at, n+1
	}
	last := hull[len(hull)-1]
	span := last.at - hull[0].at
	trust := min(1, span/slopeSpan)
	c.measured = c.measured || trust == 1
	c.slope = c.prior + trust*(slopeAt(hull, sum/float64(n))-c.prior)
	c.slope = max(-slopeMax, min(slopeMax, c.slope))
	c.line = point{last.at, math.Inf(1)}
	for _, p := range hull {
		c.line.delay = min(c.line.delay, p.delay+c.slope*(last.at-p.at))
	}
}

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
	return -c.slope * 1e6
}
