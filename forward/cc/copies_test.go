//go:build !race

// Worlds of one goroutine: the race detector has nothing to find in them, and takes ten times as long.

package cc

import (
	"math/rand/v2"
	"testing"
)

// firefox has no RED, and says what it got.
var firefox = Config{Feedback: true, Probe: true, Resend: true, Copies: true}

// soonOf is the mean share of the dominant speaker's frames that did not come within 300 ms.
func soonOf(t *testing.T, w world, check func(t *testing.T, on outcome)) (missing, worst float64) {
	t.Helper()
	play(t, w, func(t *testing.T, on outcome) {
		missing, worst = missing+(100-on.soon)/seeds, max(worst, 100-on.soon)
		if check != nil {
			check(t, on)
		}
	})
	return missing, worst
}

func TestWithoutRedundancyCopiesAreSentAhead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		talking, base int
		loss          float64
		mean          float64
	}{
		"near": {1, 10, 0.1, 1.5}, "60 ms": {1, 60, 0.1, 1.5}, "far": {1, 150, 0.1, 1.5}, "three talk": {3, 60, 0.1, 1.5}, "5 %": {1, 60, 0.05, 1.5},
	} {
		t.Run(name, func(t *testing.T) {
			w := world{seconds: 60, talking: talk(c.talking), rate: fixed(0), base: float64(c.base), jitter: 10, loss: random(c.loss), config: firefox}
			missing, worst := soonOf(t, w, func(t *testing.T, on outcome) {
				if on.lowest() != Live || on.copies < on.packets*2/3 && c.loss == 0.1 || 100-on.soon > 2 {
					t.Errorf("%d copies of %d packets", on.copies, on.packets)
				}
			})
			if t.Logf("missing %.2f (%.2f) %%", missing, worst); missing > c.mean {
				t.Errorf("%.2f %% are missing", missing)
			}
		})
	}
}

func TestCopiesHelpAgainstBursts(t *testing.T) {
	t.Parallel()
	w := world{seconds: 60, talking: talk(1), rate: fixed(0), base: 60, jitter: 10, loss: gilbert(0.2, 3), config: firefox}
	with, worst := soonOf(t, w, func(t *testing.T, on outcome) {
		if on.lowest() > Live {
			t.Error("went down")
		}
	})
	w.config.Copies = false
	without, worstOff := soonOf(t, w, nil)
	if t.Logf("missing %.2f (%.2f) %%, without %.2f (%.2f)", with, worst, without, worstOff); with > without*0.8 {
		t.Error("it is no better")
	}
}

// sums of a world over all seeds.
type sums struct {
	heard, last, hole, standing, late float64
	copies, moved                     int
}

func sum(w world) (s sums) {
	for seed := range uint64(seeds) {
		w.seed, w.bad = seed, false
		o := w.run()
		s.heard, s.last, s.hole = s.heard+o.heard[0]/seeds, s.last+o.heard[w.talking(0)-1]/seeds, s.hole+float64(o.hole)/seeds
		s.standing, s.late, s.copies = max(s.standing, o.standing), s.late+o.late/seeds, s.copies+o.copies
		s.moved += int(o.moves[MoveRED])
	}
	return s
}

// A path that is full is not made fuller, and what others fill is not given up for it.
func TestCopiesMakeNoPathWorse(t *testing.T) {
	t.Parallel()
	worlds := map[string]world{
		"64 kb/s, no queue, three":   {talking: talk(3), rate: fixed(64e3), buffer: 0.03, base: 30, jitter: 5},
		"64 kb/s, queue, three":      {talking: talk(3), rate: fixed(64e3), buffer: 0.5, base: 30, jitter: 5},
		"64 kb/s, no queue, one":     {talking: talk(1), rate: fixed(64e3), buffer: 0.03, base: 30, jitter: 5},
		"64 kb/s, loss, queue, one":  {talking: talk(1), rate: fixed(64e3), buffer: 0.5, base: 30, jitter: 5, loss: random(0.1)},
		"64 kb/s, loss, none, one":   {talking: talk(1), rate: fixed(64e3), buffer: 0.03, base: 30, jitter: 5, loss: random(0.1)},
		"96 kb/s, loss, queue, one":  {talking: talk(1), rate: fixed(96e3), buffer: 0.5, base: 30, jitter: 5, loss: random(0.1)},
		"downloads, short, three":    {talking: talk(3), rate: fixed(1e6), buffer: 0.2, base: 20, jitter: 2, flows: 2},
		"downloads, long, three":     {talking: talk(3), rate: fixed(1e6), buffer: 0.6, base: 20, jitter: 2, flows: 2},
		"downloads from 20 s, three": {talking: talk(3), rate: fixed(1e6), buffer: 0.2, base: 20, jitter: 2, flows: 2, flowsAt: 20_000},
		"downloads, short, one":      {talking: talk(1), rate: fixed(1e6), buffer: 0.2, base: 20, jitter: 2, flows: 2},
	}
	for name, w := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.seconds, w.config = 60, firefox
			on := sum(w)
			w.config.Copies = false
			off := sum(w)
			t.Logf("%+v; without %+v", on, off)
			if on.heard < off.heard-1 || on.last < off.last-2 || on.standing > 1.2*off.standing+40 || on.hole > 1.2*off.hole+50 {
				t.Error("it has become worse")
			}
		})
	}
}

