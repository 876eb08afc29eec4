package mix

import (
	"testing"
)

// talk puts three people who all talk without a pause, so many frames of it from where the mixer stands; again and
// again, when called so.
func talk(m *Mixer, people [3][][]byte, frame, frames int) {
	for i, packets := range people {
		for f := frame; f < frame+frames; f++ {
			m.Put(uint32(i), int64(f)*960, 960, packets[f%len(packets)])
		}
	}
}

func three(t testing.TB) (people [3][][]byte) {
	for i, who := range []string{"slt", "rms", "awb"} {
		people[i] = speech(t, who)
	}
	return people
}

func TestASteadyMixAllocatesNothing(t *testing.T) {
	people := three(t)
	m := newMixer(t, Config{})
	octets, frame := 0, 0
	emit := func(_ int64, p []byte) { octets += len(p) }
	step := func() {
		talk(m, people, frame, 5)
		frame += 5
		if err := m.Mix(int64(frame-1)*960, emit); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		step()
	}
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations in 100 ms", n)
	}
	if octets < frame*60 {
		t.Errorf("%d octets in %d frames", octets, frame)
	}
}

// BenchmarkMix is the cost of 20 ms of a room.
func BenchmarkMix(b *testing.B) {
	people := three(b)
	for _, c := range []struct {
		name   string
		people int
		config Config
	}{
		{"nobody", 0, Config{}},
		{"three", 3, Config{}},
		{"three, 32 kb/s", 3, Config{Bitrate: 32000}},
		{"three, complexity 10", 3, Config{Complexity: 10}},
		{"three, the sum alone", 3, Config{Codec: mute{}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := newMixer(b, c.config)
			emit := func(int64, []byte) {}
			b.ReportAllocs()
			for frame := 0; b.Loop(); frame++ {
				if c.people > 0 {
					talk(m, people, frame, 1)
				}
				if err := m.Mix(int64(frame)*960, emit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// mute is a codec that costs next to nothing. It decodes everything to 20 ms of 0.1.
type mute struct{}

func (mute) NewDecoder() (Decoder, error)         { return &mute{}, nil }
func (mute) NewEncoder(int, int) (Encoder, error) { return &muteEncoder{}, nil }

func (*mute) Reset() {}
func (*mute) Decode(_ []byte, pcm []float32) (int, error) {
	n := min(len(pcm), 960)
	for i := range pcm[:n] {
		pcm[i] = 0.1
	}
	return n, nil
}

type muteEncoder struct{}

func (*muteEncoder) Reset()                                        {}
func (*muteEncoder) Lookahead() int                                { return 120 }
func (*muteEncoder) Encode(_ []float32, p []byte) (n int, _ error) { return copy(p, "\xf8123"), nil }
