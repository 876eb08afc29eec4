package cc

import "time"

// reports is what a listener's receiver reports tell, and the baseline that growth is told from. Owned by the Ladder.
type reports struct {
	at       int64   // of the last one that counted
	fresh    bool    // not judged yet
	loss     float64 // of the last one
	jitter   int64   // µs
	rtt      int64   // µs; 0: not known
	jitter0  int64   // baseline
	rtt0     int64   // baseline
	grown    int64   // µs of round-trip time above the baseline, in the last report; the jitter's if there is no RTT
	bad      int     // in a row, with loss or growth
	good     int     // in a row
	pardoned int64   // until when suspicion is ignored, because the last one found nothing
	pardons  uint8   // in a row
}

const (
	// reportGap is how far reports must be apart to count: a leg has several streams, and RFC 3550 §6.2 lets nobody
	// report often; Chromium sends audio's every 1 to 5 s.
	reportGap = 900 * millisecond
	// lossSuspect is where RED pays (2 %), and what a report of one second of one talker can resolve: one packet of 50.
	lossSuspect = 0.02
	// jitterSuspect: a queue that grows by a third of real time gives packets 20 ms apart a jitter of 7 ms; a quiet
	// wireless link has 5 to 15 ms. Thrice the baseline and above this is something new.
	jitterSuspect = 20 * millisecond
	// rttSuspect is as much queue as is worth a look: half of the 200 ms that nobody should have to stand.
	rttSuspect = 80 * millisecond
	// rttLongest is the longest round trip believed.
	rttLongest = 10 * second
	// pardonFirst is for how long a suspicion that found nothing is not repeated; it doubles up to five times. A
	// listener whose reports always look bad costs feedback for 4 s in every 5 min.
	pardonFirst = 10 * second
	pardonMost  = 5
)

// RTT is a round-trip time from a report block (RFC 3550 §6.4.1): now, LSR and DLSR in units of 1/65536 s. ok is false
// without a sender report to refer to, and for what is negative or longer than 10 s.
func RTT(now, lsr, dlsr uint32) (rtt time.Duration, ok bool) {
	d := int32(now - lsr - dlsr)
	if lsr == 0 || d < 0 || d > 10<<16 {
		return 0, false
	}
	return time.Duration(d) * time.Second >> 16, true
}

// Report takes what one receiver report says, the worst of its blocks: the fraction lost in 1/256, the jitter in
// samples of 48 kHz, the round-trip time or 0 if it is not known. It tells whether the report counted: not more than
// one in 0.9 s does.
func (l *Ladder) Report(fraction uint8, jitter uint32, rtt time.Duration, now time.Time) bool {
	t := l.clock(now)
	r := &l.reports
	if r.at != 0 && t-r.at < reportGap {
		return false
	}
	r.at, r.fresh = t, true
	l.heard = t
	r.loss = float64(fraction) / 256
	r.jitter = min(int64(jitter)*1000/48, rttLongest)
	r.rtt = 0
	if rtt > 0 && rtt.Microseconds() <= rttLongest {
		r.rtt = rtt.Microseconds()
	}
	if l.doubt != nil {
		l.doubt.reports++
	}
	suspect := r.grow() || r.loss >= lossSuspect
	if suspect {
		r.bad, r.good = r.bad+1, 0
	} else {
		r.bad, r.good = 0, r.good+1
	}
	if suspect && t >= r.pardoned {
		l.suspicious = true
	}
	return true
}

// grow compares with the baselines, moves them, and says whether round-trip time or jitter look like a queue.
// Baselines fall at once and rise by a sixteenth of the way with each report: a new route is the baseline after a minute.
func (r *reports) grow() bool {
	r.grown = 0
	jittery := r.jitter0 != 0 && r.jitter > jitterSuspect && r.jitter > 3*r.jitter0
	if jittery {
		r.grown = r.jitter
	}
	slow := false
	if r.rtt != 0 {
		if r.rtt0 != 0 {
			r.grown = max(0, r.rtt-r.rtt0)
		}
		slow = r.grown > rttSuspect && 2*r.rtt > 3*r.rtt0
		r.rtt0 = baseline(r.rtt0, r.rtt)
	}
	r.jitter0 = baseline(r.jitter0, max(r.jitter, millisecond))
	return jittery || slow
}

func baseline(base, v int64) int64 {
	if base == 0 || v < base {
		return v
	}
	return base + (v-base)/16
}

// pardon remembers that a doubt found nothing.
func (r *reports) pardon(t int64) {
	r.pardoned = t + pardonFirst<<r.pardons
	r.pardons = min(r.pardons+1, pardonMost)
}
