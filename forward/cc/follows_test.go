//go:build !race

// Worlds of one goroutine: the race detector has nothing to find in them, and takes ten times as long.

package cc

import "testing"

// Who is sent packed packets by the room's or his own wish is judged by what they cost, not by what they would cost live.
func TestAPackedListenerIsJudgedByWhatIsSent(t *testing.T) {
	t.Parallel()
	for _, asked := range []Packing{Of60ms, Of120ms} {
		w := world{seconds: 120, talking: talk(3), rate: before(30_000, 60e3, 160e3), buffer: 0.3, base: 30, jitter: 5, config: full, packed: asked}
		play(t, w, func(t *testing.T, on outcome) {
			if on.lowest() < Packed60One || on.final.Rung != Live || on.final.Stamp || on.moves[MoveFailed] > 1 {
				t.Errorf("packing %d: in the end %+v, %v", asked, on.final, on)
			}
			for _, h := range on.history {
				if h.d.Rung == Packed60 || asked == Of120ms && h.d.Rung == Packed120One {
					t.Errorf("packing %d: at %d ms %v, which sends what another one does", asked, h.ms, h.d.Rung)
				}
			}
		})
	}
}

// Four packets of 60 ms are too long ago to be of use.
func TestPackedCopiesAreNotSpread(t *testing.T) {
	t.Parallel()
	w := world{seconds: 60, talking: talk(1), rate: fixed(0), base: 30, jitter: 10, loss: gilbert(0.2, 3), config: full, packed: Of60ms}
	play(t, w, func(t *testing.T, on outcome) {
		red := false
		for _, h := range on.history {
			if red = red || h.d.RED == 2; h.d.Spread {
				t.Errorf("copies are spread at %d ms", h.ms)
			}
		}
		if !red {
			t.Error("no copies")
		}
	})
}

// A room that goes live costs more than was ever healthy: whoever was sent packed packets is in doubt before he reports.
func TestAPackedListenerIsInDoubtWhenTheRoomGoesLive(t *testing.T) {
	t.Parallel()
	const live = 40_000
	for seed := range uint64(seeds) {
		w := world{seed: seed, seconds: 60, talking: talk(3), rate: fixed(0), base: 30, jitter: 5, config: full, packed: Of60ms}
		stamped := [2]bool{}
		w.trace = func(ms int, _ *Ladder, d Decision) {
			if w.packed = Of60ms; ms >= live {
				w.packed = AsItCame
			}
			if ms > live-5000 && ms < live {
				stamped[0] = stamped[0] || d.Stamp
			}
			if ms >= live && ms < live+2500 {
				stamped[1] = stamped[1] || d.Stamp
			}
		}
		if w.run(); stamped != [2]bool{false, true} {
			t.Errorf("seed %d: in doubt before and after: %v", seed, stamped)
		}
	}
}

// A mix is the same on every rung: nothing is told that is not done.
func TestAMixHasNoRungs(t *testing.T) {
	t.Parallel()
	w := world{seconds: 60, talking: talk(1), rate: fixed(40e3), buffer: 0.3, base: 30, jitter: 5, config: full, fixed: true}
	play(t, w, func(t *testing.T, on outcome) {
		if on.lowest() != Live || on.moves[MoveDown]+on.moves[MoveUp] > 0 {
			t.Errorf("%v", on)
		}
	})
}

// Feedback may stop while its listener goes on: then the reports decide, as if there had been none.
func TestWhoseFeedbackStopsIsJudgedByReports(t *testing.T) {
	t.Parallel()
	w := world{seconds: 90, talking: talk(3), rate: before(30_000, 10e6, 64e3), buffer: 0.3, base: 30, jitter: 5, loss: random(0.1), config: full, mute: 20_000}
	play(t, w, func(t *testing.T, on outcome) {
		if on.final.Rung < Packed60One {
			t.Errorf("64 kb/s, and in the end %+v, %v", on.final, on)
		}
	})
}
