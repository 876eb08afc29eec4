package ear

import (
	"slices"
	"time"

	"stentor/bench/client"
)

// frameTime is Opus's usual frame, which client.TestFrame makes, and frameSamples its length at 48 kHz.
const (
	frameTime    = 20 * time.Millisecond
	frameSamples = 960
)

// Ear is a listener's. Times are since any moment that is the same for all that is compared. It is not safe for
// concurrent use.
type Ear struct {
	lines map[int]*line
}

// frame is one that came.
type frame struct {
	speaker uint16
	n       uint32
	ts      int64         // in samples, never wraps
	seq     int64         // of the packet, never wraps
	came    time.Duration // arrival
}

// arrival is a packet that came.
type arrival struct {
	at     time.Duration
	seq    int64
	frames []frame // in order of time, redundancy first
}

// New makes an ear that has heard nothing.
func New() *Ear { return &Ear{lines: map[int]*line{}} }

// Take books a packet that came on an audio line of the offer, and tells how many frames it held for the first time as
// far as its header says: 0 for padding and malformed packets. Packets come in order of at.
func (e *Ear) Take(at time.Duration, lineOf int, seq uint16, timestamp uint32, payload []byte) int {
	l := e.lines[lineOf]
	if l == nil {
		l = &line{of: lineOf}
		e.lines[lineOf] = l
	}
	a := arrival{at: at, seq: l.seqs.extend(int64(seq), 1<<16)}
	ts := l.clock.extend(int64(timestamp), 1<<32)
	list := []block{{payload: payload}}
	if redundant(payload) {
		list = blocks(payload)
	}
	fresh := 0
	for i, b := range list {
		offset := int64(0)
		ok := len(b.payload) > 0 && client.Frames(b.payload, func(toc byte, octets []byte) {
			speaker, n, ok := client.ParseTestFrame(append([]byte{toc}, octets...))
			if ok {
				a.frames = append(a.frames, frame{speaker, n, ts - int64(b.back) + offset, a.seq, at})
			}
			offset += frameSamples
		})
		if ok && i == len(list)-1 {
			fresh = int(offset / frameSamples)
		}
	}
	l.arrivals = append(l.arrivals, a)
	return fresh
}

// Play is a frame that was heard.
type Play struct {
	At      time.Duration
	Speaker uint16
	N       uint32
}

// Played is what came out of the loudspeaker.
type Played struct {
	Plays     []Play          // in order of time
	Concealed []time.Duration // when 20 ms of a line were made up
}

// Play plays all lines until a time.
func (e *Ear) Play(until time.Duration) Played {
	var out Played
	for _, l := range e.lines {
		l.play(until, &out)
	}
	slices.SortFunc(out.Plays, func(a, b Play) int {
		if a.At != b.At {
			return int(a.At - b.At)
		}
		if a.Speaker != b.Speaker {
			return int(a.Speaker) - int(b.Speaker)
		}
		return int(int64(a.N) - int64(b.N))
	})
	slices.Sort(out.Concealed)
	return out
}

// unwrapped extends a counter that wraps (RFC 3550 §A.1).
type unwrapped struct {
	last    int64
	started bool
}

func (u *unwrapped) extend(v, modulus int64) int64 {
	if !u.started {
		u.started, u.last = true, v
		return v
	}
	d := (v - u.last) % modulus
	if d < 0 {
		d += modulus
	}
	if d >= modulus/2 {
		return u.last + d - modulus
	}
	u.last += d
	return u.last
}
