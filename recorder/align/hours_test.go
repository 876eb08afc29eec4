package align

import (
	"math"
	"testing"
)

// truth tells how far the packets of a track lie from their true places.
type truth struct {
	delay   float64 // what every packet takes at least: capture's 20 ms and the network
	from    float64 // capture before which the mapping need not be found yet
	worst   float64 // ms
	worstAt float64
	start   float64 // ms: the worst before from
	n       int
}

func (e *truth) piece(p Piece) {
	at, ok := captured(p.Payload)
	if p.Kind != Audio || !ok {
		return
	}
	e.n++
	off := (float64(p.At) - at - e.delay) / ms
	if at < e.from {
		e.start = max(e.start, math.Abs(off))
		return
	}
	if math.Abs(off) > math.Abs(e.worst) {
		e.worst, e.worstAt = off, at/SampleRate
	}
}

// settled is how long it takes until some packet has met an empty network: what is not known of a stream's first seconds
// is how much of their delay is jitter. It is a little more than settledBlocks.
const settled = 15 * SampleRate

// hours lets one person take part in a room: speech and pauses, mute, one rejoin.
func hours(t *testing.T, seed uint64, ppm float64, length float64) (*truth, Stats) {
	p := newPerson(seed, ppm)
	p.jitter, p.loss = 60*ms, 0.02
	track, r := New(0), &ribbon{}
	e := &truth{delay: p.delay + 960, from: settled}
	r.each = e.piece
	rejoined := false
	put := func(speech bool) {
		if q := p.packet(speech); q != nil {
			if q.Restart {
				e.from = p.at + settled
			}
			track.Put(q, r.emit)
		}
	}
	for p.at < length {
		for range 50 + p.rng.IntN(2000) {
			put(true)
		}
		switch what := p.rng.IntN(20); {
		case what == 0: // mute: nothing is sent, the clock goes on
			p.pause((10 + 300*p.rng.Float64()) * SampleRate)
			if !track.clock.measured {
				e.from = p.at + settled // nobody can know where a clock is of which no drift is known
			}
		case what == 1 && p.at > length/2 && !rejoined:
			p.rejoin(5 * SampleRate)
			rejoined = true
		case what == 2: // the network holds everything back for 1 to 5 s
			p.stall = p.at + (1+4*p.rng.Float64())*SampleRate
		default: // DTX: one packet each 400 ms
			for range 1 + p.rng.IntN(20) {
				put(false)
				p.pause(380 * ms)
			}
		}
		track.Advance(int64(p.at), r.emit)
	}
	end := int64(p.at) + SampleRate
	track.Close(end, r.emit)
	if r.broken != "" {
		t.Fatal(r.broken)
	}
	if r.end < end || r.end >= end+quantum {
		t.Errorf("track ends at %d, the recording at %d", r.end, end)
	}
	return e, track.Stats()
}

// Three people talk for three hours. What any two of them said at the same time is at most 20 ms apart, because
// everything is within 10 ms of its true place.
func TestThreeHoursStayTogether(t *testing.T) {
	for i, ppm := range []float64{-100, 0, 100} {
		for seed := range uint64(4) {
			e, s := hours(t, 10*seed+uint64(i)+1, ppm, 3*3600*SampleRate)
			t.Logf("%+.0f ppm: worst %+.1f ms at %.0f s, at the start %.1f ms, %d packets; %+v", ppm, e.worst, e.worstAt, e.start, e.n, s)
			if math.Abs(e.worst) > 10 {
				t.Errorf("%+.0f ppm: %+.1f ms off at %.0f s", ppm, e.worst, e.worstAt)
			}
			if e.start > 60 {
				t.Errorf("%+.0f ppm: %.1f ms off in the first seconds", ppm, e.start)
			}
			if math.Abs(s.DriftPPM-ppm) > 15 {
				t.Errorf("drift of %+.0f ppm measured as %+.1f", ppm, s.DriftPPM)
			}
		}
	}
}

// Music has no pauses in which a clock could be corrected unheard, and cheap devices drift by up to 500 ppm.
func TestMusicWithoutPauseIsCorrected(t *testing.T) {
	for _, c := range []struct{ ppm, worst float64 }{{-500, 20}, {-100, 10}, {0, 10}, {100, 10}, {500, 20}} {
		p := newPerson(7, c.ppm)
		p.jitter = 60 * ms
		track, r := New(0), &ribbon{}
		e := &truth{delay: p.delay + 960, from: settled}
		r.each = e.piece
		for p.at < 3600*SampleRate {
			if q := p.packet(true); q != nil {
				track.Put(q, r.emit)
			}
		}
		s := track.Stats()
		t.Logf("%+.0f ppm: worst %+.1f ms at %.0f s; %+v", c.ppm, e.worst, e.worstAt, s)
		if math.Abs(e.worst) > c.worst {
			t.Errorf("%+.0f ppm: %+.1f ms off at %.0f s", c.ppm, e.worst, e.worstAt)
		}
		corrected := float64(s.Inserted) - float64(s.Removed)
		if drifted := -c.ppm / 1e6 * 3600 * SampleRate; math.Abs(corrected-drifted) > 60*ms {
			t.Errorf("%+.0f ppm: corrected by %.0f samples, drifted by %.0f", c.ppm, corrected, drifted)
		}
	}
}

// Where it is quiet the clock is corrected before it has to be.
func TestQuietPacketsAreCorrectedSooner(t *testing.T) {
	for _, ppm := range []float64{-100, 100} {
		p := newPerson(8, ppm)
		track, r := New(0), &ribbon{}
		e := &truth{delay: p.delay + 960, from: settled}
		r.each = e.piece
		for p.at < 1800*SampleRate {
			q := p.packet(true)
			q.Level = quietLevel
			track.Put(q, r.emit)
		}
		if math.Abs(e.worst) > 6 {
			t.Errorf("%+.0f ppm: %+.1f ms off at %.0f s", ppm, e.worst, e.worstAt)
		}
	}
}
