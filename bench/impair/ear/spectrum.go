package ear

import (
	"math"

	"stentor/bench/impair/speech"
)

const (
	// soundsShare of its loudness a tone has at least. Opus takes off 2 dB at most at speech.OctetsMin.
	soundsShare = 0.35
	// soundsOver is by how much it is louder than what it could be taken for.
	soundsOver = 2
	// faintShare of its loudness, in any pitch of the voice, is more than what leaks from voices that are 10 dB louder.
	faintShare = 0.25
)

// Cell is what became of 20 ms that somebody said.
type Cell byte

// Cells.
const (
	Sounded  Cell = '#' // it was heard: its very pitch, in its moment
	MadeUp   Cell = '~' // something else of that voice was: what a decoder makes up
	Silent   Cell = '.' // nothing of it was
	Unspoken Cell = ' ' // nobody said anything
)

// cell looks at a moment of the sound for a tone.
func cell(pcm []float32, t *speech.Tone) Cell {
	windowed := window(pcm)
	hit, other := amplitude(windowed, t.Hz), 0.0
	for _, hz := range t.Others {
		other = max(other, amplitude(windowed, hz))
	}
	switch {
	case hit >= soundsShare*t.Peak && hit >= soundsOver*other:
		return Sounded
	case max(hit, other) >= faintShare*t.Peak:
		return MadeUp
	}
	return Silent
}

// window is Hann's, by which neither the ends, which a frame shares with those beside it, nor other voices count.
func window(pcm []float32) []float64 {
	shape := hannOfFrame
	if len(pcm) != frameSamples {
		shape = hann(len(pcm))
	}
	out := make([]float64, len(pcm))
	for i, x := range pcm {
		out[i] = float64(x) * shape[i]
	}
	return out
}

// hannOfFrame is there because nearly all frames are whole.
var hannOfFrame = hann(frameSamples)

func hann(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(n))
	}
	return out
}

// amplitude is the peak of a tone in what was windowed, by Goertzel's algorithm.
func amplitude(windowed []float64, hz float64) float64 {
	sin, cos := math.Sincos(2 * math.Pi * hz / sampleRate)
	var one, two float64
	for _, x := range windowed {
		one, two = x+2*cos*one-two, one
	}
	return 4 * math.Hypot(one-two*cos, two*sin) / float64(len(windowed)) // the window's mean is a half
}
