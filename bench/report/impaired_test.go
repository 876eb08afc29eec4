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
		r := &impair.Run{Kbps: 59.5}
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
		"seed 42", "A &lt;train&gt; leaves.", "the train &amp; its tunnel", "67.08 %", "100.00 %", "held", "missed", "packed120_one", "--s1:",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page has no %q", want)
		}
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
