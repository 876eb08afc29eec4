//go:build linux

package fanout

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stentor/bench/report"
)

// TestASmallClimbIsAccountedFor runs the whole story with a real stentord. Few people do not trouble it, but a neighbour on
// its CPU may: then it packs or refuses, and all must be accounted for all the same.
func TestASmallClimbIsAccountedFor(t *testing.T) {
	out := climbs(t)
	up, down := listenersOf(out)
	if out.Refused > 0 {
		return // climbs has looked at it
	}
	// Three more each time, then up to the bound; then half of them go.
	if !slices.Equal(up, []int{3, 6, 8}) || len(down) == 0 || down[0] != 4 {
		t.Errorf("nobody was refused, and listeners were %v, then %v", up, down)
	}
}

// TestAClimbEndsWhenADaemonIsFull has a daemon that takes two who talk and five who listen.
func TestAClimbEndsWhenADaemonIsFull(t *testing.T) {
	out := climbs(t, "--max-peers=7")
	if up, _ := listenersOf(out); out.Refused == 0 || slices.Max(up) > 5 {
		t.Errorf("%d refused, listeners %v", out.Refused, up)
	}
}

// climbs makes a small climb, and looks at what holds whatever the daemon has done.
func climbs(t *testing.T, args ...string) *report.Overload {
	t.Helper()
	out, err := Overload(t.Context(), OverloadConfig{
		Talking: 2, Step: 3, Most: 8, Hold: 300 * time.Millisecond, Budget: 5 * time.Minute, StentordArgs: args,
	})
	if err != nil {
		t.Fatal(err)
	}
	up, down := listenersOf(&out)
	if joined := slices.Max(up); out.Failed != "" || joined+out.Refused != out.Asked {
		t.Errorf("of %d joins %d came in and %d were refused; %q", out.Asked, joined, out.Refused, out.Failed)
	}
	if !slices.IsSorted(up) || len(down) == 0 && slices.Max(up) > 0 || !slices.IsSortedFunc(down, func(a, b int) int { return b - a }) {
		t.Errorf("listeners went up %v, and down %v", up, down)
	}
	measured(t, &out)
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil || out.Confined != (all.Count() > 1) {
		t.Errorf("confined %v; afterwards there are %d CPUs (%v)", out.Confined, all.Count(), err)
	}
	return &out
}

// listenersOf are the listeners of each step, up to the first with the most of them, and from there.
func listenersOf(out *report.Overload) (up, down []int) {
	for i := range out.Steps {
		n := out.Steps[i].Listeners
		if len(down) == 0 && (len(up) == 0 || n >= up[len(up)-1]) {
			up = append(up, n)
		} else {
			down = append(down, n)
		}
	}
	return up, down
}

// measured looks at the figures. One step may find a daemon that gets no CPU; all of them do not.
func measured(t *testing.T, out *report.Overload) {
	t.Helper()
	var most report.OverloadStep
	last := &out.Steps[len(out.Steps)-1]
	for i := range out.Steps {
		s := &out.Steps[i]
		most.PacketsS, most.Load, most.Cores, most.P50 = max(most.PacketsS, s.PacketsS), max(most.Load, s.Load), max(most.Cores, s.Cores), max(most.P50, s.P50)
		if min(s.PacketsS, s.Load, s.Cores, s.P50) < 0 {
			t.Errorf("step %d: %+v", i, s)
		}
		if i > 0 && (s.AtS <= out.Steps[i-1].AtS || s.Lost.Gaps < out.Steps[i-1].Lost.Gaps) {
			t.Errorf("step %d: what was counted goes back: %+v after %+v", i, s, out.Steps[i-1])
		}
		// What listeners miss somebody has counted: the daemon, the kernel, or the generator. The counters are read first.
		if s != last && s.Lost.Gaps > 0 && last.Lost.ShardLate+last.Lost.BufferFull+last.Lost.Received+last.Void == 0 {
			t.Errorf("step %d: %g packets did not come, and nobody knows of it: %+v", i, s.Lost.Gaps, last)
		}
	}
	if nobody := out.Asked == out.Refused; min(most.PacketsS, most.Load, most.Cores) == 0 || most.P50 == 0 && !nobody {
		t.Errorf("nothing was measured: %+v", out.Steps)
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
