package cc

import "testing"

// resends are listeners who are sent again what they have lost: by feedback, and because they ask for it.
var (
	byFeedback = Config{Feedback: true, Probe: true, Resend: true}
	byNack     = Config{NACK: true, Resend: true}
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
		"feedback": {config: byFeedback}, "NACK": {config: byNack, nack: true}, "both": {config: Config{Feedback: true, Probe: true, Resend: true, NACK: true}, nack: true},
	} {
		w.seconds, w.talking, w.rate, w.base, w.jitter = 60, talk(1), fixed(0), 30, 10
		t.Run(name+", by chance", func(t *testing.T) {
			w := w
			w.loss = random(0.1)
			late(t, w, 2.1) // the most there is for who hears of it every 100 to 300 ms
		})
		t.Run(name+", by chance, three talk", func(t *testing.T) {
			w := w
			w.loss, w.talking = random(0.1), talk(3)
			late(t, w, 2)
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
