package scenario

import (
	"slices"
	"strings"
	"testing"
	"time"

	"stentor/bench/impair/model"
)

const good = `name: train
story: A phone on a train.
who: 1 of 50 listeners
lasts: 60s
measured_from: 15s
way: 30ms
speakers:
  - {name: ada, rate: 32 kb/s, level: -20}
  - name: ben
    rate: 24 kb/s
    level: -10
    talks:
      - {from: 10s, to: 20s}
network:
  - {at: 10s, what: the train leaves, cap: 64 kb/s, queue: 400ms, flows: 1}
  - {at: 20s, loss: 20 %, burst: 3, jitter: 10ms, reorder: true, delay: 0s}
  - {at: 40s, outage: true}
  - {at: 41s}
must:
  - longest hole at most 500 ms
  - heard at least 98 %
  - concealed at most 0.5 of off
`

func read(t *testing.T, text string) *Scenario {
	t.Helper()
	s, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAStoryIsRead(t *testing.T) {
	s := read(t, good)
	const ms = time.Millisecond
	want := []model.Step{
		{Conditions: model.Conditions{Delay: 30 * ms}},
		{At: 10 * time.Second, Conditions: model.Conditions{Delay: 30 * ms, Rate: 64_000, Queue: 3200, Flows: 1}},
		{At: 20 * time.Second, Conditions: model.Conditions{Loss: 0.2, Burst: 3, Jitter: 10 * ms, Reorder: true}},
		{At: 40 * time.Second, Conditions: model.Conditions{Delay: 30 * ms, Down: true}},
		{At: 41 * time.Second, Conditions: model.Conditions{Delay: 30 * ms}},
	}
	if got := s.Down(); !slices.Equal(got, want) {
		t.Errorf("down is\n%+v, want\n%+v", got, want)
	}
	want[1].Rate, want[1].Queue, want[1].Flows = 0, 0, 0
	if got := s.Up(); !slices.Equal(got, want) {
		t.Errorf("up is\n%+v, want\n%+v", got, want)
	}
	if s.Who.Listeners != 50 || s.Speakers[0].Octets() != 80 || s.LastChange() != 41*time.Second {
		t.Errorf("%+v", s)
	}
	for at, want := range map[time.Duration]int{0: 0, 10 * time.Second: 1, 20 * time.Second: 0} {
		if got := s.Dominant(at); got != want {
			t.Errorf("at %v %d leads, want %d", at, got, want)
		}
	}
	if !s.Must[0].Holds(500, 0) || s.Must[0].Holds(501, 0) || s.Must[1].Holds(97.9, 0) || !s.Must[2].Holds(5, 10) || s.Must[2].Holds(5.1, 10) {
		t.Errorf("%+v", s.Must)
	}
	if got := s.Must[2].String(); got != "concealed at most 0.5 of off" {
		t.Error(got)
	}
}

func TestMistakesAreToldWithTheirLine(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"lasts: 60s", "lasts: 60", `line 4: "60" is no time`},
		{"lasts: 60s", "lasts: 2h", "line 4: 2h0m0s is outside"},
		{"lasts: 60s", "lasts: 0s", "line 4: lasts 0s"},
		{"measured_from: 15s", "measured_from: 60s", "line 5: measured from 1m0s"},
		{"way: 30ms", "weight: 30ms", "line 6: field weight not found"},
		{"32 kb/s", "32 kbps", "line 8: \"32 kbps\" is no rate"},
		{"32 kb/s", "2 kb/s", "line 8: ada at 2000 b/s"},
		{"level: -20", "level: 3", "ada at 3 dBov"},
		{"to: 20s", "to: 5s", "line 13: ben talks from 10s to 5s"},
		{"cap: 64 kb/s, ", "", "line 15: a queue without a cap"},
		{"at: 20s", "at: 10s", "line 16: 10s is not after 10s"},
		{"20 %", "20", "line 16: \"20\" is no share"},
		{"burst: 3", "burst: 0.1", "line 16: the network at 20s: a mean burst"},
		{"at: 41s", "at: 61s", "line 18: 1m1s is after the end"},
		{"longest hole", "hole", `line 20: "hole at most 500 ms" begins with none of`},
		{"500 ms", "500 s", `line 20: "longest hole at most 500 s" ends with "s"`},
		{"98 %", "many", `line 21: "heard at least many" has no number`},
		{"1 of 50 listeners", "2 of 50 listeners", "line 3: "},
		{"name: train", "name: The Train", "name: "},
		{"name: train", "name: [train]", "line 1: cannot unmarshal"},
		{"name: train", "name: train\nname: bus", "line 2: mapping key \"name\" already defined"},
		{"story: A", "---\nstory: A", "one story"},
		{"name: train", "name: train\nlistener: {nack: perhaps}", "line 2: \"perhaps\"; write yes, no or unused"},
		{"name: train", "name: train\nlistener: {redundancy: unused}", "line 2: \"unused\"; write yes or no"},
		{"name: train", "name: train\nlistener: {flac: yes}", "flac"},
		{good, "", "an empty file"},
		{good, strings.Repeat("#", sizeMax+1), "longer than"},
	} {
		_, err := Read(strings.NewReader(strings.Replace(good, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %q: %v, want %q", c.new, err, c.want)
		}
	}
}

func TestTheStoriesThatComeAlongCanBeTold(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, s := range all {
		if names[s.Name] {
			t.Errorf("two are called %s", s.Name)
		}
		names[s.Name] = true
		if s.Story == "" || s.Must[len(s.Must)-1].Figure != Changed {
			t.Errorf("%s: wants a story, and an eye on the others", s.Name)
		}
	}
	if len(all) < 9 {
		t.Errorf("%d stories", len(all))
	}
}

func FuzzRead(f *testing.F) {
	f.Add(good)
	list, err := files.ReadDir("stories")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range list {
		b, err := files.ReadFile("stories/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		start := time.Unix(0, 0) // what is taken can be played
		for _, schedule := range [][]model.Step{s.Down(), s.Up()} {
			p := model.New(1, schedule, start)
			for i := range 10 {
				p.Send(start.Add(time.Duration(i)*50*time.Millisecond), 100)
			}
		}
		for at := time.Duration(0); at < 10*time.Second; at += time.Second {
			s.Dominant(at)
		}
	})
}
