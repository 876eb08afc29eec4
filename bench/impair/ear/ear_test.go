package ear

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"stentor/bench/client"
)

const ms = time.Millisecond

// play is a talker, a network and a listener, packet by packet.
type play struct {
	ear  *Ear
	said []Said
	seq  uint16
	ts   uint32
	n    uint32
	at   time.Duration
	past [][]byte
}

func newPlay() *play {
	return &play{ear: New(), seq: 65500, ts: math.MaxUint32 - 96000} // both wrap on the way
}

// says makes the next frame and the moment it was said.
func (p *play) says() []byte {
	f := client.TestFrame(7, p.n, 80)
	p.said = append(p.said, Said{p.at, 7, p.n, true})
	p.n++
	p.at += frameTime
	p.past = append(p.past, f)
	return f
}

// sends sends one frame a packet, with depth earlier ones besides, and takes it where it is not lost.
func (p *play) sends(delay time.Duration, depth int, lost bool) {
	at := p.at
	f := p.says()
	if depth > 0 {
		f = redOf(p.past, depth)
	}
	if !lost {
		p.ear.Take(at+delay, 0, p.seq, p.ts, f)
	}
	p.seq++
	p.ts += frameSamples
}

// redOf packs the last frame and up to depth before it, as RFC 2198 §3 says.
func redOf(past [][]byte, depth int) (out []byte) {
	n := min(depth, len(past)-1)
	for i := n; i > 0; i-- {
		f := past[len(past)-1-i]
		h := uint32(1)<<31 | uint32(opusType)<<24 | uint32(i*frameSamples)<<10 | uint32(len(f))
		out = binary.BigEndian.AppendUint32(out, h)
	}
	out = append(out, opusType)
	for i := n; i >= 0; i-- {
		out = append(out, past[len(past)-1-i]...)
	}
	return out
}

// packed60 sends three frames in one packet (RFC 6716 §3.2.5, code 3, CBR), when the last of them was said.
func (p *play) packed60(delay time.Duration, lost bool) {
	a, b, c := p.says(), p.says(), p.says()
	packet := append([]byte{a[0] | 3, 3}, a[1:]...)
	packet = append(append(packet, b[1:]...), c[1:]...)
	if !lost {
		p.ear.Take(p.at-frameTime+delay, 0, p.seq, p.ts, packet)
	}
	p.seq++
	p.ts += 3 * frameSamples
}

// pause lets nobody speak.
func (p *play) pause(frames int) {
	p.at += time.Duration(frames) * frameTime
	p.ts += uint32(frames) * frameSamples
}

func (p *play) heard(from time.Duration) Heard {
	return Measure(p.said, p.ear.Play(p.at+2*time.Second), from, p.at)
}

func between(t *testing.T, what string, got, low, high float64) {
	t.Helper()
	if !(got >= low && got <= high) {
		t.Errorf("%s is %.4g, want %g … %g", what, got, low, high)
	}
}

func TestAGoodNetworkIsHeardInFull(t *testing.T) {
	p := newPlay()
	for range 500 {
		p.sends(30*ms, 0, false)
	}
	h := p.heard(0)
	if h.Heard != 100 || h.Dominant != 100 || h.Concealed != 0 || h.Hole != 0 || h.FramesSaid != 500 {
		t.Errorf("%+v", h)
	}
	between(t, "delay", h.DelayMs, 50, 70)
}

func TestWhatIsLostIsConcealed(t *testing.T) {
	for _, c := range []struct {
		loss             float64
		depth            int
		low, high, delay float64
	}{{0.1, 0, 9, 11, 75}, {0.1, 1, 0.4, 1.6, 110}, {0.1, 2, 0, 0.4, 140}, {0.3, 0, 27, 33, 75}} {
		p, random := newPlay(), rand.New(rand.NewPCG(1, 1))
		for range 6000 {
			p.sends(30*ms, c.depth, random.Float64() < c.loss)
		}
		h := p.heard(0)
		between(t, "concealed", h.Concealed, c.low, c.high)
		between(t, "heard", h.Heard, 100-c.high, 100-c.low)
		between(t, "delay", h.DelayMs, 50, c.delay)
		between(t, "hole", h.Hole, 19, 250)
	}
}

