package cc

// trial is a move on probation: what it was like before, to compare. Owned by the Ladder.
type trial struct {
	kind  trialKind
	at    int64
	from  Rung
	loss  float64 // before
	queue int64   // before, µs
	ratio float64 // of the rate after to that before
	burst float64 // mean length of a loss before
	rate  float64 // b/s that arrived before; 0: not known
}

type trialKind uint8

const (
	noTrial trialKind = iota
	tryDown           // is it better now?
	tryUp             // is it still good?
	tryBack           // as tryUp, after a step down that had mended nothing: is it really not worse?
	tryRED            // has loss grown?
)

// wait is a back-off that doubles.
type wait struct {
	until int64
	times uint8
}

// begin starts the next, longer wait. It begins small again when the last one is long over.
func (w *wait) begin(t, first int64, most uint8) {
	if w.times > 0 && t-w.until > first<<most {
		w.times = 0
	}
	w.until = t + first<<w.times
	w.times = min(w.times+1, most)
}

const (
	// trialSpan is what a comparison takes: the change on the wire (0.15 s), a round trip, and enough packets.
	trialSpan  = 2 * second
	trialLeast = 40  // packets to compare loss by: one standard deviation at 20 % is 6 %
	trialRED   = 100 // for more redundancy, where a wrong verdict costs most
	trialBurst = 200 // for that with losses in bursts of three, which deviate twice as much
	trialLate  = 5 * second
	// tryQueue is how much a step up may add to a queue: TCP's saw behind 200 ms of buffer has teeth of half of that.
	tryQueue = 80 * millisecond
	// drained is how little queue is none.
	drained = 30 * millisecond

	immuneFirst = 60 * second
	immuneMost  = 2 // 4 min
	unredFirst  = 30 * second
	unredMost   = 3
	failFirst   = 8 * second
	failMost    = 3 // 64 s
)

// worseLeast is how much loss must have grown at the least: two standard deviations of 10 % in 60 packets.
const worseLeast = 0.08

// worse says that p2 is not the loss that p1 should have become if the path's capacity were what counts: such a path
// keeps what it delivers when our rate changes by ratio, where one that drops at random keeps the fraction. Half-way
// between the two decides. After a step up it means that the loss is ours, after one down that it is not.
func worse(p1, p2, ratio float64) bool {
	capacity := max(0, 1-(1-p1)/max(ratio, 0.01))
	half := (p1 + capacity) / 2
	if ratio > 1 {
		half = max(half, p1+worseLeast)
	}
	return p2 > half
}

// weighTrial closes a trial that has enough to compare. It tells whether the trial still runs.
func (l *Ladder) weighTrial(t int64) bool {
	tr, d := &l.trial, l.doubt
	if tr.kind == noTrial {
		return false
	}
	least := trialLeast
	if tr.kind == tryRED {
		least = trialRED
		if tr.burst >= redBurst || l.config.Copies {
			least = trialBurst
		}
	}
	age := t - tr.at
	if age < trialSpan || d.after.n() < least && age < trialLate {
		return true
	}
	kind := tr.kind
	switch kind {
	case tryDown:
		switch {
		case l.mended(t):
		case tr.from == l.rung: // redundancy was all that was given up, for nothing
			l.unred.until = min(l.unred.until, t)
			l.capped, l.estimate = -1, 0
		default:
			l.takeBack(tr.from, t)
		}
	case tryRED:
		if l.copying() {
			return l.weighFirst(t)
		}
		if d.after.lost >= 10 && worse(tr.loss, d.after.loss(), tr.ratio) {
			l.overload(t, WhyLoss, true)
			return true
		}
	case tryUp, tryBack:
		if l.spoilt(t) {
			l.failTry(t)
			return true
		}
		l.passTry(t)
	}
	if l.trial.kind == kind {
		l.trial.kind = noTrial
	}
	return false
}

