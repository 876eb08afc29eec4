package cmaf

import (
	"fmt"
	"strconv"
	"time"
)

// Names in the replay's directory, which playlists and players know.
const (
	InitName   = "init.mp4"
	MediaName  = "index.m3u8"
	MasterName = "main.m3u8"
)

// tick is the shortest Opus frame, 2.5 ms, in samples. Durations are multiples of it, and four decimals of a second
// state them exactly.
const tick = 120

// Playlist is a media playlist (RFC 8216 §4.3) of one recording. It only grows; what Text has once shown stays as it
// is, the type aside, which End turns from EVENT into VOD.
type Playlist struct {
	start    time.Time
	target   int64 // seconds
	ended    bool
	segments []Segment
	duration int64
	entries  []byte // as they stand in Text
}

// NewPlaylist is an empty one, for segments of at most target samples. start is the time of position 0, for
// EXT-X-PROGRAM-DATE-TIME; the zero time leaves that tag out.
func NewPlaylist(target int64, start time.Time) *Playlist {
	return &Playlist{start: start, target: max(1, (target+SampleRate-1)/SampleRate)}
}

// Add appends a segment. An error says that it cannot stand here, be it that the playlist has ended, that the segment
// is longer than the target duration, which never changes (§4.3.3.1), or that it lies before the end of the last one.
func (p *Playlist) Add(s Segment) error {
	switch {
	case p.ended:
		return fmt.Errorf("cmaf: segment %d after the end of the playlist", s.Number)
	case s.Duration <= 0 || s.Duration%tick != 0 || rounded(s.Duration) > p.target:
		return fmt.Errorf("cmaf: segment %d lasts %d samples in a playlist of %d s", s.Number, s.Duration, p.target)
	case len(p.segments) > 0 && s.At < p.end() || s.At < 0:
		return fmt.Errorf("cmaf: segment %d at %d, before the end of the last one", s.Number, s.At)
	case !plainName(s.URI):
		return fmt.Errorf("cmaf: segment %d is named %q", s.Number, s.URI)
	case len(p.segments) == entriesMax:
		return fmt.Errorf("cmaf: more than %d segments", entriesMax)
	}
	first := len(p.segments) == 0
	s.Discontinuity = !first && (s.Discontinuity || s.At != p.end())
	p.entries = appendEntry(p.entries, s, p.date(s, first))
	p.segments = append(p.segments, s)
	p.duration += s.Duration
	return nil
}

// rounded is a duration in whole seconds as the target duration's rule counts them (§4.3.3.1).
func rounded(samples int64) int64 { return (samples + SampleRate/2) / SampleRate }

func (p *Playlist) end() int64 {
	last := p.segments[len(p.segments)-1]
	return last.At + last.Duration
}

// date is the time of a segment that needs one said, the first and each behind a gap.
func (p *Playlist) date(s Segment, first bool) (t time.Time) {
	if p.start.IsZero() || !first && !s.Discontinuity {
		return t
	}
	return p.start.Add(elapsed(s.At))
}

// elapsed does not overflow before 290 years.
func elapsed(samples int64) time.Duration {
	return time.Duration(samples/SampleRate)*time.Second + time.Duration(samples%SampleRate)*time.Second/SampleRate
}

// End closes the playlist: VOD, and ENDLIST.
func (p *Playlist) End() { p.ended = true }

// Ended tells whether the playlist is closed.
func (p *Playlist) Ended() bool { return p.ended }

// Segments are the playlist's, in order, not to be written to.
func (p *Playlist) Segments() []Segment { return p.segments }

// Duration is the sum of the segments, in samples: what a player shows.
func (p *Playlist) Duration() int64 { return p.duration }

// Target is the target duration in seconds.
func (p *Playlist) Target() int64 { return p.target }

// Start is the time of position 0, or the zero time.
func (p *Playlist) Start() time.Time { return p.start }

// Text is the playlist's file.
func (p *Playlist) Text() []byte {
	kind, last := "EVENT", ""
	if p.ended {
		kind, last = "VOD", "#EXT-X-ENDLIST\n"
	}
	b := make([]byte, 0, 256+len(p.entries))
	b = fmt.Appendf(b, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:1\n"+
		"#EXT-X-PLAYLIST-TYPE:%s\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=%q\n", p.target, kind, InitName)
	b = append(b, p.entries...)
	return append(b, last...)
}

// dateLayout is ISO 8601 with milliseconds (§4.3.2.6).
const dateLayout = "2006-01-02T15:04:05.000Z07:00"

func appendEntry(b []byte, s Segment, date time.Time) []byte {
	if s.Discontinuity {
		b = append(b, "#EXT-X-DISCONTINUITY\n"...)
	}
	if !date.IsZero() {
		b = append(b, "#EXT-X-PROGRAM-DATE-TIME:"...)
		b = date.UTC().AppendFormat(b, dateLayout)
		b = append(b, '\n')
	}
	b = append(b, "#EXTINF:"...)
	b = appendSeconds(b, s.Duration)
	b = append(b, ",\n"...)
	b = append(b, s.URI...)
	return append(b, '\n')
}

// appendSeconds writes a multiple of tick with four decimals, exactly.
func appendSeconds(b []byte, samples int64) []byte {
	b = strconv.AppendInt(b, samples/SampleRate, 10)
	b = append(b, '.')
	fraction := samples % SampleRate * 10000 / SampleRate
	for unit := int64(1000); unit > 0; unit /= 10 {
		b = append(b, byte('0'+fraction/unit%10))
	}
	return b
}

// AppendMaster appends the master playlist main.m3u8 (§4.3.4), which names the media playlist with its codec: players
// that choose by codec never open a media playlist by itself. peak and average are the replay's bitrates in b/s
// with the container's part, the highest of any segment and that of all; average may be 0 for not known.
func AppendMaster(b []byte, peak, average int) []byte {
	b = append(b, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"...)
	b = fmt.Appendf(b, "#EXT-X-STREAM-INF:BANDWIDTH=%d", peak)
	if average > 0 {
		b = fmt.Appendf(b, ",AVERAGE-BANDWIDTH=%d", average)
	}
	return append(b, ",CODECS=\"opus\"\n"+MediaName+"\n"...)
}

// Bitrates are the highest of any segment and that of all segments, in b/s. Segments shorter than half the target do not
// count as peaks (RFC 8216 §4.1).
func (p *Playlist) Bitrates() (peak, average int) {
	var octets int64
	for _, s := range p.segments {
		octets += s.Bytes
		if 2*s.Duration >= p.target*SampleRate || len(p.segments) == 1 {
			peak = max(peak, bitrate(s.Bytes, s.Duration))
		}
	}
	average = bitrate(octets, p.duration)
	return max(peak, average), average
}

func bitrate(octets, samples int64) int {
	if samples == 0 {
		return 0
	}
	return int((octets*8*SampleRate + samples - 1) / samples)
}
