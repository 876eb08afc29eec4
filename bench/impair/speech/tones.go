package speech

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// SampleRate is Opus's, in Hz, and FrameSamples a frame of 20 ms.
	SampleRate   = 48000
	FrameSamples = 960

	// SpeakersMax is how many bands there are, up to 12 kHz, where one of CELT's begins and a tone can fall between two; OctetsMin is how
	// many octets of 20 ms (24 kb/s) the highest of them takes to be there at all. At 16 kb/s CELT has no bits for any above the third.
	SpeakersMax = 12
	OctetsMin   = 60

	// tones are in a band. They are no multiples of 50 Hz apart, at which all frames of a tone would begin at the same phase, and be alike. 111 Hz
	// are told apart in 13 ms, which is what is left of a frame where the tempo is raised most.
	tones     = 8
	toneStep  = 111.3
	bandStep  = 960
	lowest    = 410
	wobble    = 8 // Hz to either side, so that no two frames have quite the same pitch
	different = 6 // frames before, which have other tones: of what is made up nothing is left after five
)

// Tone is the pitch of a frame, and what it is not to be taken for.
type Tone struct {
	Hz     float64
	Others [tones - 1]float64 // the other pitches of the speaker's band, in Hz
	Peak   float64            // full scale being 1
}

// pitches chooses a speaker's.
type pitches struct {
	first  float64 // Hz
	random *rand.Rand
	last   [different]int
}

// newPitches begins with the first frame of a speaker, who is counted from 1 on.
func newPitches(speaker uint16) *pitches {
	p := &pitches{first: lowest + bandStep*float64(speaker-1), random: rand.New(rand.NewPCG(uint64(speaker), 48000))}
	for i := range p.last {
		p.last[i] = -1
	}
	return p
}

func (p *pitches) next(peak float64) Tone {
	k := p.random.IntN(tones)
	for slices.Contains(p.last[:], k) {
		k = p.random.IntN(tones)
	}
	copy(p.last[:], p.last[1:])
	p.last[different-1] = k
	t := Tone{Hz: p.first + toneStep*float64(k) + wobble*(2*p.random.Float64()-1), Peak: peak}
	for i := range t.Others {
		t.Others[i] = p.first + toneStep*float64((k+1+i)%tones)
	}
	return t
}

// peakOf is that of a sine of a level in dBov, a square of full scale being 0 (RFC 6464 §3). The loudest are kept from clipping.
func peakOf(level int) float64 { return min(0.7, math.Sqrt2*math.Pow(10, float64(level)/20)) }
