package impair

import (
	"context"
	"fmt"
	"sync"

	"stentor/bench/impair/scenario"
)

// Verdict is whether something that must hold does.
type Verdict struct {
	Must string  `json:"must"`
	Off  float64 `json:"off"`
	On   float64 `json:"on"`
	Unit string  `json:"unit"`
	Held bool    `json:"held"`
}

// Comparison is a story with the controller off and on, each held against the same without the impairment.
type Comparison struct {
	Name     string    `json:"name"`
	Story    string    `json:"story"`
	Seed     uint64    `json:"seed"`
	Verdicts []Verdict `json:"verdicts"`
	Off      *Run      `json:"off"`
	On       *Run      `json:"on"`
	Good     *Run      `json:"unimpaired"` // controller on

	Scenario *scenario.Scenario `json:"-"`
}

// Held tells whether all does that must.
func (c *Comparison) Held() bool {
	for _, v := range c.Verdicts {
		if !v.Held {
			return false
		}
	}
	return true
}

// Stage is where stories are compared. Unimpaired runs that several of them have in common are played once.
type Stage struct {
	Seed      uint64
	Listeners int    // 0: as many as the stories have
	Real      bool   // over loopback sockets and in real time
	Bubble    Bubble // for what is not real

	mu   sync.Mutex
	good map[string]*rehearsal
}

// rehearsal is an unimpaired run, played by who needs it first.
type rehearsal struct {
	once sync.Once
	run  *Run
	err  error
}

// Compare plays a story four times. It is safe for concurrent use.
func (st *Stage) Compare(ctx context.Context, s *scenario.Scenario) (*Comparison, error) {
	c := &Comparison{Name: s.Name, Story: s.Story, Seed: st.Seed, Scenario: s}
	for _, adapt := range []bool{false, true} {
		r, err := st.play(ctx, s, adapt, false)
		if err != nil {
			return nil, err
		}
		good, err := st.unimpaired(ctx, s, adapt)
		if err != nil {
			return nil, err
		}
		r.Changed = changed(r.digests, good.digests)
		if adapt {
			c.On, c.Good = r, good
		} else {
			c.Off = r
		}
	}
	c.judge()
	return c, nil
}

// judge holds figures against what must be.
func (c *Comparison) judge() {
	for _, m := range c.Scenario.Must {
		v := Verdict{Must: m.String(), Unit: m.Figure.Unit(), Off: c.Off.Figure(m.Figure), On: c.On.Figure(m.Figure)}
		v.Held = m.Holds(v.On, v.Off)
		c.Verdicts = append(c.Verdicts, v)
	}
}

// changed counts what differs. Another number of listeners is a difference of all.
func changed(a, b []uint64) (n int) {
	if len(a) != len(b) {
		return max(len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// unimpaired plays a story on a good network, unless another one with the same people has been played already.
func (st *Stage) unimpaired(ctx context.Context, s *scenario.Scenario, adapt bool) (*Run, error) {
	key := fmt.Sprintln(adapt, s.Who.Listeners, s.Listener, s.Lasts.Duration, s.MeasuredFrom.Duration, s.Way.Duration)
	for i := range s.Speakers {
		p := &s.Speakers[i]
		key += fmt.Sprintln(p.Name, p.Rate.Bps, p.Level)
		for _, t := range p.Talks {
			key += fmt.Sprintln(t.From.Duration, t.To.Duration)
		}
	}
	st.mu.Lock()
	if st.good == nil {
		st.good = map[string]*rehearsal{}
	}
	g := st.good[key]
	if g == nil {
		g = &rehearsal{}
		st.good[key] = g
	}
	st.mu.Unlock()
	g.once.Do(func() { g.run, g.err = st.play(ctx, s, adapt, true) })
	return g.run, g.err
}

// play plays once, in virtual time unless it is to be real.
func (st *Stage) play(ctx context.Context, s *scenario.Scenario, adapt, unharmed bool) (r *Run, err error) {
	o := Options{Seed: st.Seed, Adapt: adapt, Unharmed: unharmed, Listeners: st.Listeners, Real: st.Real}
	if st.Real {
		return Play(ctx, s, o)
	}
	st.Bubble(func() { r, err = Play(ctx, s, o) })
	return r, err
}
