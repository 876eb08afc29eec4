package forward

import "time"

// hangover is how long a source counts as speaking after its last loud packet. Pauses between words are shorter;
// 400 ms is also what libopus waits between two signs of silence.
const hangover = 400 * time.Millisecond

// levelUnknown stands in for the audio level of a peer that does not send it: a normal voice, -30 dBov.
const levelUnknown = 0x80 | 30

// thresholds are RFC 6464 levels: decibels below overload, 0 (loudest) … 127.
type thresholds struct {
	onset uint8 // at most this starts speech
	hold  uint8 // at most this keeps it going
}

// speech tells a source's speech from its silence. Levels come from the sender (RFC 6464); its voice flag is not
// used, because it says nothing about music, and browsers disagree about it. Owned by the Reader.
type speech struct {
	active bool
	voiced time.Time // last loud packet
	smooth float64   // smoothed level, decibels below overload
}

// Smoothing of the level, per packet of 20 ms. Up fast (time constant 70 ms), so that who speaks up is found within
// a syllable or three; down slowly (390 ms), so that a pause between words does not look like weakness.
const (
	smoothUp   = 0.25
	smoothDown = 0.05
)

// silent is where a source's smoothed level starts.
const silent = 127

// hear takes one packet's level (the lower seven bits of the RFC 6464 octet).
func (s *speech) hear(level uint8, dtx bool, t thresholds, now time.Time) {
	level &= 0x7f
	if dtx {
		level = silent
	}
	if !s.active && s.voiced.IsZero() {
		s.smooth = silent
	}
	if d := float64(level) - s.smooth; d < 0 {
		s.smooth += d * smoothUp
	} else {
		s.smooth += d * smoothDown
	}
	limit := t.onset
	if s.active {
		limit = t.hold
	}
	if !dtx && level <= limit {
		s.active, s.voiced = true, now
	}
}

// over tells whether a spurt has ended by now.
func (s *speech) over(now time.Time) bool { return s.active && now.Sub(s.voiced) >= hangover }

// stop ends the spurt.
func (s *speech) stop() { *s = speech{} }