func TestPackedPacketsAreHeardInFullAndLater(t *testing.T) {
	p := newPlay()
	for range 300 {
		p.packed60(30*ms, false)
	}
	h := p.heard(time.Second)
	if h.Heard != 100 || h.Concealed > 0.2 {
		t.Errorf("%+v", h)
	}
	between(t, "delay", h.DelayMs, 85, 130) // 30 of the network, 40 of packing, 20 of the receiver
}

func TestAChangeToPackedIsASmallStumbleAtMost(t *testing.T) {
	p := newPlay()
	for range 500 {
		p.sends(30*ms, 0, false)
	}
	for range 200 {
		p.packed60(30*ms, false)
	}
	for range 500 {
		p.sends(30*ms, 0, false)
	}
	h := p.heard(0)
	between(t, "heard", h.Heard, 99.5, 100)
	between(t, "hole", h.Hole, 0, 60)
	after := p.heard(p.at - 2*time.Second)
	between(t, "delay long after", after.DelayMs, 50, 90)
}

func TestAPauseIsNoHoleAndNotConcealed(t *testing.T) {
	p := newPlay()
	for range 10 {
		for range 50 {
			p.sends(30*ms, 0, false)
		}
		p.pause(100)
	}
	h := p.heard(0)
	if h.Heard != 100 || h.Concealed != 0 || h.Hole > 1 {
		t.Errorf("%+v", h)
	}
}

func TestAnOutageIsAHoleOfItsLength(t *testing.T) {
	p := newPlay()
	for i := range 1000 {
		p.sends(30*ms, 0, i >= 400 && i < 650)
	}
	h := p.heard(0)
	between(t, "hole", h.Hole, 4980, 5040)
	between(t, "heard", h.Heard, 74.9, 75.1)
	between(t, "concealed", h.Concealed, 24.5, 25.5)
	between(t, "heard after it", p.heard(13100*ms).Heard, 100, 100)
}

func TestALineThatIsLeftAloneIsNotMadeUp(t *testing.T) {
	p := newPlay()
	for i := range 100 {
		p.sends(30*ms, 0, i >= 98) // the last two before the pause are lost
	}
	p.pause(1000)
	for range 100 {
		p.sends(30*ms, 0, false)
	}
	if h := p.heard(0); h.FramesMadeUp < 2 || h.FramesMadeUp > 12 {
		t.Errorf("%+v", h)
	}
}

func TestADelayThatIsNotNeededGoesAlsoWithLoss(t *testing.T) {
	p, random := newPlay(), rand.New(rand.NewPCG(1, 1))
	for i := range 3000 {
		delay := 30 * ms
		if i < 200 {
			delay = time.Duration(i%2) * 300 * ms
		}
		p.sends(delay, 0, random.Float64() < 0.6)
	}
	between(t, "delay", p.heard(30*time.Second).DelayMs, 50, 100)
}

func TestWhatStopsForGoodIsAHoleToTheEnd(t *testing.T) {
	p := newPlay()
	for i := range 500 {
		p.sends(30*ms, 0, i >= 250)
	}
	h := p.heard(0)
	between(t, "hole", h.Hole, 4980, 5020)
	if silent := p.heard(6 * time.Second); silent.Heard != 0 || silent.Hole < 3990 {
		t.Errorf("%+v", silent)
	}
}

func TestJitterIsWaitedForAndForgotten(t *testing.T) {
	p, random := newPlay(), rand.New(rand.NewPCG(1, 1))
	for range 500 {
		p.sends(30*ms, 0, false)
	}
	last := time.Duration(0)
	for range 1500 { // in order, as a queue's jitter is
		last = max(last, p.at+30*ms+time.Duration(random.Int64N(int64(100*ms))))
		p.sends(last-p.at, 0, false)
	}
	jittery := p.heard(15 * time.Second)
	between(t, "heard with jitter", jittery.Heard, 99, 100)
	between(t, "concealed with jitter", jittery.Concealed, 0, 6)
	between(t, "delay with jitter", jittery.DelayMs, 100, 180)
	for range 1500 {
		p.sends(30*ms, 0, false)
	}
	between(t, "delay after it", p.heard(p.at-5*time.Second).DelayMs, 50, 80)
}

