package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"testing"
)

func TestPercentileIsOfTheNearestRank(t *testing.T) {
	v := []float64{1, 2, 3, 4}
	for p, want := range map[float64]float64{0: 1, 25: 1, 50: 2, 51: 3, 99: 4, 100: 4} {
		if got := Percentile(v, p); got != want {
			t.Errorf("p%g is %g, not %g", p, got, want)
		}
	}
	if Percentile(nil, 50) != 0 || len(Curve(nil)) != 0 {
		t.Error("nothing has a percentile")
	}
	if c := Curve(v); len(c) != 101 || c[0] != 1 || c[50] != 2 || c[100] != 4 {
		t.Errorf("%v", c)
	}
}

func TestMedianAndSlope(t *testing.T) {
	if Median([]float64{3, 1, 2}) != 2 || Median([]float64{4, 1, 2, 3}) != 2.5 || Median(nil) != 0 {
		t.Error("median")
	}
	if Slope(125, 40_000, 500, 70_000) != 80 || Slope(1, 2, 1, 5) != 0 {
		t.Error("slope")
	}
}

func TestACaseIsItsMediansFieldByField(t *testing.T) {
	c := Case{Runs: []Figures{
		{CPUUsPerPacket: 5, LossPercent: 0, LatencyCurve: []float64{1, 9}},
		{CPUUsPerPacket: 9, LossPercent: 2, LatencyCurve: []float64{2, 7}},
		{CPUUsPerPacket: 6, LossPercent: 1, LatencyCurve: []float64{3, 8}},
	}}
	c.Summarize()
	if c.Median.CPUUsPerPacket != 6 || c.Median.LossPercent != 1 || c.Low.CPUUsPerPacket != 5 || c.High.CPUUsPerPacket != 9 {
		t.Errorf("%+v", c.Median)
	}
	if m := c.Median.LatencyCurve; len(m) != 2 || m[0] != 2 || m[1] != 8 {
		t.Errorf("%v", m)
	}
}

// sample is a comparison as a bench makes it.
func sample() *Document {
	d := &Document{Command: "stentor bench fanout", Machine: Machine{CPU: "EPYC <64>", Cores: 2, Kernel: "Linux 6.18", Go: "go1.26"}}
	for i, server := range []string{"stentor", "pion"} {
		for _, n := range []int{50, 500} {
			f := Figures{
				CPUUsPerPacket: 5 + 10*float64(i) + 50/float64(n), FloorUsPerPacket: 4.5, FloorThreads: 2, FloorOneUsPerPacket: 4, LatencyMsP50: 1,
				RSSKBPerListener: 30, JoinCPUMs: 2, IdleUsPerListenerSecond: 20, CPUUsPerListenerSecond: 700,
				LatencyMsP99: 4, LatencyCurve: Curve([]float64{0.5, 1, 2, 4 + float64(i)}),
			}
			f.RatioToFloor = f.CPUUsPerPacket / f.FloorUsPerPacket
			g := f
			g.CPUUsPerPacket++
			c := Case{Server: server, Rendition: "live", Listeners: n, Speakers: 3, Talking: 3, Runs: []Figures{f, g}}
			c.Summarize()
			d.Cases = append(d.Cases, c)
		}
	}
	return d
}

func TestTheTableHasALineForEachCaseAndItsDoubts(t *testing.T) {
	d := sample()
	d.Cases[3].High.ReceiverDrops = 12
	var b strings.Builder
	if err := WriteTable(&b, d); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 6 {
		t.Fatalf("%d lines:\n%s", len(lines), b.String())
	}
	if !strings.HasPrefix(lines[1], "stentor  50×3") || !strings.Contains(lines[1], "6.50 (6.00…7.00)") {
		t.Errorf("%s", lines[1])
	}
	if want := "! pion 500×3 live: the generator itself dropped 12 packets; the run is void"; lines[5] != want {
		t.Errorf("%s", lines[5])
	}
}

func TestWhatIsNotANumberIsNotShown(t *testing.T) {
	if round(math.NaN(), 1) != "0" || round(math.Inf(1), 1) != "0" || round(1.25, 1) != "1.2" {
		t.Error("round")
	}
}

// TestThePageNeedsNothingButItself reads the page as XML, which its charts are, and looks for what it must show.
func TestThePageNeedsNothingButItself(t *testing.T) {
	var b strings.Builder
	if err := WritePage(&b, sample()); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, forbidden := range []string{"http://", "https://", "src=", "<script", "NaN", "Inf"} {
		if strings.Contains(text, forbidden) {
			t.Errorf("the page has %s", forbidden)
		}
	}
	for _, wanted := range []string{"EPYC &lt;64&gt;", "floor (2)", "floor (1)", ">pion<", "500 listeners × 3 talking", "4.50 (2) / 4.00 (1)", "prefers-color-scheme: dark", "6.50 (6.00…7.00)"} {
		if !strings.Contains(text, wanted) {
			t.Errorf("the page has no %s", wanted)
		}
	}
	const charts = 8 // two of bars, one of latency, two of size, three of what else the sample has
	if n := strings.Count(text, "<svg"); n != charts {
		t.Errorf("%d charts", n)
	}
	for _, chart := range strings.SplitAfter(text, "</svg>")[:charts] {
		d := xml.NewDecoder(strings.NewReader(chart[strings.Index(chart, "<svg"):]))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v in %s", err, chart)
			}
		}
	}
}

