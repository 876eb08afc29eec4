package cc

const (
	// settle is the least time between two steps down: the change on the wire within 150 ms, a round trip, and two
	// feedbacks that see it.
	settle = 600 * millisecond
	// standingMost is how much queue is left standing: half of the 200 ms that must not be exceeded.
	standingMost = 100 * millisecond
	// fitDown is how much of what arrives the next rung may take: the rest drains the queue.
	fitDown = 0.85
	// starvedSlope is a path that takes less than three quarters of what we send, and starvedRate that little of it for a
	// second: that is ours whatever else there is. TCP that starts beside us was seen to have the first, not the second.
	starvedSlope = 0.3
	starvedRate  = 0.6
	// lossQueued with a queue is tail drop, not noise.
	lossQueued = 0.10
	// lossTrial without a queue is worth a step down on trial where redundancy is not to be had. At 0.10 a listener
	// without RED under 20 % of loss in bursts went down for nothing, to packets of 120 ms, and heard holes of 1.2 s.
	lossTrial = 0.25
	// lossResend is the same where most of it is mended by sending it again: three deviations of 20 % in bursts of three.
	lossResend = 0.40
	// lossMuch is worth one even where it is: chance seldom loses that much, and on a path that drops what is too much
	// redundancy would be two seconds of more of it.
	lossMuch = 0.50
	lossN    = 60 // packets, at the least: one standard deviation of losses in bursts of three is 0.12
	// tellingRatio of rates is what a second's received rate can tell, in packets that come eight a second.
	tellingRatio = 1.3
	// lossStill is what goes on down at once after a step down: twice of what TCP beside us was seen to cost.
	lossStill = 0.25

	// holdDown is how long it must be calm after a step down, and holdUp after one up, before the next one up.
	holdDown = 5 * second
	holdUp   = 2 * second
	// holdBlind is the same where no probe can tell: a try is heard if it fails.
	holdBlind = 10 * second

	// healthyFor is how long a leg must be clean at the top for the doubt to end.
	healthyFor = 4 * second
	// resignedFor is the same where loss is random, RED not to be had and nothing sent again by feedback, which would tell nothing new.
	resignedFor = 10 * second
	healthyN    = 50 // packets told of, at the least
	restFor     = 10 * second
	// deafFor is how long stamped packets may go unanswered while reports come.
	deafFor = 5 * second
	// deafReports are so many: after an outage the first one may come before the feedback.
	deafReports = 2
	// provenMargin is how much more than was ever healthy makes a doubt.
	provenMargin = 1.25

	// Redundancy: from 2 % a first copy leaves 0.04 % and costs a third at live; from 8 %, where it leaves 0.6 %, or when
	// losses come in twos, a second copy. It goes when less than half of that is lost for 10 s.
	redOne, redTwo = 0.02, 0.08
	redOneEnd      = 0.01
	redTwoEnd      = 0.04
	redBurst       = 2.0
	redBurstLoss   = 0.04
	// Two copies are spread when losses come in twos, as redBurst says, if there are enough of them to tell, and not any
	// more when they are as good as single: at 30 %, chance's are 1.4 in a row. Packed, four packets are too long ago.
	spreadLeast = 10
	spreadEnd   = 1.4
	redEnough   = 40 // packets
	redAtOnce   = 20 // packets, if five of them are lost
	redHold     = second
	redLess     = 10 * second
	// redFit of a capacity that congestion measured is what redundancy may try to fill, for estimateGoodFor. Above one,
	// because the measure is a tenth short where packets were lost by chance before they could be counted; the trial
	// that follows costs two seconds. A network is another one after a minute.
	redFit          = 1.1
	estimateGoodFor = 60 * second
	estimateMost    = 1e6 // b/s; more is of no interest, and a train arriving in one clump would say anything
	// unheardFor without any word from a listener who is being sent to is no evidence against a rung.
	unheardFor = 30 * second
	// forgetFailsAfter is when the back-off of tries begins anew.
	forgetFailsAfter = 60 * second
)

