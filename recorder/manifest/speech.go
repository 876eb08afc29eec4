package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Interval is a time: [From, To), in samples at 48 kHz. In JSON it is a pair of seconds.
type Interval struct {
	From, To Position
}

// MarshalJSON writes [from, to].
func (i Interval) MarshalJSON() ([]byte, error) { return json.Marshal([2]Position{i.From, i.To}) }

// UnmarshalJSON reads [from, to], of which from is not the later one.
func (i *Interval) UnmarshalJSON(b []byte) error {
	var pair []Position
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	if len(pair) != 2 || pair[1] < pair[0] {
		return fmt.Errorf("an interval is a pair of positions in order")
	}
	i.From, i.To = pair[0], pair[1]
	return nil
}

// Summary is what a timeline says, person by person: what a page draws.
type Summary struct {
	Duration Position       `json:"duration_s"` // up to the last line
	People   []PersonSpeech `json:"people"`     // in the order in which the timeline first names them
	Gaps     []Gap          `json:"gaps,omitempty"`
	Bad      int64          `json:"bad,omitempty"`  // lines that could not be read
	Torn     bool           `json:"torn,omitempty"` // the last line has no end
}

// PersonSpeech is what a timeline says of one person. Intervals are in order and don't touch. Whatever has not ended ends
// with the timeline.
type PersonSpeech struct {
	Person   string     `json:"person"`
	Present  []Interval `json:"present,omitempty"`
	Speaking []Interval `json:"speaking,omitempty"`
	Muted    []Interval `json:"muted,omitempty"`
	Peaks    []Peaks    `json:"peaks,omitempty"`
}

// Peaks are the levels of seconds without a pause between them: only where somebody was not silent, since most are so
// most of the time.
type Peaks struct {
	Second int64  `json:"second"` // of the first, since the start
	DBov   []int8 `json:"dbov"`   // the loudest packet of each second, -127 to 0
}

// Speech makes a summary of a timeline. It takes memory by what the timeline holds, one octet for a second of somebody's
// speech. Lines that are none are left out and counted. The error is r's.
func Speech(r io.Reader) (*Summary, error) {
	lines := NewLineReader(r)
	s := speech{by: map[string]*person{}}
	for {
		l, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return s.end(lines.Found()), nil
		}
		if err != nil && !errors.Is(err, ErrLine) {
			return nil, err
		}
		if err == nil {
			s.add(&l)
		}
	}
}

// span collects intervals of one kind: open from since.
type span struct {
	open  bool
	since Position
	all   []Interval
}

func (s *span) begin(at Position) {
	if !s.open {
		s.open, s.since = true, at
	}
}

// end joins what touches, and leaves out what has no length.
func (s *span) end(at Position) {
	if !s.open {
		return
	}
	s.open = false
	if n := len(s.all); n > 0 && s.since <= s.all[n-1].To {
		s.all[n-1].To = max(s.all[n-1].To, at)
	} else if at > s.since {
		s.all = append(s.all, Interval{s.since, at})
	}
}

// person collects what is said of one.
type person struct {
	id                       string
	present, speaking, muted span
	peaks                    []Peaks
}

type speech struct {
	at     Position // of the latest line
	by     map[string]*person
	people []*person
	gaps   []Gap
}

func (s *speech) person(id string) *person {
	p := s.by[id]
	if p == nil {
		p = &person{id: id}
		s.by[id] = p
		s.people = append(s.people, p)
	}
	return p
}

func (s *speech) add(l *Line) {
	s.at = max(s.at, Position(l.At))
	at := s.at
	switch l.Type {
	case Joined:
		s.person(l.Person).present.begin(at)
	case Left:
		p := s.person(l.Person)
		p.present.end(at)
		p.speaking.end(at)
		p.muted.end(at)
	case Muted:
		p := s.person(l.Person)
		p.muted.begin(at)
		p.speaking.end(at)
	case Unmuted:
		s.person(l.Person).muted.end(at)
	case Speaking:
		s.person(l.Person).speaking.begin(at)
	case Quiet:
		s.person(l.Person).speaking.end(at)
	case Levels:
		s.levels(l.Levels)
	case Missing:
		s.gaps = append(s.gaps, Gap{at, max(at, Position(l.To)), l.Why})
		s.silence(at)
	}
}

// silence ends all speech: nothing was heard behind it.
func (s *speech) silence(at Position) {
	for _, p := range s.people {
		p.speaking.end(at)
	}
}

// levels takes the levels of the second before now. They come in order of the ids, so that the summary is always the same.
func (s *speech) levels(levels map[string]int) {
	ids := make([]string, 0, len(levels))
	for id := range levels {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	second := max(0, int64(s.at)-1) / SampleRate
	for _, id := range ids {
		s.person(id).peak(second, int8(levels[id]))
	}
}

// peak takes a level, and keeps the louder one of two of the same second.
func (p *person) peak(second int64, level int8) {
	if n := len(p.peaks); n > 0 {
		last := &p.peaks[n-1]
		switch i := second - last.Second; {
		case i < int64(len(last.DBov)):
			last.DBov[i] = max(last.DBov[i], level)
			return
		case i == int64(len(last.DBov)):
			last.DBov = append(last.DBov, level)
			return
		}
	}
	p.peaks = append(p.peaks, Peaks{second, []int8{level}})
}

func (s *speech) end(found Lines) *Summary {
	sum := &Summary{Duration: s.at, People: []PersonSpeech{}, Gaps: s.gaps, Bad: found.Bad, Torn: found.Torn}
	for _, p := range s.people {
		p.present.end(s.at)
		p.speaking.end(s.at)
		p.muted.end(s.at)
		sum.People = append(sum.People, PersonSpeech{p.id, p.present.all, p.speaking.all, p.muted.all, p.peaks})
	}
	return sum
}
