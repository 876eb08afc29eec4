//go:build !race

// Worlds of one goroutine: the race detector has nothing to find in them, and takes ten times as long.

package cc

import (
	"math/rand/v2"
	"testing"
)

const seeds = 10

// play runs a world for each seed.
func play(t *testing.T, w world, check func(t *testing.T, on outcome)) {
	t.Helper()
	for seed := range uint64(seeds) {
		w.seed, w.bad = seed, false
		on := w.run()
		if check(t, on); t.Failed() {
			t.Fatalf("seed %d: %v", seed, on)
		}
	}
}

// compare runs it with the controller off, too.
func compare(t *testing.T, w world, check func(t *testing.T, on, off outcome)) {
	t.Helper()
	play(t, w, func(t *testing.T, on outcome) {
		off := w
		off.seed, off.off, off.bad = on.seed, true, false
		check(t, on, off.run())
	})
}

// since is when a run's story last changed to the rung it ended on.
func (o outcome) since() int {
	at := 0
	for i, h := range o.history {
		if i > 0 && h.d.Rung != o.history[i-1].d.Rung {
			at = h.ms
		}
	}
	return at
}

func TestHealthyListenersCostNoFeedback(t *testing.T) {
	t.Parallel()
	for _, jitter := range []float64{2, 20, 60} {
		w := world{seconds: 60, talking: talk(3), rate: fixed(0), base: 30, jitter: jitter, config: full}
		play(t, w, func(t *testing.T, on outcome) {
			if on.lowest() != Live || on.moves[MoveRED] != 0 {
				t.Error("a healthy listener was moved")
			}
			if on.feedbackAt > 6000 {
				t.Errorf("feedback until %d ms", on.feedbackAt)
			}
		})
	}
}

func TestPausesDoNotKeepTheDoubtAlive(t *testing.T) {
	t.Parallel()
	spurts := func(ms int) int {
		if ms%4000 < 1500 {
			return 1
		}
		return 0
	}
	w := world{seconds: 60, talking: spurts, rate: fixed(0), base: 30, jitter: 10, config: full}
	play(t, w, func(t *testing.T, on outcome) {
		if on.lowest() != Live || on.feedbackAt > 25_000 {
			t.Errorf("feedback until %d ms", on.feedbackAt)
		}
	})
}

func TestRandomLossIsAnsweredWithRedundancyNotWithLess(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3} {
		w := world{seconds: 60, talking: talk(n), rate: fixed(0), base: 30, jitter: 10, loss: random(0.1), config: full}
		compare(t, w, func(t *testing.T, on, off outcome) {
			if on.lowest() != Live || on.final.RED == 0 {
				t.Error("10 % of random loss wants RED at the top")
			}
			for slot := range n {
				if on.heard[slot] < 99 || off.heard[slot] > 92 {
					t.Errorf("slot %d: heard %.1f %%, off %.1f %%", slot, on.heard[slot], off.heard[slot])
				}
			}
		})
	}
}

// One talker with a first copy needs 94 kb/s, with a second one 131.
func TestRedundancyTakesTheRoomThereIs(t *testing.T) {
	t.Parallel()
	w := world{seconds: 60, talking: talk(1), rate: fixed(110e3), buffer: 0.5, base: 30, jitter: 10, loss: random(0.1), config: full}
	missing := 0.0
	play(t, w, func(t *testing.T, on outcome) {
		missing += 100 - on.heard[0]
		if on.standing > 150 {
			t.Errorf("standing %.0f ms", on.standing)
		}
	})
	if missing > 4.5*seeds {
		t.Errorf("%.1f %% are missing", missing/seeds)
	}
}

func TestOfBurstsAQuarterIsLeft(t *testing.T) {
	t.Parallel()
	w := world{seconds: 60, talking: talk(1), rate: fixed(0), base: 30, jitter: 10, loss: gilbert(0.2, 3), config: full}
	w.config.Resend = false // resend_test.go has it
	var on, off float64
	compare(t, w, func(t *testing.T, a, b outcome) {
		on, off = on+100-a.heard[0], off+100-b.heard[0]
		if a.lowest() != Live {
			t.Error("bursts were taken for congestion")
		}
		if 100-a.heard[0] > 0.35*(100-b.heard[0]) {
			t.Errorf("%.1f %% are missing, off %.1f %%", 100-a.heard[0], 100-b.heard[0])
		}
	})
	if on > off*0.28 {
		t.Errorf("%.1f %% are missing, off %.1f %%", on/seeds, off/seeds)
	}
}

