package manifest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// LineReader reads a timeline. It is not for concurrent use. It holds one line, of 64 KB at most.
type LineReader struct {
	r     *bufio.Reader
	found Lines
	seen  int64 // lines, bad ones too
	prev  int64 // At of the last good line
}

// NewLineReader reads from r.
func NewLineReader(r io.Reader) *LineReader { return &LineReader{r: bufio.NewReaderSize(r, lineMax)} }

// Next gives out the next line. A line that is none is ErrLine; the next call goes on behind it. At the end it returns
// io.EOF, and what stands there without a newline is left out: a crash has torn it. Other errors are the reader's.
func (t *LineReader) Next() (Line, error) {
	b, err := t.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return Line{}, t.skip()
	case errors.Is(err, io.EOF):
		t.found.Torn = t.found.Torn || len(b) > 0
		return Line{}, io.EOF
	case err != nil:
		return Line{}, fmt.Errorf("read the timeline: %w", err)
	}
	t.seen++
	var l Line
	if err := l.parse(b[:len(b)-1]); err != nil {
		t.found.Bad++
		return Line{}, fmt.Errorf("line %d: %w", t.seen, err)
	}
	t.keep(&l, len(b))
	return l, nil
}

// keep counts a good line of n octets.
func (t *LineReader) keep(l *Line, n int) {
	if l.At < t.prev {
		t.found.Back++
	}
	t.prev = l.At
	if t.found.Bad+t.found.Back > 0 {
		return
	}
	if t.found.Lines == 0 {
		t.found.First = l.Type
	}
	t.found.GoodBytes += int64(n)
	t.found.Lines++
	t.found.Last, t.found.LastType = l.At, l.Type
}

// skip passes over a line that is too long.
func (t *LineReader) skip() error {
	for {
		_, err := t.r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			t.found.Torn = true
			return io.EOF
		case err != nil:
			return fmt.Errorf("read the timeline: %w", err)
		}
		t.seen++
		t.found.Bad++
		return fmt.Errorf("line %d: %w: more than %d octets", t.seen, ErrLine, lineMax)
	}
}

// Found is what has been read so far.
func (t *LineReader) Found() Lines { return t.found }
