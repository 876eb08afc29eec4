package cc

import "time"

// History is what a leg was sent of late, and decides what of it is sent again. It costs 6.2 KB for three lines, so only legs
// have one that may need it. Owned by the leg's shard.
type History struct {
	born  time.Time
	lines []past
	left  int // octets that may be sent again now
	asked uint64
}

// past is one line's. Each number has its place.
type past struct {
	ring [historySize]Sent
	last uint64 // number last sent
	said uint64 // the last one that was no padding
	was  uint64 // the one before that
}

// Sent is a packet as it was sent on a line. What Ref and Form say is the caller's: enough to make it again, octet by octet.
type Sent struct {
	Ref     uint64
	Seq     uint64 // extended: under half of one it would be another packet's
	TWCC    uint16 // transport-wide number, if Stamped
	Form    uint8
	Cover   uint8 // it carries earlier packets of the line, too (RFC 2198): bit i is the one i+1 places before
	Stamped bool
	Hollow  bool // nothing but padding

	asked bool   // for, by the listener
	twice bool   // has its copy
	times uint8  // it was sent; 0: this place is empty
	at    uint32 // when first, in ms since the history began
	again uint16 // when last, in ms since then
}

const (
	// historySize is 1.3 s of a live talker on his line, more than twice resendOld, probes included.
	historySize = 64
	// resendOld is how old a packet may be. NetEq waits for the 95th percentile of what came late; where a twentieth of the
	// packets comes by way of a resend that is a round trip, a feedback's interval, and some. Half a second is all of
	// that at a round trip of 300 ms, and who is spoken with would not want to wait longer.
	resendOld = 500
	// resendPrice is for how many ms a receiver waits for each percent that it saves him: NetEq's reorder optimizer
	// (ms_per_loss_percent, 20), and half as much again, because what is lost in 4 s swings. What is later than all that is lost would pay for comes in vain; worse, it has him wait longer for a
	// while. Beside two downloads (2.5 % lost, a queue of 200 ms) it added 11 ms to the way from mouth to ear and saved nothing.
	resendPrice = 30
	// resendTwice is how old it may be if it was sent again before: what young packets need is not to be spent on one that has
	// failed twice.
	resendTwice = 250
	// resendTimes is how often a packet is sent at the most: at 10 % of loss one in a thousand is missing after the third.
	resendTimes = 3
	// resendShare is one in how much of what is sent may be sent again: three in bursts of 20 % fit. It is a bound of what
	// a made-up NACK can have us send, and of what we add to a path that is full without our noticing.
	resendShare = 4
	// resendBurst is how much may be sent again at once: a burst of eight live packets with a copy.
	resendBurst = 2400
	// feedbackSpan is how long feedback waits to be sent, and so how much longer than a round trip it takes to hear of a
	// packet that was sent again: browsers send it every 50 to 250 ms.
	feedbackSpan = 100
	// rttUnknown is taken for the round trip before a report tells it.
	rttUnknown = 100 * time.Millisecond
	// coverMost is how far back a packet may carry others.
	coverMost = 4
	// copySpan is for how long a packet that redundancy is to mend is waited for: two of 120 ms.
	copySpan = 250
	// copyOld is how old a packet may be to be sent a second time (copies.go): one of 120 ms, and what comes late. Behind the
	// first packet of a spurt it would be speech of before the pause.
	copyOld = 200
)

// Refusal is why a packet that somebody misses is not sent again.
type Refusal uint8

// Refusals. The last two are the caller's to find.
const (
	Granted           Refusal = iota
	RefusedUnknown            // never sent to this listener, or long ago; or more numbers were asked for at once than a history has
	RefusedOld                // too old to be heard
	RefusedOften              // sent three times already
	RefusedSoon               // the last time was less than a round trip ago
	RefusedBudget             // a quarter of what is sent was sent again already
	RefusedCongested          // the network is full
	RefusedPadding            // nothing was in it
	RefusedMended             // redundancy has brought it
	RefusedNegotiated         // by a NACK that was not negotiated
	RefusedGone               // the program has passed it
	RefusalsN                 // how many there are
)

var refusalNames = [RefusalsN]string{"granted", "unknown", "old", "often", "soon", "budget", "congested", "padding", "mended", "not_negotiated", "gone"}

// String is the refusal's name in metrics.
func (r Refusal) String() string {
	if r < RefusalsN {
		return refusalNames[r]
	}
	return "unknown"
}

// NewHistory makes one for a leg's lines.
func NewHistory(lines int, now time.Time) *History {
	return &History{born: now, lines: make([]past, lines), left: resendBurst}
}

func (h *History) ms(now time.Time) uint32 { return uint32(max(0, now.Sub(h.born).Milliseconds())) }

// age is how long ago a packet was sent for the first time, in ms. Clocks of the Reader and of shards were read at different
// moments: it may have been sent after now.
func (h *History) age(s *Sent, now time.Time) uint32 { return max(h.ms(now), s.at) - s.at }

// Add remembers a packet of n octets that is sent now, for the first time.
func (h *History) Add(line int, s Sent, n int, now time.Time) {
	p := &h.lines[line]
	s.times, s.at, s.again, s.asked, s.twice = 1, h.ms(now), 0, false, false
	p.ring[s.Seq%historySize], p.last = s, s.Seq
	if !s.Hollow {
		p.was, p.said = p.said, s.Seq
	}
	h.left = min(h.left+n/resendShare, resendBurst)
}