// Who loses in bursts and is then capped gives up his copies, and is not sent them all the same.
func TestSpreadCopiesEndWithTheOthers(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{110e3, 64e3} {
		w := world{seconds: 60, talking: talk(1), rate: before(20_000, 0, rate), buffer: 0.5, base: 30, jitter: 10, loss: gilbert(0.2, 3), config: full}
		play(t, w, func(t *testing.T, on outcome) {
			if on.heard[0] < 60 {
				t.Error("hardly heard")
			}
		})
	}
}

func TestWithoutRedundancyRandomLossKeepsAllSlots(t *testing.T) {
	t.Parallel()
	config := full
	config.RED, config.Resend = 0, false
	w := world{seconds: 60, talking: talk(3), rate: fixed(0), base: 30, jitter: 10, loss: random(0.1), config: config}
	play(t, w, func(t *testing.T, on outcome) {
		if on.lowest() != Live || on.stamped > on.packets/2 {
			t.Errorf("nothing can be done, so nothing should be: %d of %d packets stamped", on.stamped, on.packets)
		}
	})
}

// Three talk at 32 kb/s through 64 kb/s, behind queues of 0.2 to 1 s and behind next to none.
func TestThreeTalkersThroughAPathForOne(t *testing.T) {
	t.Parallel()
	for _, buffer := range []float64{0.03, 0.2, 0.5, 1} {
		w := world{seconds: 60, talking: talk(3), rate: fixed(64e3), buffer: buffer, base: 30, jitter: 5, config: full}
		compare(t, w, func(t *testing.T, on, off outcome) {
			if on.heard[0] < 98.5 || on.hole > 400 || on.standing > 150 {
				t.Errorf("buffer %v s: heard %.1f %%, hole %d ms, standing %.0f ms", buffer, on.heard[0], on.hole, on.standing)
			}
			if off.heard[0] > 60 {
				t.Errorf("off %.1f %%: there was nothing to do", off.heard[0])
			}
			if on.moves[MoveFailed] > 2 {
				t.Errorf("%d failed tries", on.moves[MoveFailed])
			}
		})
	}
}

func TestTenMinutesOnASlowPath(t *testing.T) {
	t.Parallel()
	w := world{seconds: 590, talking: talk(3), rate: fixed(64e3), buffer: 0.5, base: 30, jitter: 10, config: full}
	o := w.run()
	if o.heard[0] < 99 || o.hole > 400 || o.standing > 150 || o.moves[MoveFailed] > 6 {
		t.Errorf("%v", o)
	}
}

func TestOneTalkerThroughFortyKilobits(t *testing.T) {
	t.Parallel()
	for _, buffer := range []float64{0.3, 1} {
		w := world{seconds: 60, talking: talk(1), rate: fixed(40e3), buffer: buffer, base: 30, jitter: 5, config: full}
		compare(t, w, func(t *testing.T, on, off outcome) {
			if on.heard[0] < 99 || on.hole > 400 || on.standing > 200 || off.heard[0] > 75 {
				t.Errorf("heard %.1f %% (off %.1f), hole %d ms, standing %.0f ms", on.heard[0], off.heard[0], on.hole, on.standing)
			}
		})
	}
}

func TestAJoinerBehindASlowPathIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	w := world{seconds: 5, talking: talk(3), rate: fixed(64e3), buffer: 1, base: 30, jitter: 5, config: full}
	play(t, w, func(t *testing.T, on outcome) {
		if len(on.history) < 2 || on.history[1].ms > 1000 {
			t.Error("it took more than a second")
		}
	})
}

func TestAPathThatGetsSlowIsNoticedByReports(t *testing.T) {
	t.Parallel()
	w := world{seconds: 60, talking: talk(3), rate: before(20_000, 0, 64e3), buffer: 0.5, base: 30, jitter: 5, config: full}
	play(t, w, func(t *testing.T, on outcome) {
		if on.final.Rung != Packed60One || on.since() > 27_000 || on.heard[0] < 94 {
			t.Errorf("heard %.1f %%", on.heard[0])
		}
	})
}

