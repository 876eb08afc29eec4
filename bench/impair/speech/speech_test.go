package speech

import (
	"bytes"
	"testing"

	"github.com/thesyncim/gopus"
)

func take(t *testing.T, speaker uint16, octets, level, n int) *Take {
	t.Helper()
	s, err := Of(speaker, octets, level, n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEachFrameIsOfItsSizeAndLikeNoOther(t *testing.T) {
	var takes []*Take
	for speaker := uint16(1); speaker <= SpeakersMax; speaker++ {
		takes = append(takes, take(t, speaker, OctetsMin, -20, 600))
	}
	book, err := NewBook(takes)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range takes {
		for n, f := range s.Frames {
			if len(f) != OctetsMin {
				t.Fatalf("frame %d of voice %d has %d octets", n, s.Speaker, len(f))
			}
			if speaker, found, ok := book.Find(f); !ok || speaker != s.Speaker || found != uint32(n) {
				t.Fatalf("frame %d of voice %d is taken for frame %d of voice %d, %v", n, s.Speaker, found, speaker, ok)
			}
		}
	}
	changed := bytes.Clone(takes[0].Frames[7])
	changed[40] ^= 1
	if _, _, ok := book.Find(changed); ok {
		t.Error("a frame with a bit turned over is known")
	}
	if _, err := NewBook([]*Take{takes[0], {Speaker: 9, Frames: takes[0].Frames[5:6]}}); err == nil {
		t.Error("two voices say the same, and nobody minds")
	}
}

func TestWhatIsSaidAgainIsTheSame(t *testing.T) {
	short := take(t, 2, 80, -26, 20)
	long := take(t, 2, 80, -26, 200)
	for n := range short.Frames {
		if !bytes.Equal(short.Frames[n], long.Frames[n]) || short.Tones[n] != long.Tones[n] {
			t.Fatalf("frame %d is another one", n)
		}
	}
	s, err := newSession(kind{2, 80, -26})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 200 {
		if err := s.record(); err != nil || !bytes.Equal(s.frames[n], long.Frames[n]) {
			t.Fatalf("frame %d of another session: %v", n, err)
		}
	}
}

func TestNoPitchComesBackSoon(t *testing.T) {
	for speaker := uint16(1); speaker <= SpeakersMax; speaker++ {
		p := newPitches(speaker)
		var last []float64
		for n := range 2000 {
			hz := p.next(1).Hz
			for i, was := range last[max(0, len(last)-different):] {
				if d := hz - was; d > -toneStep/2 && d < toneStep/2 {
					t.Fatalf("voice %d: frame %d has %g Hz, and one of those before, %d, %g", speaker, n, hz, i, was)
				}
			}
			low := lowest + bandStep*float64(speaker-1)
			if hz < low-wobble || hz > low+toneStep*(tones-1)+wobble {
				t.Fatalf("voice %d: %g Hz is outside of its band", speaker, hz)
			}
			last = append(last, hz)
		}
	}
}

// TestAFrameStandsForItself decodes frames behind others that are not theirs: what comes out is the same, but for the ends that
// frames share.
func TestAFrameStandsForItself(t *testing.T) {
	s := take(t, 1, 80, -20, 40)
	decode := func(packets ...[]byte) (pcm []float32) {
		d, err := gopus.NewDecoder(gopus.DefaultDecoderConfig(SampleRate, 1))
		if err != nil {
			t.Fatal(err)
		}
		pcm = make([]float32, 5760)
		for _, p := range packets {
			if _, err := d.Decode(p, pcm[:FrameSamples]); err != nil {
				t.Fatal(err)
			}
		}
		return pcm[240:FrameSamples]
	}
	for n := 10; n < 40; n++ {
		want, got := decode(s.Frames[n-2], s.Frames[n-1], s.Frames[n]), decode(s.Frames[n-9], s.Frames[n-2], nil, s.Frames[n])
		var energy, difference float64
		for i := range want {
			d := float64(want[i] - got[i])
			energy, difference = energy+float64(want[i]*want[i]), difference+d*d
		}
		if difference > energy/1000 {
			t.Errorf("frame %d: %.4f of its energy depends on what was before it", n, difference/energy)
		}
	}
}

func TestVoicesThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		speaker uint16
		octets  int
	}{{0, 80}, {SpeakersMax + 1, 80}, {1, OctetsMin - 1}, {1, 3000}} {
		if _, err := Of(c.speaker, c.octets, -20, 2); err == nil {
			t.Errorf("voice %d of %d octets speaks", c.speaker, c.octets)
		}
	}
	b, err := NewBook([]*Take{take(t, 1, 80, -20, 5)})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Tone(1, 5); ok {
		t.Error("a frame that was never said has a tone")
	}
	if _, ok := b.Tone(2, 0); ok {
		t.Error("somebody who says nothing has a tone")
	}
}
