package cmaf

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Limits of what ParsePlaylist reads, and of what Playlist writes.
const (
	// 24 h of segments of 1 s are 86400.
	entriesMax = 100_000
	// An entry takes 40 octets, one behind a gap 110.
	textMax  = 16 << 20
	nameSize = 255
)

// ErrPlaylist is wrapped by all that ParsePlaylist refuses.
var ErrPlaylist = errors.New("cmaf: not a playlist of a replay")

// ParsePlaylist reads a media playlist as Playlist writes it; tags that it does not know are passed over (RFC 8216
// §6.3.1). A segment's Number is its media sequence number, and its At is counted from the first segment's, taken as 0,
// by durations and, behind discontinuities, by dates. So Start is the first segment's time.
func ParsePlaylist(text []byte) (*Playlist, error) {
	if len(text) > textMax {
		return nil, fmt.Errorf("%w: %d octets", ErrPlaylist, len(text))
	}
	r := reader{playlist: &Playlist{}, seen: map[string]bool{}}
	for i, line := range bytes.Split(text, []byte{'\n'}) {
		if i == 0 && string(bytes.TrimSuffix(line, []byte{'\r'})) != "#EXTM3U" {
			return nil, fmt.Errorf("%w: no #EXTM3U", ErrPlaylist)
		}
		if err := r.line(strings.TrimSuffix(string(line), "\r")); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrPlaylist, i+1, err)
		}
	}
	if err := r.finish(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlaylist, err)
	}
	return r.playlist, nil
}

// reader is a playlist half read.
type reader struct {
	playlist *Playlist
	seen     map[string]bool // tags of the whole playlist
	sequence uint32
	vod      bool

	// Of the next segment.
	duration      int64
	discontinuity bool
	date          time.Time
}

func (r *reader) line(s string) error {
	switch {
	case s == "" || s[0] == '#' && !strings.HasPrefix(s, "#EXT"):
		return nil
	case s[0] != '#':
		return r.uri(s)
	}
	tag, value, _ := strings.Cut(s, ":")
	switch tag {
	case "#EXTINF":
		return r.extinf(value)
	case "#EXT-X-DISCONTINUITY":
		r.discontinuity = true
	case "#EXT-X-PROGRAM-DATE-TIME":
		t, err := time.Parse(time.RFC3339, value)
		r.date = t
		return err
	case "#EXT-X-ENDLIST":
		r.playlist.ended = true
	case "#EXTM3U", "#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE",
		"#EXT-X-PLAYLIST-TYPE", "#EXT-X-MAP":
		return r.once(tag, value)
	}
	return nil
}

// once reads the tags that may stand in a playlist one time, before its segments.
func (r *reader) once(tag, value string) (err error) {
	if r.seen[tag] || len(r.playlist.segments) > 0 {
		return fmt.Errorf("%s once more, or behind a segment", tag)
	}
	r.seen[tag] = true
	switch tag {
	case "#EXT-X-VERSION":
		if v, err := strconv.Atoi(value); err != nil || v < 6 || v > 7 {
			return fmt.Errorf("version %q", value)
		}
	case "#EXT-X-TARGETDURATION":
		r.playlist.target, err = strconv.ParseInt(value, 10, 16)
		if err != nil || r.playlist.target < 1 {
			return fmt.Errorf("target duration %q", value)
		}
	case "#EXT-X-MEDIA-SEQUENCE":
		n, err := strconv.ParseUint(value, 10, 31)
		r.sequence = uint32(n)
		return err
	case "#EXT-X-PLAYLIST-TYPE":
		r.vod = value == "VOD"
		if !r.vod && value != "EVENT" {
			return fmt.Errorf("type %q", value)
		}
	case "#EXT-X-MAP":
		if value != `URI="`+InitName+`"` {
			return fmt.Errorf("map %q", value)
		}
	}
	return nil
}

// extinf reads a duration in seconds. What is not a multiple of tick is rounded to one.
func (r *reader) extinf(value string) error {
	value, _, _ = strings.Cut(value, ",")
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || !(seconds > 0 && seconds < 86400) || r.duration != 0 {
		return fmt.Errorf("duration %q", value)
	}
	if r.duration = int64(math.Round(seconds*SampleRate/tick)) * tick; r.duration == 0 {
		return fmt.Errorf("duration %q", value)
	}
	return nil
}

func (r *reader) uri(name string) error {
	p := r.playlist
	switch {
	case r.duration == 0:
		return fmt.Errorf("%q has no duration", name)
	case p.ended:
		return fmt.Errorf("%q behind the end", name)
	case p.target == 0:
		return errors.New("a segment before the target duration")
	}
	s := Segment{Number: r.sequence + uint32(len(p.segments)), URI: name, Duration: r.duration, Discontinuity: r.discontinuity}
	if len(p.segments) == 0 {
		p.start = r.date
	} else {
		s.At = p.end()
		if r.discontinuity && !r.date.IsZero() && !p.start.IsZero() {
			s.At = max(s.At, positionOf(r.date.Sub(p.start)))
		}
	}
	r.duration, r.discontinuity, r.date = 0, false, time.Time{}
	return p.Add(s)
}

// positionOf is the inverse of elapsed, to the tick: dates have milliseconds only.
func positionOf(d time.Duration) int64 {
	n := int64(d/time.Second)*SampleRate + int64(d%time.Second)*SampleRate/int64(time.Second)
	return (n + tick/2) / tick * tick
}

func (r *reader) finish() error {
	for _, tag := range [...]string{"#EXT-X-TARGETDURATION", "#EXT-X-VERSION", "#EXT-X-MAP", "#EXT-X-PLAYLIST-TYPE"} {
		if !r.seen[tag] {
			return fmt.Errorf("no %s", tag)
		}
	}
	if r.vod && !r.playlist.ended {
		return errors.New("VOD without an end")
	}
	if r.duration != 0 {
		return errors.New("it ends in the middle of an entry")
	}
	return nil
}

// plainName tells whether a URI is a file in the playlist's own directory and nothing else: what verify and recovery
// open must not lead out of it.
func plainName(s string) bool {
	if s == "" || len(s) > nameSize || s[0] == '.' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