func TestALiftedCapIsClimbedWithoutFailedTries(t *testing.T) {
	t.Parallel()
	w := world{seconds: 60, talking: talk(3), rate: before(30_000, 64e3, 1e6), buffer: 1, base: 30, jitter: 5, config: full}
	play(t, w, func(t *testing.T, on outcome) {
		if on.final.Rung != Live || on.since() > 45_000 || on.moves[MoveFailed] > 2 || on.final.Stamp {
			t.Errorf("top at %d ms, %d failed tries", on.since(), on.moves[MoveFailed])
		}
	})
}

func TestWithoutProbesALiftedCapIsClimbedToo(t *testing.T) {
	t.Parallel()
	config := full
	config.Probe = false
	w := world{seconds: 120, talking: talk(3), rate: before(30_000, 64e3, 1e6), buffer: 1, base: 30, jitter: 5, config: config}
	play(t, w, func(t *testing.T, on outcome) {
		if on.final.Rung != Live || on.moves[MoveFailed] > 4 {
			t.Errorf("%v after %d failed tries", on.final.Rung, on.moves[MoveFailed])
		}
	})
}

func outage(from, to int) func(int) bool { return func(ms int) bool { return ms >= from && ms < to } }

func TestAnOutageIsNotCongestion(t *testing.T) {
	t.Parallel()
	for _, from := range []int{1500, 20_000} { // in doubt, and healthy
		w := world{seconds: 60, talking: talk(3), rate: fixed(0), base: 30, jitter: 10, dead: outage(from, from+5000), config: full}
		compare(t, w, func(t *testing.T, on, off outcome) {
			if on.lowest() != Live || on.hole > 5200 && from > 5000 || on.heard[0] < off.heard[0] {
				t.Errorf("hole %d ms", on.hole)
			}
		})
	}
}

func TestAnOutageDoesNotPushALowLegLower(t *testing.T) {
	t.Parallel()
	w := world{seconds: 60, talking: talk(3), rate: fixed(64e3), buffer: 0.5, base: 30, jitter: 10, dead: outage(20_000, 25_000), config: full}
	play(t, w, func(t *testing.T, on outcome) {
		if on.lowest() != Packed60One || on.hole > 5300 {
			t.Errorf("%v, hole %d ms", on.lowest(), on.hole)
		}
	})
}

func TestAStallingRadioIsNotCongestion(t *testing.T) {
	t.Parallel()
	w := world{seconds: 60, talking: talk(3), rate: fixed(1e6), buffer: 1, base: 30, jitter: 5, config: full, stall: func(ms int) int {
		if ms%3000 < 400 {
			return ms - ms%3000 + 400
		}
		return 0
	}}
	play(t, w, func(t *testing.T, on outcome) {
		if on.lowest() != Live {
			t.Error("400 ms without a packet now and then are no reason to send less")
		}
	})
}

// A queue that others fill is nothing that we should send less for: all are heard, whenever the downloads begin. TCP is
// chaos, so a run may take it for ours once, until it knows better.
func TestBesideTwoBulkFlows(t *testing.T) {
	t.Parallel()
	for _, buffer := range []float64{0.2, 0.6} {
		for _, from := range []int{0, 20_000} {
			for _, n := range []int{1, 3} {
				w := world{seconds: 90, talking: talk(n), rate: fixed(1e6), buffer: buffer, base: 20, jitter: 2, flows: 2, flowsAt: from, config: full}
				var sum float64
				compare(t, w, func(t *testing.T, on, off outcome) {
					if on.late > off.late*1.1+10 || on.heard[0] < 96 {
						t.Errorf("%d talking, buffer %v s, from %d: heard %.1f %%, late %.0f ms; off %.1f %%, %.0f ms",
							n, buffer, from, on.heard, on.late, off.heard, off.late)
					}
					sum += on.heard[n-1]
				})
				if least := map[float64]float64{0.2: 95, 0.6: 90}[buffer]; sum < least*seeds { // a longer queue takes longer to tell
					t.Errorf("%d talking, buffer %v s, from %d: the last one is heard %.1f %% of the time", n, buffer, from, sum/seeds)
				}
			}
		}
	}
}