func TestAHealthyListenerIsSentNoCopies(t *testing.T) {
	t.Parallel()
	for _, jitter := range []float64{2, 20, 60} {
		w := world{seconds: 60, talking: talk(3), rate: fixed(0), base: 30, jitter: jitter, config: firefox}
		play(t, w, func(t *testing.T, on outcome) {
			if on.lowest() != Live || on.copies > 0 || on.feedbackAt > 6000 {
				t.Errorf("%d copies, feedback until %d ms", on.copies, on.feedbackAt)
			}
		})
	}
}

// Who asks for what it misses has it by asking, from the first loss on; who begins to ask while everything comes twice, from
// then on.
func TestWhoAsksIsSentNoCopies(t *testing.T) {
	t.Parallel()
	const late = 30_000
	for _, from := range []int{0, late} {
		w := world{seconds: 60, talking: talk(1), rate: fixed(0), base: 30, jitter: 10, loss: random(0.1), config: firefox, nack: true, nackFrom: from}
		missing, worst := soonOf(t, w, func(t *testing.T, on outcome) {
			copied := false
			for _, h := range on.history {
				copied = copied || h.d.Copies
				if h.d.Copies && h.ms > from+500 && h.ms < from+1000 {
					t.Errorf("copies at %d ms", h.ms)
				}
			}
			if copied != (from > 0) || on.final.Copies || on.lowest() != Live || on.resent == 0 {
				t.Errorf("asking from %d ms on: copies %t, %v", from, copied, on)
			}
		})
		if t.Logf("asking from %d ms on: missing %.2f (%.2f) %%", from, missing, worst); missing > 2.2 {
			t.Errorf("%.2f %% are missing", missing)
		}
	}
}

func TestCopiesEndWithTheLoss(t *testing.T) {
	t.Parallel()
	const end = 40_000
	w := world{seconds: 80, talking: talk(1), rate: fixed(0), base: 60, jitter: 10, config: firefox}
	latest := 0
	for seed := range uint64(seeds) {
		now := 0
		w.seed, w.loss = seed, nil
		on := w
		on.trace = func(ms int, _ *Ladder, _ Decision) { now = ms }
		on.loss = lossUntil(&now, end)
		o := on.run()
		if o.final.Copies || o.final.Stamp {
			t.Fatalf("seed %d: %v", seed, o)
		}
		for _, h := range o.history {
			if h.d.Copies {
				continue
			}
			if h.ms > end {
				latest = max(latest, h.ms-end)
				break
			}
		}
	}
	if t.Logf("the last one ended after %d ms", latest); latest > 30_000 {
		t.Error("too late")
	}
}

// lossUntil loses a tenth until a time.
func lossUntil(now *int, end int) func(*rand.Rand, *world) bool {
	return func(r *rand.Rand, _ *world) bool { return r.Float64() < 0.1 && *now < end }
}

// In packets of 120 ms a copy comes 120 ms late, which is no queue: copies would be given up for it.
func TestWhatComesByItsCopyIsNoQueue(t *testing.T) {
	t.Parallel()
	w := world{seconds: 120, talking: talk(1), rate: fixed(0), base: 60, jitter: 20, loss: random(0.2), config: firefox}
	w.config.Forbid = 0b0111
	missing, worst := soonOf(t, w, nil)
	if t.Logf("missing %.2f (%.2f) %%", missing, worst); missing > 12 {
		t.Errorf("%.2f %% are missing", missing)
	}
}
