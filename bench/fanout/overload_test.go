//go:build linux

package fanout

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestASmallClimbIsAccountedFor runs the whole story with a real stentord, and too few people to trouble it.
func TestASmallClimbIsAccountedFor(t *testing.T) {
	out, err := Overload(t.Context(), OverloadConfig{
		Talking: 2, Step: 3, Most: 8, Hold: 300 * time.Millisecond, Budget: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	var listeners []int
	for i := range out.Steps {
		s := &out.Steps[i]
		listeners = append(listeners, s.Listeners)
		if s.PacketsS <= 0 || s.Load <= 0 || s.Cores <= 0 || s.P50 <= 0 {
			t.Errorf("step %d: %+v", i, s)
		}
		if i > 0 && (s.AtS <= out.Steps[i-1].AtS || s.Lost.Gaps < out.Steps[i-1].Lost.Gaps) {
			t.Errorf("step %d: what was counted goes back: %+v after %+v", i, s, out.Steps[i-1])
		}
	}
	// Three more each time, then up to the bound; then half of them go.
	if len(listeners) < 4 || listeners[0] != 3 || listeners[1] != 6 || listeners[2] != 8 || listeners[3] != 4 {
		t.Errorf("listeners %v", listeners)
	}
	if out.Refused != 0 || out.Failed != "" {
		t.Errorf("%d refused, %q", out.Refused, out.Failed)
	}
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil || out.Confined != (all.Count() > 1) {
		t.Errorf("confined %v; afterwards there are %d CPUs (%v)", out.Confined, all.Count(), err)
	}
}

func TestADaemonThatDiesInAClimbIsTold(t *testing.T) {
	_, err := Overload(t.Context(), OverloadConfig{
		Talking: 1, Step: 1, Most: 1, Hold: time.Second, Budget: time.Second, Stentord: "/bin/false",
	})
	if err == nil || !strings.Contains(err.Error(), "it has ended") {
		t.Errorf("got %v", err)
	}
}

func TestAClimbThatCannotBeMeantIsRefused(t *testing.T) {
	good := OverloadConfig{Talking: 3, Step: 10, Most: 100, Hold: time.Second, Budget: time.Minute}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*OverloadConfig){
		"9 talking":   func(c *OverloadConfig) { c.Talking = 9 },
		"steps of 0":  func(c *OverloadConfig) { c.Step = 0 },
		"up to 5":     func(c *OverloadConfig) { c.Most = 5 },
		"a hold of 0": func(c *OverloadConfig) { c.Hold = 0 },
		"in 1ms":      func(c *OverloadConfig) { c.Budget = time.Millisecond },
	} {
		c := good
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is wanted, got %v", want, err)
		}
	}
}
