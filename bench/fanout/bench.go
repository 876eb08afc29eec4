//go:build linux

package fanout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"stentor/bench/report"
)

// Config is one command: servers, loads, and how often.
type Config struct {
	Loads    []Load
	Against  []string      // servers to compare with, of Servers
	Duration time.Duration // of the steady windows of a run together
	Runs     int           // of each server under each load

	Stentord     string   // path of the daemon; empty: built from source
	StentordArgs []string // further arguments of the daemon
	Janus        string   // path of the program; empty: the one in PATH
	LiveKit      string   // path of livekit-server
	Mediasoup    string   // directory in which mediasoup was installed by npm

	// VerifyRecording tells what is wrong with a recording that is ready; nil: nobody looks. The runs of a load that is recorded fail by it.
	VerifyRecording func(files fs.FS) error

	FloorCommand []string // runs RunFloor, with the load's arguments appended; nil: no floor
	FloorThreads int      // of the floor that ratios are told against; 0 means one a CPU, as the server has shards. One alone is measured besides

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
		case l.Record != "" && !slices.Contains(Records, l.Record):
			return fmt.Errorf("--record %s: want some of %s", l.Record, strings.Join(Records, ", "))
		case l.Record == RecordStalled && c.Duration < windows*c.scaled(stallTime):
			return fmt.Errorf("--record stalled: a duration of %v is too short; the disk stands still for %v in each of %d windows", c.Duration, stallTime, windows)
		}
	}
	for _, name := range c.Against {
		switch {
		case !slices.Contains(Servers, name):
			return fmt.Errorf("--against %s: want some of %s", name, strings.Join(Servers, ", "))
		case name == "livekit" && c.LiveKit == "":
			return errors.New("--against livekit: give --livekit, the path of livekit-server")
		case name == "mediasoup" && c.Mediasoup == "":
			return errors.New("--against mediasoup: give --mediasoup, a directory in which \"npm install mediasoup@3\" has succeeded")
		}
	}
	return nil
}

// Servers are those that Stentor can be measured against.
var Servers = []string{"pion", "janus", "livekit", "mediasoup"}

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
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // the generator has memory, but no CPU time to give away
	dir, err := os.MkdirTemp("", "stentor-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Each is built once: the source may change meanwhile. All before the first run, so that what is missing is told at once.
	names := append([]string{"stentor"}, c.Against...)
	servers := map[string]server{}
	for _, name := range names {
		c.current = name
		if servers[name], err = c.open(ctx, name, dir); err != nil {
			return nil, err
		}
	}
	// Runs are the outer loop, so that the machine's mood of a minute does not meet one server alone.
	for i := range c.Runs {
		for _, name := range names {
			c.current = name
			loads := c.loads(name)
			if i%2 == 1 { // there and back, so that what drifts is as much in the first as in the last
				slices.Reverse(loads)
			}
			for _, load := range loads {
				c.progress(fmt.Sprintf("run %d of %d: %v", i+1, c.Runs, load), 0, 1)
				f, err := measure(ctx, &c, servers[name], load)
				if err != nil {
					return cases, err
				}
				cases = book(cases, name, load, c.Duration, f)
			}
		}
	}
	return cases, nil
}

// book adds a run's figures to its case.
func book(cases []report.Case, server string, load Load, d time.Duration, f report.Figures) []report.Case {
	one := report.Case{
		Server: server, Rendition: load.Rendition, Listeners: load.Listeners, Speakers: load.Speakers,
		Talking: load.Talking, Recorded: cmp.Or(load.Record, RecordOff), DurationS: d.Seconds(),
	}
	i := slices.IndexFunc(cases, func(c report.Case) bool {
		return c.Server == server && c.Rendition == load.Rendition && c.Listeners == load.Listeners && c.Talking == load.Talking && c.Recorded == one.Recorded
	})
	if i < 0 {
		i = len(cases)
		cases = append(cases, one)
	}
	cases[i].Runs = append(cases[i].Runs, f)
	cases[i].Summarize()
	return cases
}

// loads are those that make sense for a server: none but stentor has renditions, or is asked to record.
func (c *Config) loads(server string) (out []Load) {
	for _, load := range c.Loads {
		if server != "stentor" {
			load.Rendition, load.Record = "live", RecordOff
		}
		if !slices.Contains(out, load) {
			out = append(out, load)
		}
	}
	return out
}

// open makes a server ready to start.
func (c *Config) open(ctx context.Context, name, dir string) (server, error) {
	c.progress("build", 0, 1)
	defer c.progress("build", 1, 1)
	switch name {
	case "pion":
		return newPion(ctx, dir)
	case "janus":
		return newJanus(c.Janus, dir)
	case "livekit":
		return newLiveKit(c.LiveKit, dir)
	case "mediasoup":
		return newMediasoup(ctx, c.Mediasoup)
	}
	if slices.ContainsFunc(c.Loads, func(l Load) bool { return l.Record == RecordStalled }) {
		if err := checkDisk(ctx, dir); err != nil {
			return nil, err
		}
	}
	return newStentord(ctx, c.Stentord, c.StentordArgs, dir)
}
