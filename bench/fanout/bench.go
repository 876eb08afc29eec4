//go:build linux

package fanout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"stentor/bench/report"
)

// Config is one command: servers, loads, and how often.
type Config struct {
	Loads    []Load
	Against  []string      // servers to compare with: "pion"
	Duration time.Duration // of the steady windows of a run together
	Runs     int           // of each server under each load

	Stentord string // path of the daemon; empty: built from source

	FloorCommand []string // runs RunFloor, with the load's arguments appended; nil: no floor
	FloorThreads int      // 0 means 1

	// Hasten divides the times of settling, warming up and idling; 0 means 1. For tests, whose figures nobody reads.
	Hasten int
	// Progress is told how far a phase of a run is; nil for nobody.
	Progress func(server, phase string, done, total int)

	current string // server that is being measured
}

// Validate says what cannot be measured.
func (c *Config) Validate() error {
	if len(c.Loads) == 0 || c.Runs < 1 {
		return errors.New("nothing to measure")
	}
	if c.Duration < windows*100*time.Millisecond {
		return fmt.Errorf("a duration of %v is too short", c.Duration)
	}
	for _, l := range c.Loads {
		switch {
		case l.Listeners < 1 || l.Listeners > 60_000:
			return fmt.Errorf("%d listeners; want 1 to 60000", l.Listeners)
		case l.Speakers < 1 || l.Speakers > streamsMax:
			return fmt.Errorf("%d speakers; want 1 to %d", l.Speakers, streamsMax)
		case l.Talking < 1 || l.Talking > min(l.Speakers, slotsMax):
			return fmt.Errorf("%d talking; want 1 to %d", l.Talking, min(l.Speakers, slotsMax))
		}
	}
	for _, name := range c.Against {
		switch name {
		case "pion":
		case "janus", "mediasoup", "livekit":
			return fmt.Errorf("not supported yet: --against %s", name)
		default:
			return fmt.Errorf("--against %s: want pion", name)
		}
	}
	return nil
}

// slotsMax is how many slots a room of stentord may have by default.
const slotsMax = 8

func (c *Config) progress(phase string, done, total int) {
	if c.Progress != nil {
		c.Progress(c.current, phase, done, total)
	}
}

func (c *Config) scaled(d time.Duration) time.Duration { return d / time.Duration(max(1, c.Hasten)) }

// Run measures every server under every load, Stentor first, and returns what there is also when one has failed.
func Run(ctx context.Context, c Config) (cases []report.Case, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.FloorThreads = max(1, c.FloorThreads)
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // the generator has memory, but no CPU time to give away
	dir, err := os.MkdirTemp("", "stentor-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, name := range append([]string{"stentor"}, c.Against...) {
		c.current = name
		c.progress("build", 0, 1)
		s, err := c.open(ctx, name, dir)
		if err != nil {
			return cases, err
		}
		c.progress("build", 1, 1)
		for _, load := range c.loads(name) {
			one, err := c.measure(ctx, s, load)
			if err != nil {
				return cases, err
			}
			cases = append(cases, one)
		}
	}
	return cases, nil
}

// loads are those that make sense for a server: none but stentor has renditions.
func (c *Config) loads(server string) (out []Load) {
	for _, load := range c.Loads {
		if server != "stentor" {
			load.Rendition = "live"
		}
		if !slices.Contains(out, load) {
			out = append(out, load)
		}
	}
	return out
}

// open makes a server ready to start.
func (c *Config) open(ctx context.Context, name, dir string) (server, error) {
	if name == "pion" {
		return newPion(ctx, dir)
	}
	return newStentord(ctx, c.Stentord, dir)
}

// measure runs one server under one load as often as asked.
func (c *Config) measure(ctx context.Context, s server, load Load) (report.Case, error) {
	one := report.Case{
		Server: s.Name(), Rendition: load.Rendition, Listeners: load.Listeners, Speakers: load.Speakers,
		Talking: load.Talking, DurationS: c.Duration.Seconds(),
	}
	for i := range c.Runs {
		c.progress(fmt.Sprintf("run %d of %d: %d×%d %s", i+1, c.Runs, load.Listeners, load.Talking, load.Rendition), 0, 1)
		f, err := measure(ctx, c, s, load)
		if err != nil {
			return one, err
		}
		one.Runs = append(one.Runs, f)
	}
	one.Summarize()
	return one, nil
}
