package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Figure is something that is measured of a listener, as stories name it.
type Figure string

// Figures.
const (
	Heard        Figure = "heard"          // %, of what all have said
	Dominant     Figure = "dominant heard" // %, of what the dominant speaker has said
	Concealed    Figure = "concealed"      // %, of what came out of the loudspeaker
	Hole         Figure = "longest hole"   // ms, in which nobody was heard
	DominantHole Figure = "dominant hole"  // ms, in which the dominant speaker was not
	Delay        Figure = "mouth to ear"   // ms, mean

	// These four are the same by the sound of what was decoded.
	Sounded         Figure = "sounded"          // %, of what all have said
	DominantSounded Figure = "dominant sounded" // %, of what the dominant speaker has said
	Silence         Figure = "longest silence"  // ms, in which nobody was heard
	DominantSilence Figure = "dominant silence" // ms, in which the dominant speaker was not

	Queue        Figure = "standing queue" // ms, 95th percentile of what the listener's packets meet
	AudioBack    Figure = "audio back"     // ms, after the network's last change
	TopRung      Figure = "top rung"       // s, after the network's last change
	FailedTries  Figure = "failed tries"   // steps up that were taken back
	SessionsLost Figure = "sessions lost"  // of anybody
	Changed      Figure = "changed"        // listeners besides the impaired one who got another packet than without the impairment
	Stamped      Figure = "stamped"        // packets to listeners besides the impaired one that asked for feedback
)

// units are what a bound may be followed by.
var units = map[Figure]string{
	Heard: "%", Dominant: "%", Concealed: "%", Hole: "ms", DominantHole: "ms",
	Sounded: "%", DominantSounded: "%", Silence: "ms", DominantSilence: "ms", Delay: "ms", Queue: "ms", AudioBack: "ms",
	TopRung: "s", FailedTries: "", SessionsLost: "", Changed: "", Stamped: "",
}

// Unit is that of a figure; empty for a count.
func (f Figure) Unit() string { return units[f] }

// Must is something that has to hold, "longest hole at most 500 ms" or "concealed at most 0.5 of off": of the run with the
// controller on, against a bound or a multiple of the run with the controller off.
type Must struct {
	Figure Figure
	Least  bool // at least, not at most
	Bound  float64
	OfOff  bool // Bound is a factor
	text   string
}

// String is the sentence of the story.
func (m Must) String() string { return m.text }

// Holds tells whether a figure, on and off, is as it must be.
func (m Must) Holds(on, off float64) bool { return m.Room(on, off) >= 0 }

// Room is by how much a figure could be worse, in its unit; below zero it does not hold.
func (m Must) Room(on, off float64) float64 {
	bound := m.Bound
	if m.OfOff {
		bound *= off
	}
	if m.Least {
		return on - bound
	}
	return bound - on
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (m *Must) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: a must is a sentence", n.Line)
	}
	if err := m.parse(n.Value); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	return nil
}

func (m *Must) parse(text string) error {
	m.text = strings.Join(strings.Fields(text), " ")
	figure, bound, most := strings.Cut(m.text, " at most ")
	if !most {
		figure, bound, m.Least = strings.Cut(m.text, " at least ")
	}
	m.Figure = Figure(figure)
	unit, known := units[m.Figure]
	if !known {
		return fmt.Errorf("%q begins with none of: %s", text, strings.Join(figures(), ", "))
	}
	f := strings.Fields(bound)
	var err error
	if len(f) > 0 {
		m.Bound, err = strconv.ParseFloat(f[0], 64)
	}
	if len(f) == 0 || err != nil || !(m.Bound >= 0 && m.Bound <= 1e9) {
		return fmt.Errorf("%q has no number after \"at most\" or \"at least\"", text)
	}
	switch rest := strings.Join(f[1:], " "); {
	case rest == "of off":
		m.OfOff = true
	case rest != unit:
		return fmt.Errorf("%q ends with %q; want %q or \"of off\"", text, rest, unit)
	}
	return nil
}

func figures() (out []string) {
	for f := range units {
		out = append(out, string(f))
	}
	slices.Sort(out)
	return out
}
