package forward

import "time"

const (
	// dominantMargin is by how many decibels another speaker must be louder to become the dominant one while that one still
	// speaks: more than the selection's margin, because those who hear one voice alone pay for a change with half a word.
	dominantMargin = 6
	// dominantHold is for how long he must be, and how long the dominant one stays so at least: a few syllables.
	dominantHold = time.Second
)

// dominant keeps which of a room's slots is to be heard by those whose network takes one voice alone. Owned by the Reader.
type dominant struct {
	slot       int // -1: nobody speaks
	since      time.Time
	challenger int       // -1: none
	louder     time.Time // since when the challenger is louder
}

// hear takes that somebody is heard in a slot, at a smoothed level in decibels below overload, and tells whether that is the
// dominant speaker. level is that of a slot.
func (d *dominant) hear(slot int, level func(slot int) float64, now time.Time) bool {
	switch {
	case d.slot < 0:
		*d = dominant{slot: slot, since: now, challenger: -1}
	case slot == d.slot:
	case level(slot) > level(d.slot)-dominantMargin:
		if d.challenger == slot {
			d.challenger = -1
		}
	case d.challenger != slot:
		d.challenger, d.louder = slot, now
	case now.Sub(d.louder) >= dominantHold && now.Sub(d.since) >= dominantHold:
		*d = dominant{slot: slot, since: now, challenger: -1}
	}
	return slot == d.slot
}

// leave takes that nobody is heard in a slot any more.
func (d *dominant) leave(slot int) {
	if d.slot == slot {
		d.slot = -1
	}
	if d.challenger == slot {
		d.challenger = -1
	}
}

// level is the smoothed level of who is heard in a slot, in decibels below overload.
func (s *selection) level(slot int) float64 {
	if h := s.places[slot].holder; h != nil {
		return h.speech.smooth
	}
	return silent
}
