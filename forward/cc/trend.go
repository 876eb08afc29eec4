package cc

// point is one group of packets: sent as one burst, delayed as one (draft-ietf-rmcat-gcc-02 §5.2).
type point struct {
	arrived int64  // of the last packet, µs of the receiver's clock
	delay   int32  // one way, of the first packet, µs above an arbitrary zero
	octets  uint32 // of all
}

const (
	// pointsMax holds trendSpan at one group in 10 ms, with some to spare.
	pointsMax = 128
	// groupSpan makes packets sent within 10 ms one group; the draft's 5 ms (§5.2) are for a pacer's video bursts.
	// What is born together here leaves within a flush; what is left are at most 100 groups a second, each still
	// finer than the 20 ms that a queue grows by before anybody should mind.
	groupSpan = 10 * millisecond
	// trendSpan is the window of the delay's trend. libwebrtc's trendline takes 20 groups, which for packed120 would
	// be 2.4 s and for three live slots 0.15 s: a window in time sees the same with both.
	trendSpan = second
	// trendLeast is what a trend needs: points, and time between first and last.
	trendLeast     = 5
	trendLeastSpan = 250 * millisecond
	// recentSpan is where the present queue is read, as the least delay: a clump that a wireless link held back for
	// 100 ms is over by then, and its last packet was hardly late.
	recentSpan = 200 * millisecond

	// overSlope is 8 % more than the path takes. Below that a queue grows by less than 80 ms a second, as behind
	// somebody else's TCP; that is left to the standing queue.
	overSlope = 0.08
	// overQueue is how much queue there must be at the least: 20 ms of wireless jitter, twice.
	overQueue = 40 * millisecond
	// overGrowth is how much it must have grown within the window, whatever the adaptive threshold says.
	overGrowth = 25 * millisecond
	// overTime is for how long all of this must be seen. The draft's 10 ms (§5.6) are less than the time between two
	// feedbacks: here it is two of them.
	overTime = 80 * millisecond
)

// The adaptive threshold and its gains per millisecond (§5.4, §5.6), in milliseconds of growth within the window.
const (
	gammaFirst = 12.5
	gammaLeast = 6
	gammaMost  = 600
	gammaUp    = 0.01
	gammaDown  = 0.00018
	gammaJump  = 15 // what lies further above does not move it: a sudden queue, not noise
)

// trend reads queues from one-way delays. Owned by a doubt.
type trend struct {
	points [pointsMax]point
	n      int // ever added; the last min(n, pointsMax) are there
	group  int64

	base      [2]int32 // least delay of this and the last turn
	turned    int64
	gamma     float64
	updated   int64
	overSince int64 // -1: not over
}

// signals is what a trend says. All of it is about the last second or less.
type signals struct {
	points   int
	queue    int64   // µs, now
	standing int64   // µs, the least of the window; 0 before the window is full
	slope    float64 // growth of the delay, in seconds a second
	received float64 // b/s
	over     bool    // sends more than the path takes
}

const (
	// baseTurn is how long a least delay is remembered, once or twice: longer than any rung takes to drain a queue of
	// 1 s, and short enough for a new route and for clocks that drift by 100 ppm (2 ms in 20 s).
	baseTurn  = 10 * second
	delayNone = 1<<31 - 1
)

func (tr *trend) reset() {
	*tr = trend{base: [2]int32{delayNone, delayNone}, gamma: gammaFirst, overSince: -1}
}

// restart forgets the points, not what the path is like.
func (tr *trend) restart() { tr.n, tr.overSince = 0, -1 }

// add takes one packet that arrived.
func (tr *trend) add(sent, arrived int64, delay int32, octets uint32, t int64) {
	if t-tr.turned >= baseTurn {
		tr.base[1], tr.base[0], tr.turned = tr.base[0], delayNone, t
	}
	tr.base[0] = min(tr.base[0], delay)
	if d := sent - tr.group; tr.n > 0 && d >= 0 && d < groupSpan {
		p := &tr.points[(tr.n-1)%pointsMax]
		p.arrived, p.octets = max(p.arrived, arrived), p.octets+octets
		return
	}
	tr.group = sent
	tr.points[tr.n%pointsMax] = point{arrived, delay, octets}
	tr.n++
}

// weigh takes the octets of a packet whose delay says nothing.
func (tr *trend) weigh(octets uint32) {
	if tr.n > 0 {
		tr.points[(tr.n-1)%pointsMax].octets += octets
	}
}

// read makes signals of the window before the last arrival.
func (tr *trend) read(t int64) signals {
	have := min(tr.n, pointsMax)
	if have == 0 {
		return signals{}
	}
	last := tr.points[(tr.n-1)%pointsMax].arrived
	first, octets, recent, least := last, uint32(0), int32(delayNone), int32(delayNone)
	var n, sx, sy, sxx, sxy float64
	var before uint32 // octets of the first point
	for i := 1; i <= have; i++ {
		p := &tr.points[(tr.n-i)%pointsMax]
		age := last - p.arrived
		if age > trendSpan {
			break
		}
		first, octets, before = min(first, p.arrived), octets+p.octets, p.octets
		least = min(least, p.delay)
		if age <= recentSpan {
			recent = min(recent, p.delay)
		}
		x, y := -float64(age)/float64(second), float64(p.delay)/float64(second)
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	base := min(tr.base[0], tr.base[1])
	s := signals{points: int(n), queue: int64(recent) - int64(base)}
	span := last - first
	if n < trendLeast || span < trendLeastSpan {
		return s
	}
	if span >= trendSpan*3/4 {
		s.standing = int64(least) - int64(base)
	}
	s.received = float64(octets-before) * 8 * float64(second) / float64(span)
	if v := n*sxx - sx*sx; v > 0 {
		s.slope = (n*sxy - sx*sy) / v
	}
	s.over = tr.detect(&s, span, t)
	return s
}

// detect is the over-use detector (§5.4), with the growth within the window in the place of the filtered gradient.
func (tr *trend) detect(s *signals, span, t int64) bool {
	growth := s.slope * float64(span) / float64(millisecond)
	over := growth > max(tr.gamma, float64(overGrowth/millisecond)) && s.slope >= overSlope && s.queue >= overQueue
	tr.adapt(growth, t)
	if !over {
		tr.overSince = -1
		return false
	}
	if tr.overSince < 0 {
		tr.overSince = t
	}
	return t-tr.overSince >= overTime
}

func (tr *trend) adapt(growth float64, t int64) {
	dt := float64(min(t-tr.updated, 100*millisecond)) / float64(millisecond)
	tr.updated = t
	m := max(growth, -growth)
	if m > tr.gamma+gammaJump {
		return
	}
	k := gammaDown
	if m > tr.gamma {
		k = gammaUp
	}
	tr.gamma = min(max(tr.gamma+min(k*dt, 1)*(m-tr.gamma), gammaLeast), gammaMost)
}
