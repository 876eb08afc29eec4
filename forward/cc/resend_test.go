//go:build !race

// Worlds of one goroutine: the race detector has nothing to find in them, and takes ten times as long.

package cc

import (
	"fmt"
	"testing"
)

// resends are listeners who are sent again what they have lost: by feedback, and because they ask for it.
var (
	byFeedback = Config{Feedback: true, Probe: true, Resend: true}
	byNack     = Config{Resend: true}
)

func with(c Config, red uint8) Config {
	c.RED = red
	return c
}

// late is the mean share of the dominant speaker's frames that did not come within 300 ms, in percent.
func late(t *testing.T, w world, most float64) {
	t.Helper()
	missing, worst, resent, packets, down := 0.0, 0.0, 0, 0, 0
	play(t, w, func(t *testing.T, on outcome) {
		missing, worst = missing+100-on.soon, max(worst, 100-on.soon)
		resent, packets = resent+on.resent, packets+on.packets
		if on.lowest() != Live {
			down++
		}
	})
	missing /= seeds
	if missing > most {
		t.Errorf("%.1f %% are missing, want %.1f at most", missing, most)
	}
	if down > seeds/3 {
		t.Errorf("%d runs of %d went down", down, seeds)
	}
	t.Logf("missing after 300 ms: %.2f (%.2f) %%, %.1f %% sent again, %d went down", missing, worst, 100*float64(resent)/float64(packets), down)
}

func TestWithoutRedundancyLossIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]world{
		"feedback": {config: byFeedback}, "NACK": {config: byNack, nack: true}, "both": {config: byFeedback, nack: true}, "both, Firefox": {config: firefox, nack: true},
	} {
		w.seconds, w.talking, w.rate, w.base, w.jitter = 60, talk(1), fixed(0), 30, 10
		t.Run(name+", by chance", func(t *testing.T) {
			w := w
			w.loss = random(0.1)
			late(t, w, 2.2)
		})
		t.Run(name+", by chance, three talk", func(t *testing.T) {
			w := w
			w.loss, w.talking = random(0.1), talk(3)
			late(t, w, 2.2)
		})
		t.Run(name+", in bursts", func(t *testing.T) {
			w := w
			w.loss = gilbert(0.2, 3)
			late(t, w, 8)
		})
	}
}

func TestWhatRedundancyLeavesIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]world{
		"feedback": {config: with(byFeedback, 2)}, "NACK": {config: with(byNack, 2), nack: true},
	} {
		w.seconds, w.talking, w.rate, w.base, w.jitter = 60, talk(1), fixed(0), 30, 10
		t.Run(name+", by chance", func(t *testing.T) {
			w := w
			w.loss = random(0.1)
			late(t, w, 0.5)
		})
		t.Run(name+", in bursts", func(t *testing.T) {
			w := w
			w.loss = gilbert(0.2, 3)
			late(t, w, 5)
		})
	}
}

// A path that is full is not made fuller: three talk through 64 kb/s, with and without what is sent again.
func TestACapIsNotMadeWorse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config Config
		nack   bool
	}{
		"feedback": {config: with(byFeedback, 2)}, "feedback, no RED": {config: byFeedback},
		"NACK": {config: byNack, nack: true}, "NACK and feedback": {with(byFeedback, 2), true},
	} {
		for _, buffer := range []float64{0.03, 0.5} {
			t.Run(fmt.Sprintf("%s, queue of %v s", name, buffer), func(t *testing.T) {
				with := world{seconds: 60, talking: talk(3), rate: fixed(64e3), buffer: buffer, base: 30, jitter: 5, config: c.config, nack: c.nack}
				without := with
				without.config.Resend, without.nack = false, false
				var a, b [3]float64
				for seed := range uint64(seeds) {
					with.seed, without.seed = seed, seed
					x, y := with.run(), without.run()
					a[0], a[1], a[2] = a[0]+x.heard[0], a[1]+float64(x.hole), max(a[2], x.standing)
					b[0], b[1], b[2] = b[0]+y.heard[0], b[1]+float64(y.hole), max(b[2], y.standing)
				}
				t.Logf("heard %.2f, hole %.0f ms, standing %.0f ms; without %.2f, %.0f, %.0f", a[0]/seeds, a[1]/seeds, a[2], b[0]/seeds, b[1]/seeds, b[2])
				if a[0] < b[0]-0.5*seeds || a[1] > 1.2*b[1]+50*seeds || a[2] > 1.2*b[2]+20 {
					t.Error("it has become worse")
				}
			})
		}
	}
}

// Who loses nothing is sent nothing again, and watched no longer.
func TestAHealthyListenerIsSentNothingAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []world{{config: with(byFeedback, 2)}, {config: byFeedback}, {config: byNack, nack: true}} {
		for _, jitter := range []float64{2, 60} {
			w := world{seconds: 60, talking: talk(3), rate: fixed(0), base: 30, jitter: jitter, config: c.config, nack: c.nack}
			play(t, w, func(t *testing.T, on outcome) {
				if on.resent > 0 || on.feedbackAt > 6000 || on.lowest() != Live {
					t.Errorf("%d packets were sent again", on.resent)
				}
			})
		}
	}
}