// weigh is the ladder's way from evidence to a move.
func (l *Ladder) weigh(t int64) {
	if l.fails > 0 && t-l.nextTry > forgetFailsAfter {
		l.fails = 0
	}
	d := l.doubt
	switch {
	case d == nil || l.deaf(t):
		l.weighBlind(t)
	case t-d.at < freshFor && d.acked > 0:
		l.weighFeedback(t)
	case t-l.heard > unheardFor && t-l.moved > unheardFor && d.unsaid >= 0 && t-d.unsaid > unheardFor:
		l.tryBlind(t) // nothing says that it is bad
	}
}

func (l *Ladder) deaf(t int64) bool { return !l.config.Feedback || t < l.deafUntil }

func (l *Ladder) weighFeedback(t int64) {
	d := l.doubt
	congested, why := l.congested(t)
	l.keepTime(t, congested)
	if congested && t-l.moved >= settle {
		l.answer(why, t)
		return
	}
	if l.weighTrial(t) && l.trial.kind != tryRED {
		return
	}
	if !congested && (d.last.queue < overQueue || t < l.immune.until) {
		l.weighLoss(t)
		l.weighRED(t)
	}
	l.weighSpread(t)
	l.weighUp(t)
}

// answer is what is done about congestion.
func (l *Ladder) answer(why Why, t int64) {
	s := &l.doubt.last
	gaveWay := l.gaveWay(t)
	switch {
	case l.trial.kind == tryUp:
		l.failTry(t)
	case l.trial.kind == tryBack && s.over && s.slope >= starvedSlope:
		l.failTry(t)
	case l.trial.kind == tryBack:
		l.weighTrial(t)
	case gaveWay && t-l.moved < trialSpan:
		l.weighTrial(t) // first see whether it goes
	case gaveWay && t >= l.nextTry && l.rung > l.floor:
		l.takeBack(l.top(), t) // and still the queue stands
	default:
		l.overload(t, why, true)
	}
}

// gaveWay says that what congests the path now is what has congested it before the last step down, which has not
// mended it. A queue that was gone meanwhile is a new one, and so is one that grows against what is sent now.
func (l *Ladder) gaveWay(t int64) bool {
	d := l.doubt
	if l.rung == l.top() || d.eased || d.last.over && d.last.slope >= starvedSlope {
		return false
	}
	_, lower := l.below(l.rung)
	if !lower {
		return true
	}
	if p, n, _ := d.losses(t); n >= redAtOnce && p >= lossStill {
		return false
	}
	return l.why == WhyDelay || l.why == WhyLoss || l.why == WhyFailedTry || l.trial.kind == tryDown
}

// congested says whether the path takes less than we send.
func (l *Ladder) congested(t int64) (bool, Why) {
	s := &l.doubt.last
	if t < l.immune.until {
		return s.over && s.slope >= starvedSlope && s.standing > 0 && s.received < starvedRate*l.cost(l.sending(), l.red), WhyDelay
	}
	if s.over || s.standing >= standingMost && s.slope > draining {
		return true, WhyDelay
	}
	p, n, _ := l.doubt.losses(t)
	return s.queue >= overQueue && s.received > 0 && n >= redAtOnce && p >= lossQueued && s.slope > draining, WhyLoss
}

// keepTime counts how long it has been calm, and clean, under feedback.
func (l *Ladder) keepTime(t int64, congested bool) {
	d := l.doubt
	dt := min(t-d.judged, freshFor)
	d.judged = t
	d.calm, d.clean = d.calm+dt, d.clean+dt
	if congested {
		d.calm, d.clean = 0, 0
	} else if p, n, _ := d.losses(t); n > 0 && p >= lossSuspect {
		d.clean = 0
	}
}

// overload steps down: RED off first, then one rung, or with jump to the highest one that fits what arrives.
func (l *Ladder) overload(t int64, why Why, jump bool) {
	d := l.doubt
	now := l.sending() // the shard may have us below our own rung
	before := l.cost(now, l.red)
	p, _, _ := d.losses(t)
	tr := trial{kind: tryDown, at: t, from: l.rung, loss: l.single(p), queue: max(d.last.queue, d.last.standing), rate: d.last.received}
	if l.trial.kind == tryDown { // one trial, two steps
		tr.from, tr.loss, tr.queue = l.trial.from, l.trial.loss, l.trial.queue
		before = before / l.trial.ratio
	}
	l.measure(t)
	to := now
	if l.red > 0 {
		l.unred.begin(t, unredFirst, unredMost)
		l.unredDepth = l.red
		l.moves[MoveLessRED]++
	}
	fit := fitDown * d.last.received
	for l.red == 0 && to == now || jump && l.cost(to, 0) > fit && d.last.received > 0 {
		next, ok := l.below(to)
		if !ok {
			break
		}
		to = next
	}
	if to == now {
		to = l.rung // the bottom, or redundancy was all there was to give up
		if l.red == 0 {
			return
		}
	} else {
		l.moves[MoveDown]++
	}
	l.why = why
	l.change(to, 0, t)
	tr.ratio = l.cost(to, 0) / max(before, 1)
	l.trial = tr
}

