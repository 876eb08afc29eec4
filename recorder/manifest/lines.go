package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// bufferMax is when LineWriter writes by itself what has been collected.
const bufferMax = 64 << 10

// LineWriter appends lines to a timeline. Whole lines go out in one Write, so that a crash tears one at most. It is not
// for concurrent use. An error of the file stays, for its last line may be torn: cut the file off at Bytes, Resume.
type LineWriter struct {
	w   io.Writer
	err error
	buf []byte
	at  int64 // of the last line

	added int64 // lines in buf
	lines int64 // lines written
	bytes int64
}

// NewLineWriter begins a timeline.
func NewLineWriter(w io.Writer) *LineWriter { return &LineWriter{w: w} }

// ResumeLines goes on with a timeline that was cut off at s.GoodBytes, where w stands.
func ResumeLines(w io.Writer, s Lines) *LineWriter {
	return &LineWriter{w: w, at: s.Last, lines: s.Lines, bytes: s.GoodBytes}
}

// Add collects a line. One that comes late, with an At before the line before it, is written with that one's: lines come
// from several places that look at the same moment one after the other, and a reader relies on the order. ErrLine is a
// line that lacks something; the timeline is as good as before.
func (t *LineWriter) Add(l Line) error {
	if t.err != nil {
		return t.err
	}
	l.At = max(l.At, t.at)
	if l.Type == Missing {
		l.To = max(l.To, l.At)
	}
	if err := l.check(); err != nil {
		return err
	}
	b, err := json.Marshal(&l)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLine, err)
	}
	if len(b) >= lineMax {
		return fmt.Errorf("%w: %s at %d: more than %d octets", ErrLine, l.Type, l.At, lineMax)
	}
	t.buf = append(append(t.buf, b...), '\n')
	t.at = l.At
	t.added++
	if len(t.buf) >= bufferMax {
		return t.Flush()
	}
	return nil
}

// Flush writes what has been collected.
func (t *LineWriter) Flush() error {
	if t.err != nil || len(t.buf) == 0 {
		return t.err
	}
	n, err := t.w.Write(t.buf)
	if err == nil && n != len(t.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		t.err = fmt.Errorf("write the timeline: %w", err)
		return t.err
	}
	t.bytes += int64(n)
	t.lines += t.added
	t.buf, t.added = t.buf[:0], 0
	return nil
}

// Bytes is how long the file is that all written lines make, those before a resumption included.
func (t *LineWriter) Bytes() int64 { return t.bytes }

// Lines is how many lines have been written.
func (t *LineWriter) Lines() int64 { return t.lines }

// Lines is what a timeline was found to hold.
type Lines struct {
	GoodBytes int64 // up to the end of the last line before anything wrong: where a torn one is to be cut off
	Lines     int64 // up to there
	First     Type  // the first line's
	LastType  Type  // the last one's
	Last      int64 // its At
	Bad       int64 // lines that are none
	Back      int64 // lines whose At is before that of the line before
	Torn      bool  // the last line has no end
}

// ScanLines reads a timeline from beginning to end. The error is r's.
func ScanLines(r io.Reader) (Lines, error) {
	lines := NewLineReader(r)
	for {
		if _, err := lines.Next(); errors.Is(err, io.EOF) {
			return lines.found, nil
		} else if err != nil && !errors.Is(err, ErrLine) {
			return lines.found, err
		}
	}
}
