package ear

import (
	"slices"
	"time"
)

// Said is a frame that a speaker has spoken into the microphone.
type Said struct {
	At       time.Duration
	Speaker  uint16
	N        uint32
	Dominant bool // the one that counts most at that moment
}

// Heard is what a person has heard of what was said. Shares are percentages.
type Heard struct {
	Heard         float64 `json:"heard_percent"`          // of what all have said
	Dominant      float64 `json:"dominant_heard_percent"` // of what the dominant speaker has said
	Concealed     float64 `json:"concealed_percent"`      // of what came out of the loudspeaker
	Hole          float64 `json:"hole_ms"`                // longest time in which nobody was heard though somebody talked
	DominantHole  float64 `json:"dominant_hole_ms"`       // and of the dominant speaker
	DelayMs       float64 `json:"delay_ms"`               // mouth to ear, mean
	DelayMsP95    float64 `json:"delay_ms_p95"`
	FramesSaid    int     `json:"frames_said"`
	FramesPlayed  int     `json:"frames_played"`
	FramesMadeUp  int     `json:"frames_concealed"`
	DominantSaid  int     `json:"dominant_frames_said"`
	DominantHeard int     `json:"dominant_frames_heard"`
}

type id struct {
	speaker uint16
	n       uint32
}

// Measure compares what was said from a time on, up to another, with what was played of it. said is in order of time.
func Measure(said []Said, p Played, from, to time.Duration) Heard {
	at := map[id]time.Duration{}
	for _, x := range p.Plays {
		if _, twice := at[id{x.Speaker, x.N}]; !twice {
			at[id{x.Speaker, x.N}] = x.At
		}
	}
	var h Heard
	var delays []time.Duration
	var all, dominant holes
	for _, s := range said {
		if s.At < from || s.At >= to {
			continue
		}
		play, heard := at[id{s.Speaker, s.N}]
		h.FramesSaid++
		all.said(s, play, heard)
		if s.Dominant {
			h.DominantSaid++
			dominant.said(s, play, heard)
		}
		if !heard {
			continue
		}
		h.FramesPlayed++
		if s.Dominant {
			h.DominantHeard++
		}
		delays = append(delays, play-s.At)
	}
	for _, c := range p.Concealed {
		if c >= from && c < to {
			h.FramesMadeUp++
		}
	}
	h.Heard, h.Dominant = percent(h.FramesPlayed, h.FramesSaid), percent(h.DominantHeard, h.DominantSaid)
	h.Concealed = percent(h.FramesMadeUp, h.FramesMadeUp+h.FramesPlayed)
	h.Hole, h.DominantHole = milliseconds(all.longest()), milliseconds(dominant.longest())
	h.DelayMs, h.DelayMsP95 = spread(delays)
	return h
}

func percent(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func spread(delays []time.Duration) (mean, p95 float64) {
	if len(delays) == 0 {
		return 0, 0
	}
	var sum time.Duration
	for _, d := range delays {
		sum += d
	}
	slices.Sort(delays)
	return milliseconds(sum) / float64(len(delays)), milliseconds(delays[(len(delays)-1)*95/100])
}

// holes finds the longest time between two frames that were heard, without the pauses that were made by the speakers.
type holes struct {
	frames []heardAt
	from   time.Duration // the first was said
	to     time.Duration // the last was
	spoken []time.Duration
}

type heardAt struct{ said, played time.Duration }

func (h *holes) said(s Said, played time.Duration, heard bool) {
	if len(h.spoken) == 0 {
		h.from = s.At
	}
	h.to = s.At
	h.spoken = append(h.spoken, s.At)
	if heard {
		h.frames = append(h.frames, heardAt{s.At, played})
	}
}

func (h *holes) longest() time.Duration {
	if len(h.spoken) == 0 {
		return 0
	}
	if len(h.frames) == 0 {
		return h.to - h.from + frameTime
	}
	slices.SortFunc(h.frames, func(a, b heardAt) int { return int(a.played - b.played) })
	first, last := h.frames[0], h.frames[len(h.frames)-1]
	// What was said before the first that was heard, and after the last, was missed too.
	longest := max(first.said-h.from-h.pauses(h.from, first.said), h.to-last.said-h.pauses(last.said, h.to))
	for i := 1; i < len(h.frames); i++ {
		a, b := h.frames[i-1], h.frames[i]
		if b.said == h.to && a.said < b.said { // nobody talked while it was waited for: it came with what ends a spurt
			continue
		}
		longest = max(longest, b.played-a.played-frameTime-h.pauses(min(a.said, b.said), max(a.said, b.said)))
	}
	return max(0, longest)
}

// pauses are between two frames, in which nobody spoke.
func (h *holes) pauses(from, to time.Duration) (sum time.Duration) {
	i, _ := slices.BinarySearch(h.spoken, from)
	for ; i+1 < len(h.spoken) && h.spoken[i] < to; i++ {
		sum += max(0, h.spoken[i+1]-h.spoken[i]-frameTime)
	}
	return sum
}
