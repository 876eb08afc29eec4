package cc

import (
	"math"
	"time"
)

// This file is redundancy for who has no RED: the same datagram a second time, behind the next packet of its line. It has the
// first one's transport-wide number, and SRTP drops whichever comes second (RFC 3711 §3.3.2), so feedback shows only what was
// lost twice. What one datagram's loss is must be inferred.

const (
	// Where each datagram is lost by chance with p, p² of the packets are lost twice: of the 50 a second of one talker at 10 %
	// one in 2 s, at 5 % one in 8 s, at 2 % one in 50 s. Whatever is lost in 4 s keeps the copies for redLess more: at 10 %
	// they are given back by mistake once in 14 s·e⁷, at 5 % once in a minute or two, at 2 % again and again. If loss is there
	// again within relapseFor, they are kept for twice as long the next time, up to redLess<<relapseMost.
	relapseFor  = 20 * second
	relapseMost = 3 // 80 s

	// A copy comes one packet behind, and a queue of that size within one packet would be a path that has stopped: who comes
	// between half and one and a half of it later than the one before has come by his copy. If the next one is as late, it is
	// a queue all the same. By chance that is one in a hundred at 10 %.
	copyLeast, copyMost = 50, 150 // % of the interval
)

// relapse is how often copies were given back too early.
type relapse struct {
	ended int64 // when they were given back; 0: never
	times uint8
}

// note takes a beginning or an end.
func (r *relapse) note(begins bool, t int64) {
	switch {
	case !begins:
		r.ended = t
	case r.ended > 0 && t-r.ended < relapseFor:
		r.times = min(r.times+1, relapseMost)
	default:
		r.times = 0
	}
}

// copying tells whether each packet is sent twice.
func (l *Ladder) copying() bool { return l.config.Copies && l.red > 0 && l.doubt != nil }

// Asks tells that the listener asks for what it misses (RFC 4585 §6.2.1), which ends its copies for good: asking brings what they
// would, and it would ask for what they bring. That it may ask says nothing: Firefox takes an answer that agrees to NACKs, and
// sends none.
func (l *Ladder) Asks(now time.Time) {
	if l.asks {
		return
	}
	t := l.clock(now)
	if l.asks = true; !l.config.Copies {
		return
	}
	if l.copying() {
		l.moveRED(0, 0, 1, t)
		if l.trial.kind == tryRED {
			l.trial.kind = noTrial
		}
	}
	l.config.Copies, l.config.RED, l.red = false, 0, 0
}

// single is the loss of datagrams that leaves a loss of packets.
func (l *Ladder) single(p float64) float64 {
	if l.copying() {
		return math.Sqrt(p)
	}
	return p
}

// weighCopies ends copies when nothing was lost twice for long enough.
func (l *Ladder) weighCopies(p, burst float64, t int64) {
	switch {
	case p > 0 || l.doubt.acked == 0:
		l.less = -1
	case l.less < 0:
		l.less = t
	case t-l.less >= redLess<<l.relapse.times:
		l.less = -1
		l.moveRED(0, p, burst, t)
	}
}

// weighFirst closes the trial of copies. It tells whether one still runs. Let p have been lost before. Chance leaves p², bursts of
// three half of p. A path that drops what is too much keeps what it delivers: of twice the datagrams it drops q = 1-(1-p)/2,
// and q² are lost twice: 0.30 instead of 0.10, 0.42 instead of 0.30. Half-way between p and that, it is ours. From p on copies
// are of no use; where no bursts were seen from half of it on: next to no queue takes the first one and drops the second.
func (l *Ladder) weighFirst(t int64) bool {
	p, after := l.trial.loss, &l.doubt.after
	q, limit := 1-(1-p)/2, p
	if l.trial.burst < redBurst {
		limit = p / 2
	}
	switch now := after.loss(); {
	case after.lost >= 10 && now > (p+q*q)/2:
		l.overload(t, WhyLoss, true)
		return true
	case after.lost >= 5 && now > limit:
		l.unred.begin(t, unredFirst, unredMost)
		l.unredDepth = 1
		l.moveRED(0, now, 1, t)
	}
	l.trial.kind = noTrial
	return false
}

// Copied tells of a packet that is sent a second time, with its number.
func (l *Ladder) Copied(seq uint16, now time.Time) {
	l.clock(now)
	if l.doubt != nil {
		l.doubt.copied(seq)
	}
}

func (d *doubt) copied(seq uint16) {
	if p := &d.ring[seq%sentMax]; p.state != nothing && p.tag == uint8(seq/sentMax) {
		p.state |= copied
		p.size = uint16(min(2*int(p.size), 1<<16-1))
	}
}

// turn begins or ends copies: what was sent before is no evidence of what is sent now.
func (d *doubt) turn(copies bool, t int64) {
	d.copies, d.from, d.run, d.late = copies, t, 0, false
	clear(d.bins[:])
}

// came is the share of what was sent of the packets told of, copies included: where one datagram's loss is p, 1-p² of
// the packets have come, with 2(1-p) datagrams, 1/(1+p) of those that were sent for them.
func (d *doubt) came(t int64) float64 {
	if !d.copies {
		return 1
	}
	p, _, _ := d.losses(t)
	return 1 / (1 + math.Sqrt(p))
}

// byCopy tells whether a packet has come by its copy, so that its delay is none.
func (d *doubt) byCopy(mark uint8, delay int64) bool {
	if !d.copies || mark&copied == 0 || d.late || d.trend.n == 0 {
		d.late = false
		return false
	}
	more := delay - int64(d.trend.points[(d.trend.n-1)%pointsMax].delay)
	d.late = more >= d.interval*copyLeast/100 && more <= d.interval*copyMost/100
	return d.late
}
