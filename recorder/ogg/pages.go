package ogg

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// pages finds the pages of a file. Its buffer holds the longest page and never grows: what a header claims is waited for
// in it, never allocated.
type pages struct {
	r      *bufio.Reader
	offset int64 // of the next octet
	size   int   // of the page last given out, which is borrowed from r until the next call
}

func newPages(r io.Reader) pages { return pages{r: bufio.NewReaderSize(r, pageMax+1)} }

// next takes the next whole page. Where there is none at once it looks for one octet by octet (RFC 3533 §6: that is what
// "OggS" is there for) and says how many it has passed over. At the end of the file that is its torn tail, with io.EOF.
func (s *pages) next(p *page) (skipped int64, err error) {
	s.discard(s.size)
	s.size = 0
	from := s.offset
	for {
		whole, err := s.peek(p)
		if err != nil && !errors.Is(err, io.EOF) {
			return s.offset - from, err
		}
		if whole {
			s.size = p.size
			return s.offset - from, nil
		}
		if s.r.Buffered() < headerSize {
			s.discard(s.r.Buffered())
			return s.offset - from, io.EOF
		}
		s.skip()
	}
}

// peek tells whether a whole page comes next. An error is the file's, io.EOF where it ends within what should come.
func (s *pages) peek(p *page) (bool, error) {
	b, err := s.r.Peek(headerSize)
	if err != nil || string(b[:len(magic)]) != magic {
		return false, err
	}
	if b, err = s.r.Peek(headerSize + int(b[headerSize-1])); err != nil {
		return false, err
	}
	size := sizeOf(b)
	if size == 0 {
		return false, nil
	}
	if b, err = s.r.Peek(size); err != nil {
		return false, err
	}
	return p.parse(b), nil
}

// skip goes to the next place where a page may begin, among the octets that are already there.
func (s *pages) skip() {
	b, _ := s.r.Peek(s.r.Buffered())
	if i := bytes.Index(b[1:], []byte(magic)); i >= 0 {
		s.discard(1 + i)
		return
	}
	s.discard(max(1, len(b)-len(magic)+1)) // the last three may be its beginning
}

// discard drops octets that are in the buffer, which cannot fail.
func (s *pages) discard(n int) {
	n, _ = s.r.Discard(n)
	s.offset += int64(n)
}

// more tells whether anything stands behind the page last given out.
func (s *pages) more() bool {
	s.discard(s.size)
	s.size = 0
	b, _ := s.r.Peek(1)
	return len(b) > 0
}