// weighRED adds or takes redundancy by what is lost at random.
func (l *Ladder) weighRED(t int64) {
	if l.config.RED == 0 || t-l.redded < redHold || l.trial.kind == tryRED {
		return
	}
	p, n, burst := l.doubt.losses(t)
	if l.copying() {
		l.weighCopies(p, burst, t)
		return
	}
	if n < redEnough && (n < redAtOnce || p*float64(n) < 5) || p >= lossMuch && n < lossN {
		return // lossMuch: weighLoss has the first word, as soon as it knows enough
	}
	want := l.depth(p, burst)
	more := want
	for more > l.red && !l.fits(more, t) {
		more--
	}
	switch {
	case more > l.red:
		l.less = -1
		l.moveRED(more, p, burst, t)
	case want < l.red && l.less < 0:
		l.less = t
	case want < l.red && t-l.less >= redLess:
		l.less = -1
		l.moveRED(l.red-1, p, burst, t)
	case want >= l.red:
		l.less = -1
	}
}

// weighSpread moves two copies apart where losses come in a row, and back together where they do not.
func (l *Ladder) weighSpread(t int64) {
	p, n, burst := l.doubt.losses(t)
	switch {
	case l.red < 2 || l.packing(l.sending()) != AsItCame:
		l.spread = false
	case p*float64(n) < spreadLeast:
	case burst >= redBurst:
		l.spread = true
	case burst < spreadEnd:
		l.spread = false
	}
}

// depth is the redundancy for a loss, with hysteresis.
func (l *Ladder) depth(p, burst float64) uint8 {
	var want uint8
	switch {
	case p >= redTwo || p >= redBurstLoss && burst >= redBurst || l.red == 2 && p >= redTwoEnd:
		want = 2
	case p >= redOne || l.red >= 1 && p >= redOneEnd:
		want = 1
	}
	if l.config.Copies && l.doubt == nil {
		return 0
	}
	return min(want, l.config.RED)
}

// fits says whether redundancy has room below a capacity that was measured of late.
func (l *Ladder) fits(red uint8, t int64) bool {
	if red >= l.unredDepth && t < l.unred.until {
		return false
	}
	return l.capped < 0 || t-l.capped > estimateGoodFor || l.cost(l.sending(), red) <= redFit*l.estimate
}

func (l *Ladder) moveRED(red uint8, p, burst float64, t int64) {
	before := l.cost(l.sending(), l.red)
	kind, more := MoveLessRED, red > l.red
	if more {
		kind = MoveRED
		l.trial = trial{kind: tryRED, at: t, from: l.rung, loss: p, burst: burst, ratio: l.cost(l.sending(), red) / max(before, 1)}
	}
	l.moves[kind]++
	l.why = WhyRandomLoss
	if red == 0 && l.rung == l.top() {
		l.why = WhyHealthy
	}
	l.red, l.redded = red, t
	d := l.doubt
	d.moved = true
	d.after = tally{from: t + 150*millisecond}
	if l.config.Copies {
		l.relapse.note(more, t)
		d.turn(more, t)
	}
}

// weighLoss steps down on trial where much is lost and redundancy is not to be had: that tells chance from a path that
// drops what is too much without queueing it.
func (l *Ladder) weighLoss(t int64) {
	if l.trial.kind != noTrial && l.trial.kind != tryRED || t-l.moved < settle {
		return
	}
	least := lossMuch
	if l.config.RED == 0 || t < l.unred.until {
		least = lossTrial
		if l.config.Resend {
			least = lossResend
		}
	}
	p, n, _ := l.doubt.losses(t)
	if n < lossN || p < least || p < lossMuch && t < l.immune.until || l.doubt.last.received == 0 {
		return
	}
	next, ok := l.below(l.rung)
	if tells := ok && tellingRatio*l.cost(next, 0) <= l.cost(l.rung, l.red); tells || p >= lossMuch {
		l.overload(t, WhyLoss, p >= lossMuch)
	}
}

