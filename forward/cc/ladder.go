package cc

import "time"

// Internal times are µs since New.
const (
	millisecond = int64(1000)
	second      = 1000 * millisecond
)

// Config is what a leg negotiated, and what its room allows.
type Config struct {
	RED      uint8  // greatest depth of redundancy, 0 to 2; 0 also for who did not negotiate RED
	Copies   bool   // without RED, every packet may be sent twice (copies.go), until the listener Asks; needs Feedback
	Feedback bool   // transport-wide feedback was negotiated
	Probe    bool   // the caller sends padding when Decision.Probe asks
	Resend   bool   // the caller sends again what feedback tells lost (History.Lost), and what the listener asks for (Asks)
	Forbid   uint8  // bit r: rung r is forbidden. All forbidden: Live is not
	Overhead uint16 // octets of a packet besides Opus, from IP to tag; 0: 72, which is right for IPv4
}

// Decision is what a leg is to be sent from now on.
type Decision struct {
	Rung     Rung
	Packing  Packing // of the rung
	One      bool    // of the rung: the dominant speaker alone
	RED      uint8   // depth of redundancy
	Spread   bool    // of two copies: they go two and four packets behind, not one and two
	Copies   bool    // each packet is sent once more behind the next one of its line, and told to Copied; then RED is 0
	Stamp    bool    // packets carry the transport-wide sequence number, and are told to Sent
	Probe    int     // so many packets of padding are to be sent now, and told to SentProbe
	Padding  int     // octets of padding in each of them
	Resend   bool    // what is lost may be sent again
	Estimate int     // b/s that the path takes, as far as measured; 0: not known
	Why      Why
}

// Why is the reason of the last move.
type Why uint8

// Reasons.
const (
	WhyHealthy    Why = iota // nothing is wrong
	WhyRandomLoss            // loss without delay: redundancy was added or taken back
	WhyDelay                 // delay grows with our rate
	WhyLoss                  // loss grows with our rate
	WhyRecovering            // on the way up
	WhyFailedTry             // a step up was taken back
	WhyNotOurs               // a step down that mended nothing was taken back
	WhyShard                 // the node protects itself
	WhyForbidden             // the room does not allow more
	whys
)

var whyNames = [whys]string{"healthy", "random_loss", "delay", "loss", "recovering", "failed_try", "not_ours", "shard", "forbidden"}

// String is the reason's name in the protocol.
func (w Why) String() string {
	if w < whys {
		return whyNames[w]
	}
	return "unknown"
}

// Move is a kind of transition, for metrics.
type Move uint8

// Moves.
const (
	MoveDown    Move = iota // to a lower rung
	MoveUp                  // to a higher rung
	MoveFailed              // a step up taken back
	MoveNotOurs             // a step down taken back
	MoveRED                 // more redundancy
	MoveLessRED             // less
	MoveDoubt               // stamping began
	MovesN                  // how many kinds there are
)

var moveNames = [MovesN]string{"down", "up", "failed_try", "not_ours", "red", "less_red", "doubt"}

// String is the move's name in metrics.
func (m Move) String() string {
	if m < MovesN {
		return moveNames[m]
	}
	return "unknown"
}

// Ladder controls one leg. Owned by the leg's shard. Methods may be called in any order and at any time; a now before
// an earlier one counts as that.
type Ladder struct {
	config Config // Immutable.
	born   time.Time
	last   int64

	rung    Rung // the network's; what is sent is not above floor
	red     uint8
	spread  bool // copies two and four packets behind
	floor   Rung // the node's
	asked   Packing
	fixed   bool // every rung sends the same
	why     Why
	ask     uint8 // packets of a probe to ask for in the next Decision
	padding uint8 // of each
	moves   [MovesN]uint32
	moved   int64 // last change of rung or RED
	redded  int64 // last change of RED

	demand   Demand
	peak     peak
	talked   int64   // somebody did
	heard    int64   // last report or feedback
	proven   float64 // b/s that were healthy once
	estimate float64 // b/s; 0: not known
	capped   int64   // when congestion measured the estimate; -1: not congested since

	suspicious bool
	deafUntil  int64 // feedback does not come: receiver reports decide till then
	reports    reports
	trial      trial
	fails      uint8 // tries that failed, for the back-off
	nextTry    int64
	immune     wait  // congestion that is not ours
	unred      wait  // redundancy made it worse
	unredDepth uint8 // so much of it
	less       int64
	relapse    relapse
	asks       bool
	doubt      *doubt // nil: not stamped
}

