package cmaf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Span is where the audio of a segment file lies, as Scan finds it.
type Span struct {
	At, Duration int64 // samples
	Bytes        int64
	Torn         bool // octets follow the last whole chunk
}

// SpanOf sums up what Scan has answered for a file of that size.
func SpanOf(chunks []ChunkAt, good, size int64) Span {
	s := Span{Bytes: size, Torn: good != size || len(chunks) == 0}
	for _, c := range chunks {
		s.Duration += c.Duration
	}
	if len(chunks) > 0 {
		s.At = chunks[0].Base
	}
	return s
}

// CheckPlaylist holds a media playlist against RFC 8216 and against its segments, and returns every breach, the first
// of each kind per segment. look finds a segment's audio by its URI; nil looks at the playlist alone. The playlist is
// nil where it could not be read at all.
func CheckPlaylist(text []byte, look func(uri string) (Span, error)) (*Playlist, []error) {
	p, err := ParsePlaylist(text)
	if err != nil {
		return nil, []error{err}
	}
	var found []error
	breach := func(format string, args ...any) { found = append(found, fmt.Errorf("cmaf: "+format, args...)) }
	if !bytes.Contains(text, []byte("\n#EXT-X-INDEPENDENT-SEGMENTS\n")) {
		breach("no #EXT-X-INDEPENDENT-SEGMENTS, though every packet is independent")
	}
	if p.ended && !bytes.Contains(text, []byte("\n#EXT-X-PLAYLIST-TYPE:VOD\n")) {
		breach("an end, but the type is not VOD")
	}
	names := map[string]bool{}
	for _, s := range p.segments {
		if names[s.URI] {
			breach("%s stands twice", s.URI)
		}
		names[s.URI] = true
	}
	if look != nil {
		checkSegments(p, look, breach)
	}
	return p, found
}

// checkSegments compares durations (RFC 8216 §4.3.2.1), and discontinuities (§4.3.2.3) with gaps.
func checkSegments(p *Playlist, look func(string) (Span, error), breach func(string, ...any)) {
	var end int64
	for i, s := range p.segments {
		span, err := look(s.URI)
		if err != nil {
			breach("%s: %w", s.URI, err)
			continue
		}
		if span.Torn {
			breach("%s is torn", s.URI)
		}
		if span.Duration != s.Duration {
			breach("%s lasts %d samples, the playlist says %d", s.URI, span.Duration, s.Duration)
		}
		if gap := i > 0 && span.At != end; gap != s.Discontinuity && i > 0 {
			breach("%s begins at %d, the one before ends at %d, discontinuity: %v", s.URI, span.At, end, s.Discontinuity)
		}
		end = span.At + span.Duration
	}
}

// CheckGrowth tells what after, a later state of the same playlist, has changed of before that it must not (RFC 8216
// §6.2.1): an EVENT playlist only grows, apart from its type, which becomes VOD with the end.
func CheckGrowth(before, after []byte) error {
	p, err := ParsePlaylist(before)
	if err != nil {
		return err
	}
	q, err := ParsePlaylist(after)
	if err != nil {
		return err
	}
	if p.ended {
		if !bytes.Equal(before, after) {
			return errors.New("cmaf: a playlist with an end has changed")
		}
		return nil
	}
	was, is := string(before), string(after)
	if q.ended {
		is = strings.Replace(is, "\n#EXT-X-PLAYLIST-TYPE:VOD\n", "\n#EXT-X-PLAYLIST-TYPE:EVENT\n", 1)
	}
	if !strings.HasPrefix(is, was) {
		return errors.New("cmaf: an EVENT playlist has changed instead of growing")
	}
	return nil
}
