package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestASummarySaysWhoSpokeWhen(t *testing.T) {
	s, err := Speech(bytes.NewReader(timelineOf(t, evening())))
	if err != nil {
		t.Fatal(err)
	}
	want := &Summary{
		Duration: 432000,
		People: []PersonSpeech{{
			Person: "alice", Present: []Interval{{0, 432000}}, Speaking: []Interval{{24000, 100000}}, Muted: []Interval{{100000, 192000}},
			Peaks: []Peaks{{0, []int8{-23, -20}}},
		}, {
			Person: "bob", Present: []Interval{{60000, 300000}, {310000, 432000}},
			Speaking: []Interval{{70000, 144000}, {200000, 300000}}, // the crash ends what he said before
			Peaks:    []Peaks{{1, []int8{-127}}, {4, []int8{-30}}},
		}},
		Gaps: []Gap{{144000, 192000, "crash"}},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got %+v\nwant %+v", s, want)
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"speaking":[[0.5,2.083333]]`, `"peaks":[{"second":0,"dbov":[-23,-20]}]`, `"duration_s":9`} {
		if !bytes.Contains(b, []byte(part)) {
			t.Errorf("no %s in %s", part, b)
		}
	}
	var back Summary
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(&back, want) {
		t.Errorf("read again: %v, %+v", err, back)
	}
}

func TestASummaryOfNothing(t *testing.T) {
	for name, lines := range map[string][]Line{
		"an empty file":          nil,
		"nobody came":            {{Type: Start}, {At: 96000, Type: Stop}},
		"somebody said nothing":  {{Type: Start}, {Type: Joined, Person: "a"}, {At: 96000, Type: Stop}},
		"ends without a quiet":   {{Type: Start}, {At: 5, Type: Speaking, Person: "a"}},
		"twice the same":         {{Type: Start}, {At: 5, Type: Speaking, Person: "a"}, {At: 5, Type: Speaking, Person: "a"}, {At: 5, Type: Quiet, Person: "a"}},
		"ceased before it began": {{Type: Start}, {At: 5, Type: Quiet, Person: "a"}, {At: 9, Type: Left, Person: "b"}},
	} {
		s, err := Speech(bytes.NewReader(timelineOf(t, lines)))
		if err != nil || s.People == nil {
			t.Fatalf("%s: %v, %+v", name, err, s)
		}
		for _, p := range s.People {
			if len(p.Speaking) > 0 || len(p.Peaks) > 0 {
				t.Errorf("%s: %+v", name, p)
			}
		}
	}
}

// TestASummaryAgainstADiary lets people speak and be silent at random, and asks at random moments who spoke.
func TestASummaryAgainstADiary(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 1))
	const ticks, tick = 3000, 4800
	people := []string{"a", "b", "c", "d"}
	var diary [ticks]map[string]bool
	speaks := map[string]bool{}
	lines := []Line{{Type: Start}}
	for i := range ticks {
		for _, p := range people {
			if r.IntN(20) == 0 {
				speaks[p] = !speaks[p]
				what := Quiet
				if speaks[p] {
					what = Speaking
				}
				lines = append(lines, Line{At: int64(i * tick), Type: what, Person: p})
			}
		}
		diary[i] = map[string]bool{}
		for p, yes := range speaks {
			diary[i][p] = yes
		}
	}
	lines = append(lines, Line{At: ticks * tick, Type: Stop})
	s, err := Speech(bytes.NewReader(timelineOf(t, lines)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.People {
		spoke := func(at Position) bool {
			for _, i := range p.Speaking {
				if i.From <= at && at < i.To {
					return true
				}
			}
			return false
		}
		for i := range ticks {
			if at := Position(i * tick); spoke(at) != diary[i][p.Person] || spoke(at+tick-1) != diary[i][p.Person] {
				t.Fatalf("%s at %d: the diary says %v", p.Person, at, diary[i][p.Person])
			}
		}
	}
	if len(s.People) != len(people) {
		t.Errorf("%d people", len(s.People))
	}
}

// TestASummaryOfHoursIsShort is what a page loads for three hours of thirty people who speak one after the other.
func TestASummaryOfHoursIsShort(t *testing.T) {
	lines := []Line{{Type: Start}}
	for s := int64(1); s <= 3*3600; s++ {
		who := fmt.Sprint("person-", s/60%30)
		if s%60 == 0 {
			lines = append(lines, Line{At: s * SampleRate, Type: Speaking, Person: who})
		}
		lines = append(lines, Line{At: s * SampleRate, Type: Levels, Levels: map[string]int{who: -20 - int(s%9)}})
		if s%60 == 59 {
			lines = append(lines, Line{At: s * SampleRate, Type: Quiet, Person: who})
		}
	}
	sum, err := Speech(bytes.NewReader(timelineOf(t, lines)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(sum)
	if err != nil || len(b) > 60<<10 || len(sum.People) != 30 {
		t.Errorf("%v: %d octets for %d people", err, len(b), len(sum.People))
	}
}
