//go:build linux

package fanout

import (
	"context"
	"runtime"
	"time"

	"stentor/bench/report"
)

const (
	// floorBatch is the batch where the server does not tell its own: the largest that stentord uses.
	floorBatch = 128
	// sideFloorTime bounds a window of the floor that is measured beside the main one: 75,000 packets a second are plenty in 2 s.
	sideFloorTime = 2 * time.Second
)

// floorThreads are the numbers of threads that the floor is measured with: one a CPU, as the server has shards, and one alone, which is
// cheaper, because nobody shares caches, and so gives the harder comparison. Those that were asked for come first.
func (c *Config) floorThreads() []int {
	if c.FloorCommand == nil {
		return nil
	}
	switch n := runtime.NumCPU(); {
	case c.FloorThreads == 1, c.FloorThreads == 0 && n == 1:
		return []int{1}
	case c.FloorThreads != 0:
		return []int{c.FloorThreads, 1}
	default:
		return []int{n, 1}
	}
}

// floorWindows measures each floor in the rhythm and with the sizes that the server has just had.
func (r *run) floorWindows(ctx context.Context) error {
	if r.packets == 0 {
		return nil
	}
	for i := range r.floors {
		d := r.cfg.Duration / windows
		if i > 0 {
			d = min(d, sideFloorTime)
		}
		if err := r.floorWindow(ctx, &r.floors[i], d); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) floorWindow(ctx context.Context, f *floorRun, d time.Duration) (err error) {
	if f.floor == nil {
		if f.floor, err = startFloor(r.cfg.FloorCommand, r.floorLoad(f.threads)); err != nil {
			return err
		}
	}
	r.cfg.progress("floor", 0, 1)
	v, err := f.floor.measure(ctx, r.crowd.ears, r.cfg.scaled(warmupTime), d)
	if err != nil {
		return err
	}
	r.cfg.progress("floor", 1, 1)
	f.us = append(f.us, v)
	return sleep(ctx, drainTime)
}

// floorLoad is what the server has sent so far, as an order for the floor.
func (r *run) floorLoad(threads int) FloorLoad {
	load := FloorLoad{
		Port: int(r.crowd.ears.port), First: r.load.Speakers, Destinations: r.load.Listeners,
		BurstsPerS: float64(r.packets) / r.wall.Seconds() / float64(r.load.Listeners),
		Size:       int(r.bytes / r.packets), Batch: floorBatch, Threads: threads,
	}
	if r.calls > 0 {
		load.Batch = max(1, min(load.Batch, int(r.sent/r.calls+0.5)))
	}
	return load
}

// compare sets the server's cost beside the floors'.
func (r *run) compare() {
	f := &r.f
	for i := range r.floors {
		v := report.Median(r.floors[i].us)
		if v == 0 {
			continue
		}
		if i == 0 {
			f.FloorThreads, f.FloorUsPerPacket, f.RatioToFloor = float64(r.floors[i].threads), v, f.CPUUsPerPacket/v
		}
		if r.floors[i].threads == 1 {
			f.FloorOneUsPerPacket, f.RatioToFloorOne = v, f.CPUUsPerPacket/v
		}
	}
}
