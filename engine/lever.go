package engine

import "time"

// lever chooses how many of those who only listen are sent packed packets, in tenths, by the load of who sends to them. All
// of them at once when the load is above high: what is saved so is needed now. Back to live some at a time, by the highest
// load of the last seconds, since people pause when they speak:
//
//   - as many as stay below low even if each costs live what it can cost at most;
//   - else, while below low, one tenth for a try: mostly they cost less.
//
// What ends above high is taken back at once, and then any way back waits longer, each time twice as long: also where it was
// nobody's try, but three who talk took turns with one.
//
// So a load for which neither all nor none is right ends between low and high, and who is in between does not change all
// the time.
type lever struct {
	high, low float64 // Immutable.

	tenths int
	peak   peak
	packed time.Time     // when all were
	moved  time.Time     // when anything has changed
	tried  time.Time     // when some went back to live
	wait   time.Duration // from packing all to the first step back
}

const (
	allTenths = 10
	// dearest is how many times as much a listener costs live as packed, at most: measured are 2.2 with one who talks, 4.0
	// with three (docs/benchmarks.md); eight should come to 8, since what costs is the message, and three packets of each
	// of eight slots become one.
	dearest = 9
	// stepTime is how long a step is watched before the next one: a boundary of the room, at most 120 ms, and then a load
	// that is all of after it.
	stepTime = time.Second
	// waitLeast is how long nobody goes back to live after all were packed: a span of the peak, to know what that has
	// brought. waitMost bounds the wait, which doubles with every way back that was taken back: who packs once in a minute
	// for a second does not disturb.
	waitLeast = peakSpan + stepTime
	waitMost  = 64 * time.Second
	// forgiven is after how long a step has not failed any more, and the wait is the least again.
	forgiven = time.Minute
)

// pull decides by the load at a moment. It tells whether anything has changed.
func (l *lever) pull(load float64, now time.Time) (moved bool) {
	if now.Sub(l.moved) >= stepTime { // before that it is partly of before the last move
		l.peak.add(load, now)
	}
	if load > l.high {
		return l.pack(now)
	}
	n := min(l.step(now), l.tenths)
	if n == 0 {
		return false
	}
	l.tenths -= n
	l.tried, l.moved = now, now
	return true
}

func (l *lever) pack(now time.Time) (moved bool) {
	if l.tenths == allTenths {
		return false
	}
	l.wait = min(2*l.wait, waitMost)
	if l.tried.IsZero() || now.Sub(l.tried) > forgiven {
		l.wait = waitLeast
	}
	l.tenths, l.packed, l.moved, l.peak = allTenths, now, now, peak{}
	return true
}

// step is how many tenths go back to live now.
func (l *lever) step(now time.Time) int {
	if l.tenths == 0 || now.Sub(l.packed) < l.wait || now.Sub(l.moved) < stepTime {
		return 0
	}
	most := l.peak.most()
	each := max(most, 0.001) * (dearest - 1) / allTenths
	switch n := int(min((l.low-most)/each, allTenths)); {
	case n > 0:
		return n
	case most < l.low:
		return 1
	}
	return 0
}

// peak is the highest load of the last peakSpan, or up to twice as long.
type peak struct {
	since     time.Time // when now began
	now, past float64
}

const peakSpan = 5 * time.Second

func (p *peak) add(load float64, now time.Time) {
	if now.Sub(p.since) >= peakSpan {
		p.past, p.now, p.since = p.now, 0, now
	}
	p.now = max(p.now, load)
}

func (p *peak) most() float64 { return max(p.now, p.past) }
