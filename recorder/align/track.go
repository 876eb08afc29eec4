package align

import "stentor/forward/opus"

const (
	// HoldBack is how far behind the room's clock Advance stays: a network may stall for 5 s and then deliver all that it
	// held, and what arrives then has a place as long as no silence lies in it.
	HoldBack = 6 * SampleRate

	// Ahead is how far beyond the arrival of the latest packet a track can end: the packet itself, at most 120 ms, and
	// the error that is tolerated before it is corrected.
	Ahead = opus.MaxDuration + hardError

	// softError is corrected where nobody hears it, in a quiet packet; hardError is corrected anywhere. A correction is
	// 10 ms, so it leaves 4.5 or 2.5 ms of the other sign, which is no reason for another one. Drift of 100 ppm takes 20 s
	// from one to the other, and few people talk for as long without a pause.
	softError = tenth * 55 / 100
	hardError = tenth * 75 / 100

	// quietLevel is where a correction is not heard, in -dBov: as forward's threshold of speech.
	quietLevel = 50

	// A mapping is judged by all packets that arrive within 100 ms: among five there is one that met little delay. The mix
	// waits for 200 ms, so these are not late for it.
	anchorWait = 100 * ms
	heldMax    = 16

	// A stall is told from a clock that stood still by the burst that follows: within anchorWait it comes back by this
	// much, which is above jitter's 60 ms.
	burst = 80 * ms

	// Timestamps that leave their course by more than this have no relation to those before: 24.8 hours, far
	// inside of what the arithmetic bears.
	jumpMax = 1 << 32

	// A sequence that steps back by more than this is another sequence; extended ones come back by 32768 at most.
	seqBack = 1 << 10
)

// A Track lies on the room's timeline. All methods are for one goroutine; none allocates or keeps emit.
type Track struct {
	clock clock
	end   int64 // of the last piece
	last  Packet
	begun bool // last is a packet of the stream that goes on
	quiet bool // the last piece is silence
	stats Stats

	// Packets of the last 100 ms, held until it is clear how their clock lies against the room's.
	held     [heldMax]Packet
	n        int
	doubtful bool // the stream is an old one: its mapping may still hold
}

// New is a track whose first piece is at start.
func New(start int64) *Track { return &Track{end: start, quiet: true} }

// End is where the next piece will begin.
func (t *Track) End() int64 { return t.end }

// Stats is what the track has done so far.
func (t *Track) Stats() Stats {
	s := t.stats
	s.DriftPPM = t.clock.driftPPM()
	return s
}

// Put takes the next packet of the person, and emits the pieces that are certain by it, fillers before it included. They
// are at most one for each 120 ms since the track's end, and a few dozen.
func (t *Track) Put(p *Packet, emit func(Piece)) {
	if n, ok := opus.Duration(p.Payload); !ok || n != p.Samples {
		t.stats.Invalid++
		return
	}
	if t.n > 0 && p.At-t.held[0].At >= anchorWait {
		t.settle(emit)
	}
	fresh, old := t.relation(p)
	switch {
	case old:
		t.stats.Duplicates++
		return
	case fresh:
		t.settle(emit)
		t.begun, t.doubtful = false, false
		t.hold(p)
	case t.n > 0:
		t.hold(p)
	case t.strays(p):
		t.doubtful = true
		t.hold(p)
	default:
		t.clock.observe(p)
		t.place(p, emit)
	}
	if t.n == heldMax || t.doubtful && t.stalled() {
		t.settle(emit)
	}
}

// before is the packet that p follows.
func (t *Track) before() *Packet {
	if t.n > 0 {
		return &t.held[t.n-1]
	}
	return &t.last
}

// relation tells whether p begins a stream, or is one that the stream has had.
func (t *Track) relation(p *Packet) (fresh, old bool) {
	if !t.begun && t.n == 0 || p.Restart {
		return true, false
	}
	b := t.before()
	if p.Source != b.Source {
		return true, false
	}
	if back := b.Seq - p.Seq; back < seqBack {
		return false, true
	}
	course := int64(p.TS - b.TS)
	return p.Seq < b.Seq || course > jumpMax || course < -jumpMax, false
}

// strays tells whether p leaves its stream's course so far that either the network stalled or the source's clock was
// set.
func (t *Track) strays(p *Packet) bool {
	over := t.clock.over(t.clock.point(p))
	came := p.At - t.last.At - int64(p.TS-t.last.TS)
	return over < -standstill || over > standstill && came > standstill
}

func (t *Track) hold(p *Packet) {
	t.held[t.n] = *p
	t.n++
}

// stalled tells whether the packets in doubt were only late: they come back to the line faster than jitter can.
func (t *Track) stalled() bool {
	first := t.clock.over(t.clock.point(&t.held[0]))
	last := t.clock.over(t.clock.point(&t.held[t.n-1]))
	return first > 0 && last > -step && (last < standstill || first-last > burst)
}

// settle decides on the mapping of the packets that are held, and places them.
func (t *Track) settle(emit func(Piece)) {
	if t.n == 0 {
		return
	}
	if !t.doubtful || !t.stalled() {
		t.clock.anchor(t.held[0].At, t.held[0].TS)
		t.stats.Anchors++
	}
	held := t.held[:t.n]
	for i := range held {
		t.clock.observe(&held[i])
	}
	for i := range held {
		t.place(&held[i], emit)
	}
	clear(held)
	t.n, t.doubtful = 0, false
}

// Advance tells that nothing came until the position until, and fills with silence up to HoldBack before it.
func (t *Track) Advance(until int64, emit func(Piece)) {
	if t.n > 0 && until-t.held[0].At >= anchorWait {
		t.settle(emit)
	}
	if t.n == 0 {
		t.silence(until-HoldBack, emit)
	}
}

// Close fills with silence to the recording's end. Pieces are of 2.5 ms, so the last one may reach up to 119 samples
// beyond end, and a packet that was placed before may too: the file's granule position says where to cut (RFC 7845 §4.4).
func (t *Track) Close(end int64, emit func(Piece)) {
	t.settle(emit)
	t.silence(end+quantum-1, emit)
}
