package forward

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// talker is a source in front of the selection.
type talker struct {
	source
	level float64 // mean, decibels below overload
}

// choir lets talkers speak against each other, in steps of 20 ms.
type choir struct {
	t   *testing.T
	rng *rand.Rand
	sel selection
	all []*talker
	now time.Time

	changes int // slots given since the last look
}

func newChoir(t *testing.T, seed uint64, slots, talkers int) *choir {
	c := &choir{t: t, rng: rand.New(rand.NewPCG(seed, 4)), now: time.Unix(1e9, 0)}
	c.sel.places = make([]place, slots)
	for range talkers {
		c.all = append(c.all, &talker{source: source{slot: -1}, level: 30})
	}
	return c
}

var always = thresholds{onset: 126, hold: 126}

// frame lets one talker say one packet, with noise of ±spread decibels. It checks what holds for every packet.
func (c *choir) frame(s *talker, spread float64) {
	s.speech.hear(uint8(s.level+(c.rng.Float64()*2-1)*spread+0.5), false, always, c.now)
	before := c.holders()
	slot, got := c.sel.offer(&s.source, c.now)
	if slot != s.slot || (slot >= 0 && c.sel.places[slot].holder != &s.source) {
		c.t.Fatalf("was given slot %d, holds %d", slot, s.slot)
	}
	if got {
		c.changes++
		was := before[slot]
		if was == nil {
			return
		}
		if slices.Contains(before, nil) {
			c.t.Fatal("somebody was displaced though a slot was free")
		}
		if was.priority && !s.priority {
			c.t.Fatal("priority was displaced by one without")
		}
		if was.slot != -1 {
			c.t.Fatal("the displaced one still believes in its slot")
		}
	} else if slot < 0 && slices.Contains(before, nil) {
		c.t.Fatal("refused though a slot is free")
	}
	c.check()
}

func (c *choir) holders() (out []*source) {
	for i := range c.sel.places {
		out = append(out, c.sel.places[i].holder)
	}
	return out
}

// check holds sources and places against each other.
func (c *choir) check() {
	seen := map[*source]int{}
	for i, h := range c.holders() {
		if h == nil {
			continue
		}
		if j, twice := seen[h]; twice {
			c.t.Fatalf("one source holds slots %d and %d", i, j)
		}
		seen[h] = i
		if h.slot != i {
			c.t.Fatalf("the holder of slot %d believes it has %d", i, h.slot)
		}
	}
	for _, s := range c.all {
		if _, holds := seen[&s.source]; holds != (s.slot >= 0) {
			c.t.Fatalf("a source believes it has slot %d", s.slot)
		}
	}
}

// talk lets those speak who do, for a while.
func (c *choir) talk(d, spread float64, who ...*talker) {
	for range int(d / 0.02) {
		for _, i := range c.rng.Perm(len(who)) {
			c.frame(who[i], spread)
		}
		c.now = c.now.Add(frameTime)
	}
}

func TestSelectionHoldsItsRules(t *testing.T) {
	for seed := range uint64(100) {
		c := newChoir(t, seed, 1+int(seed%5), 12)
		for range 3000 {
			s := c.all[c.rng.IntN(len(c.all))]
			switch c.rng.IntN(20) {
			case 0:
				c.sel.release(&s.source, c.now)
				s.speech.stop()
				c.check()
			case 1:
				s.priority = c.rng.IntN(4) == 0
			case 2:
				s.level = 5 + c.rng.Float64()*70
			case 3: // leaves; another comes in its place
				c.sel.release(&s.source, c.now)
				c.sel.forget(&s.source)
				for _, p := range c.sel.places {
					if p.holder == &s.source || p.last == &s.source {
						t.Fatal("the selection refers to a source that is gone")
					}
				}
				s.source = source{slot: -1}
			default:
				c.frame(s, 3)
			}
			c.now = c.now.Add(time.Duration(c.rng.IntN(20)) * time.Millisecond)
		}
	}
}

func TestEqualsDoNotTakeTurns(t *testing.T) {
	for seed := range uint64(50) {
		c := newChoir(t, seed, 3, 8)
		c.talk(2, 2, c.all...)
		c.changes = 0
		c.talk(60, 2, c.all...)
		if c.changes != 0 {
			t.Errorf("seed %d: slots changed %d times in a minute among eight of the same level", seed, c.changes)
		}
	}
}

func TestTheLoudestWinInSpiteOfWhoWasFirst(t *testing.T) {
	for seed := range uint64(50) {
		c := newChoir(t, seed, 3, 8)
		loudest := c.rng.Perm(8)[:3]
		for i, s := range c.all {
			s.level = 45
			if slices.Contains(loudest, i) {
				s.level = 30
			}
		}
		c.talk(4, 2, c.all...)
		for i, s := range c.all {
			if (s.slot >= 0) != slices.Contains(loudest, i) {
				t.Errorf("seed %d: talker %d with level -%v has slot %d", seed, i, s.level, s.slot)
			}
		}
	}
}

func TestPriorityComesInAtOnceAndStays(t *testing.T) {
	c := newChoir(t, 1, 2, 4)
	host, guests := c.all[0], c.all[1:]
	host.priority, host.level = true, 70
	for _, g := range guests {
		g.level = 5
	}
	c.talk(1, 0, guests[:2]...)
	c.frame(host, 0)
	if host.slot < 0 {
		t.Fatal("the host waits")
	}
	c.talk(30, 2, c.all...)
	if host.slot < 0 {
		t.Error("the host was displaced")
	}
}

func TestNobodyIsHeardForHalfAWord(t *testing.T) {
	c := newChoir(t, 1, 1, 2)
	first, second := c.all[0], c.all[1]
	first.level, second.level = 60, 10
	start := c.now
	c.frame(first, 0)
	for second.slot < 0 {
		c.frame(first, 0)
		c.frame(second, 0)
		c.now = c.now.Add(frameTime)
	}
	if held := c.now.Sub(start); held < holdTime || held > holdTime+2*frameTime {
		t.Errorf("the first was heard for %v, want %v", held, holdTime)
	}
}

func TestAReturningVoiceGetsItsOldSlot(t *testing.T) {
	c := newChoir(t, 1, 3, 4)
	a, b, x := c.all[0], c.all[1], c.all[2]
	for _, s := range []*talker{a, b} {
		c.frame(s, 0)
	}
	old := b.slot
	c.sel.release(&a.source, c.now)
	c.now = c.now.Add(time.Second)
	c.sel.release(&b.source, c.now)
	c.frame(b, 0)
	if b.slot != old {
		t.Errorf("came back to slot %d, had %d", b.slot, old)
	}
	c.frame(x, 0)
	if x.slot != 2 {
		t.Errorf("a new voice got slot %d, want the one free for longest", x.slot)
	}
}

func BenchmarkSelection(b *testing.B) {
	for _, slots := range []int{3, 16} {
		b.Run(fmt.Sprintf("slots=%d", slots), func(b *testing.B) {
			var sel selection
			sel.places = make([]place, slots)
			now := time.Unix(1e9, 0)
			all := make([]source, 2*slots)
			for i := range all {
				all[i].slot = -1
				all[i].speech.smooth = float64(20 + i)
			}
			b.ReportAllocs()
			for i := range b.N {
				sel.offer(&all[i%len(all)], now)
			}
		})
	}
}