// New makes a Ladder at the top rung that is allowed.
func New(c Config, now time.Time) *Ladder {
	c.RED = min(c.RED, 2)
	if c.Copies = c.Copies && c.RED == 0 && c.Feedback; c.Copies {
		c.RED = 1
	}
	if c.Forbid&(1<<rungs-1) == 1<<rungs-1 {
		c.Forbid = 0
	}
	if c.Overhead == 0 {
		c.Overhead = overheadDefault
	}
	l := &Ladder{config: c, born: now, capped: -1, less: -1, moved: -settle, redded: -redHold}
	l.rung = l.top()
	return l
}

// clock is now, never going back.
func (l *Ladder) clock(now time.Time) int64 {
	l.last = max(l.last, now.Sub(l.born).Microseconds())
	return l.last
}

// Sent tells of a stamped packet: its transport-wide number, which all lines of the leg share, and its octets on the wire,
// IP and UDP included.
func (l *Ladder) Sent(seq uint16, size int, now time.Time) {
	if t := l.clock(now); l.doubt != nil {
		l.doubt.sent(seq, size, 0, t)
	}
}

// SentProbe tells of a packet of padding that Decision.Probe asked for.
func (l *Ladder) SentProbe(seq uint16, size int, now time.Time) {
	t := l.clock(now)
	d := l.doubt
	if d == nil || d.probe.asked == 0 {
		return
	}
	d.sent(seq, size, probing, t)
	d.probe.sent++
	if d.from < t+probeMask {
		d.from = t + probeMask
		d.trend.restart()
	}
}

// probeMask is for how long after a train delays and losses are its own: at 40 kb/s it takes a quarter second to drain.
const probeMask = 300 * millisecond

// Resent tells of a packet that is sent again under its transport-wide number.
func (l *Ladder) Resent(seq uint16, now time.Time) {
	if t := l.clock(now); l.doubt != nil {
		l.doubt.resend(seq, t)
	}
}

// Fate is what is known of a packet that was sent.
type Fate uint8

// Fates.
const (
	Unknown Fate = iota // nothing was told of it, or it was long ago, or before an outage has ended: what was said then would
	// come in one clump, in front of what is said now
	Lost     // so far: it may be late
	Received // it has come, in the end
)

// Fate is what feedback says of a transport-wide number.
func (l *Ladder) Fate(seq uint16) Fate {
	if l.doubt == nil {
		return Unknown
	}
	return l.doubt.fate(seq, l.last)
}

// Saved returns how many packets came because they were sent again, as far as feedback tells, since the last call.
func (l *Ladder) Saved() (n int) {
	if l.doubt != nil {
		n, l.doubt.saved = l.doubt.saved, 0
	}
	return n
}

// Feedback takes a transport-wide feedback message, RTCP header included. It tells whether the message was about
// packets of this leg; if not, it is malformed, late or made up.
func (l *Ladder) Feedback(packet []byte, now time.Time) bool {
	t := l.clock(now)
	f, ok := ParseFeedback(packet)
	if !ok || l.doubt == nil || !l.doubt.feedback(&f, t) {
		return false
	}
	l.heard = t
	return true
}

// Limit is the best rung that the shard can afford for this leg: Live when it is not in need.
func (l *Ladder) Limit(r Rung) { l.floor = min(r, rungs-1) }

// Follows tells what the leg is sent where the network takes all of it: packed at least so; or fixed, the same whatever the rung,
// as a mix is.
func (l *Ladder) Follows(p Packing, fixed bool) { l.asked, l.fixed = min(p, Of120ms), fixed }

// Moves returns how often each kind of move was made since the last call.
func (l *Ladder) Moves() [MovesN]uint32 {
	m := l.moves
	clear(l.moves[:])
	return m
}

