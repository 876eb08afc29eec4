package align

import (
	"bytes"
	"math"
	"testing"

	"stentor/forward/opus"
)

// stage is a track with one person and what comes out.
type stage struct {
	*testing.T
	*person
	track *Track
	r     ribbon
	heard map[uint64]int64 // place of each packet, by the bits of its capture
}

func newStage(t *testing.T) *stage {
	s := &stage{T: t, person: newPerson(3, 0), track: New(0), heard: map[uint64]int64{}}
	s.r.each = func(p Piece) {
		if at, ok := captured(p.Payload); ok && p.Kind == Audio {
			s.heard[math.Float64bits(at)] = p.At
		}
	}
	return s
}

// talk sends packets for so many ms.
func (s *stage) talk(length int) {
	for range length / 20 {
		s.track.Put(s.packet(true), s.r.emit)
	}
}

// off is how far from its true place what was captured at a time lies, in ms; false if it is not in the track.
func (s *stage) off(at float64) (float64, bool) {
	place, ok := s.heard[math.Float64bits(at)]
	return (float64(place) - at - 960 - s.delay) / ms, ok
}

func (s *stage) close() Stats {
	s.Helper()
	end := int64(s.at + s.delay + 960)
	s.track.Close(end, s.r.emit)
	if s.r.broken != "" {
		s.Error(s.r.broken)
	}
	if s.r.end < end || s.r.end > end+Ahead {
		s.Errorf("the track ends at %d, the recording at %d", s.r.end, end)
	}
	return s.track.Stats()
}

// all checks that each packet captured from one time to another is in the track, in its place.
func (s *stage) all(from, to float64) {
	s.Helper()
	for at := from; at < to; at += 960 {
		if off, ok := s.off(at); !ok || math.Abs(off) > 2.5 {
			s.Errorf("what was said at %.2f s: in the track %v, off by %.1f ms", at/SampleRate, ok, off)
			return
		}
	}
}

// A network that holds everything back for up to 5 s and then delivers it at once costs nothing: every packet gets to
// its place, although Advance went on in between.
func TestStallMovesNothing(t *testing.T) {
	for _, stall := range []float64{0.3, 1, 3, 5} {
		s := newStage(t)
		s.talk(10_000)
		s.stall = s.at + stall*SampleRate
		s.track.Advance(int64(s.stall)-1, s.r.emit)
		s.talk(20_000)
		if got := s.close(); got.Late > 0 || got.Anchors != 1 {
			t.Errorf("stall of %.1f s: %+v", stall, got)
		}
		s.all(0, s.at)
	}
}

// Muted at the source, some browsers' clocks stand still. What is said after that lies where it was said, whether the
// pause was short enough for a stall or not.
func TestClockThatStoodStillIsSetAnew(t *testing.T) {
	for _, pause := range []float64{0.5, 2, 5, 30, 600} {
		s := newStage(t)
		s.talk(10_000)
		s.freeze(pause * SampleRate)
		s.track.Advance(int64(s.at), s.r.emit)
		back := s.at
		s.talk(10_000)
		if got := s.close(); got.Anchors != 2 || got.Late > 0 {
			t.Errorf("pause of %.1f s: %+v", pause, got)
		}
		s.all(0, 10*SampleRate)
		s.all(back, s.at)
	}
}

// Short standstills, each too short to be told from jitter, add up to one that can be.
func TestShortStandstillsAddUp(t *testing.T) {
	s := newStage(t)
	for range 10 {
		s.talk(2000)
		s.freeze(100 * ms)
	}
	s.talk(90_000)
	late := s.at
	s.talk(5000)
	s.close()
	for at := late; at < s.at; at += 960 {
		if off, ok := s.off(at); ok && math.Abs(off) > 10 {
			t.Fatalf("%.1f ms off", off)
		}
	}
}

// Where they come in quick succession nobody waits half a minute for the proof.
func TestStandstillsInARowAreSeenWithinSeconds(t *testing.T) {
	s := newStage(t)
	s.talk(10_000)
	for range 3 {
		s.freeze(290 * ms)
		s.talk(200)
	}
	s.talk(6000)
	seen := s.at
	s.talk(5000)
	s.close()
	s.all(seen, s.at)
}

// A jump far above drift, but too small for another stream, leaves no drift behind.
func TestSmallJumpIsNoDrift(t *testing.T) {
	s := newStage(t)
	s.talk(200_000)
	s.ts += 40 * ms
	after := s.at + 20*960
	s.talk(100_000)
	if got := s.close(); math.Abs(got.DriftPPM) > 1 {
		t.Errorf("%+v", got)
	}
	s.all(after, s.at)
}

