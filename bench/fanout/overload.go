//go:build linux

package fanout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"stentor/bench/report"
	"stentor/engine/control"
)

// OverloadConfig is one climb: a daemon on one CPU is filled up until it refuses, and emptied again.
type OverloadConfig struct {
	Talking int           // all the time, each in a slot of his own
	Step    int           // listeners that come between two measurements; a quarter of all, when that is more
	Most    int           // listeners to stop at
	Hold    time.Duration // of a measurement
	Budget  time.Duration // of the climb, and again of going
	Sudden  bool          // one talks until all listeners are there, and then all do at once

	Stentord     string // path of the daemon; empty: built from source
	StentordArgs []string

	Progress func(server, phase string, done, total int) // nil for nobody
}

// Validate says what cannot be measured.
func (c *OverloadConfig) Validate() error {
	switch {
	case c.Talking < 1 || c.Talking > slotsMax:
		return fmt.Errorf("%d talking; want 1 to %d", c.Talking, slotsMax)
	case c.Step < 1 || c.Most < c.Step || c.Most > 60_000:
		return fmt.Errorf("steps of %d up to %d listeners; want 1 to 60000", c.Step, c.Most)
	case c.Hold < 100*time.Millisecond || c.Budget < c.Hold:
		return fmt.Errorf("a hold of %v in %v is too short", c.Hold, c.Budget)
	}
	return nil
}

// calmTime is how long nobody leaves before still more do: a daemon that has tried in vain to go back to live waits for a while.
const calmTime = 20 * time.Second

// suddenSteps are how many measurements are made when all have begun to talk.
const suddenSteps = 3

// climb is one run of it.
type climb struct {
	cfg    *OverloadConfig
	server *stentord
	siege  *siege
	watch  *overloadWatch
	began  time.Time
	out    report.Overload
}

// Overload runs the story once, and returns what there is also when it has failed.
func Overload(ctx context.Context, c OverloadConfig) (out report.Overload, err error) {
	if err := c.Validate(); err != nil {
		return out, err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // the generator has memory, but no CPU time to give away
	dir, err := os.MkdirTemp("", "stentor-bench-")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &climb{cfg: &c, out: report.Overload{Talking: c.Talking, HoldS: c.Hold.Seconds()}}
	r.progress("build", 0)
	if r.server, err = newStentord(ctx, c.Stentord, c.StentordArgs, dir); err != nil {
		return out, err
	}
	var own unix.CPUSet
	if err := unix.SchedGetaffinity(0, &own); err != nil {
		return out, err
	}
	server, generator, err := split()
	if err != nil {
		return out, err
	}
	r.server.cpus, r.out.Confined = server, own.Count() > 1
	if err := confine(generator); err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, confine(&own)) }()
	err = r.run(ctx)
	return r.out, err
}

func (r *climb) progress(phase string, done int) {
	if r.cfg.Progress != nil {
		r.cfg.Progress("overload", phase, done, r.cfg.Most)
	}
}

func (r *climb) run(ctx context.Context) (err error) {
	load := Load{Listeners: r.cfg.Most, Speakers: r.cfg.Talking, Talking: r.cfg.Talking, Rendition: "live"}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.server.Start(ctx, load); err != nil {
		return err
	}
	c, err := newCrowd(r.server, load)
	if err != nil {
		return err
	}
	c.spread = r.cfg.Step
	r.siege = &siege{crowd: c, next: load.Speakers}
	if err := c.join(ctx, 0, load.Speakers, func(int) {}); err != nil {
		return err
	}
	c.ears.pause.Store(int64(pauseSteady))
	talk := newTalk(c.speech, c.talkers())
	if r.cfg.Sudden {
		talk.only.Store(1)
	}
	talk.start()
	defer func() { err = errors.Join(err, talk.pause()) }()
	r.began = time.Now()
	r.watch = watchOverload(ctx, r)
	defer func() {
		r.out.Events, r.out.Asked, r.out.Refused = r.watch.stop(), int(r.siege.asked.Load()), int(r.siege.refused.Load())
	}()
	if err := r.up(ctx); err != nil {
		return err
	}
	if r.cfg.Sudden {
		r.progress("all talk", int(r.siege.listening.Load()))
		talk.only.Store(0)
		for range suddenSteps {
			if err := r.step(ctx, r.cfg.Hold); err != nil {
				return err
			}
		}
	}
	return r.down(ctx)
}

func (r *climb) close() error {
	err := r.server.Stop()
	if r.siege != nil {
		err = errors.Join(err, r.siege.close())
	}
	return err
}

// up lets listeners come until one is refused.
func (r *climb) up(ctx context.Context) error {
	for time.Since(r.began) < r.cfg.Budget {
		now := int(r.siege.listening.Load())
		if now >= r.cfg.Most {
			return nil
		}
		r.progress("fill", now)
		if err := r.siege.grow(ctx, min(max(r.cfg.Step, now/4), r.cfg.Most-now)); err != nil {
			if ctx.Err() != nil {
				return err
			}
			r.out.Failed = err.Error()
		}
		if err := r.step(ctx, r.cfg.Hold); err != nil {
			return err
		}
		if r.siege.refused.Load() > 0 || r.out.Failed != "" {
			return nil
		}
	}
	r.out.Failed = fmt.Sprintf("%v were over before anybody was refused", r.cfg.Budget)
	return nil
}

// down lets half of them go, and half of those, until the daemon has got over it.
func (r *climb) down(ctx context.Context) error {
	for end := time.Now().Add(r.cfg.Budget); time.Now().Before(end); {
		n := int(r.siege.listening.Load()) / 2
		r.progress("empty", n)
		r.siege.shrink(n)
		for patience := time.Now().Add(calmTime); time.Now().Before(patience); {
			if err := r.step(ctx, r.cfg.Hold); err != nil || r.over() {
				return err
			}
		}
		if n == 0 {
			return nil
		}
	}
	return nil
}

// over tells whether the daemon is as it was in the beginning, by the last step.
func (r *climb) over() bool {
	last := &r.out.Steps[len(r.out.Steps)-1]
	return last.State == "" || last.State == control.OverloadOver && last.Packed == 0
}

// step measures for a while in which nobody comes or goes.
func (r *climb) step(ctx context.Context, hold time.Duration) error {
	before, err := r.look(ctx)
	if err != nil {
		return err
	}
	r.siege.latencies() // of coming and going
	r.siege.measuring.Store(true)
	err = sleep(ctx, hold)
	r.siege.measuring.Store(false)
	if err != nil {
		return err
	}
	after, err := r.look(ctx)
	if err != nil {
		return err
	}
	s := report.OverloadStep{
		AtS: after.world.server.at.Sub(r.began).Seconds(), Listeners: int(r.siege.listening.Load()), State: r.watch.state(),
		Packed: after.packed, Lost: after.lost,
	}
	wall := after.world.server.at.Sub(before.world.server.at).Seconds()
	told := after.told.Sub(before.told).Seconds()
	for shard, busy := range after.busy {
		s.Load = max(s.Load, (busy-before.busy[shard])/told)
	}
	s.Cores = (after.world.server.run - before.world.server.run).Seconds() / wall
	s.Foreign = max(0, (after.world.foreign()-before.world.foreign()).Seconds()/wall)
	s.PacketsS = (after.sent - before.sent) / told
	s.P50, s.P99 = r.siege.latencies()
	if s.Void, err = r.siege.void(); err != nil {
		return err
	}
	r.out.Steps = append(r.out.Steps, s)
	return nil
}