// Copy is what is sent a second time behind the packet that was last sent on a line: the one before it, if it is young enough
// and was not sent twice already.
func (h *History) Copy(line int, now time.Time) (Sent, bool) {
	p := &h.lines[line]
	s := &p.ring[p.was%historySize]
	if s.times != 1 || s.twice || s.Hollow || s.Seq != p.was || p.was == p.said || h.age(s, now) > copyOld {
		return Sent{}, false
	}
	s.twice = true
	return *s, true
}

// Ask notes a number that a listener asks for (RFC 4585 §6.2.1). All of a message are noted before Asked decides: what it does
// not ask for has come.
func (h *History) Ask(line int, seq uint16) {
	if s := h.lines[line].at(seq); s != nil && !s.asked {
		s.asked = true
		h.asked++
	}
}

// Asked decides about a number that a listener asks for. may is Decision.Resend. What is granted is to be sent again now, and told
// to Paid.
func (h *History) Asked(line int, seq uint16, may bool, rtt time.Duration, now time.Time) (Sent, Refusal) {
	p := &h.lines[line]
	s := p.at(seq)
	if s == nil {
		return Sent{}, RefusedUnknown
	}
	if why := h.may(s, trip(rtt), now); why != Granted {
		return Sent{}, why
	}
	switch {
	case !may:
		return Sent{}, RefusedCongested
	case p.mended(seq):
		return Sent{}, RefusedMended
	}
	return h.grant(s, now), Granted
}

// at is the packet of a number, nil if there is none any more.
func (p *past) at(seq uint16) *Sent {
	if s := &p.ring[seq%historySize]; s.times > 0 && uint16(s.Seq) == seq {
		return s
	}
	return nil
}

// mended tells whether one of the packets behind one has brought it, too: its listener, who goes by numbers, asks for it still.
func (p *past) mended(seq uint16) bool {
	back := uint8(1)
	first := p.at(seq).Seq + 1
	for n := first; n <= min(p.last, first+historySize) && back <= coverMost; n++ {
		s := &p.ring[n%historySize]
		if s.times == 0 || s.Seq != n || s.Hollow {
			continue
		}
		if s.Cover>>(back-1)&1 != 0 && !s.asked {
			return true
		}
		back++
	}
	return false
}

// trip is a round trip in ms.
func trip(rtt time.Duration) uint32 {
	if rtt <= 0 {
		rtt = rttUnknown
	}
	return uint32(rtt.Milliseconds())
}

func (h *History) may(s *Sent, wait uint32, now time.Time) Refusal {
	age := h.age(s, now)
	switch {
	case s.Hollow:
		return RefusedPadding
	case age > resendOld || s.times > 1 && age > resendTwice:
		return RefusedOld
	case s.times >= resendTimes:
		return RefusedOften
	case s.times > 1 && age-uint32(s.again) < wait:
		return RefusedSoon
	case h.left <= 0:
		return RefusedBudget
	}
	return Granted
}

func (h *History) grant(s *Sent, now time.Time) Sent {
	s.times++
	s.again = uint16(h.age(s, now))
	return *s
}

// Nacked is how many packets were asked for so far, each counted once.
func (h *History) Nacked() uint64 { return h.asked }

// Paid takes what was sent again from what may be.
func (h *History) Paid(n int) { h.left -= n }

// Lost calls again for the packets of a line that feedback says are lost, and that no redundancy has mended or may still mend,
// from the newest to the oldest: those that may be sent again now. cover is what the leg's next packets carry of earlier
// ones, as Sent has it. It returns how many there was no budget for.
func (h *History) Lost(line int, l *Ladder, cover uint8, rtt time.Duration, now time.Time, again func(s Sent)) (refused int) {
	p := &h.lines[line]
	wait, old := trip(rtt)+feedbackSpan, l.patience()
	var after [coverMost]*Sent // packets sent behind the one looked at, the next one first
	for i := range uint64(historySize) {
		s := &p.ring[(p.last-i)%historySize]
		if s.times == 0 || s.Seq != p.last-i || s.Hollow {
			continue
		}
		age := h.age(s, now)
		if age > old {
			break
		}
		if s.Stamped && l.Fate(s.TWCC) == Lost && !l.mends(&after, cover, age) {
			switch why := h.may(s, wait, now); why {
			case Granted:
				again(h.grant(s, now))
			case RefusedBudget:
				refused++
			}
		}
		copy(after[1:], after[:])
		after[0] = s
	}
	return refused
}

// patience is for how many ms a receiver who does not ask waits for what comes out of order.
func (l *Ladder) patience() uint32 {
	if l.doubt == nil {
		return resendOld
	}
	p, _, _ := l.doubt.losses(l.last)
	return uint32(min(resendOld, resendPrice*100*p))
}

// mends tells whether the packets behind a lost one have brought it, or may bring it still. Its copy was sent between the next
// one and the one after that: when that has come, the copy has not.
func (l *Ladder) mends(after *[coverMost]*Sent, cover uint8, age uint32) bool {
	if l.copying() {
		return age < copySpan && (after[1] == nil || l.Fate(after[1].TWCC) != Received)
	}
	for i, s := range after {
		if s == nil {
			if cover>>i&1 != 0 && age < copySpan {
				return true
			}
			continue
		}
		if s.Cover>>i&1 != 0 && (!s.Stamped || l.Fate(s.TWCC) != Lost) {
			return true
		}
	}
	return false
}
