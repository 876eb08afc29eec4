//go:build linux

package fanout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"

	"stentor/bench/client"
	"stentor/bench/report"
)

const (
	// joinsAtOnce is how many participants join in parallel.
	joinsAtOnce = 8
	// joinTimeout is for one of them.
	joinTimeout = 20 * time.Second
	// probesMax is how many listeners decrypt everything.
	probesMax = 20
)

// crowd is all participants of a run. Speakers come first in ears.list.
type crowd struct {
	server    server
	load      Load
	ears      *ears
	speech    *speech
	measuring atomic.Bool // probes keep latencies
	spread    int         // probes are among so many listeners, the first; 0: all

	mu      sync.Mutex
	clients []*client.Client // by their number; nil until connected
	joinMs  []float64        // of listeners
	probes  []*probe
}

func newCrowd(s server, load Load) (*crowd, error) {
	n := load.Speakers + load.Listeners
	h, err := openEars(n)
	if err != nil {
		return nil, err
	}
	return &crowd{server: s, load: load, ears: h, speech: newSpeech(), clients: make([]*client.Client, n)}, nil
}

// join lets participants from … to-1 join, joinsAtOnce at a time, and returns when all are connected, or at the first
// failure.
func (c *crowd) join(ctx context.Context, from, to int, progress func(done int)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, done atomic.Int64
	next.Store(int64(from))
	var workers sync.WaitGroup
	for range min(joinsAtOnce, to-from) {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= to || ctx.Err() != nil {
					return
				}
				if err := c.joinOne(ctx, i); err != nil {
					cancel(fmt.Errorf("participant %d: %w", i, err))
					return
				}
				progress(int(done.Add(1)))
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

func (c *crowd) joinOne(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	speaks := i < c.load.Speakers
	listener := i - c.load.Speakers
	var p *probe
	if !speaks && c.isProbe(listener) {
		p = newProbe(c.speech, c.load.Talking, &c.measuring)
	}
	e := c.ears.join(i, !speaks, p)
	cfg := client.Config{
		Conn: e, Lines: c.load.slots(), AutoRTCP: speaks,
		Profiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM},
	}
	if p != nil {
		cfg.OnPacket = p.take
	}
	began := time.Now()
	one, err := client.New(cfg)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.clients[i] = one
	c.mu.Unlock()
	name := fmt.Sprintf("listener-%d", listener)
	if speaks {
		name = fmt.Sprintf("speaker-%d", i)
	}
	answer, err := c.server.Join(ctx, name, speaks, one.Offer())
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	if err := one.Connect(ctx, answer); err != nil {
		return err
	}
	took := time.Since(began)
	c.ears.do(func() { e.client = one })
	if !speaks {
		c.mu.Lock()
		c.joinMs = append(c.joinMs, took.Seconds()*1000)
		if p != nil {
			c.probes = append(c.probes, p)
		}
		c.mu.Unlock()
	}
	return nil
}

// isProbe spreads the probes evenly over the listeners.
func (c *crowd) isProbe(listener int) bool {
	every := max(1, cmp.Or(c.spread, c.load.Listeners)/probesMax)
	return listener%every == 0 && listener/every < probesMax
}

// talkers are those who talk.
func (c *crowd) talkers() []*client.Client { return c.clients[:c.load.Talking] }

// heard adds up what listeners got.
func (c *crowd) heard(f *report.Figures) (most uint64) {
	c.ears.do(func() {
		for i := range c.ears.list {
			e := c.ears.list[i].Load()
			if e == nil || !e.listens {
				continue
			}
			s := e.tally.sum()
			f.DeliveredPackets += float64(s.packets)
			f.SequenceGaps += float64(s.gaps)
			f.LatePackets += float64(s.late)
			f.Duplicates += float64(s.duplicates)
			f.StrangePackets += float64(e.tally.strange)
			most = max(most, s.packets)
		}
	})
	f.StrangePackets += float64(c.ears.truncated.Load() + c.ears.strangers.Load())
	return most
}

// probed adds up what the probes found out. frames is how many each of them should have heard. It returns how many
// silences a server has added to them.
func (c *crowd) probed(f *report.Figures, frames uint64) (silences uint64) {
	var ms []float64
	for _, p := range c.probes {
		p.mu.Lock()
		ms = append(ms, p.ms...)
		f.ProbeFrames += float64(p.frames)
		f.ProbeMissing += float64(frames) - float64(min(frames, p.frames))
		f.ProbeFailures += float64(p.unknown + p.repeated)
		silences = max(silences, p.silences)
		p.mu.Unlock()
	}
	for i, one := range c.clients {
		if e := c.ears.list[i].Load(); one != nil && e != nil && e.probe != nil {
			f.ProbeFailures += float64(one.Stats().DecryptFailures)
		}
	}
	slices.Sort(ms)
	f.LatencyMsP50, f.LatencyMsP99 = report.Percentile(ms, 50), report.Percentile(ms, 99)
	f.LatencyMsP999, f.LatencyCurve = report.Percentile(ms, 99.9), report.Curve(ms)
	return silences
}

// joined tells how long joining took.
func (c *crowd) joined(f *report.Figures) {
	slices.Sort(c.joinMs)
	f.JoinMsP50, f.JoinMsP99 = report.Percentile(c.joinMs, 50), report.Percentile(c.joinMs, 99)
}

// close lets everybody vanish without a word.
func (c *crowd) close() error {
	var gone sync.WaitGroup
	for _, one := range c.clients {
		if one != nil {
			gone.Go(func() { _ = one.Abort() }) // closes an ear, which cannot fail
		}
	}
	gone.Wait()
	return c.ears.close()
}
