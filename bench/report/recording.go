package report

import (
	"fmt"
	"slices"
)

// RecordingCost is what recording a room adds, from runs with and without it in turns: the n-th of one with the n-th of the other, so that what
// the machine was busy with meanwhile is in both.
type RecordingCost struct {
	Rendition string `json:"rendition"`
	Listeners int    `json:"listeners"`
	Talking   int    `json:"talking"`
	Recorded  string `json:"recorded"` // on or stalled

	PacketRatio  Spread `json:"packet_ratio"`   // CPU per packet on, divided by that off
	CorePercent  Spread `json:"core_percent"`   // CPU of the process on, less that off, in percent of one core
	LatencyMsP50 Spread `json:"latency_ms_p50"` // on less off
	LatencyMsP99 Spread `json:"latency_ms_p99"` // on less off
	Dropped      Spread `json:"dropped"`        // packets that should be in a recording and are not
}

// Spread is a figure of several runs.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

func spreadOf(values []float64) Spread {
	return Spread{Median(values), slices.Min(values), slices.Max(values)}
}

func (s Spread) text(digits int, sign string) string {
	f := func(v float64) string { return fmt.Sprintf("%"+sign+".*f", digits, v) }
	return f(s.Median) + " (" + f(s.Low) + "…" + f(s.High) + ")"
}

// String tells it in a sentence.
func (r *RecordingCost) String() string {
	name := fmt.Sprintf("%d×%d %s", r.Listeners, r.Talking, r.Rendition)
	if r.Recorded == "stalled" {
		name += ", disk stalled"
	}
	return fmt.Sprintf("%s: recording costs × %s a packet, %s %% of a core; latency p50 %s ms, p99 %s ms; %.0f packets missing", name,
		r.PacketRatio.text(3, ""), r.CorePercent.text(1, "+"), r.LatencyMsP50.text(2, "+"), r.LatencyMsP99.text(2, "+"), r.Dropped.High)
}

// CompareRecording pairs each case that is recorded with the one that is not.
func CompareRecording(cases []Case) (out []RecordingCost) {
	for i := range cases {
		on := &cases[i]
		if !on.recorded() {
			continue
		}
		at := slices.IndexFunc(cases, func(c Case) bool {
			return !c.recorded() && c.Server == on.Server && c.Rendition == on.Rendition && c.Listeners == on.Listeners && c.Talking == on.Talking
		})
		if at < 0 {
			continue
		}
		if n := min(len(on.Runs), len(cases[at].Runs)); n > 0 { // a bench that was stopped has one of a pair
			out = append(out, compareRecording(on, cases[at].Runs[:n]))
		}
	}
	return out
}

func compareRecording(on *Case, off []Figures) RecordingCost {
	pairs := func(of func(on, off *Figures) float64) Spread {
		var values []float64
		for i := range off {
			values = append(values, of(&on.Runs[i], &off[i]))
		}
		return spreadOf(values)
	}
	return RecordingCost{
		Rendition: on.Rendition, Listeners: on.Listeners, Talking: on.Talking, Recorded: on.Recorded,
		PacketRatio:  pairs(func(on, off *Figures) float64 { return on.CPUUsPerPacket / max(off.CPUUsPerPacket, 1e-9) }),
		CorePercent:  pairs(func(on, off *Figures) float64 { return 100 * (on.CPUCores - off.CPUCores) }),
		LatencyMsP50: pairs(func(on, off *Figures) float64 { return on.LatencyMsP50 - off.LatencyMsP50 }),
		LatencyMsP99: pairs(func(on, off *Figures) float64 { return on.LatencyMsP99 - off.LatencyMsP99 }),
		Dropped:      pairs(func(on, _ *Figures) float64 { return on.RecordingDropped }),
	}
}

func (c *Case) recorded() bool { return c.Recorded == "on" || c.Recorded == "stalled" }

// recordedName is what a case's name ends with.
func (c *Case) recordedName() string {
	switch c.Recorded {
	case "on":
		return " recorded"
	case "stalled":
		return " recorded, disk stalled"
	}
	return ""
}
