package forward

import "time"

const (
	// margin is by how many decibels a challenger must be louder than the weakest of those who are heard. Levels of
	// one voice swing by 3 dB after smoothing; less would let two equals take turns.
	margin = 4
	// holdTime is how long whoever got a slot keeps it at least against louder ones, so that nobody is heard for
	// half a word.
	holdTime = 600 * time.Millisecond
)

// slotsMax bounds a room's slots: browsers mix that many streams without effort, and more voices at once are noise.
const slotsMax = 16

// place is one slot's side of the selection.
type place struct {
	holder *source
	last   *source   // who held it before it became free
	since  time.Time // when the holder got it
	freed  time.Time // when it became free
}

// selection decides which sources are heard. It holds no clock; the Reader owns it.
type selection struct {
	places []place
}

// offer asks for a slot for a source that speaks. It returns the slot, or -1, and whether the source has just got
// it. Nobody waits for a free slot: an onset is heard with its first packet.
func (s *selection) offer(src *source, now time.Time) (slot int, got bool) {
	if src.slot >= 0 {
		return src.slot, false
	}
	slot = s.free(src)
	if slot < 0 {
		slot = s.weaker(src, now)
	}
	if slot < 0 {
		return -1, false
	}
	if was := s.places[slot].holder; was != nil {
		was.slot = -1
	}
	s.places[slot] = place{holder: src, since: now}
	src.slot = slot
	return slot, true
}

// free finds a free slot: the one that the source had last, whose receivers still have its decoder state, else the
// one that has been free for longest.
func (s *selection) free(src *source) int {
	best := -1
	for i := range s.places {
		p := &s.places[i]
		if p.holder != nil {
			continue
		}
		if p.last == src {
			return i
		}
		if best < 0 || p.freed.Before(s.places[best].freed) {
			best = i
		}
	}
	return best
}

// weaker finds the slot that src may take from its holder. Priority beats everybody without at once; among equals
// the smoothed level decides, with margin and hold time.
func (s *selection) weaker(src *source, now time.Time) int {
	weakest := -1
	for i := range s.places {
		h := s.places[i].holder
		if h.priority && !src.priority {
			continue
		}
		if weakest < 0 || weakerThan(h, s.places[weakest].holder) {
			weakest = i
		}
	}
	if weakest < 0 {
		return -1
	}
	p := &s.places[weakest]
	if src.priority && !p.holder.priority {
		return weakest
	}
	if now.Sub(p.since) < holdTime || src.speech.smooth > p.holder.speech.smooth-margin {
		return -1
	}
	return weakest
}

func weakerThan(a, b *source) bool {
	if a.priority != b.priority {
		return b.priority
	}
	return a.speech.smooth > b.speech.smooth
}

// release frees the slot of a source that has stopped speaking.
func (s *selection) release(src *source, now time.Time) {
	if src.slot < 0 {
		return
	}
	s.places[src.slot] = place{last: src, freed: now}
	src.slot = -1
}

// forget drops what refers to a source that is gone.
func (s *selection) forget(src *source) {
	for i := range s.places {
		if s.places[i].last == src {
			s.places[i].last = nil
		}
	}
}
