package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"stentor/bench/impair/model"
	"stentor/bench/impair/speech"
)

// Scenario is a story. Immutable once read.
type Scenario struct {
	Name         string    `yaml:"name"` // lower-case words with - between them
	Story        string    `yaml:"story"`
	Who          Who       `yaml:"who"`
	Lasts        Span      `yaml:"lasts"`
	MeasuredFrom Span      `yaml:"measured_from"`
	Way          Span      `yaml:"way"`      // one-way delay of everybody's network; 0 means 20 ms
	Listener     Listener  `yaml:"listener"` // the impaired one
	Speakers     []Speaker `yaml:"speakers"`
	Network      []Step    `yaml:"network"`
	Must         []Must    `yaml:"must"`
}

// Speaker is somebody who talks.
type Speaker struct {
	Name  string `yaml:"name"`
	Rate  Rate   `yaml:"rate"`  // of Opus, 20 ms a packet
	Level int    `yaml:"level"` // dBov; the loudest of those who talk is the dominant one
	Talks []Talk `yaml:"talks"` // none: all the time
}

// Listener is what the impaired listener's client can do. Nothing said: what Chromium does.
type Listener struct {
	Redundancy Can  `yaml:"redundancy"` // takes RFC 2198; Firefox does not
	Nack       Asks `yaml:"nack"`       // asks for what it misses; Chromium does where a page has it do so
}

// Talk is a time in which somebody talks without a pause.
type Talk struct {
	From Span `yaml:"from"`
	To   Span `yaml:"to"`
}

// Step is what the impaired listener's network does from a time on.
type Step struct {
	At      Span    `yaml:"at"`
	What    string  `yaml:"what"`  // for people
	Cap     Rate    `yaml:"cap"`   // downlink, on the wire
	Queue   Span    `yaml:"queue"` // how long a full one takes to drain; needs a cap
	Delay   Span    `yaml:"delay"` // one-way, instead of the story's
	Jitter  Span    `yaml:"jitter"`
	Reorder bool    `yaml:"reorder"`
	Loss    Share   `yaml:"loss"` // both ways
	Burst   float64 `yaml:"burst"`
	Outage  bool    `yaml:"outage"` // both ways
	Flows   int     `yaml:"flows"`  // bulk downloads through the same cap
}

// Limits of what Read takes.
const (
	sizeMax     = 64 << 10
	lastsMax    = 10 * time.Minute
	speakersMax = speech.SpeakersMax
	stepsMax    = 1000
	wayDefault  = 20 * time.Millisecond
	octetsMin   = speech.OctetsMin // of 20 ms
)

