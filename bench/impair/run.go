package impair

import (
	"fmt"
	"slices"
	"time"

	"stentor/bench/impair/ear"
	"stentor/bench/impair/scenario"
	"stentor/engine/control"
)

// Run is what came of one play. Figures are of the impaired listener unless they say otherwise, and of the time from the story's
// measured_from to its end.
type Run struct {
	ear.Heard
	ear.Listened
	Kbps         float64  `json:"kbps"`     // sent to the listener, headers included
	QueueMsP95   float64  `json:"queue_ms"` // before the bottleneck, as the listener's packets found it
	AudioBackMs  float64  `json:"audio_back_ms"`
	TopRungS     float64  `json:"top_rung_s"`
	FailedTries  int      `json:"failed_tries"`  // in the minute with the most
	SessionsLost int      `json:"sessions_lost"` // of all peers
	Changed      int      `json:"changed"`       // listeners besides the impaired one; by Compare
	Stamped      int      `json:"stamped"`       // packets to them that asked for feedback
	Trace        []Sample `json:"trace"`
	Strips       []Strip  `json:"strips"`

	digests []uint64 // of the other listeners
	said    int      // frames, also those that a busy machine says after the end
	came    []int    // packets, by listener, the impaired one first
}

// Strip is what became of what a speaker said, by its sound: an ear.Cell for each 20 ms of the story.
type Strip struct {
	Speaker string `json:"speaker"`
	Cells   string `json:"cells"`
}

// Sample is a second of a run.
type Sample struct {
	S               int     `json:"s"`
	CapKbps         float64 `json:"cap_kbps"` // 0: none
	SentKbps        float64 `json:"sent_kbps"`
	ArrivedKbps     float64 `json:"arrived_kbps"`
	LostPercent     float64 `json:"lost_percent"`
	QueueMs         float64 `json:"queue_ms"` // longest
	DelayMs         float64 `json:"delay_ms"` // mouth to ear, mean; 0: nothing was heard
	HeardPercent    float64 `json:"heard_percent"`
	DominantPercent float64 `json:"dominant_heard_percent"`
	Rung            int     `json:"rung"` // 0: the top
	RungName        string  `json:"rung_name"`
	Redundancy      int     `json:"redundancy"`
	Why             string  `json:"why"`
	Estimate        float64 `json:"estimate_kbps"` // 0: not known
}

// Figure is one by its name in stories.
func (r *Run) Figure(f scenario.Figure) float64 {
	switch f {
	case scenario.Heard:
		return r.Heard.Heard
	case scenario.Dominant:
		return r.Dominant
	case scenario.Concealed:
		return r.Concealed
	case scenario.Hole:
		return r.Hole
	case scenario.DominantHole:
		return r.DominantHole
	case scenario.Sounded:
		return r.Sounded
	case scenario.DominantSounded:
		return r.DominantSounded
	case scenario.Silence:
		return r.Silence
	case scenario.DominantSilence:
		return r.DominantSilence
	case scenario.Delay:
		return r.DelayMs
	case scenario.Queue:
		return r.QueueMsP95
	case scenario.AudioBack:
		return r.AudioBackMs
	case scenario.TopRung:
		return r.TopRungS
	case scenario.FailedTries:
		return float64(r.FailedTries)
	case scenario.SessionsLost:
		return float64(r.SessionsLost)
	case scenario.Stamped:
		return float64(r.Stamped)
	default:
		return float64(r.Changed)
	}
}

// rungs are the ladder's, from the top down.
var rungs = []string{"live", "packed60", "packed60_one", "packed120_one"}

// Rungs are the ladder's by name, from the top down.
func Rungs() []string { return slices.Clone(rungs) }

// quality is what peer.get said of the impaired listener at a time. Without a controller it is the top rung.
type quality struct {
	at time.Duration
	control.Quality
}

func (q *quality) rung() int { return max(0, slices.Index(rungs, q.Rung)) }

// notes are what is written down while a story plays.
type notes struct {
	said      []ear.Said
	qualities []quality
	failed    []time.Duration // tries
	lost      int             // sessions
}

// evaluate makes a Run of what was noted.
func evaluate(s *scenario.Scenario, c *cast, n *notes, down *meter) (*Run, error) {
	from, to := s.MeasuredFrom.Duration, s.Lasts.Duration
	first := c.listeners[0]
	first.mu.Lock()
	played, sound, err := first.ear.Listen(to+stragglers, ear.Gopus)
	first.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	sounds := sound.Compare(n.said, c.book)
	r := &Run{
		Heard: ear.Measure(n.said, played, from, to), Listened: sounds.Measure(from, to), Kbps: down.kbps(from, to), QueueMsP95: down.queueMsP95(from, to),
		FailedTries: mostInAMinute(n.failed), SessionsLost: n.lost, said: len(n.said),
	}
	r.AudioBackMs = milliseconds(to - s.LastChange())
	for _, p := range played.Plays {
		if p.At >= s.LastChange() {
			r.AudioBackMs = milliseconds(p.At - s.LastChange())
			break
		}
	}
	for _, q := range n.qualities {
		if q.rung() > 0 && q.at >= s.LastChange() {
			r.TopRungS = (q.at - s.LastChange() + lookEvery).Seconds()
		}
	}
	for _, l := range c.listeners {
		r.came = append(r.came, l.packets())
	}
	for _, l := range c.listeners[1:] {
		r.digests = append(r.digests, l.total())
		r.Stamped += l.stamped
	}
	r.Trace = trace(s, n, played, down)
	for i := range s.Speakers {
		r.Strips = append(r.Strips, Strip{s.Speakers[i].Name, sounds.Strip(uint16(i+1), to)})
	}
	return r, nil
}

// mostInAMinute is the largest number of times that lie within one.
func mostInAMinute(times []time.Duration) (most int) {
	for i, t := range times {
		n := 0
		for _, u := range times[i:] {
			if u < t+time.Minute {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// trace draws up a run, second by second.
func trace(s *scenario.Scenario, n *notes, played ear.Played, down *meter) []Sample {
	out := make([]Sample, int(s.Lasts.Duration/time.Second))
	for i := range out {
		from := time.Duration(i) * time.Second
		h := ear.Measure(n.said, played, from, from+time.Second)
		out[i] = Sample{S: i, DelayMs: h.DelayMs, HeardPercent: h.Heard, DominantPercent: h.Dominant, QueueMs: down.queueMsMax(i)}
		if i < len(down.seconds) {
			x := down.seconds[i]
			out[i].SentKbps, out[i].ArrivedKbps = float64(x.sent)*8/1000, float64(x.arrived)*8/1000
			out[i].LostPercent = 100 * float64(x.lostPackets) / float64(max(1, x.sentPackets))
		}
		for _, step := range s.Down() {
			if step.At <= from {
				out[i].CapKbps = float64(step.Rate) / 1000
			}
		}
		for _, q := range n.qualities {
			if q.at < from+time.Second {
				out[i].Rung, out[i].RungName, out[i].Redundancy = q.rung(), q.Rung, q.Redundancy
				out[i].Why, out[i].Estimate = q.Why, float64(q.EstimateBps)/1000
			}
		}
	}
	return out
}
