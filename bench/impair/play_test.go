package impair

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stentor/bench/impair/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stormy has something of everything, in less than half a minute.
const stormy = `
name: stormy
who: 1 of 6 listeners
lasts: 26s
measured_from: 8s
speakers:
  - {name: ada, rate: 32 kb/s, level: -18}
  - {name: ben, rate: 24 kb/s, level: -26, talks: [{from: 1s, to: 9s}, {from: 11s, to: 26s}]}
  - {name: cem, rate: 32 kb/s, level: -28}
network:
  - {at: 3s, cap: 64 kb/s, queue: 400ms}
  - {at: 13s, loss: 10 %, burst: 2, jitter: 10ms}
  - {at: 18s, outage: true}
  - {at: 20s, cap: 500 kb/s, queue: 200ms, flows: 2}
  - {at: 24s}
must:
  - sessions lost at most 0
  - changed at most 0
`

func story(t *testing.T, text string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func compare(t *testing.T, s *scenario.Scenario, seed uint64) *Comparison {
	t.Helper()
	stage := &Stage{Seed: seed, Bubble: InTest(t)}
	c, err := stage.Compare(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestASeedGivesTheSameRunEachTime(t *testing.T) {
	s := story(t, stormy)
	text := func(seed uint64) string {
		c := compare(t, s, seed)
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Held() {
			t.Errorf("seed %d: %+v", seed, c.Verdicts)
		}
		return string(b)
	}
	first := text(1)
	if again := text(1); again != first {
		t.Errorf("the second run differs:\n%s", difference(first, again))
	}
	if text(2) == first {
		t.Error("another seed gives the same")
	}
}

// difference shows where two texts part.
func difference(a, b string) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	from := max(0, i-300)
	return a[from:min(len(a), i+100)] + "\n" + b[from:min(len(b), i+100)]
}

// play plays once, in virtual time.
func play(t *testing.T, s *scenario.Scenario, o Options) (r *Run) {
	t.Helper()
	InTest(t)(func() {
		var err error
		if r, err = Play(context.Background(), s, o); err != nil {
			t.Error(err)
		}
	})
	if r == nil {
		t.FailNow()
	}
	return r
}

const voice = `
name: voice
who: 1 of 3 listeners
lasts: 12s
measured_from: 4s
speakers: [{name: ada, rate: 32 kb/s, level: -20}]
must: [heard at least 98 %]
`

func between(t *testing.T, what string, got, low, high float64) {
	t.Helper()
	if !(got >= low && got <= high) {
		t.Errorf("%s is %.4g, want %g … %g", what, got, low, high)
	}
}

func TestAGoodNetworkIsHeardInFull(t *testing.T) {
	r := play(t, story(t, voice+"network: [{at: 2s, delay: 50ms}]"), Options{Seed: 1})
	if r.Heard.Heard != 100 || r.Sounded != 100 || r.Silence != 0 || r.Concealed != 0 || r.Hole != 0 || r.SessionsLost != 0 {
		t.Errorf("%+v", r.Heard)
	}
	between(t, "mouth to ear", r.DelayMs, 20+50+20, 20+50+60)
	between(t, "rate", r.Kbps, 55, 62) // 80 octets of Opus and 68 of headers, 50 times a second: 59
}

func TestWithoutControllerANetworkIsHeardAsBadAsItIs(t *testing.T) {
	lossy := play(t, story(t, voice+"network: [{at: 2s, loss: 20 %}]"), Options{Seed: 1})
	between(t, "concealed at 20 % loss", lossy.Concealed, 15, 25)
	capped := play(t, story(t, voice+"network: [{at: 1s, cap: 30 kb/s, queue: 500ms}]"), Options{Seed: 1})
	between(t, "heard of 59 kb/s through 30", capped.Heard.Heard, 45, 56)
	between(t, "its queue", capped.QueueMsP95, 420, 500)
	dark := play(t, story(t, voice+"network: [{at: 5s, outage: true}, {at: 8s}]"), Options{Seed: 1})
	between(t, "the hole of an outage", dark.Hole, 2990, 3100)
	between(t, "audio back", dark.AudioBackMs, 20, 100)
	if dark.SessionsLost != 0 {
		t.Errorf("%d sessions lost in 3 s", dark.SessionsLost)
	}
}

func TestAnUnharmedRunIsTheSameStoryOnAGoodNetwork(t *testing.T) {
	s := story(t, voice+"network: [{at: 1s, cap: 30 kb/s, queue: 300ms}]")
	good, bad := play(t, s, Options{Seed: 1, Unharmed: true}), play(t, s, Options{Seed: 1})
	if good.Heard.Heard != 100 || !slices.Equal(good.digests, bad.digests) || len(good.digests) != 2 {
		t.Errorf("%+v, the others got %x and %x", good.Heard, good.digests, bad.digests)
	}
}

func TestWhoGotSomethingElseIsFound(t *testing.T) {
	s := story(t, voice+"network: [{at: 1s}]")
	other := story(t, strings.Replace(voice, "32 kb/s", "33 kb/s", 1)+"network: [{at: 1s}]")
	a, b := play(t, s, Options{Seed: 1}), play(t, other, Options{Seed: 1})
	if n := changed(a.digests, b.digests); n != 2 {
		t.Errorf("of two listeners who heard other packets %d were found", n)
	}
	if n := changed(a.digests, a.digests[:1]); n != 2 {
		t.Errorf("one listener less: %d", n)
	}
}

func TestAStoryCanBeCutShort(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	InTest(t)(func() {
		if _, err := Play(ctx, story(t, stormy), Options{Seed: 1}); err == nil {
			t.Error("it was played to the end")
		}
	})
}

// TestAStoryOverRealSockets takes the time of the story. It counts packets, and looks at no clock: a machine that stands
// still for a while sends them late, and sends them all.
func TestAStoryOverRealSockets(t *testing.T) {
	s := story(t, `
name: real
who: 1 of 2 listeners
lasts: 2s
speakers: [{name: ada, rate: 32 kb/s, level: -20}]
network: [{at: 0s, loss: 50 %}]
must: [sessions lost at most 0]
`)
	r, err := Play(context.Background(), s, Options{Seed: 1, Real: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.said != 100 || len(r.came) != 2 {
		t.Fatalf("%d frames of 2 s were said, packets came to listeners: %v", r.said, r.came)
	}
	said, bad, good := float64(r.said), float64(r.came[0]), float64(r.came[1])
	between(t, "packets to the listener without trouble", good, 0.9*said, 2*said) // a pause is closed with silence
	between(t, "packets with half of them lost", bad, 0.25*good, 0.75*good)       // chance brings 35 to 65 of a hundred
	if r.FramesPlayed == 0 || r.Sounded == 0 {
		t.Errorf("of %g packets nothing was heard: %+v, %+v", bad, r.Heard, r.Listened)
	}
	if r.SessionsLost != 0 || len(r.digests) != 1 {
		t.Errorf("%d sessions lost, digests %x", r.SessionsLost, r.digests)
	}
}

func TestMostTriesInAMinute(t *testing.T) {
	s := func(list ...int) (out []time.Duration) {
		for _, v := range list {
			out = append(out, time.Duration(v)*time.Second)
		}
		return out
	}
	for want, times := range map[int][]time.Duration{0: nil, 1: s(0, 60, 120), 3: s(0, 50, 70, 100), 2: s(1, 60)} {
		if got := mostInAMinute(times); got != want {
			t.Errorf("%v: %d, want %d", times, got, want)
		}
	}
}

func TestTheTable(t *testing.T) {
	s := story(t, voice+"network: [{at: 1s}]")
	c := &Comparison{Name: "voice", Seed: 7, Scenario: s, Off: &Run{Kbps: 59.5}, On: &Run{Kbps: 40}, Good: &Run{}}
	c.On.Heard.Heard, c.On.DelayMs, c.Good.DelayMs = 97.5, 80, 60
	c.On.Sounded, c.On.DominantSounded, c.On.Silence = 97.25, 96.75, 123
	c.judge()
	if c.Held() || len(c.Verdicts) != 1 {
		t.Fatalf("%+v", c.Verdicts)
	}
	var out bytes.Buffer
	if err := WriteTable(&out, []*Comparison{c}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"heard at least 98 %", "97.50 %", "NO", "+20 ms", "59.5", "97.25 %", "96.75 %", "123 ms", "seed 7: 1 of 1 scenarios did not hold: voice"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	c.On.Heard.Heard, c.Verdicts = 98, nil
	c.judge()
	if !c.Held() || summary([]*Comparison{c}) != "seed 7: all of 1 scenarios held" {
		t.Errorf("%+v", c.Verdicts)
	}
}
