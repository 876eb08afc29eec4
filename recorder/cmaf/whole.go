package cmaf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"

	"stentor/forward/opus"
)

// quietSamples is the length of opus.Quiet.
const quietSamples = 960

// wholeMax is the longest file, 48 h.
const wholeMax = 48 * 3600 * SampleRate

// ErrChanged is what WriteWhole ends with when the packets were others the second time.
var ErrChanged = errors.New("cmaf: the packets have changed between the passes")

// Whole says how WriteWhole is to write.
type Whole struct {
	Head  Head
	Start int64 // position of the file's beginning
	End   int64 // position of its end at the earliest, 0 for that of the last packet
	// Progress, where not nil, is called about once per second of audio with the samples done and in all, of both
	// passes. The first one does not know how much there is where End is 0, and gives a total of 0.
	Progress func(done, total int64)
}

// Written is what WriteWhole has written.
type Written struct {
	Bytes    int64
	Duration int64 // samples
	Packets  int   // those of the replay
	Filled   int64 // samples of silence in gaps
}

// WriteWhole writes a progressive MP4 (ISO/IEC 14496-12, moov in front, about a second to a chunk) that players seek
// in by range requests. packets is run twice and has to give the same both times; what is kept in between is two octets
// for a packet. Gaps are filled with silence, so that a player's time plus Start is the room's. The edit list takes the
// decoder's delay off the beginning, and one packet of silence at the end makes up for it: the duration is exact.
// After an error what w has taken is no file.
func WriteWhole(w io.Writer, packets iter.Seq2[Packet, error], o Whole) (Written, error) {
	h, err := o.Head.checked()
	if err != nil {
		return Written{}, err
	}
	var t tables
	out, err := o.run(packets, 1, 0, func(payload []byte, duration int64) error { return t.add(len(payload), duration) })
	if err != nil {
		return out, err
	}
	t.close()
	head := t.head(h, out.Duration)
	b := bufio.NewWriterSize(w, 1<<16)
	if _, err := b.Write(head); err != nil {
		return out, err
	}
	n, left := 0, t.octets
	again, err := o.run(packets, 2, out.Duration, func(payload []byte, _ int64) error {
		if n >= len(t.sizes) || int(t.sizes[n]) != len(payload) {
			return ErrChanged
		}
		n, left = n+1, left-int64(len(payload))
		_, err := b.Write(payload)
		return err
	})
	if err == nil && (left != 0 || n != len(t.sizes) || again.Duration != out.Duration) {
		err = ErrChanged
	}
	if err != nil {
		return out, err
	}
	out.Bytes = int64(len(head)) + t.octets
	return out, b.Flush()
}

// run gives every packet of the file to put, filler too, and the one at the end that the edit list hides. duration is
// what the pass before has found.
func (o *Whole) run(packets iter.Seq2[Packet, error], pass, duration int64, put func([]byte, int64) error) (out Written, err error) {
	at, told := o.Start, o.Start
	fill := func(to int64) error {
		out.Filled += max(0, to-at)
		for at < to {
			payload, n := filler(to - at)
			if err := put(payload, n); err != nil {
				return err
			}
			at += n
		}
		return nil
	}
	for p, err := range packets {
		if err != nil {
			return out, err
		}
		n, ok := opus.Duration(p.Payload)
		if !ok || len(p.Payload) > payloadMax {
			return out, ErrSample
		}
		if p.At < at {
			return out, fmt.Errorf("%w: a packet at %d, after %d", ErrPast, p.At, at)
		}
		if p.At > o.Start+wholeMax {
			return out, fmt.Errorf("cmaf: a packet at %d, which is more than 48 h", p.At)
		}
		if err := fill(p.At); err != nil {
			return out, err
		}
		if err := put(p.Payload, int64(n)); err != nil {
			return out, err
		}
		at += int64(n)
		out.Packets++
		if at-told >= SampleRate {
			told = at
			o.tell(pass, at, duration)
		}
	}
	if err := fill(min(o.End, o.Start+wholeMax)); err != nil {
		return out, err
	}
	out.Duration = at - o.Start
	o.tell(pass, at, duration)
	if o.Head.PreSkip == 0 {
		return out, nil
	}
	// The last sample's duration may be cut off (Encapsulation of Opus in ISOBMFF §4.3.4).
	return out, put(opus.Quiet, int64(o.Head.PreSkip))
}

// tell counts a pass as one half of the work. How much there is, the first pass knows from End alone.
func (o *Whole) tell(pass, at, duration int64) {
	if o.Progress == nil {
		return
	}
	o.Progress(duration*(pass-1)+at-o.Start, 2*max(duration, o.End-o.Start, 0))
}

// fillers decode to zeros like opus.Quiet, for 20, 10, 5 and 2.5 ms (RFC 6716 §3.1, configurations 31 to 28).
var fillers = [...]struct {
	payload  []byte
	duration int64
}{
	{opus.Quiet, quietSamples},
	{[]byte{30 << 3, 0xff, 0xfe}, 480},
	{[]byte{29 << 3, 0xff, 0xfe}, 240},
	{[]byte{28 << 3, 0xff, 0xfe}, 120},
}

// filler is the longest silence that fits into left. What is shorter than the shortest takes a packet that is cut off.
func filler(left int64) (payload []byte, duration int64) {
	for _, f := range fillers {
		if f.duration <= left {
			return f.payload, f.duration
		}
	}
	return fillers[len(fillers)-1].payload, left
}