// Decide weighs what is known. It wants to be called after each feedback or every 100 ms while Stamp, and else once a
// second or when demand changes.
func (l *Ladder) Decide(now time.Time, demand Demand) Decision {
	t := l.clock(now)
	l.demand = Demand{clamp(demand.Talking), clamp(demand.Payload), clamp(demand.Main)}
	l.peak.add(t, l.demand)
	if demand.Talking > 0 {
		l.talked = t
	}
	l.weigh(t)
	l.doubting(t)
	l.reports.fresh = false
	d := Decision{
		Rung: l.sending(), RED: l.red, Copies: l.copying(), Stamp: l.doubt != nil, Probe: int(l.ask), Padding: int(l.padding), Estimate: int(l.estimate), Why: l.reason(),
		Resend: l.resends(t), Spread: l.spread && l.red == 2 && l.packing(l.sending()) == AsItCame,
	}
	if l.config.Copies {
		d.RED = 0
	}
	d.Packing, d.One = d.Rung.Packing(), d.Rung.One()
	if l.doubt != nil {
		l.doubt.interval = int64(float64(second) / packets[l.packing(d.Rung)])
	}
	l.ask, l.padding = 0, 0
	return d
}

// resends says whether the path has room for what is sent again: not while it is full of ours, or may be. What is lost then is
// best answered with less.
func (l *Ladder) resends(t int64) bool {
	d := l.doubt
	if d == nil || l.deaf(t) {
		return l.reports.grown <= rttSuspect && l.reports.loss < lossMuch && l.trial.kind != tryDown
	}
	p, n, _ := d.losses(t)
	if l.trial.kind == tryDown || n >= lossN && p >= lossMuch {
		return false
	}
	if congested, _ := l.congested(t); congested {
		return false
	}
	return d.last.queue < overQueue || t < l.immune.until
}

// demandMost keeps nonsense within what sums can hold.
const demandMost = 10_000_000

func clamp(v int) int { return min(max(v, 0), demandMost) }

// sending is the rung that is sent: the network's and the node's, the lower one, as far as it is allowed.
func (l *Ladder) sending() Rung {
	r := max(l.rung, l.floor)
	for r < rungs && !l.allowed(r) {
		r++
	}
	if r == rungs {
		return l.bottom()
	}
	return r
}

func (l *Ladder) reason() Why {
	switch {
	case l.sending() > l.rung:
		return WhyShard
	case l.why == WhyHealthy && l.rung > Live:
		return WhyForbidden
	default:
		return l.why
	}
}

func (l *Ladder) allowed(r Rung) bool { return l.config.Forbid>>r&1 == 0 }

// top is the best rung that is allowed.
func (l *Ladder) top() Rung {
	r := Live
	for !l.allowed(r) {
		r++
	}
	return r
}

func (l *Ladder) bottom() Rung {
	r := rungs - 1
	for !l.allowed(r) {
		r--
	}
	return r
}

// above is the next better rung that is allowed; of those that send the same, the best.
func (l *Ladder) above(r Rung) (to Rung, ok bool) {
	for to = r; r > Live; {
		if r--; !l.allowed(r) {
			continue
		}
		if ok && l.lighter(to, r) {
			break
		}
		to, ok = r, true
	}
	return to, ok
}

// below is the next rung that is allowed and sends less.
func (l *Ladder) below(r Rung) (Rung, bool) {
	for from := r; ; {
		if r++; r >= rungs {
			return rungs - 1, false
		}
		if l.allowed(r) && l.lighter(r, from) {
			return r, true
		}
	}
}

// lighter says that a rung sends less than a better one.
func (l *Ladder) lighter(r, than Rung) bool {
	return !l.fixed && (l.packing(r) != l.packing(than) || r.One() != than.One())
}

// packing is how a rung's packets are packed, as the leg follows it.
func (l *Ladder) packing(r Rung) Packing {
	if l.fixed {
		return l.asked
	}
	return max(r.Packing(), l.asked)
}

// cost of a rung at the present demand, in b/s.
func (l *Ladder) cost(r Rung, red uint8) float64 {
	return l.costOf(l.demand, r, red)
}

// peakCost of a rung at the largest demand of late.
func (l *Ladder) peakCost(r Rung, red uint8) float64 {
	return l.costOf(l.peak.demand(), r, red)
}

// costOf is what a demand puts on the wire: a copy is a whole packet.
func (l *Ladder) costOf(d Demand, r Rung, red uint8) float64 {
	if l.config.Copies {
		return float64(1+red) * d.cost(l.packing(r), r.One(), 0, int(l.config.Overhead))
	}
	return d.cost(l.packing(r), r.One(), red, int(l.config.Overhead))
}
