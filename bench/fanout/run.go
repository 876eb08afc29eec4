//go:build linux

package fanout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"stentor/bench/report"
)

// Times of a run.
const (
	settleTime = 2 * time.Second
	warmupTime = time.Second
	idleTime   = 10 * time.Second // two rounds of consent checks, which come every 5 s
	drainTime  = 300 * time.Millisecond
	// windows is into how many parts the steady time is cut, with the floor between them.
	windows = 2
)

// run is one story: everybody joins, is idle, hears people talk, and goes.
type run struct {
	cfg    *Config
	load   Load
	server server
	crowd  *crowd
	talk   *talk
	floors []floorRun // the first is the one of RatioToFloor
	f      report.Figures

	// Sums over the windows.
	cpu, stat, wall time.Duration
	queued          time.Duration // that the server's threads have waited for a CPU
	foreign, stolen time.Duration // CPU time of other processes, and of other machines
	packets, bytes  uint64        // for listeners
	others          uint64        // packets for speakers, who hear each other
	sent, calls     float64       // by the server's metrics
}

// floorRun is one way to measure the floor: by so many threads.
type floorRun struct {
	threads int
	floor   *floor    // nil until it is known what to send
	us      []float64 // CPU time a packet, of each window
}

// measure runs the story once.
func measure(ctx context.Context, cfg *Config, s server, load Load) (f report.Figures, err error) {
	r := &run{cfg: cfg, load: load, server: s}
	for _, threads := range cfg.floorThreads() {
		r.floors = append(r.floors, floorRun{threads: threads})
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := s.Start(ctx, load); err != nil {
		return f, fmt.Errorf("start %s: %w", s.Name(), err)
	}
	if r.crowd, err = newCrowd(s, load); err != nil {
		return f, err
	}
	for _, part := range []func(context.Context) error{r.join, r.idle, r.record, r.steady, r.account, r.recorded} {
		if err := part(ctx); err != nil {
			return f, fmt.Errorf("%s: %w", s.Name(), err)
		}
	}
	return r.f, nil
}

func (r *run) close() error {
	var errs []error
	for i := range r.floors {
		if f := r.floors[i].floor; f != nil {
			errs = append(errs, f.stop())
		}
	}
	errs = append(errs, r.server.Stop())
	if r.crowd != nil {
		errs = append(errs, r.crowd.close())
	}
	return errors.Join(errs...)
}

// join lets the speakers join, then a quarter of the listeners, then the rest, and reads memory in between.
func (r *run) join(ctx context.Context) error {
	s, n := r.load.Speakers, r.load.Listeners
	quarter := max(1, n/4)
	if err := r.crowd.join(ctx, 0, s, func(int) {}); err != nil {
		return err
	}
	var rss [2]float64
	var cpu time.Duration
	from := 0
	for i, to := range [2]int{quarter, n} {
		before, err := cpuOf(r.server.PIDs()...)
		if err != nil {
			return err
		}
		err = r.crowd.join(ctx, s+from, s+to, func(done int) { r.cfg.progress("join", from+done, n) })
		if err != nil {
			return err
		}
		after, err := cpuOf(r.server.PIDs()...)
		if err != nil {
			return err
		}
		cpu += after.run - before.run
		r.f.JoinTotalS += after.at.Sub(before.at).Seconds()
		if err := sleep(ctx, r.cfg.scaled(settleTime)); err != nil {
			return err
		}
		if rss[i], err = rssOf(r.server.PIDs()...); err != nil {
			return err
		}
		from = to
	}
	r.f.JoinCPUMs = us(cpu) / 1000 / float64(n)
	r.f.RSSKB = rss[1]
	r.f.RSSKBPerListener = report.Slope(float64(quarter), rss[0], float64(n), rss[1])
	r.crowd.joined(&r.f)
	r.crowd.ears.pause.Store(int64(pauseSteady))
	return nil
}

// idle measures a room where nobody talks.
func (r *run) idle(ctx context.Context) error {
	before, err := cpuOf(r.server.PIDs()...)
	if err != nil {
		return err
	}
	if err := r.wait(ctx, "idle", r.cfg.scaled(idleTime)); err != nil {
		return err
	}
	after, err := cpuOf(r.server.PIDs()...)
	if err != nil {
		return err
	}
	r.f.IdleUsPerListenerSecond = us(after.run-before.run) / after.at.Sub(before.at).Seconds() / float64(r.load.Listeners)
	return nil
}

// steady measures talk and floor in turns.
func (r *run) steady(ctx context.Context) error {
	r.talk = newTalk(r.crowd.speech, r.crowd.talkers())
	runtime.GC() // what joining left behind is not to be collected in the windows
	for range windows {
		if err := r.window(ctx); err != nil {
			return err
		}
		if err := r.floorWindows(ctx); err != nil {
			return err
		}
	}
	f := &r.f
	arrived := float64(max(r.packets+r.others, 1))
	f.CPUUsPerPacket = us(r.cpu) / arrived
	f.CPUUsPerListenerSecond = us(r.cpu) / r.wall.Seconds() / float64(r.load.Listeners)
	f.PacketsPerSecondPerCore = arrived / r.cpu.Seconds()
	f.CPUCores = r.cpu.Seconds() / r.wall.Seconds()
	f.CPUStatPercent = 100 * r.stat.Seconds() / r.cpu.Seconds()
	f.CPUWaitPercent = 100 * r.queued.Seconds() / r.cpu.Seconds()
	f.ForeignCores, f.StolenCores = max(0, r.foreign.Seconds()/r.wall.Seconds()), r.stolen.Seconds()/r.wall.Seconds()
	f.PacketBytes = float64(r.bytes) / float64(max(r.packets, 1))
	if r.calls > 0 {
		f.BatchMean = r.sent / r.calls
	}
	r.compare()
	return nil
}

// window measures the server while people talk.
func (r *run) window(ctx context.Context) (err error) {
	r.talk.start()
	defer func() { err = errors.Join(err, r.talk.pause(), sleep(ctx, drainTime)) }()
	if err := sleep(ctx, r.cfg.scaled(warmupTime)); err != nil {
		return err
	}
	metrics, err := r.server.Metrics(ctx)
	if err != nil {
		return err
	}
	thaw, err := r.stall()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, thaw()) }()
	world, err := newWorld(r.server.PIDs())
	if err != nil {
		return err
	}
	h := r.crowd.ears
	packets, others, bytes := h.packets.Load(), h.others.Load(), h.bytes.Load()
	r.crowd.measuring.Store(true)
	err = r.wait(ctx, "talk", r.cfg.Duration/windows)
	r.crowd.measuring.Store(false)
	if err != nil {
		return err
	}
	later, err := newWorld(r.server.PIDs())
	if err != nil {
		return err
	}
	r.packets += h.packets.Load() - packets
	r.others += h.others.Load() - others
	r.bytes += h.bytes.Load() - bytes
	r.cpu += later.server.run - world.server.run
	r.queued += later.server.wait - world.server.wait
	r.stat += later.server.stat - world.server.stat
	r.wall += later.server.at.Sub(world.server.at)
	r.foreign += later.foreign() - world.foreign()
	r.stolen += later.stolen - world.stolen
	return r.told(ctx, metrics)
}

