package scenario

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Span is a time in a story, "1.5s" or "300ms".
type Span struct {
	time.Duration
	line int
}

// spanMax is longer than any story.
const spanMax = time.Hour

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *Span) UnmarshalYAML(n *yaml.Node) error {
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		return fmt.Errorf("line %d: %q is no time; write 300ms or 1.5s", n.Line, n.Value)
	}
	if d < 0 || d > spanMax {
		return fmt.Errorf("line %d: %v is outside 0 … %v", n.Line, d, spanMax)
	}
	s.Duration, s.line = d, n.Line
	return nil
}

// Rate is in b/s, "64 kb/s" or "1 Mb/s".
type Rate struct {
	Bps  int
	line int
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (r *Rate) UnmarshalYAML(n *yaml.Node) error {
	number, unit, _ := strings.Cut(n.Value, " ")
	scale, known := map[string]float64{"b/s": 1, "kb/s": 1e3, "Mb/s": 1e6}[unit]
	v, err := strconv.ParseFloat(number, 64)
	if n.Kind != yaml.ScalarNode || !known || err != nil || !(v > 0 && v*scale <= 1e9) {
		return fmt.Errorf("line %d: %q is no rate; write 64 kb/s or 1 Mb/s, up to 1000 Mb/s", n.Line, n.Value)
	}
	r.Bps, r.line = int(math.Round(v*scale)), n.Line
	return nil
}

// Share is a percentage, "10 %".
type Share struct {
	Share float64 // 0 … 1
	line  int
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *Share) UnmarshalYAML(n *yaml.Node) error {
	number, ok := strings.CutSuffix(n.Value, " %")
	v, err := strconv.ParseFloat(number, 64)
	if n.Kind != yaml.ScalarNode || !ok || err != nil || !(v >= 0 && v <= 100) {
		return fmt.Errorf("line %d: %q is no share; write 10 %%", n.Line, n.Value)
	}
	s.Share, s.line = v/100, n.Line
	return nil
}

// Can is something that a client does or does not, "yes" or "no"; empty: as usual.
type Can string

// UnmarshalYAML implements yaml.Unmarshaler.
func (c *Can) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode || n.Value != "yes" && n.Value != "no" {
		return fmt.Errorf("line %d: %q; write yes or no", n.Line, n.Value)
	}
	*c = Can(n.Value)
	return nil
}

// Asks is whether a client asks for what it misses, "yes", "no" or "unused": it is agreed on and not done. Empty: no.
type Asks string

// UnmarshalYAML implements yaml.Unmarshaler.
func (a *Asks) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode || n.Value != "yes" && n.Value != "no" && n.Value != "unused" {
		return fmt.Errorf("line %d: %q; write yes, no or unused", n.Line, n.Value)
	}
	*a = Asks(n.Value)
	return nil
}

// Who are the listeners, "1 of 50 listeners": one of them is impaired.
type Who struct{ Listeners int }

// listenersMax is what one process plays without being late.
const listenersMax = 1000

// UnmarshalYAML implements yaml.Unmarshaler.
func (w *Who) UnmarshalYAML(n *yaml.Node) error {
	f := strings.Fields(n.Value)
	if n.Kind == yaml.ScalarNode && len(f) == 4 && f[0] == "1" && f[1] == "of" && f[3] == "listeners" {
		v, err := strconv.Atoi(f[2])
		if err == nil && v >= 1 && v <= listenersMax {
			w.Listeners = v
			return nil
		}
	}
	return fmt.Errorf("line %d: %q; write \"1 of 50 listeners\", up to %d", n.Line, n.Value, listenersMax)
}