// A pause in which the source's clock goes on changes nothing of the mapping, be it an hour.
func TestPauseKeepsTheMapping(t *testing.T) {
	s := newStage(t)
	s.talk(10_000)
	s.pause(3600 * SampleRate)
	s.track.Advance(int64(s.at), s.r.emit)
	back := s.at
	s.talk(1000)
	if got := s.close(); got.Anchors != 1 || got.Lost > 0 {
		t.Errorf("%+v", got)
	}
	s.all(0, 10*SampleRate)
	s.all(back, s.at)
	if s.r.pieces > 11_000/20+3600_000/120+10 {
		t.Errorf("%d pieces", s.r.pieces)
	}
}

// A congested network after a pause looks like a clock that was slow all the while.
func TestCongestionAfterAPauseIsNoDrift(t *testing.T) {
	s := newStage(t)
	s.talk(20_000)
	s.pause(300 * SampleRate)
	s.track.Advance(int64(s.at), s.r.emit)
	back := s.at
	s.delay += 40 * ms
	s.talk(6000)
	s.delay -= 40 * ms
	s.talk(10_000)
	s.close()
	s.all(back, s.at)
}

// A network that gets better while a stream is young looks like a fast clock, which a pause would make much of.
func TestCongestionOfAYoungStreamIsNoDrift(t *testing.T) {
	s := newStage(t)
	s.delay += 32 * ms
	for range 8 {
		s.delay -= 4 * ms
		s.talk(2000)
	}
	s.pause(60 * SampleRate)
	s.track.Advance(int64(s.at), s.r.emit)
	back := s.at
	s.talk(1000)
	s.close()
	if off, ok := s.off(back); !ok || math.Abs(off) > 5 {
		t.Errorf("in the track %v, %.1f ms off", ok, off)
	}
}

// A clock that is wrong beyond all hardware is no drift, and still its audio is kept.
func TestWrongRateIsNoDrift(t *testing.T) {
	for _, ppm := range []float64{-3000, 3000} {
		s := newStage(t)
		s.rate = 1 + ppm/1e6
		s.talk(120_000)
		if got := s.close(); math.Abs(got.DriftPPM) > 601 || got.Packets < 5500 {
			t.Errorf("%+.0f ppm: %+v", ppm, got)
		}
	}
}

// Timestamps may jump by any amount. The audio goes on at its arrival.
func TestTimestampJumpsAreFollowed(t *testing.T) {
	for _, jump := range []int64{1 << 62, -1 << 62, math.MinInt64, 1 << 33, 3600 * SampleRate, -3600 * SampleRate, SampleRate, -SampleRate, 150 * ms} {
		s := newStage(t)
		s.talk(10_000)
		s.ts += uint64(jump)
		after := s.at
		s.talk(10_000)
		anchors := uint64(2)
		if jump == 150*ms {
			anchors = 1
		}
		if got := s.close(); got.Packets < 1000-10 || got.Anchors != anchors {
			t.Errorf("jump by %d: %+v", jump, got)
		}
		s.all(after+SampleRate, s.at)
		if s.r.pieces > 1100 {
			t.Errorf("jump by %d: %d pieces", jump, s.r.pieces)
		}
	}
}

// Thirty page reloads are one person, in the right place each time.
func TestThirtyRejoins(t *testing.T) {
	s := newStage(t)
	for range 30 {
		from := s.at
		s.talk(3000)
		s.all(from, s.at-6*960) // the last 100 ms are not due yet where the stream is young
		s.rejoin(2 * SampleRate)
		s.track.Advance(int64(s.at), s.r.emit)
	}
	if got := s.close(); got.Anchors != 30 || got.Packets != 30*150 || got.Lost > 0 {
		t.Errorf("%+v", got)
	}
}

func TestOneSecond(t *testing.T) {
	s := newStage(t)
	s.talk(1000)
	if got := s.close(); got.Packets != 50 {
		t.Errorf("%+v", got)
	}
	s.all(0, s.at)
}

// A recording may end before it is clear where the only packets belong.
func TestOnePacket(t *testing.T) {
	s := newStage(t)
	s.talk(20)
	if got := s.close(); got.Packets != 1 {
		t.Errorf("%+v", got)
	}
}

// Nobody spoke: the track is silent and as long as the recording.
func TestNothingAtAll(t *testing.T) {
	s := newStage(t)
	s.at = 3600 * SampleRate
	s.track.Advance(int64(s.at), s.r.emit)
	if behind := int64(s.at) - s.track.End(); behind < HoldBack || behind > HoldBack+quantum {
		t.Errorf("%d samples behind", behind)
	}
	s.close()
	if s.r.counts[Silence] != s.r.end || s.r.pieces > 3600_000/120+10 {
		t.Errorf("%d pieces, %v", s.r.pieces, s.r.counts)
	}
}