// world is where the CPU time has gone until one moment.
type world struct {
	server, self cpuTime
	busy, stolen time.Duration
}

func newWorld(server []int) (w world, err error) {
	if w.server, err = cpuOf(server...); err != nil {
		return w, err
	}
	if w.self, err = cpuOf(os.Getpid()); err != nil {
		return w, err
	}
	w.busy, w.stolen, err = busyTime()
	return w, err
}

// foreign is what others than the server and the generator have used.
func (w *world) foreign() time.Duration { return w.busy - w.server.stat - w.self.stat }

// told takes what the server says about the window by itself.
func (r *run) told(ctx context.Context, before map[string]float64) error {
	after, err := r.server.Metrics(ctx)
	if err != nil || after == nil {
		return err
	}
	grown := func(name string) float64 { return sumOf(after, name) - sumOf(before, name) }
	r.sent += grown("stentor_forward_sent_packets_total")
	r.calls += grown("stentor_forward_send_calls_total")
	r.f.SendDrops += grown("stentor_forward_send_drops_total")
	const drops, own = "stentor_forward_drops_total", `{reason="own_voice"}` // which is left out on purpose
	r.f.ForwardDrops += grown(drops) - after[drops+own] + before[drops+own]
	r.f.GCCycles += grown("go_gc_duration_seconds_count")
	r.f.GCPauseMsMax = 1000 * after[`go_gc_duration_seconds{quantile="1"}`]
	return nil
}

// account compares what came with what was sent, over the whole run.
func (r *run) account(context.Context) error {
	f := &r.f
	most := r.crowd.heard(f)
	sent := r.talk.sent()
	silences := r.crowd.probed(f, sent)
	f.ExpectedPackets = float64(sent+silences) * float64(r.load.Listeners)
	if r.load.Rendition != "live" { // how many packets the frames were put into, the luckiest listener knows best
		f.ExpectedPackets = float64(most) * float64(r.load.Listeners)
	}
	f.LossPercent = max(0, 100*(1-f.DeliveredPackets/max(f.ExpectedPackets, 1)))
	drops, err := r.crowd.ears.drops()
	f.ReceiverDrops = float64(drops + r.crowd.ears.overflow.Load())
	return err
}

// wait sleeps, and shows how far it is.
func (r *run) wait(ctx context.Context, phase string, d time.Duration) error {
	const steps = 50
	for i := range steps {
		r.cfg.progress(phase, i, steps)
		if err := sleep(ctx, d/steps); err != nil {
			return err
		}
	}
	r.cfg.progress(phase, steps, steps)
	return nil
}
