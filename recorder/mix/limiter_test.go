package mix

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// limit runs a limiter over pcm and takes its delay off.
func limit(pcm []float32) []float32 {
	var l limiter
	l.reset()
	padded := append(slices.Clone(pcm), make([]float32, FrameSamples+limiterDelay)...)
	out := make([]float32, len(padded))
	for i := 0; i+FrameSamples <= len(padded); i += FrameSamples {
		l.run(padded[i:i+FrameSamples], out[i:i+FrameSamples], false)
	}
	return out[limiterDelay:][:len(pcm)]
}

func TestWhatDoesNotReachTheCeilingPassesUntouched(t *testing.T) {
	pcm := tone(second, 440, -2.6)
	if !slices.Equal(limit(pcm), pcm) {
		t.Error("the limiter has changed what it should not")
	}
}

// Whatever comes, no sample is above the ceiling, and the gain moves so slowly that it is not heard as crackle.
func TestTheLimiterHoldsTheCeilingSmoothly(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	for range 30 {
		pcm := make([]float32, 40*FrameSamples)
		loud := math.Pow(10, 2*r.Float64()-1)
		for i := range pcm {
			if r.IntN(3000) == 0 {
				loud = math.Pow(10, 3*r.Float64()-2)
			}
			pcm[i] = float32(loud * (2*r.Float64() - 1))
		}
		last, quiet := 1.0, true
		for i, x := range limit(pcm) {
			if x > ceiling+1e-6 || x < -ceiling-1e-6 {
				t.Fatalf("sample %d: %v", i, x)
			}
			if math.Abs(float64(pcm[i])) < 1e-3 {
				continue
			}
			gain := float64(x) / float64(pcm[i])
			if !quiet && math.Abs(gain-last) > 0.1 { // 1/spread for each sample that was passed over
				t.Fatalf("sample %d: the gain went from %v to %v", i, last, gain)
			}
			last, quiet = gain, false
		}
	}
}

// After a shout the gain comes back, all of it, and the limiter is out of the way.
func TestTheGainComesBackAfterAShout(t *testing.T) {
	pcm := append(tone(second/2, 440, 12), tone(2*second, 440, -20)...)
	out := limit(pcm)
	about(t, "just after the shout", toneDB(out[second/2+480:][:960], 440), -20-13, 3)
	if !slices.Equal(out[2*second:], pcm[2*second:]) {
		t.Error("1.5 s after the shout there is still a gain")
	}
}

// Three people laugh at full scale: the mix does not clip, between samples either, and there is next to nothing in it
// but their tones.
func TestThreeLaughingPeopleDoNotClip(t *testing.T) {
	tones := []float64{311, 523, 1175}
	var all []said
	for i, hz := range tones {
		all = append(all, said{uint32(i), int64(i) * 777, encode(t, tone(2*second, hz, 0), 1, "-b:a 96k")})
	}
	m := newMixer(t, asTheyCome)
	for _, s := range all {
		s.put(m)
	}
	mixed := take(t, m, 2*second)
	below(t, "peak at 192 kHz", 20*math.Log10(float64(peak(decode(t, mixed, 4*second)))), -1)
	pcm := decode(t, mixed, second)
	heard := from(pcm, 500, 1900)
	inTones := 0.0
	for _, hz := range tones {
		db := toneDB(heard, hz)
		about(t, "a tone", db, -2.5-20*math.Log10(3), 1.5)
		inTones += fromDB(db) / 2
	}
	rest := fromDB(rmsDB(heard)) - inTones
	below(t, "all besides the tones, against them", toDB(max(rest, 1e-12)/inTones), -20)
	below(t, "crackle", crackleDB(heard), -50)
	if m.Counts().Limited < 90 {
		t.Errorf("%+v", m.Counts())
	}
}
