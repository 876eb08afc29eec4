package impair

import (
	"bytes"
	"strings"
	"testing"
)

// seeds are comparisons of one story: heard and concealed, off and on.
func seeds(t *testing.T, figures ...[4]float64) (list []*Comparison) {
	t.Helper()
	s := story(t, strings.Replace(voice, "must: [heard at least 98 %]", "must: [heard at least 98 %, concealed at most 0.5 of off]", 1)+"network: [{at: 1s}]")
	for i, f := range figures {
		c := &Comparison{Name: s.Name, Seed: uint64(4 + i), Scenario: s, Off: &Run{}, On: &Run{}, Good: &Run{}}
		c.Off.Heard.Heard, c.On.Heard.Heard, c.Off.Concealed, c.On.Concealed = f[0], f[1], f[2], f[3]
		c.judge()
		list = append(list, c)
	}
	return list
}

func TestSeedsAreToldByTheirMeanAndTheirWorst(t *testing.T) {
	list := seeds(t, [4]float64{80, 99, 20, 9}, [4]float64{70, 97, 20, 11}, [4]float64{60, 100, 30, 11})
	got := InSeries(list)[0].Spreads()
	want := []Spread{
		{Must: "heard at least 98 %", Unit: "%", Off: 70, On: 296. / 3, Worst: 97, WorstSeed: 5, Held: 2, InTheMean: true},
		// Seed 6 conceals as much as seed 5, but of more.
		{Must: "concealed at most 0.5 of off", Unit: "%", Off: 70. / 3, On: 31. / 3, Worst: 11, WorstSeed: 5, Held: 2, InTheMean: true},
	}
	for i := range want {
		between(t, "mean off", got[i].Off, want[i].Off-1e-9, want[i].Off+1e-9)
		between(t, "mean on", got[i].On, want[i].On-1e-9, want[i].On+1e-9)
		got[i].Off, got[i].On = want[i].Off, want[i].On
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	var out bytes.Buffer
	if err := WriteSeeds(&out, list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"98.67 %", "97.00 %", "2 of 3", "yes", "seeds 4 to 6: 1 of 1 scenarios did not hold in each: voice (but in the mean)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestAMeanThatDoesNotHoldIsTold(t *testing.T) {
	var out bytes.Buffer
	if err := WriteSeeds(&out, seeds(t, [4]float64{80, 99, 20, 11}, [4]float64{70, 98, 20, 10})); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "NO") || !strings.Contains(out.String(), "voice (nor in the mean)") {
		t.Errorf("%s", out.String())
	}
	out.Reset()
	if err := WriteSeeds(&out, seeds(t, [4]float64{80, 99, 20, 10}, [4]float64{70, 98, 20, 1})); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "seeds 4 to 5: all of 1 scenarios held in each") {
		t.Errorf("%s", out.String())
	}
}
