package cc

const (
	// A report speaks of seconds, so two of a kind are waited for; and one bad report after a move is still of before.
	blindBad  = 2
	blindGood = 3
	// blindMuch is loss that is not waited with: chance has lost that much of one second of a talker, at 20 % in bursts of
	// three, once in twenty reports; a step down on trial is the price.
	blindMuch = 0.40
	// blindTrial is loss that a step down on trial is worth where redundancy is not to be had.
	blindTrial = 0.10
	// nackTrial is the same where the listener asks for what it misses, and gets most of it: who had been sent all voices
	// without a hole at 10 % of loss went to one voice in packets of 120 ms.
	nackTrial = blindMuch
	// blindSettle is the least time between two moves: two reports of Firefox, which come every 2 to 5 s.
	blindSettle = 6 * second
)

// weighBlind moves by receiver reports alone.
func (l *Ladder) weighBlind(t int64) {
	if !l.deaf(t) {
		return // healthy: suspicion makes it a doubt
	}
	r := &l.reports
	switch {
	case !r.fresh:
		if t-l.heard > unheardFor && t-l.moved > unheardFor && l.demand.Talking > 0 {
			l.tryBlind(t)
		}
	case t-l.moved < blindSettle:
	case l.trial.kind == tryDown && r.loss >= blindTrial && worse(l.trial.loss, r.loss, l.trial.ratio) && l.trial.queue == 0:
		l.takeBack(l.trial.from, t)
	case l.tryingUp() && r.bad > 0 && (r.grown > rttSuspect || worse(l.trial.loss, r.loss, l.trial.ratio)):
		l.failBlind(t)
	case l.tryingUp():
		l.passTry(t)
		l.trial.kind = noTrial
	case l.trial.kind == tryRED && worse(l.trial.loss, r.loss, l.trial.ratio):
		l.downBlind(t)
	case r.bad >= blindBad || r.loss >= blindMuch && l.trial.kind == noTrial:
		l.trial.kind = noTrial
		l.badBlind(t)
	case r.good >= blindGood:
		l.trial.kind = noTrial
		l.goodBlind(t)
	}
}

// badBlind answers to reports that stay bad: delay goes down, loss gets RED, and without RED goes down on trial.
func (l *Ladder) badBlind(t int64) {
	r := &l.reports
	if t < l.immune.until {
		return
	}
	want, least := l.depth(r.loss, 1), blindTrial
	if l.asks {
		least = nackTrial
	}
	switch {
	case r.grown > rttSuspect, r.loss >= blindMuch:
		l.downBlind(t)
	case want > l.red && l.fits(want, t):
		ratio := l.cost(l.sending(), want) / max(l.cost(l.sending(), l.red), 1)
		l.trial = trial{kind: tryRED, at: t, from: l.rung, loss: r.loss, ratio: ratio}
		l.moves[MoveRED]++
		l.why = WhyRandomLoss
		l.change(l.rung, want, t)
	case r.loss >= least && l.red == 0:
		l.downBlind(t)
	}
}

func (l *Ladder) goodBlind(t int64) {
	switch {
	case l.red > 0:
		l.moves[MoveLessRED]++
		l.change(l.rung, l.red-1, t)
	case t >= l.nextTry && t-l.moved >= holdBlind:
		l.tryBlind(t)
	}
	if l.red == 0 && l.rung == l.top() {
		l.why = WhyHealthy
	}
}

// tryBlind climbs a rung on trial.
func (l *Ladder) tryBlind(t int64) {
	if next, ok := l.above(l.rung); ok && l.rung > l.floor {
		l.stepUp(next, t)
	}
}

// downBlind steps down, RED first, to what would fit if loss is what the path does not take.
func (l *Ladder) downBlind(t int64) {
	r := &l.reports
	before := l.cost(l.sending(), l.red)
	to, from := l.rung, l.rung
	if l.red > 0 {
		l.unred.begin(t, unredFirst, unredMost)
		l.unredDepth = l.red
		l.moves[MoveLessRED]++
	}
	l.why = WhyLoss
	queue := int64(0)
	if r.grown > rttSuspect {
		l.why, queue = WhyDelay, r.grown
	}
	l.estimate, l.capped = (1-r.loss)*before, t
	fit := fitDown * l.estimate
	for l.red == 0 && to == l.rung || l.cost(to, 0) > fit && r.loss >= blindTrial {
		next, ok := l.below(to)
		if !ok {
			break
		}
		to = next
	}
	if to == from && l.red == 0 {
		return
	}
	if to != from {
		l.moves[MoveDown]++
	}
	l.change(to, 0, t)
	l.trial = trial{kind: tryDown, at: t, from: from, loss: r.loss, queue: queue, ratio: l.cost(to, 0) / max(before, 1)}
}

func (l *Ladder) failBlind(t int64) {
	l.fails = min(l.fails+1, failMost)
	l.nextTry = t + failFirst<<l.fails
	l.moves[MoveFailed]++
	l.why = WhyFailedTry
	l.change(l.trial.from, l.red, t)
	l.trial.kind = noTrial
}

func (l *Ladder) tryingUp() bool { return l.trial.kind == tryUp || l.trial.kind == tryBack }
