package cc

import "math"

// probe measures whether more would fit, by a train of padding sent at once: what is between the arrivals is what the
// path takes for a packet. A train adds some 200 ms of queue to the path for which it is too much, once, where trying
// the next rung would add as much in every quarter second that it takes to notice. Owned by a doubt.
type probe struct {
	asked    int64 // 0: none under way
	need     float64
	sent     int
	missed   int
	got      int
	octets   int // of all that arrived but the first
	first    int64
	last     int64
	next     int64   // not before
	wait     int64   // till the next one
	measured float64 // b/s, by the last one that was answered
	mute     uint8   // trains in a row of which nothing was told
	ready    bool    // has a result, and it is enough
}

const (
	// A packet of a probe has so much padding at the most (RFC 3550 §5.1), and as much as makes a train worth its packets
	// at the least.
	paddingMost  = 255
	paddingLeast = 64
	// A train that the needed rate would take 60 ms for tells rates apart by a fifth under a jitter of 10 ms. Two gaps at
	// the least; six packets are enough for three slots and RED.
	probeSpan  = 0.06
	probeLeast = 3
	probeMost  = 6
	// probeMargin is how much more than the need must be measured: two standard deviations at 60 ms with jitter of 5 ms.
	probeMargin = 1.15
	// probeTimeout is how long an answer may take: a round trip behind 1 s of queue, and feedback's interval.
	probeTimeout = 2 * second
	// A train that says no is repeated after 4, 5, then 6 s: whose network recovers is back at the top of three rungs
	// within 6 + 3 × 3 s. At 6 s a train every time is 1.5 kb/s.
	probeFirst = 4 * second
	probeLater = second
	probeWait  = 6 * second
	// muteMost is how many trains without an answer prove that there will be none: then rungs are tried without.
	muteMost = 3
)

// ask begins a probe and says how many packets it takes, and their padding.
func (p *probe) ask(need float64, overhead int, t int64) (n, padding int) {
	octets := need * probeSpan / 8 // between the first arrival and the last
	n = 1 + int(math.Ceil(octets/float64(paddingMost+overhead)))
	n = min(max(n, probeLeast), probeMost)
	padding = int(octets)/(n-1) - overhead
	*p = probe{asked: t, need: need, wait: p.wait, measured: p.measured, mute: p.mute}
	return n, min(max(padding, paddingLeast), paddingMost)
}

func (p *probe) arrive(size int, arrived int64) {
	if p.got++; p.got == 1 {
		p.first, p.last = arrived, arrived
		return
	}
	p.octets += size
	p.first, p.last = min(p.first, arrived), max(p.last, arrived)
}

// result closes a probe that is answered or too old.
func (p *probe) result(t int64) {
	if p.asked == 0 {
		return
	}
	over := p.sent > 0 && p.got+p.missed >= p.sent
	if !over && t-p.asked < probeTimeout {
		return
	}
	p.asked = 0
	p.mute = min(p.mute+1, muteMost)
	if p.got > 0 {
		p.mute = 0
	}
	if p.got >= 2 && 2*p.got >= p.sent {
		p.measured = float64(p.octets) * 8 * float64(second) / float64(max(p.last-p.first, millisecond))
		p.ready = p.measured >= p.need
	}
	p.wait = min(max(p.wait+probeLater, probeFirst), probeWait)
	p.next = t + p.wait
}
