package ear

import (
	"slices"
	"time"
)

const (
	// jitterHistory is of how many frames the lateness counts: 10 s.
	jitterHistory = 500
	// jitterQuantile of the lateness is waited for: kDefaultDelayManager's 0.95.
	jitterQuantile = 0.95
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
	newest int64          // seq that came
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
	l.came, l.buffer, l.begun, l.stall, l.missed, l.late, l.madeUp, l.newest = map[int64]bool{}, nil, false, 0, nil, lateness{}, 0, l.arrivals[0].seq
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
	reordered := a.seq < l.newest
	l.came[a.seq], l.newest = true, max(l.newest, a.seq)
	for _, f := range a.frames {
		i, has := slices.BinarySearchFunc(l.buffer, f.ts, func(b frame, ts int64) int { return int(b.ts - ts) })
		if has {
			continue
		}
		l.late.note(f, reordered)
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
	out.Plays = append(out.Plays, Play{At: now, Speaker: f.speaker, N: f.n})
}

func samples(ts int64) time.Duration { return time.Duration(ts) * time.Second / 48000 }

// lateness is how much later than the fastest of late the frames come.
type lateness struct {
	transits []transit // of transitWindow, those that may become the least, ascending
	history  []time.Duration
	at       int
	count    int
	cached   time.Duration
	order    reordering
}

type transit struct{ at, is time.Duration }

// note books a frame. One that others have overtaken, or that was sent again, is waited for only if that pays.
func (t *lateness) note(f frame, reordered bool) {
	is := f.came - samples(f.ts)
	for len(t.transits) > 0 && t.transits[len(t.transits)-1].is >= is {
		t.transits = t.transits[:len(t.transits)-1]
	}
	t.transits = append(t.transits, transit{f.came, is})
	late := is - t.base(f.came)
	t.count++
	t.order.note(late, reordered)
	if reordered {
		return
	}
	if len(t.history) < jitterHistory {
		t.history = append(t.history, late)
	} else {
		t.history[t.at] = late
		t.at = (t.at + 1) % jitterHistory
	}
}

// base is the least transit of late.
func (t *lateness) base(now time.Duration) time.Duration {
	for len(t.transits) > 1 && now-t.transits[0].at > transitWindow {
		t.transits = t.transits[1:]
	}
	return t.transits[0].is
}

// target is how long a frame is to wait against the fastest: the quantile of the lateness, and a frame; or longer for those that
// come out of order.
func (t *lateness) target() time.Duration {
	if t.count >= 8 || t.cached == 0 { // worked out anew each 8 frames
		sorted := slices.Clone(t.history)
		slices.Sort(sorted)
		t.cached = sorted[int(float64(len(sorted)-1)*jitterQuantile)] + frameTime
		t.cached = max(t.cached, t.order.target(t.cached))
		t.count = 0
	}
	return t.cached
}

const (
	// orderForgets is what is left of a frame's weight at the next one: 28 s matter. At first less does, as much as
	// orderBegins frames weigh among those that came.
	orderForgets = 0.9993
	orderBegins  = 2
	// orderBuckets of 20 ms are told apart.
	orderBuckets = 100
	// orderPays is how much delay NetEq takes on for all frames that it saves: 20 ms for each percent.
	orderPays = 2 * time.Second
)

// reordering is NetEq's reorder optimizer: how late the frames came that were out of order, and what waiting for them costs.
type reordering struct {
	n       int
	buckets [orderBuckets]float64 // shares of the frames; the first holds those in order
}

func (o *reordering) note(late time.Duration, reordered bool) {
	b := 0
	if reordered {
		b = min(int(late/frameTime), orderBuckets-1)
	}
	o.n++
	left := max(0, min(orderForgets, 1-orderBegins/float64(o.n+1)))
	for i := range o.buckets {
		o.buckets[i] *= left
	}
	o.buckets[b] += 1 - left
}

// target is the delay with the least cost, where less than base costs nothing.
func (o *reordering) target(base time.Duration) time.Duration {
	missed, best, least := 1.0, 0, time.Duration(-1)
	for b, share := range o.buckets {
		missed -= share
		cost := max(0, time.Duration(b)*frameTime-base) + time.Duration(missed*float64(orderPays))
		if least < 0 || cost < least {
			best, least = b, cost
		}
	}
	return time.Duration(best+1) * frameTime
}
