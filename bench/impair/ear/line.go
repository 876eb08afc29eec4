package ear

import (
	"math"
	"slices"
	"time"
)

const (
	// jitterHistory is of how many frames the lateness counts: 10 s.
	jitterHistory = 500
	// jitterQuantile of the lateness is waited for: kDefaultDelayManager's 0.95.
	jitterQuantile = 0.95
	// reorderPart is what a frame counts for in the share of those that come behind later ones (kReorderForgetFactor's
	// complement), and reorderFirst by what the first ones count more; reorderBuckets of a frame each are looked at: 2 s.
	reorderPart, reorderFirst = 0.0007, 2
	reorderBuckets            = 100
	// lossPrice is how much longer one waits for frames that come late, if that brings a hundredth of all (kMsPerLossPercent).
	lossPrice = 20 * time.Millisecond
	// knownFrames are remembered, so that copies do not count: 2 s, kPacketHistorySizeMs.
	knownFrames = 100
	// transitWindow is over which the fastest frame is what the others are late against, as in NetEq's relative delay tracker.
	transitWindow = 2 * time.Second
	// stretchPause lies between two changes of tempo: 20 ms in 120 are a sixth, about what NetEq's accelerate and
	// pre-emptive expand reach on speech.
	stretchPause = 5
	// slack is by how much the delay may exceed its target before the tempo goes up.
	slack = 20 * time.Millisecond
	// framesMost is how many of 20 ms a packet holds (RFC 7587 §4.2: 120 ms).
	framesMost = 6
)

// line is one stream and its jitter buffer.
type line struct {
	of       int
	arrivals []arrival
	seqs     unwrapped
	clock    unwrapped

	// While playing.
	came   map[int64]bool // sequence numbers
	buffer []frame        // not played yet, in order of ts
	next   int64          // ts to be played at the next tick
	last   int64          // seq of the last frame played
	begun  bool
	stall  int // ticks since the buffer ran dry
	steady int // ticks since the tempo was changed
	late   lateness
	missed []time.Duration // the stall's ticks
	madeUp int             // ticks since the last frame was played
}

// play plays the line from its first packet on.
func (l *line) play(until time.Duration, out *Played) {
	if len(l.arrivals) == 0 {
		return
	}
	l.came, l.buffer, l.begun, l.stall, l.missed, l.late, l.madeUp = map[int64]bool{}, nil, false, 0, nil, lateness{}, 0
	rest := l.arrivals
	for now := l.arrivals[0].at + frameTime; now < until; now += frameTime {
		for len(rest) > 0 && rest[0].at <= now {
			l.take(&rest[0])
			rest = rest[1:]
		}
		l.tick(now, out)
	}
}

// take puts a packet's frames into the buffer. Those that were played already, or should have been, are of no use.
func (l *line) take(a *arrival) {
	l.came[a.seq] = true
	for _, f := range a.frames[a.copies:] { // what it was sent for goes first: behind it, copies are late, before it they would be in order
		l.late.note(f)
	}
	for _, f := range a.frames[:a.copies] {
		l.late.note(f)
	}
	for _, f := range a.frames {
		i, has := slices.BinarySearchFunc(l.buffer, f.ts, func(b frame, ts int64) int { return int(b.ts - ts) })
		if has {
			continue
		}
		if l.begun && f.ts < l.next-frameSamples/2 {
			continue
		}
		l.buffer = slices.Insert(l.buffer, i, f)
	}
}

// tick plays 20 ms.
func (l *line) tick(now time.Duration, out *Played) {
	l.steady++
	if len(l.buffer) == 0 {
		if l.begun {
			l.stall++
			l.missed = append(l.missed, now)
		}
		return
	}
	first := l.buffer[0]
	if !l.begun {
		l.begun, l.next = true, first.ts
	}
	gap := int((first.ts - l.next + frameSamples/2) / frameSamples)
	gap -= l.settle(gap, first, out)
	delay, target := l.delay(now, first), l.late.target()
	if gap > 0 && delay > target+slack && l.steady > stretchPause {
		l.steady, gap = 0, gap-1 // NetEq does not make up what there is no time for
		l.next += frameSamples
	}
	if gap > 0 {
		l.next += frameSamples
		l.conceal(now, first, out)
		return
	}
	if delay < target && l.steady > stretchPause && len(l.missed) == 0 {
		l.steady = 0 // what is being played is drawn out: heard, not made up
		out.Drawn = append(out.Drawn, now)
		return
	}
	l.emit(now, out)
	if delay > target+slack && l.steady > stretchPause && len(l.buffer) > 0 && l.buffer[0].ts-l.next < frameSamples/2 {
		l.steady = 0
		l.emit(now, out)
	}
}

// delay is how much longer than the fastest of late a frame has been under way.
func (l *line) delay(now time.Duration, f frame) time.Duration {
	return now - samples(f.ts) - l.late.base(now)
}