func TestAPacketThatIsOvertakenIsPlayedInItsPlace(t *testing.T) {
	p := newPlay()
	for i := range 2000 {
		p.sends([]time.Duration{70 * ms, 30 * ms, 30 * ms, 30 * ms}[i%4], 0, false)
	}
	// Packets are to be taken in order of arrival: replay them sorted.
	l := p.ear.lines[0]
	sorted := New()
	sorted.lines[0] = &line{}
	list := l.arrivals
	for len(list) > 0 {
		first := 0
		for i := range min(len(list), 5) {
			if list[i].at < list[first].at {
				first = i
			}
		}
		sorted.lines[0].arrivals = append(sorted.lines[0].arrivals, list[first])
		list = append(list[:first:first], list[first+1:]...)
	}
	p.ear = sorted
	h := p.heard(2 * time.Second)
	between(t, "heard", h.Heard, 99.9, 100)
	between(t, "delay", h.DelayMs, 85, 120)
}

func TestTheDominantSpeakerIsTold(t *testing.T) {
	var said []Said
	var plays []Play
	for i := range 100 {
		at := time.Duration(i) * frameTime
		said = append(said, Said{at, 1, uint32(i), true}, Said{at, 2, uint32(i), false})
		plays = append(plays, Play{At: at + 100*ms, Speaker: 1, N: uint32(i)})
	}
	h := Measure(said, Played{Plays: plays}, 0, time.Minute)
	if h.Heard != 50 || h.Dominant != 100 || h.Hole != 0 || h.DominantHole != 0 || h.DelayMs != 100 {
		t.Errorf("%+v", h)
	}
	h = Measure(said, Played{Plays: plays[:50]}, 0, time.Minute)
	if h.Dominant != 50 || h.Hole != 1000 || h.DominantHole != 1000 {
		t.Errorf("%+v", h)
	}
	if h := Measure(nil, Played{}, 0, time.Minute); h != (Heard{}) {
		t.Errorf("of nothing: %+v", h)
	}
}

func TestPaddingAndNonsenseAreNotHeard(t *testing.T) {
	e := New()
	for i, payload := range [][]byte{
		nil, {0xEF}, {0xEF, 0, 0, 200, 111, 1}, {0x6F}, {0xEF, 0, 0, 0, 99}, {31<<3 | 3}, {31<<3 | 3, 0xC1, 255},
	} {
		if n := e.Take(time.Duration(i)*frameTime, 0, uint16(i), uint32(i)*960, payload); n != 0 {
			t.Errorf("% x holds %d frames", payload, n)
		}
	}
	if p := e.Play(time.Second); len(p.Plays) != 0 {
		t.Errorf("%+v", p)
	}
}

func FuzzTake(f *testing.F) {
	past := [][]byte{client.TestFrame(1, 1, 40), client.TestFrame(1, 2, 50), client.TestFrame(1, 3, 60)}
	f.Add(past[0], past[1], uint16(3), uint32(960))
	f.Add(redOf(past, 2), redOf(past, 1), uint16(65535), uint32(1<<31))
	f.Fuzz(func(t *testing.T, a, b []byte, seq uint16, ts uint32) {
		e := New()
		e.Take(0, 0, 1, 0, past[0])
		e.Take(20*ms, 0, seq, ts, a)
		e.Take(40*ms, 0, seq+1, ts+960, b)
		e.Take(60*ms, 0, 2, 960, past[1])
		p := e.Play(time.Second)
		if len(p.Plays)+len(p.Concealed) > 1000 {
			t.Errorf("a second of sound is %d frames and %d made up", len(p.Plays), len(p.Concealed))
		}
	})
}
