package impair

import (
	"math"
	"strings"
	"testing"
)

const threeVoices = `
name: three
who: 1 of 3 listeners
lasts: 16s
measured_from: 4s
speakers:
  - {name: ada, rate: 32 kb/s, level: -18}
  - {name: ben, rate: 32 kb/s, level: -26}
  - {name: cem, rate: 32 kb/s, level: -28}
must: [sounded at least 98 %, dominant sounded at least 98 %, longest silence at most 500 ms, dominant silence at most 500 ms]
`

// TestWhatIsCountedIsWhatSounds plays whole stories: what a jitter buffer would have played, by its book, is what there is in the
// sound that was decoded, for networks that give little and much of it.
func TestWhatIsCountedIsWhatSounds(t *testing.T) {
	for _, c := range []struct {
		text, network string
		adapt         bool
		low, high     float64
	}{
		{voice, "network: [{at: 1s, delay: 40ms}]", false, 100, 100},
		{voice, "network: [{at: 1s, loss: 10 %}]", false, 86, 94},
		{voice, "network: [{at: 1s, loss: 10 %}]", true, 98, 100},
		{threeVoices, "network: [{at: 1s, cap: 64 kb/s, queue: 500ms}]", false, 30, 45},
		{threeVoices, "network: [{at: 1s, cap: 64 kb/s, queue: 500ms}]", true, 33, 40},
		{threeVoices, "network: [{at: 1s, delay: 60ms, jitter: 40ms}]", false, 97, 100},
	} {
		r := play(t, story(t, c.text+c.network), Options{Seed: 1, Adapt: c.adapt})
		between(t, c.network+": sounded", r.Sounded, c.low, c.high)
		if math.Abs(r.Sounded-r.Heard.Heard) > 0.5 || math.Abs(r.DominantSounded-r.Dominant) > 0.7 {
			t.Errorf("%s: %.2f and %.2f %% counted, %.2f and %.2f %% sounded", c.network, r.Heard.Heard, r.Dominant, r.Sounded, r.DominantSounded)
		}
		if math.Abs(r.Silence-r.Hole) > 80 { // four frames: among two thirds that are made up some of the others drown
			t.Errorf("%s: a hole of %.0f ms and a silence of %.0f ms", c.network, r.Hole, r.Silence)
		}
	}
}

func TestAStripHasEverySpeakersWords(t *testing.T) {
	r := play(t, story(t, stormy), Options{Seed: 1})
	if len(r.Strips) != 3 || r.Strips[1].Speaker != "ben" {
		t.Fatalf("%+v", r.Strips)
	}
	for _, s := range r.Strips {
		if len(s.Cells) != 26*50 || strings.Trim(s.Cells, "#~. ") != "" {
			t.Errorf("%s: %q", s.Speaker, s.Cells)
		}
	}
	ben := r.Strips[1].Cells
	if ben[:50] != strings.Repeat(" ", 50) || ben[9*50:11*50] != strings.Repeat(" ", 100) || ben[60:140] != strings.Repeat("#", 80) {
		t.Errorf("ben, who is silent at first and from 9 to 11 s: %q", ben)
	}
	if outage := r.Strips[0].Cells[18*50+25 : 20*50-3]; strings.Contains(outage, "#") {
		t.Errorf("something is heard in an outage: %q", outage)
	}
}