// settle accounts for the ticks since the buffer ran dry, now that it is known what they were, and returns how many of them
// stand for frames that never came: as much of the gap has passed already. The others were waited for in vain.
func (l *line) settle(gap int, f frame, out *Played) int {
	passed := min(gap, l.stall)
	l.next += int64(passed) * frameSamples
	for _, at := range l.missed[:passed] {
		l.conceal(at, f, out)
	}
	out.Concealed = append(out.Concealed, l.missed[passed:]...)
	l.stall, l.missed = 0, l.missed[:0]
	return passed
}

// conceal books a tick of a gap before a frame. It was made up if it can have been in one of the packets that are missing
// there; if not, the speaker was silent, or the server had left the line alone.
func (l *line) conceal(at time.Duration, f frame, out *Played) {
	if l.madeUp < l.missing(f)*framesMost {
		l.madeUp++
		out.Concealed = append(out.Concealed, at)
	}
}

// missing is how many packets have not come between the last one that was played from and that of a frame.
func (l *line) missing(f frame) (n int) {
	for seq := l.last + 1; seq < f.seq; seq++ {
		if !l.came[seq] {
			n++
		}
	}
	return n
}

func (l *line) emit(now time.Duration, out *Played) {
	f := l.buffer[0]
	l.buffer = l.buffer[1:]
	l.next, l.last, l.madeUp = f.ts+frameSamples, f.seq, 0
	out.Plays = append(out.Plays, Play{At: now, Speaker: f.speaker, N: f.n, octets: f.octets})
}

func samples(ts int64) time.Duration { return time.Duration(ts) * time.Second / 48000 }

// lateness is how much later than the fastest of late the frames come. What comes in order and what comes behind a later frame,
// as redundancy does that fills a gap, are two things: for the first ones one waits as long as nearly all take, for the others as long as it pays.
type lateness struct {
	known    [knownFrames]int64 // ts of the last frames, a ring
	seen     int                // frames so far
	newest   int64              // ts
	behind   [reorderBuckets]float64
	transits []transit // of transitWindow, those that may become the least, ascending
	history  []time.Duration
	at       int
	count    int
	cached   time.Duration
}

type transit struct{ at, is time.Duration }

// note books a frame, unless it is a copy of one that came.
func (t *lateness) note(f frame) {
	if t.knows(f.ts) {
		return
	}
	is := f.came - samples(f.ts)
	if t.seen > 1 && f.ts < t.newest {
		t.count++
		t.shift(int(max(0, is-t.base(f.came)) / frameTime))
		return
	}
	t.newest = f.ts
	t.shift(0)
	for len(t.transits) > 0 && t.transits[len(t.transits)-1].is >= is {
		t.transits = t.transits[:len(t.transits)-1]
	}
	t.transits = append(t.transits, transit{f.came, is})
	late := is - t.base(f.came)
	if len(t.history) < jitterHistory {
		t.history = append(t.history, late)
	} else {
		t.history[t.at] = late
		t.at = (t.at + 1) % jitterHistory
	}
	t.count++
}

// knows tells whether a frame has come before, and remembers it.
func (t *lateness) knows(ts int64) bool {
	if slices.Contains(t.known[:min(t.seen, knownFrames)], ts) {
		return true
	}
	t.known[t.seen%knownFrames] = ts
	t.seen++
	return false
}

// shift books by how many frames' time a frame came behind a later one, 0 for one that did not.
func (t *lateness) shift(bucket int) {
	part := max(reorderPart, min(1, reorderFirst/float64(t.seen+1)))
	for i := range t.behind {
		t.behind[i] *= 1 - part
	}
	if bucket < reorderBuckets {
		t.behind[bucket] += part
	}
}

// worthwhile is how long to wait for what comes behind, when one waits for base anyway: each frame's time longer costs as
// much, and what would be missing then costs lossPrice a hundredth.
func (t *lateness) worthwhile(base time.Duration) time.Duration {
	missing, least, best := 1.0, math.Inf(1), 0
	for i, share := range t.behind {
		missing -= share
		cost := float64(max(0, time.Duration(i)*frameTime-base)) + 100*float64(lossPrice)*max(0, missing)
		if cost < least {
			least, best = cost, i
		}
	}
	return time.Duration(best+1) * frameTime
}

// base is the least transit of late.
func (t *lateness) base(now time.Duration) time.Duration {
	for len(t.transits) > 1 && now-t.transits[0].at > transitWindow {
		t.transits = t.transits[1:]
	}
	return t.transits[0].is
}

// target is how long a frame is to wait against the fastest: the quantile of the lateness, and a frame, or what is worthwhile.
func (t *lateness) target() time.Duration {
	if t.count >= 8 || t.cached == 0 { // worked out anew each 8 frames
		sorted := slices.Clone(t.history)
		slices.Sort(sorted)
		t.cached = sorted[int(float64(len(sorted)-1)*jitterQuantile)] + frameTime
		t.cached = max(t.cached, t.worthwhile(t.cached))
		t.count = 0
	}
	return t.cached
}