// weighUp climbs a rung when it has been calm for long enough and a probe says that it would fit.
func (l *Ladder) weighUp(t int64) {
	d := l.doubt
	next, ok := l.above(l.rung)
	if !ok || l.rung <= l.floor || l.trial.kind != noTrial || l.demand.Talking == 0 {
		return
	}
	d.probe.result(t)
	hold := holdDown
	if l.why == WhyRecovering {
		hold = holdUp
	}
	if d.calm < hold || t < l.nextTry {
		d.probe.ready = false
		return
	}
	need := l.peakCost(next, l.red)
	switch {
	case need <= l.cost(l.rung, l.red) || d.probe.ready:
		l.stepUp(next, t)
	case !l.config.Probe || d.probe.mute == muteMost:
		if d.calm >= holdBlind {
			l.stepUp(next, t)
		}
	case d.probe.asked == 0 && t >= d.probe.next && (d.last.queue < overQueue || t < l.immune.until):
		n, padding := d.probe.ask(need*probeMargin, int(l.config.Overhead), t)
		l.ask, l.padding = uint8(n), uint8(padding)
	}
}

func (l *Ladder) stepUp(to Rung, t int64) {
	tr := trial{kind: tryUp, at: t, from: l.rung, ratio: l.cost(to, l.red) / max(l.cost(l.rung, l.red), 1)}
	if d := l.doubt; d != nil {
		tr.loss, _, _ = d.losses(t)
		tr.loss = l.single(tr.loss)
		l.estimate = max(l.estimate, min(d.probe.measured, estimateMost))
		d.probe = probe{mute: d.probe.mute}
	}
	l.moves[MoveUp]++
	l.why = WhyRecovering
	l.change(to, l.red, t)
	l.trial = tr
}

// change makes a move.
func (l *Ladder) change(to Rung, red uint8, t int64) {
	if red != l.red {
		l.redded = t
	}
	l.rung, l.red, l.moved, l.less = to, red, t, -1
	if l.doubt != nil {
		l.doubt.change(t)
		l.doubt.copies = l.copying()
	}
}

// doubting begins and ends stamping.
func (l *Ladder) doubting(t int64) {
	d := l.doubt
	switch {
	case d == nil:
		if l.demand.Talking > 0 && !l.deaf(t) && l.doubtful() {
			bias := int64(0)
			if l.suspicious && l.reports.grown > rttSuspect {
				bias = l.reports.grown
			}
			l.doubt = newDoubt(t, bias)
			l.doubt.copies = l.copying()
			l.moves[MoveDoubt]++
		}
	case t-l.talked > restFor:
		l.doubt = nil // goes on when somebody talks
	case d.unsaid >= 0 && l.talked-d.unsaid > deafFor && d.reports >= deafReports:
		l.doubt, l.deafUntil = nil, t+60*second
		if l.config.Copies { // without feedback nothing would tell when to end them
			l.red = 0
		}
	case l.settled(t):
		l.settleDoubt(t)
	}
}

// doubtful says that a leg that is not stamped should be.
func (l *Ladder) doubtful() bool {
	return l.proven == 0 || l.suspicious || l.rung > max(l.top(), l.floor) || l.red > 0 || l.trial.kind != noTrial ||
		l.cost(l.sending(), l.red) > provenMargin*l.proven
}

func (l *Ladder) settled(t int64) bool {
	d := l.doubt
	if l.rung > max(l.top(), l.floor) || l.trial.kind != noTrial || d.acked < healthyN {
		return false
	}
	if l.red == 0 && d.clean >= healthyFor {
		return true
	}
	return l.config.RED == 0 && (l.asks || !l.config.Resend) && d.calm >= resignedFor
}

func (l *Ladder) settleDoubt(t int64) {
	if !l.doubt.moved && l.suspicious {
		l.reports.pardon(t)
	} else {
		l.reports.pardons = 0
	}
	l.proven = max(l.proven, l.cost(l.sending(), l.red))
	l.suspicious, l.doubt = false, nil
	if l.rung == l.top() {
		l.why = WhyHealthy
	}
}