func TestABarIsAsLongAsItsValue(t *testing.T) {
	chart := string(bars("x", chartWidth, []bar{{name: "load"}, {name: "a", value: 10, kind: "s0"}, {name: "b", value: 5, kind: "s1"}}, 0))
	full := float64(chartWidth - barLeft - barRight)
	for _, want := range []string{fmt.Sprintf(`width="%.1f"`, full), fmt.Sprintf(`width="%.1f"`, full/2)} {
		if !strings.Contains(chart, want) {
			t.Errorf("no bar has %s: %s", want, chart)
		}
	}
	if bars("x", chartWidth, []bar{{name: "nothing"}}, 0) != "" {
		t.Error("a chart of nothing")
	}
}

func TestTicksAreRound(t *testing.T) {
	for top, want := range map[float64]float64{10: 2, 99: 20, 4: 1, 0.7: 0.1, 45: 10} {
		if got := niceStep(top); math.Abs(got-want) > 1e-9 {
			t.Errorf("up to %g in steps of %g", top, got)
		}
	}
	if a := logAxis([]float64{0.5, 20}); len(a.ticks) != 6 || a.ticks[0] != 0.5 && a.ticks[0] != 1 {
		t.Errorf("%v", a.ticks)
	}
}

func TestEachNumberOfTalkersHasItsChart(t *testing.T) {
	d := sample()
	for _, c := range sample().Cases {
		c.Talking = 1
		d.Cases = append(d.Cases, c)
	}
	charts := byTalking(d, func(talking int) template.HTML {
		return plot("x", "x", "y", sizeLines(d, talking, func(f *Figures) float64 { return f.CPUUsPerPacket }, true), sizesOf(d))
	})
	if len(charts) != 2 || charts[0].Title != "3 talking" || charts[1].Title != "1 talking" {
		t.Fatalf("%d charts", len(charts))
	}
	for _, c := range charts {
		// Two servers and the floor, at two sizes each.
		if n := strings.Count(string(c.Chart), "<circle"); n != 6 {
			t.Errorf("%s has %d points", c.Title, n)
		}
	}
}

func TestARenditionIsToldFromTheOtherOfItsServer(t *testing.T) {
	d := sample()
	packed := d.Cases[1]
	packed.Rendition = "packed60"
	d.Cases = append(d.Cases, packed)
	looks := map[string]string{}
	for _, l := range latencyLines(d, 3) {
		if other, taken := looks[l.kind]; taken {
			t.Errorf("%s looks as %s", l.name, other)
		}
		looks[l.kind] = l.name
	}
	if len(looks) != 3 || looks["s0 r1"] != "stentor packed60" {
		t.Errorf("%v", looks)
	}
}

// recordedSample is a comparison of three runs that are recorded with three that are not.
func recordedSample() *Document {
	d := &Document{Cases: []Case{
		{Server: "stentor", Rendition: "live", Listeners: 500, Talking: 3, Recorded: "off"},
		{Server: "stentor", Rendition: "live", Listeners: 500, Talking: 3, Recorded: "on"},
		{Server: "stentor", Rendition: "live", Listeners: 500, Talking: 3, Recorded: "stalled"},
		{Server: "pion", Rendition: "live", Listeners: 500, Talking: 3, Recorded: "off"},
	}}
	for i := range d.Cases {
		c := &d.Cases[i]
		for run, mood := range []float64{1, 2, 1.5} { // the machine's, in which ratios must not show
			f := Figures{CPUUsPerPacket: 5 * mood, CPUCores: 0.4, LatencyMsP50: 1, LatencyMsP99: 3 * mood, LatencyCurve: Curve([]float64{1, 3})}
			if c.recorded() {
				f.CPUUsPerPacket, f.CPUCores, f.LatencyMsP99 = 5.1*mood, 0.42, 3*mood+0.25
				f.RecordingDropped = float64(run)
			}
			c.Runs = append(c.Runs, f)
		}
		c.Summarize()
	}
	d.Recording = CompareRecording(d.Cases)
	return d
}

func TestARecordedRoomIsComparedRunByRun(t *testing.T) {
	d := recordedSample()
	if len(d.Recording) != 2 || d.Recording[0].Recorded != "on" || d.Recording[1].Recorded != "stalled" {
		t.Fatalf("%+v", d.Recording)
	}
	want := "500×3 live: recording costs × 1.020 (1.020…1.020) a packet, +2.0 (+2.0…+2.0) % of a core; " +
		"latency p50 +0.00 (+0.00…+0.00) ms, p99 +0.25 (+0.25…+0.25) ms; 2 packets missing"
	if got := d.Recording[0].String(); got != want {
		t.Errorf("%s\nand not\n%s", got, want)
	}
	d.Cases[0].Runs = nil // stopped before the first pair was whole
	if got := CompareRecording(d.Cases); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestWhatIsRecordedIsToldFromWhatIsNot(t *testing.T) {
	var table, page, plain strings.Builder
	d := recordedSample()
	if err := errors.Join(WriteTable(&table, d), WritePage(&page, d), WriteTable(&plain, sample())); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"RECORDED", "= 500×3 live, disk stalled: recording costs × 1.020", "! stentor 500×3 live recorded: 2 packets are missing in the recording"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, table.String())
		}
	}
	for _, want := range []string{"What recording adds", "<th>RECORDED</th>", ">stentor recorded<", ">stentor recorded, disk stalled<", "s0 r0 k1", "s0 r0 k2"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Contains(plain.String(), "RECORDED") {
		t.Error("a column of nothing")
	}
}

func TestBothFloorsAreToldWithTheirThreads(t *testing.T) {
	f := Figures{FloorThreads: 2, FloorOneUsPerPacket: 4}
	if got := floors(&f, "5 (2)", "4 (1)"); got != "5 (2) / 4 (1)" {
		t.Error(got)
	}
	f.FloorThreads = 1
	if got := floors(&f, "4 (1)", "4 (1)"); got != "4 (1)" {
		t.Error(got)
	}
	if got := floors(&Figures{}, "0", "0"); got != "–" {
		t.Error(got)
	}
}
