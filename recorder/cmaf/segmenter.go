package cmaf

import (
	"errors"
	"fmt"

	"stentor/forward/opus"
)

// ErrPast is what the Segmenter answers to a packet that lies before the end of the last one.
var ErrPast = errors.New("cmaf: packet lies in the past")

// Options of a Segmenter. The zero value is a recording's start with segments of 4 s.
type Options struct {
	// Target is a segment's length in samples, whole seconds of 1 to 10; default 4 s: the live edge is then some
	// 4 to 6 s behind, and 3 h are 2700 files.
	Target int64
	// Chunk is the length after which a chunk is given out, in samples, 20 ms to Target; default 0.5 s, half of the
	// second that a crash may cost.
	Chunk int64
	// Resume, for going on where another Segmenter has ended: the first segment's number (default 1), the first
	// chunk's sequence (default 1) and the position to go on at. A packet further on is a gap; where no packet came
	// before (Next is 0), the first one may lie anywhere.
	Segment, Sequence uint32
	Next              int64
}

// Segment is a finished one, or an entry of a playlist.
type Segment struct {
	Number        uint32 // counts from 1
	URI           string
	At            int64 // position of the first sample
	Duration      int64 // samples
	Bytes         int64 // 0 in a parsed playlist
	Discontinuity bool  // At is not where the segment before ended
}

// SegmentName is the file of segment n: seg-00001.m4s.
func SegmentName(n uint32) string { return fmt.Sprintf("seg-%05d.m4s", n) }

// Write is what the caller has to append to a segment's file, and whether the file is finished with that.
type Write struct {
	Segment uint32
	Data    []byte // borrowed: until the next call of the Segmenter
	Done    bool
	Entry   Segment // for the playlist; set where Done
}

// Segmenter cuts a stream of packets into chunks and segments. Not for concurrent use.
type Segmenter struct {
	target, chunk int64

	next int64 // where the last packet ended

	// The segment being filled.
	open    bool
	segment Segment
	limit   int64 // where it ends at the latest

	// The chunk being filled. Sample payloads lie in body.
	seq     uint32
	at      int64
	samples []Sample
	body    []byte

	// What the last call gave out.
	writes []Write
	out    []byte
}

// NewSegmenter refuses targets and chunks out of range.
func NewSegmenter(o Options) (*Segmenter, error) {
	if o.Target == 0 {
		o.Target = 4 * SampleRate
	}
	if o.Chunk == 0 {
		o.Chunk = SampleRate / 2
	}
	if o.Target%SampleRate != 0 || o.Target < SampleRate || o.Target > 10*SampleRate {
		return nil, fmt.Errorf("cmaf: segments of %d samples, which is not 1 to 10 s", o.Target)
	}
	if o.Chunk < quietSamples || o.Chunk > o.Target || o.Next < 0 {
		return nil, fmt.Errorf("cmaf: chunks of %d samples in segments of %d, from %d", o.Chunk, o.Target, o.Next)
	}
	return &Segmenter{
		target: o.Target, chunk: o.Chunk, next: o.Next,
		segment: Segment{Number: max(o.Segment, 1) - 1},
		seq:     max(o.Sequence, 1),
	}, nil
}

// Put takes the packet at position at, 0 or more, and copies it. The writes, of which there are two at most, are
// borrowed until the next call. ErrPast and ErrSample leave everything as it was.
func (s *Segmenter) Put(at int64, payload []byte) ([]Write, error) {
	n, ok := opus.Duration(payload)
	if !ok || len(payload) > payloadMax {
		return nil, ErrSample
	}
	if at < s.next {
		return nil, ErrPast
	}
	s.fresh()
	if s.open && at > s.next {
		s.finish()
	}
	if len(s.samples) == samplesMax || len(s.body)+len(payload) > chunkMax-headMax {
		s.flush()
	}
	s.add(at, payload, int64(n))
	switch {
	case s.next >= s.limit:
		s.finish()
	case s.next-s.at >= s.chunk:
		s.flush()
	}
	return s.writes, nil
}

// Flush gives out the chunk that has begun, however short: for a stream that pauses.
func (s *Segmenter) Flush() []Write {
	s.fresh()
	s.flush()
	return s.writes
}

// Close gives out what is left and finishes the segment. A packet put later begins the next one.
func (s *Segmenter) Close() []Write {
	s.fresh()
	if s.open {
		s.finish()
	}
	return s.writes
}

// Next is where the last packet ended.
func (s *Segmenter) Next() int64 { return s.next }

func (s *Segmenter) fresh() { s.writes, s.out = s.writes[:0], s.out[:0] }

// add puts a packet into the chunk, and begins chunk and segment where there is none.
func (s *Segmenter) add(at int64, payload []byte, n int64) {
	if !s.open {
		s.open = true
		s.segment = Segment{
			Number: s.segment.Number + 1, URI: SegmentName(s.segment.Number + 1),
			At: at, Discontinuity: at > s.next && s.next > 0,
		}
		s.limit = (at/s.target + 1) * s.target
	}
	if len(s.samples) == 0 {
		s.at = at
	}
	from := len(s.body)
	s.body = append(s.body, payload...)
	s.samples = append(s.samples, Sample{s.body[from:], uint32(n)})
	s.next = at + n
	s.segment.Duration += n
}

// flush turns the chunk into a write.
func (s *Segmenter) flush() {
	if len(s.samples) == 0 {
		return
	}
	from := len(s.out)
	out, err := AppendChunk(s.out, s.seq, s.at, s.samples)
	if err != nil {
		panic(err) // Put has let nothing in that could be refused
	}
	s.out = out
	s.seq++
	s.segment.Bytes += int64(len(out) - from)
	s.samples, s.body = s.samples[:0], s.body[:0]
	s.writes = append(s.writes, Write{Segment: s.segment.Number, Data: out[from:]})
}

// finish ends the segment: with the chunk that is left, or with a write of no octets where none is.
func (s *Segmenter) finish() {
	if len(s.samples) > 0 {
		s.flush()
	} else {
		s.writes = append(s.writes, Write{Segment: s.segment.Number})
	}
	w := &s.writes[len(s.writes)-1]
	w.Done, w.Entry = true, s.segment
	s.open = false
}
