package engine

import (
	"testing"
	"time"
)

// node is a shard that works: so many listeners cost so much of it live, and a part of that packed.
type node struct {
	t       *testing.T
	lever   lever
	now     time.Time
	live    float64 // load with all of them live
	cheaper float64 // by how much packed is
	moves   int     // of the lever
	full    int     // looks at which there was more than it can do
}

func newNode(t *testing.T, live, cheaper float64) *node {
	return &node{t: t, lever: lever{high: packHigh, low: packLow}, now: time.Unix(1000, 0), live: live, cheaper: cheaper}
}

func (n *node) load() float64 {
	packed := float64(n.lever.tenths) / allTenths
	return n.live * (1 - packed + packed/n.cheaper)
}

// passes lets time pass, with a look every lookEvery.
func (n *node) passes(d time.Duration) {
	for end := n.now.Add(d); n.now.Before(end); {
		n.now = n.now.Add(lookEvery)
		load := n.load()
		if load > 1 {
			n.full++
		}
		if n.lever.pull(load, n.now) {
			n.moves++
		}
	}
}

func TestAShardThatIsNotBusyPacksNobody(t *testing.T) {
	n := newNode(t, packHigh-0.01, 4)
	n.passes(time.Hour)
	if n.moves != 0 {
		t.Errorf("%d moves", n.moves)
	}
}

func TestABusyShardPacksForAllAtOnce(t *testing.T) {
	n := newNode(t, packHigh+0.01, 4)
	n.passes(lookEvery)
	if n.lever.tenths != allTenths {
		t.Errorf("%d tenths packed", n.lever.tenths)
	}
}

func TestWhenTheLoadIsGoneAllAreLiveAgainSoon(t *testing.T) {
	n := newNode(t, 2, 4)
	n.passes(time.Minute)
	n.live = 0.3
	if n.passes(2*peakSpan + 5*stepTime); n.lever.tenths != 0 {
		t.Errorf("%d tenths are still packed", n.lever.tenths)
	}
}

// TestAPauseOfWhoSpeaksIsNoEndOfTheLoad: for three seconds nothing is to be sent.
func TestAPauseOfWhoSpeaksIsNoEndOfTheLoad(t *testing.T) {
	n := newNode(t, 2.3, 4)
	n.passes(time.Minute)
	n.moves = 0
	for range 20 {
		n.live = 0
		n.passes(3 * time.Second)
		n.live = 2.3
		n.passes(4 * time.Second)
	}
	if n.moves > 4 || n.lever.tenths < allTenths-1 {
		t.Errorf("%d moves; %d tenths are packed", n.moves, n.lever.tenths)
	}
}

// TestALoadThatStaysDoesNotFlap: whatever is asked of a shard, and however much packing saves, listeners do not change all the
// time, and the shard is nearly never asked for more than it can do.
func TestALoadThatStaysDoesNotFlap(t *testing.T) {
	for _, cheaper := range []float64{2.2, 4, 8} {
		for live := 0.1; live/cheaper < packLow; live += 0.1 {
			n := newNode(t, live, cheaper)
			n.passes(5 * time.Minute)
			n.moves, n.full = 0, 0
			n.passes(30 * time.Minute)
			if n.moves > 2*30 || n.full > 30*int(stepTime/lookEvery) {
				t.Errorf("live %.1f, packed %.2f: %d moves and %d full looks in half an hour", live, live/cheaper, n.moves, n.full)
			}
			if n.load() > packHigh {
				t.Errorf("live %.1f, packed %.2f: the load stays at %.2f", live, live/cheaper, n.load())
			}
		}
	}
}

// TestAStepThatFailsIsTakenBackAndTheNextOneWaitsLonger: a tenth of the listeners is more than there is room for.
func TestAStepThatFailsIsTakenBackAndTheNextOneWaitsLonger(t *testing.T) {
	n := newNode(t, 4.5, 8) // packed 0.56; a tenth of them live is 0.39 more
	n.passes(lookEvery)
	var last time.Time
	var waits []time.Duration
	for len(waits) < 7 {
		was := n.lever.tenths
		n.passes(lookEvery)
		if was == allTenths && n.lever.tenths == allTenths-1 {
			if !last.IsZero() {
				waits = append(waits, n.now.Sub(last).Truncate(time.Second))
			}
			last = n.now
		}
		if n.lever.tenths < allTenths-1 {
			t.Fatalf("%d tenths packed", n.lever.tenths)
		}
	}
	for i, want := range []time.Duration{12, 24, 48, 64, 64, 64, 64} {
		if waits[i] != want*time.Second {
			t.Fatalf("waited %v between two tries", waits)
		}
	}
}

// TestTalkersThatComeAndGoDoNotFlap: one talks, three do, one does. Each change is an event of every listener.
func TestTalkersThatComeAndGoDoNotFlap(t *testing.T) {
	for _, turn := range []time.Duration{8 * time.Second, 15 * time.Second, 25 * time.Second} {
		n := newNode(t, 0, 4)
		packs := 0 // times that all were packed, and as often back
		for end := n.now.Add(10 * time.Minute); n.now.Before(end); {
			for _, n.live = range []float64{0.95, 0.32} {
				for range turn / lookEvery {
					was := n.lever.tenths
					if n.passes(lookEvery); n.lever.tenths == allTenths && was < allTenths {
						packs++
					}
				}
			}
		}
		if packs > 4+10 { // until the wait is the longest, and then one in a minute
			t.Errorf("turns of %v: packed %d times in ten minutes", turn, packs)
		}
		n.live = 0.1
		if n.passes(waitMost + 2*stepTime); n.lever.tenths != 0 {
			t.Errorf("turns of %v: when it is over, %d tenths stay packed", turn, n.lever.tenths)
		}
		n.passes(2 * forgiven)
		n.live = 0.95
		n.passes(lookEvery)
		n.live = 0.1
		if n.passes(waitLeast + 2*stepTime); n.lever.tenths != 0 {
			t.Errorf("turns of %v: after a long calm the way back takes longer than the first time", turn)
		}
	}
}

func TestAFailureIsForgivenAfterAMinute(t *testing.T) {
	n := newNode(t, 2, 4)
	n.passes(3 * time.Minute)
	n.live = 0.1
	n.passes(2 * time.Minute) // all live, for more than a minute
	n.live = 0.9
	n.passes(lookEvery)
	if n.lever.tenths != allTenths || n.lever.wait != waitLeast {
		t.Errorf("%d tenths packed, the first step waits %v", n.lever.tenths, n.lever.wait)
	}
}

func TestALoadInBetweenChangesNothing(t *testing.T) {
	n := newNode(t, 2, 2.6) // packed 0.77: above low, below high
	n.passes(time.Hour)
	if n.moves != 1 || n.lever.tenths != allTenths {
		t.Errorf("%d moves, %d tenths", n.moves, n.lever.tenths)
	}
}
