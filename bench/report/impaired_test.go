package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"stentor/bench/impair"
	"stentor/bench/impair/scenario"
)

func trouble(t *testing.T) *impair.Comparison {
	t.Helper()
	s, err := scenario.Read(strings.NewReader(`
name: train
story: A <train> leaves.
who: 1 of 2 listeners
lasts: 3s
speakers: [{name: ada, rate: 32 kb/s, level: -20}]
network: [{at: 1s, what: the train & its tunnel, cap: 64 kb/s}]
must: [heard at least 98 %, failed tries at most 0]
`))
	if err != nil {
		t.Fatal(err)
	}
	run := func(rung int) *impair.Run {
		r := &impair.Run{Kbps: 59.5, Strips: []impair.Strip{{Speaker: "ada & co", Cells: strings.Repeat(" ", 50) + strings.Repeat("#", 40) + "##~~.##.##" + strings.Repeat("#", 50)}}}
		for i := range 3 {
			r.Trace = append(r.Trace, impair.Sample{S: i, SentKbps: 59, CapKbps: 64, DelayMs: 60, HeardPercent: 100, Rung: rung})
		}
		return r
	}
	c := &impair.Comparison{Name: s.Name, Story: s.Story, Seed: 42, Scenario: s, Off: run(0), On: run(3), Good: run(0)}
	c.Verdicts = []impair.Verdict{{Must: "heard at least 98 %", Off: 67.08, On: 100, Unit: "%", Held: true}, {Must: "failed tries at most 0", On: 2}}
	return c
}

func TestThePageOfListenersInTrouble(t *testing.T) {
	var out bytes.Buffer
	if err := WriteImpairedPage(&out, "stentor bench impair", []*impair.Comparison{trouble(t)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"seed 42", "A &lt;train&gt; leaves.", "the train &amp; its tunnel", "67.08 %", "100.00 %", "held", "missed", "packed120_one", "--s1:", "ada &amp; co", `class="madeup"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

func TestSeveralSeedsHaveATableOnThePage(t *testing.T) {
	var out bytes.Buffer
	a, b := trouble(t), trouble(t)
	b.Seed, b.Verdicts[0].On, b.Verdicts[0].Held = 43, 97, false
	if err := WriteImpairedPage(&out, "stentor bench impair", []*impair.Comparison{a, b}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"all seeds: must", "98.50 %", "<td>97.00 %</td><td>43</td><td>1 of 2</td><td>yes</td>", "seed 42"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if n := strings.Count(out.String(), "<svg"); n != 1 {
		t.Errorf("%d pictures of one story", n)
	}
}

func TestAColumnOfAStripSaysWhatBecameOfIt(t *testing.T) {
	got := tenths("     #####~~~~~.....##~~.  #~.##")
	want := []tenth{{}, {1, 1, 0}, {1, 0, 1}, {1, 0, 0}, {1, 0.4, 0.4}, {1, 1. / 3, 1. / 3}, {1, 1, 0}}
	if len(got) != len(want) {
		t.Fatalf("%v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("column %d is %v, want %v", i, got[i], want[i])
		}
	}
	px := func(v float64) float64 { return 100 * v }
	path := outline(got[:4], func(c tenth) (float64, float64) { return 1 - c.sounded, 1 }, 10, px)
	if path != "M10.0 10.0H20.0V28.0H10.0z" {
		t.Errorf("its outline is %s", path)
	}
}

func TestThePictureIsWellFormed(t *testing.T) {
	text := string(timeline(trouble(t)))
	dec := xml.NewDecoder(strings.NewReader("<p>" + text + "</p>"))
	for {
		_, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("the picture has numbers that are none")
	}
}
