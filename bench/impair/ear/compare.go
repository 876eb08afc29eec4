package ear

import (
	"time"

	"stentor/bench/impair/speech"
)

// Listened is what a person has heard by the sound of it. Shares are percentages.
type Listened struct {
	Sounded         float64 `json:"sounded_percent"`          // of what all have said: its pitch was there in its moment
	DominantSounded float64 `json:"dominant_sounded_percent"` // of what the dominant speaker has said
	Silence         float64 `json:"silence_ms"`               // longest time in which no pitch was there though somebody talked
	DominantSilence float64 `json:"dominant_silence_ms"`
	FramesSounded   int     `json:"frames_sounded"`
}

// Sounds is what became of each frame that was said.
type Sounds struct {
	Said  []Said
	Cells []Cell          // of Said
	at    []time.Duration // when it was heard
}

// Compare looks for what was said in what came out of the loudspeaker. A frame's moment is where the jitter buffer has
// played it. That of a frame which was not played is where it would have been after the speaker's last one that was, if nothing else of
// that speaker is there: what was made up is held against what was said like all else.
func (s *Sound) Compare(said []Said, book *speech.Book) *Sounds {
	out := &Sounds{Said: said, Cells: make([]Cell, len(said)), at: make([]time.Duration, len(said))}
	next := s.nextSpots(said)
	last := map[uint16]moment{}
	for i := range said {
		x := &said[i]
		at, played := s.spots[id{x.Speaker, x.N}]
		if played {
			last[x.Speaker] = moment{at, x.At}
		} else {
			at = last[x.Speaker].missed(x.At, next[i])
		}
		out.at[i], out.Cells[i] = samples(int64(at.start)), Silent
		if tone, known := book.Tone(x.Speaker, x.N); known && at.n > 0 && at.start+at.n <= len(s.PCM) {
			out.Cells[i] = cell(s.PCM[at.start:at.start+at.n], &tone)
		}
	}
	return out
}

// moment is when something was said, and where it was heard.
type moment struct {
	at   spot
	said time.Duration
}

// missed is where something later is missing: none where the next frame that was played is.
func (m moment) missed(said time.Duration, next spot) spot {
	if m.at.n == 0 {
		return spot{}
	}
	start := m.at.start + samplesOf(said-m.said)
	const overlap = frameSamples / 4
	if start < m.at.start+m.at.n-overlap || next.n > 0 && start+frameSamples > next.start+overlap {
		return spot{}
	}
	return spot{start, frameSamples}
}

// nextSpots is, for each frame, where the same speaker's next one lies that was played.
func (s *Sound) nextSpots(said []Said) []spot {
	out, next := make([]spot, len(said)), map[uint16]spot{}
	for i := len(said) - 1; i >= 0; i-- {
		x := &said[i]
		out[i] = next[x.Speaker]
		if at, played := s.spots[id{x.Speaker, x.N}]; played {
			next[x.Speaker] = at
		}
	}
	return out
}

// Measure is of what was said from a time on, up to another.
func (s *Sounds) Measure(from, to time.Duration) (h Listened) {
	var all, dominant holes
	said, dominantSaid, dominantSounded := 0, 0, 0
	for i, x := range s.Said {
		if x.At < from || x.At >= to {
			continue
		}
		sounded := s.Cells[i] == Sounded
		said++
		all.said(x, s.at[i], sounded)
		if sounded {
			h.FramesSounded++
		}
		if !x.Dominant {
			continue
		}
		dominantSaid++
		dominant.said(x, s.at[i], sounded)
		if sounded {
			dominantSounded++
		}
	}
	h.Sounded, h.DominantSounded = percent(h.FramesSounded, said), percent(dominantSounded, dominantSaid)
	h.Silence, h.DominantSilence = milliseconds(all.longest()), milliseconds(dominant.longest())
	return h
}

// Strip is what became of a speaker's words, a Cell for each 20 ms from 0 to a time.
func (s *Sounds) Strip(speaker uint16, to time.Duration) string {
	out := make([]byte, to/frameTime)
	for i := range out {
		out[i] = byte(Unspoken)
	}
	for i, x := range s.Said {
		if at := int(x.At / frameTime); x.Speaker == speaker && at < len(out) {
			out[at] = byte(s.Cells[i])
		}
	}
	return string(out)
}