// A path that has been calm on a low rung and gets slower still is not somebody else's queue.
func TestASecondCapIsAnsweredWithAnotherStepDown(t *testing.T) {
	t.Parallel()
	w := world{seconds: 60, talking: talk(3), rate: before(20_000, 64e3, 40e3), buffer: 0.5, base: 30, jitter: 5, config: full}
	play(t, w, func(t *testing.T, on outcome) {
		if on.heard[0] < 99 || on.hole > 400 || on.standing > 300 || on.moves[MoveNotOurs] > 0 {
			t.Errorf("heard %.1f %%, hole %d ms, standing %.0f ms", on.heard[0], on.hole, on.standing)
		}
	})
}

func TestTurnsOfOneAndThreeDoNotMakeItSwing(t *testing.T) {
	t.Parallel()
	turns := func(ms int) int { return 1 + 2*(ms/7000%2) }
	w := world{seconds: 90, talking: turns, rate: fixed(64e3), buffer: 0.5, base: 30, jitter: 10, config: full}
	play(t, w, func(t *testing.T, on outcome) {
		if on.heard[0] < 99 || on.moves[MoveUp] > 3 || on.moves[MoveFailed] > 2 {
			t.Errorf("heard %.1f %%, moves %v", on.heard[0], on.moves)
		}
	})
}

// Who never answers with feedback is judged by reports, or by nothing if there are none.
func TestReportsAlone(t *testing.T) {
	t.Parallel()
	for _, config := range []Config{{RED: 2}, {RED: 2, Feedback: true, Probe: true}} {
		base := world{seconds: 60, base: 30, jitter: 10, noAnswer: true, config: config}
		healthy, lossy, slow := base, base, base
		healthy.talking, healthy.rate = talk(3), fixed(0)
		play(t, healthy, func(t *testing.T, on outcome) {
			if on.lowest() != Live || on.moves[MoveRED] > 0 {
				t.Error("a healthy listener was moved")
			}
		})
		lossy.talking, lossy.rate, lossy.loss = talk(1), fixed(0), random(0.1)
		play(t, lossy, func(t *testing.T, on outcome) {
			if on.lowest() != Live || on.heard[0] < 96 {
				t.Errorf("heard %.1f %%", on.heard[0])
			}
		})
		slow.talking, slow.rate, slow.buffer = talk(3), fixed(64e3), 0.5
		compare(t, slow, func(t *testing.T, on, off outcome) {
			if on.heard[0] < 80 || off.heard[0] > 60 {
				t.Errorf("heard %.1f %%, off %.1f %%", on.heard[0], off.heard[0])
			}
		})
	}
}

func TestTheSameSeedTellsTheSameStory(t *testing.T) {
	t.Parallel()
	w := world{seed: 3, seconds: 60, talking: talk(3), rate: fixed(1e6), buffer: 0.2, base: 20, jitter: 2, flows: 2, config: full}
	a, b := w.run().String(), w.run().String()
	if a != b {
		t.Errorf("%s\nand\n%s", a, b)
	}
}

// However bad the network is, moves keep their distance: that is what a listener would hear of a controller that swings.
func TestMovesKeepTheirDistance(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 25 {
		w := world{seed: r.Uint64(), seconds: 120, talking: talk(1 + r.IntN(3)), buffer: 0.05 + r.Float64(), base: 10 + 90*r.Float64(),
			jitter: 40 * r.Float64(), flows: r.IntN(3), config: full, loss: gilbert(0.3*r.Float64(), 1+3*r.Float64())}
		rates := [4]float64{30e3 + 1e5*r.Float64(), 30e3 + 3e5*r.Float64(), 1e6, 60e3}
		w.rate = func(ms int) float64 { return rates[ms/15_000%4] }
		o := w.run()
		up, last := 0, -10_000
		for i := 1; i < len(o.history); i++ {
			h, p := o.history[i], o.history[i-1]
			if h.d.Rung != p.d.Rung && h.ms-last < 600 {
				t.Fatalf("moves %d ms apart: %v", h.ms-last, o)
			}
			if h.d.Rung < p.d.Rung {
				if up++; h.ms-last < 1900 {
					t.Fatalf("up %d ms after a move: %v", h.ms-last, o)
				}
			}
			if h.d.Rung != p.d.Rung {
				last = h.ms
			}
		}
		if up > 24 {
			t.Fatalf("%d times up in two minutes: %v", up, o)
		}
	}
}
