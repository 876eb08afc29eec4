package ear

import (
	"cmp"
	"maps"
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
	find  Find
	lines map[int]*line
}

// Find tells whose frame an Opus packet of one frame is, and which: client.ParseTestFrame, or speech.Book.Find.
type Find func(packet []byte) (speaker uint16, n uint32, ok bool)

// frame is one that came.
type frame struct {
	speaker uint16
	n       uint32
	ts      int64         // in samples, never wraps
	seq     int64         // of the packet, never wraps
	came    time.Duration // arrival
	octets  []byte        // as an Opus packet
}

// arrival is a packet that came.
type arrival struct {
	at     time.Duration
	seq    int64
	frames []frame // in order of time, redundancy first
	copies int     // how many of them are redundancy
}

// New makes an ear that has heard nothing, and knows test frames.
func New() *Ear { return Knowing(client.ParseTestFrame) }

// Knowing makes one that knows other frames.
func Knowing(find Find) *Ear { return &Ear{find: find, lines: map[int]*line{}} }

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
		if i == len(list)-1 {
			a.copies = len(a.frames)
		}
		offset := int64(0)
		ok := len(b.payload) > 0 && client.Frames(b.payload, func(toc byte, octets []byte) {
			packet := append([]byte{toc}, octets...)
			speaker, n, ok := e.find(packet)
			if ok {
				a.frames = append(a.frames, frame{speaker, n, ts - int64(b.back) + offset, a.seq, at, packet})
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

	octets []byte
}

// Played is what came out of the loudspeaker.
type Played struct {
	Plays     []Play          // in order of time
	Concealed []time.Duration // when 20 ms of a line were made up
	Drawn     []time.Duration // when what a line had played was drawn out by 20 ms
}

// Play plays all lines until a time.
func (e *Ear) Play(until time.Duration) Played {
	var out Played
	for _, l := range e.ordered() {
		l.play(until, &out)
	}
	out.sort()
	return out
}

// ordered are the lines in the order of the offer.
func (e *Ear) ordered() (out []*line) {
	for _, of := range slices.Sorted(maps.Keys(e.lines)) {
		out = append(out, e.lines[of])
	}
	return out
}

func (p *Played) add(more *Played) {
	p.Plays, p.Concealed, p.Drawn = append(p.Plays, more.Plays...), append(p.Concealed, more.Concealed...), append(p.Drawn, more.Drawn...)
}

func (p *Played) sort() {
	slices.SortFunc(p.Plays, func(a, b Play) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Speaker, b.Speaker), cmp.Compare(int64(a.N), int64(b.N)))
	})
	slices.Sort(p.Concealed)
	slices.Sort(p.Drawn)
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