var nameShape = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Read reads a story. Its errors name the line.
func Read(r io.Reader) (*Scenario, error) {
	text, err := io.ReadAll(io.LimitReader(r, sizeMax+1))
	if err != nil {
		return nil, err
	}
	if len(text) > sizeMax {
		return nil, fmt.Errorf("longer than %d octets", sizeMax)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	s := &Scenario{}
	if err := dec.Decode(s); err != nil {
		return nil, plain(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("a file holds one story")
	}
	if s.Way.Duration == 0 {
		s.Way.Duration = wayDefault
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	return s, nil
}

// plain takes off what yaml puts before its errors.
func plain(err error) error {
	var list *yaml.TypeError
	if errors.As(err, &list) {
		return errors.New(strings.Join(list.Errors, "; "))
	}
	if errors.Is(err, io.EOF) {
		return errors.New("an empty file")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}

func (s *Scenario) validate() error {
	switch {
	case !nameShape.MatchString(s.Name) || len(s.Name) > 64:
		return fmt.Errorf("name: %q is not of lower-case words with - between them", s.Name)
	case s.Who.Listeners == 0:
		return errors.New("who: is missing")
	case s.Lasts.Duration < time.Second || s.Lasts.Duration > lastsMax:
		return fmt.Errorf("line %d: lasts %v; want 1s … %v", s.Lasts.line, s.Lasts, lastsMax)
	case s.MeasuredFrom.Duration >= s.Lasts.Duration:
		return fmt.Errorf("line %d: measured from %v, when it is over", s.MeasuredFrom.line, s.MeasuredFrom)
	case len(s.Speakers) == 0 || len(s.Speakers) > speakersMax:
		return fmt.Errorf("speakers: %d; want 1 … %d", len(s.Speakers), speakersMax)
	case len(s.Network) == 0 || len(s.Network) > stepsMax:
		return fmt.Errorf("network: %d steps; want 1 … %d", len(s.Network), stepsMax)
	case len(s.Must) == 0:
		return errors.New("must: nothing has to hold")
	}
	for i := range s.Speakers {
		if err := s.Speakers[i].validate(s.Lasts.Duration); err != nil {
			return err
		}
	}
	return s.validateNetwork()
}

func (s *Scenario) validateNetwork() error {
	for i := range s.Network {
		step := &s.Network[i]
		if i > 0 && step.At.Duration <= s.Network[i-1].At.Duration {
			return fmt.Errorf("line %d: %v is not after %v", step.At.line, step.At, s.Network[i-1].At)
		}
		if step.At.Duration >= s.Lasts.Duration {
			return fmt.Errorf("line %d: %v is after the end", step.At.line, step.At)
		}
		if step.Queue.Duration > 0 && step.Cap.Bps == 0 {
			return fmt.Errorf("line %d: a queue without a cap", step.Queue.line)
		}
		c := step.conditions(s.Way.Duration)
		if err := c.Validate(); err != nil {
			return fmt.Errorf("line %d: the network at %v: %w", max(step.At.line, 1), step.At, err)
		}
	}
	return nil
}

func (p *Speaker) validate(lasts time.Duration) error {
	octets := p.Octets()
	switch {
	case p.Name == "":
		return errors.New("speakers: somebody has no name")
	case octets < octetsMin || octets > 1200:
		return fmt.Errorf("line %d: %s at %d b/s would send %d octets in 20 ms; want %d … 1200", max(p.Rate.line, 1), p.Name, p.Rate.Bps, octets, octetsMin)
	case p.Level < -50 || p.Level > 0:
		return fmt.Errorf("speakers: %s at %d dBov; want -50 … 0", p.Name, p.Level)
	}
	last := time.Duration(-1)
	for _, t := range p.Talks {
		if t.From.Duration <= last || t.To.Duration <= t.From.Duration || t.To.Duration > lasts {
			return fmt.Errorf("line %d: %s talks from %v to %v; want one after the other, within the story", t.From.line, p.Name, t.From, t.To)
		}
		last = t.To.Duration
	}
	return nil
}

// Octets are those of a packet of 20 ms.
func (p *Speaker) Octets() int { return p.Rate.Bps / 50 / 8 }

// TalksAt tells whether somebody talks at a time of the story.
func (p *Speaker) TalksAt(at time.Duration) bool {
	for _, t := range p.Talks {
		if at >= t.From.Duration && at < t.To.Duration {
			return true
		}
	}
	return len(p.Talks) == 0
}

// queueDefault is that of a cap which names none: as deep as those of mobile networks are at least.
const queueDefault = 300 * time.Millisecond

// conditions are those of the way to the listener.
func (s *Step) conditions(way time.Duration) model.Conditions {
	c := model.Conditions{
		Rate: s.Cap.Bps, Delay: way, Jitter: s.Jitter.Duration, Reorder: s.Reorder, Loss: s.Loss.Share, Burst: s.Burst,
		Down: s.Outage, Flows: s.Flows,
	}
	if s.Delay.line > 0 {
		c.Delay = s.Delay.Duration
	}
	if c.Rate > 0 {
		queue := s.Queue.Duration
		if queue == 0 {
			queue = queueDefault
		}
		c.Queue = max(model.QueueOf(queue, c.Rate), 1500) // one packet of any size
	}
	return c
}

// Down is the schedule of the way to the impaired listener.
func (s *Scenario) Down() []model.Step {
	out := []model.Step{{Conditions: model.Conditions{Delay: s.Way.Duration}}}
	for i := range s.Network {
		out = append(out, model.Step{At: s.Network[i].At.Duration, Conditions: s.Network[i].conditions(s.Way.Duration)})
	}
	if out[1].At == 0 {
		out = out[1:]
	}
	return out
}

// Up is the schedule of the way back, which has no cap: a listener sends little.
func (s *Scenario) Up() []model.Step {
	out := s.Down()
	for i := range out {
		out[i].Rate, out[i].Queue, out[i].Flows = 0, 0, 0
	}
	return out
}

// LastChange is when the network changes for the last time.
func (s *Scenario) LastChange() time.Duration { return s.Network[len(s.Network)-1].At.Duration }

// Dominant is the loudest of those who talk at a time, the first of equals; -1 if nobody does.
func (s *Scenario) Dominant(at time.Duration) int {
	best := -1
	for i := range s.Speakers {
		if s.Speakers[i].TalksAt(at) && (best < 0 || s.Speakers[i].Level > s.Speakers[best].Level) {
			best = i
		}
	}
	return best
}