// spoilt says whether a step up made it worse.
func (l *Ladder) spoilt(t int64) bool {
	tr, d := &l.trial, l.doubt
	if d.after.lost >= 5 && worse(tr.loss, l.single(d.after.loss()), tr.ratio) {
		return true
	}
	if tr.kind == tryUp {
		return d.last.queue > tr.queue+tryQueue && t >= l.immune.until
	}
	// A path that was full delivers what it did before; one that others fill delivers more.
	more := l.cost(l.sending(), l.red) * (1 - tr.loss)
	return d.last.received > 0 && d.last.received < (more+tr.rate)/2
}

// passTry keeps a step up.
func (l *Ladder) passTry(t int64) {
	if l.trial.kind == tryBack {
		l.immune.begin(t, immuneFirst, immuneMost)
		l.unred.until = min(l.unred.until, t)
		l.capped, l.estimate = -1, 0
		return
	}
	l.why = WhyRecovering
	if _, more := l.above(l.rung); !more {
		l.why, l.capped = WhyHealthy, -1
	}
}

// mended says whether a step down was worth it: the queue is going or gone, or loss is what a fixed capacity leaves.
func (l *Ladder) mended(t int64) bool {
	tr, d := &l.trial, l.doubt
	if d.after.n() == 0 {
		return true // nobody talks: nothing can be said
	}
	if now := l.single(d.after.loss()); tr.loss >= lossSuspect && now <= tr.loss && !worse(tr.loss, now, tr.ratio) {
		return true
	}
	if tr.queue < overQueue {
		return false
	}
	q := d.last.queue
	if q < drained {
		return true
	}
	// A queue of ours drains by what is not sent any more of the rate that the path has delivered. Half of that may be
	// the error of the measure; a queue of others' seldom goes down by as much just now.
	if rate := l.cost(l.sending(), l.red); tr.rate > rate {
		owed := min(float64(d.first), (1-rate/tr.rate)*float64(t-d.from))
		return float64(d.first-q) >= owed/2
	}
	return q < tr.queue*6/10 || q < d.first-goingQueue || d.last.slope < draining
}

const (
	// draining is the slope of a queue that goes.
	draining = -0.03
	// goingQueue is how much of it must be gone to say so without a slope: 36 kb/s take 2 s for it on a path of 40 kb/s
	// whose queue was filled at 58.
	goingQueue = 20 * millisecond
)

// takeBack returns from a step down that mended nothing: what was seen is not of our making, unless it gets worse now.
func (l *Ladder) takeBack(to Rung, t int64) {
	tr := trial{kind: tryBack, at: t, from: l.rung, ratio: l.cost(to, l.red) / max(l.cost(l.rung, l.red), 1)}
	if d := l.doubt; d != nil {
		tr.loss, tr.queue, tr.rate = l.single(d.after.loss()), d.last.queue, d.last.received
	}
	l.moves[MoveNotOurs]++
	l.why = WhyNotOurs
	l.change(to, l.red, t)
	l.trial = tr
}

// failTry returns from a step up that the path does not take. If a queue is why, it must go now: it is put to the proof
// like any step down.
func (l *Ladder) failTry(t int64) {
	failed := l.trial
	back := trial{at: t, from: l.rung}
	if d := l.doubt; failed.kind == tryUp && d.last.queue >= overQueue {
		back.kind, back.queue, back.rate = tryDown, d.last.queue, d.last.received
		back.loss, _, _ = d.losses(t)
		back.loss = l.single(back.loss)
		back.ratio = l.cost(failed.from, l.red) / max(l.cost(l.rung, l.red), 1)
	}
	if failed.kind == tryBack {
		l.immune.until = min(l.immune.until, t) // it is ours after all
	}
	l.fails = min(l.fails+1, failMost)
	l.nextTry = t + failFirst<<l.fails
	l.moves[MoveFailed]++
	l.why = WhyFailedTry
	l.measure(t)
	l.change(failed.from, l.red, t)
	l.trial = back
}

// measure takes what arrives for what the path takes.
func (l *Ladder) measure(t int64) {
	l.proven = 0 // not any more
	if r := l.doubt.last.received; r > 0 {
		if l.trial.kind == tryRED {
			r /= max(1-l.trial.loss, 0.5) // that much was lost at random
		}
		l.estimate, l.capped = r, t
	}
}
