package cc

import "time"

// Percentile keeps what the listeners of one speaker lose, to tell the speaker's encoder how much loss it should brace
// for: a percentile, because the worst listener of thousands would make all pay for redundancy that only he needs.
// Weights fade, so that it follows who listens now. Owned by one goroutine; 1 KB.
type Percentile struct {
	weights [256]uint32 // by fraction lost, in 1/256 (RFC 3550 §6.4.1); fixed point
	total   uint64
	faded   time.Time
}

const (
	// weightOne is a second that a report speaks of. Times 2^16 listeners, times 8 seconds of them that the sum comes to, it
	// stays below 2^32.
	weightOne = 1 << 12
	// Weights lose an eighth each second: half of what a report counts is gone after 5 s, the longest that browsers
	// wait between two reports.
	fadeEvery = time.Second
	fadeShift = 3
	// fadeRounds is after how many rounds nothing is left: (7/8)^128 < 2^-24.
	fadeRounds = 128
)

// ReportSpan is the longest time that a report speaks of: browsers wait no longer between two.
const ReportSpan = 5 * time.Second

// Add counts one report, for the time since that listener's last one, at most ReportSpan: so each listener counts the same,
// however often it reports.
func (p *Percentile) Add(fraction uint8, span time.Duration, now time.Time) {
	p.fade(now)
	if p.weights[fraction] > 1<<31 {
		return
	}
	w := uint32(min(max(span, 0), ReportSpan).Milliseconds() * weightOne / 1000)
	p.weights[fraction] += w
	p.total += uint64(w)
}

// At is the fraction lost in 1/256 that percent of the reports do not exceed. 0 when nobody reports.
func (p *Percentile) At(percent int, now time.Time) uint8 {
	p.fade(now)
	want := (p.total*uint64(min(max(percent, 0), 100)) + 99) / 100
	var sum uint64
	for f, w := range p.weights {
		if sum += uint64(w); sum >= want && sum > 0 {
			return uint8(f)
		}
	}
	return 0
}

func (p *Percentile) fade(now time.Time) {
	rounds := now.Sub(p.faded) / fadeEvery
	if rounds <= 0 {
		return
	}
	if rounds >= fadeRounds {
		*p = Percentile{faded: now}
		return
	}
	p.faded = p.faded.Add(rounds * fadeEvery)
	p.total = 0
	for i := range p.weights {
		w := p.weights[i]
		for range rounds {
			w -= (w + 1<<fadeShift - 1) >> fadeShift
		}
		p.weights[i] = w
		p.total += uint64(w)
	}
}