// Who only ever sends DTX has a track of the right length, with each packet in its place.
func TestOnlyDTX(t *testing.T) {
	s := newStage(t)
	var at []int64
	s.r.each = func(p Piece) {
		if p.Kind == Audio {
			at = append(at, p.At)
		}
	}
	for range 100 {
		s.track.Put(s.packet(false), s.r.emit)
		s.pause(380 * ms)
		s.track.Advance(int64(s.at), s.r.emit)
	}
	if got := s.close(); got.Packets != 100 || got.Lost != 0 || got.Removed+got.Inserted != 0 {
		t.Errorf("%+v", got)
	}
	for i := range at {
		if want := int64(i)*400*ms + 960 + int64(s.delay); at[i]-want > quantum || want-at[i] > quantum {
			t.Fatalf("packet %d at %d, not %d", i, at[i], want)
		}
	}
}

// One lost packet is left to the decoder; of a long loss only the beginning, and the rest is zeros.
func TestLossIsConcealedThenSilent(t *testing.T) {
	for _, c := range []struct{ lost, missing, zeros int64 }{{1, 20, 0}, {3, 60, 0}, {5, 100, 0}, {50, 100, 900}} {
		s := newStage(t)
		s.talk(1000)
		var missing, zeros int64
		each := s.r.each
		s.r.each = func(p Piece) {
			each(p)
			switch {
			case p.Kind == Lost && len(p.Payload) == 1 && p.Payload[0] == hybrid:
				missing += int64(p.Samples) / ms
			case p.Kind == Lost && bytes.HasSuffix(p.Payload, opus.Quiet[1:]):
				zeros += int64(p.Samples) / ms
			}
		}
		for range c.lost {
			s.packet(true)
		}
		back := s.at
		s.talk(1000)
		if missing != c.missing || zeros != c.zeros {
			t.Errorf("%d lost: %d ms concealed, %d ms of zeros", c.lost, missing, zeros)
		}
		if got := s.close(); got.Lost != uint64(c.lost) {
			t.Errorf("%+v", got)
		}
		s.all(back, s.at)
	}
}

// Repeated packets, and those that come when silence lies in their place, are dropped and counted.
func TestLateAndRepeatedPacketsAreDropped(t *testing.T) {
	s := newStage(t)
	s.talk(1000)
	twice := s.packet(true)
	s.track.Put(twice, s.r.emit)
	s.track.Put(twice, s.r.emit)
	s.stall = s.at + 8*SampleRate
	s.track.Advance(int64(s.stall), s.r.emit)
	for range 8 * 50 {
		s.track.Put(s.packet(true), s.r.emit)
	}
	got := s.close()
	if got.Duplicates != 1 {
		t.Errorf("%d duplicates", got.Duplicates)
	}
	if got.Late < 95 || got.Late > 105 { // 8 s, of which 6 s were held back
		t.Errorf("%d late", got.Late)
	}
}

func TestWhatIsNoOpusIsDropped(t *testing.T) {
	s := newStage(t)
	for _, payload := range [][]byte{nil, {0xff}, {hybrid | 3, 0}, {hybrid | 3, 7}} {
		p := s.packet(true)
		p.Payload = payload
		s.track.Put(p, s.r.emit)
	}
	wrong := s.packet(true)
	wrong.Samples = 480
	s.track.Put(wrong, s.r.emit)
	if got := s.close(); got.Invalid != 5 || got.Packets != 0 {
		t.Errorf("%+v", got)
	}
}

func TestFillersAreOfTheirDuration(t *testing.T) {
	for _, q := range quiets {
		if n, ok := opus.Duration(q.payload); !ok || n != q.samples {
			t.Errorf("% x lasts %d, not %d", q.payload, n, q.samples)
		}
	}
	if n, ok := opus.Duration(waker); !ok || n != wakerSamples {
		t.Errorf("the waker lasts %d", n)
	}
	for toc := range 256 {
		for _, room := range []int64{480, 960, 1920, 5760} {
			p, n := missing([]byte{byte(toc), 0}, room)
			if d, ok := opus.Duration(p); !ok || d != n || n < tenth || int64(n) > room {
				t.Errorf("for %#x in %d: %x of %d", toc, room, p, n)
			}
			if (p[0]^byte(toc))&4 != 0 {
				t.Errorf("for %#x: %x has other channels", toc, p)
			}
		}
	}
}
