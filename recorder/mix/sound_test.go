package mix

import (
	"math"
	"slices"
	"testing"

	"stentor/forward/opus"
)

// This file says what is heard: tones, their level, what is besides them.

// second is 48000 samples, ms a thousandth of that.
const (
	second = opus.SampleRate
	ms     = opus.SampleRate / 1000
)

// tone is a sine of dB under full scale (its peak, not its mean), n samples long.
func tone(n int, hz, db float64) []float32 {
	pcm := make([]float32, n)
	for i := range pcm {
		pcm[i] = float32(math.Pow(10, db/20) * math.Sin(2*math.Pi*hz*float64(i)/second))
	}
	return pcm
}

func add(pcms ...[]float32) []float32 {
	sum := slices.Clone(pcms[0])
	for _, pcm := range pcms[1:] {
		for i := range sum {
			sum[i] += pcm[i]
		}
	}
	return sum
}

// toneDB is how loud a tone is in pcm, its peak in dBFS, by Goertzel with a Hann window.
func toneDB(pcm []float32, hz float64) float64 {
	var re, im, weight float64
	for i, x := range pcm {
		w := 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(len(pcm)))
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / second)
		re, im, weight = re+w*cos*float64(x), im+w*sin*float64(x), weight+w
	}
	return 20 * math.Log10(2*math.Hypot(re, im)/weight+1e-12)
}

// rmsDB is the mean square of pcm in dBFS.
func rmsDB(pcm []float32) float64 {
	var sum float64
	for _, x := range pcm {
		sum += float64(x) * float64(x)
	}
	return toDB(sum/float64(len(pcm)) + 1e-15)
}

// crackleDB is how loud pcm is above some 8 kHz, in dBFS, where its loudest 5 ms are: there is nothing in a voice's tones, and
// everything in a click.
func crackleDB(pcm []float32) float64 {
	high := slices.Clone(pcm)
	for range 6 { // each a high-pass of 6 dB an octave below 8 kHz
		for i := len(high) - 1; i > 0; i-- {
			high[i] = (high[i] - high[i-1]) / 2
		}
		high[0] = 0
	}
	loudest := -150.0
	for i := 240; i+240 <= len(high); i += 120 {
		loudest = max(loudest, rmsDB(high[i:i+240]))
	}
	return loudest
}

// lagOf is by how many samples got lags want, searched 15 ms both ways.
func lagOf(got, want []float32) int {
	best, lag := 0.0, 0
	const reach = 15 * ms
	for l := -reach; l <= reach; l++ {
		var sum float64
		for i := reach; i < len(want)-reach; i++ {
			sum += float64(got[i+l]) * float64(want[i])
		}
		if sum > best {
			best, lag = sum, l
		}
	}
	return lag
}

// about fails where a level is not want, give or take.
func about(t *testing.T, what string, db, want, give float64) {
	t.Helper()
	if math.IsNaN(db) || math.Abs(db-want) > give {
		t.Errorf("%s at %.1f dB, want %.1f ± %.1f", what, db, want, give)
	}
}

// below fails where a level is above most.
func below(t *testing.T, what string, db, most float64) {
	t.Helper()
	if !(db <= most) {
		t.Errorf("%s at %.1f dB, want at most %.1f", what, db, most)
	}
}

// said is what a source says: packets from a position on.
type said struct {
	id      uint32
	at      int64 // of the first packet's first sample that is heard, which comes lookahead later than the packet
	packets [][]byte
}

// pieces puts all that is said, packet behind packet.
func (s said) put(m *Mixer) {
	at := s.at - lookahead
	for _, p := range s.packets {
		samples, _ := opus.Duration(p)
		m.Put(s.id, at, samples, p)
		at += int64(samples)
	}
}

// newMixer makes one with the default codec.
func newMixer(t testing.TB, config Config) *Mixer {
	t.Helper()
	m, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// take mixes up to a position.
func take(t testing.TB, m *Mixer, until int64) (packets [][]byte) {
	t.Helper()
	if err := m.Mix(until, func(_ int64, p []byte) { packets = append(packets, slices.Clone(p)) }); err != nil {
		t.Fatal(err)
	}
	return packets
}

// listen mixes what is said into so many seconds and decodes that.
func listen(t *testing.T, config Config, seconds float64, all ...said) []float32 {
	t.Helper()
	m := newMixer(t, config)
	for _, s := range all {
		s.put(m)
	}
	pcm := decode(t, take(t, m, int64(seconds*second)), second)
	if c := m.Counts(); c.Late+c.Broken+c.Crowded+c.Full+c.Failed > 0 {
		t.Errorf("lost on the way: %+v", c)
	}
	if len(pcm) != int(seconds*second) {
		t.Fatalf("%d samples of %v s", len(pcm), seconds)
	}
	return pcm
}

// from cuts pcm, in ms.
func from(pcm []float32, start, end int) []float32 { return pcm[start*ms : end*ms] }
