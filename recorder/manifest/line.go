package manifest

import (
	"bytes"
	"errors"
	"fmt"
)

// Type is what a line of the timeline tells.
type Type string

// The types of lines, and the fields that each has beside At.
const (
	Start    Type = "start"    // the first line, at 0
	Joined   Type = "joined"   // Person, AudioID
	Left     Type = "left"     // Person, Why
	Muted    Type = "muted"    // Person
	Unmuted  Type = "unmuted"  // Person
	Speaking Type = "speaking" // Person: has begun to
	Quiet    Type = "quiet"    // Person: has ceased to
	Heard    Type = "heard"    // Slots: who is heard from here on
	Levels   Type = "levels"   // Levels: how loud the second before At was, or what of it has been
	Dropped  Type = "drop"     // Count, Person, Why
	Missing  Type = "gap"      // To, Why: nothing was recorded from At to there
	Stop     Type = "stop"     // the last line, at the recording's end
)

// Line is one line of the timeline.
type Line struct {
	At      int64  `json:"at"` // samples at 48 kHz since the recording's start, never less than in the line before
	Type    Type   `json:"type"`
	Person  string `json:"person,omitempty"`
	AudioID uint32 `json:"audio_id,omitempty"` // by which the person's packets name them (CSRC)

	// Slots are the persons heard, by slot; a slot without anyone is empty.
	Slots []string `json:"slots,omitempty"`

	// Levels are the loudest packet's level of everyone who was not silent, in dBov, -127 to 0 (RFC 6464 with its sign).
	Levels map[string]int `json:"levels,omitempty"`

	Count int64  `json:"count,omitempty"` // packets
	To    int64  `json:"to,omitempty"`    // as At
	Why   string `json:"why,omitempty"`
}

// ErrLine is what is no line of a timeline.
var ErrLine = errors.New("timeline")

const (
	// lineMax is the longest line, its end included: levels of 400 people with ids of 128 octets fit.
	lineMax = 64 << 10

	levelMin = -127 // dBov: silence (RFC 6464 §3)
)

// check tells what of l is missing, or too much.
func (l *Line) check() error {
	if !Position(l.At).valid() || !Position(l.To).valid() || l.Count < 0 {
		return fmt.Errorf("%w: %s at %d: a number out of range", ErrLine, l.Type, l.At)
	}
	if len(l.Person) > idMax || len(l.Why) > idMax {
		return fmt.Errorf("%w: %s at %d: a text of more than %d octets", ErrLine, l.Type, l.At, idMax)
	}
	ok := true
	switch l.Type {
	case Start:
		ok = l.At == 0
	case Joined, Left, Muted, Unmuted, Speaking, Quiet:
		ok = l.Person != ""
	case Heard:
		ok = allShort(l.Slots)
	case Levels:
		for person, level := range l.Levels {
			ok = ok && person != "" && len(person) <= idMax && level >= levelMin && level <= 0
		}
	case Dropped:
		ok = l.Why != ""
	case Missing:
		ok = l.Why != "" && l.To >= l.At
	case Stop:
	default:
		return fmt.Errorf("%w: no type %q", ErrLine, l.Type)
	}
	if !ok {
		return fmt.Errorf("%w: %s at %d: a field is missing or wrong", ErrLine, l.Type, l.At)
	}
	return nil
}

func allShort(ids []string) bool {
	for _, id := range ids {
		if len(id) > idMax {
			return false
		}
	}
	return true
}

// parse reads one line, without its end.
func (l *Line) parse(b []byte) error {
	*l = Line{}
	if !bytes.HasPrefix(b, []byte("{")) {
		return fmt.Errorf("%w: no object", ErrLine)
	}
	if err := strictly(b, l); err != nil {
		return fmt.Errorf("%w: %w", ErrLine, err)
	}
	return l.check()
}
