package mix

import (
	"math"

	"stentor/forward/opus"
)

const (
	// fade is the length of the edges of what a source says, 5 ms.
	fade = 240
	// joint is over how many samples a step between pieces that were not made for each other is smoothed: 2.5 ms.
	joint = 120
	// grid is what concealment comes in: 2.5 ms.
	grid = 120
)

// falling goes from 1 to 0 as half a cosine, over fade samples.
var falling = func() (t [fade]float32) {
	for i := range t {
		t[i] = float32(0.5 + 0.5*math.Cos(math.Pi*(float64(i)+0.5)/fade))
	}
	return t
}()

// voice is a decoder at work for a source, and what it has decoded. 330 KB, most of it the decoder's.
type voice struct {
	dec  Decoder
	on   bool // between beginning and end
	n    int  // samples in pcm, the first of them at the mixer's position
	pcm  [FrameSamples + opus.MaxDuration]float32
	last float32 // the sample before pcm[n]

	sinceOn int  // samples, up to fade
	silence int  // samples on end that were only concealed or zeros
	uneven  bool // what comes next does not follow from what is there
}

// begin starts a stream at pcm[n].
func (v *voice) begin() {
	v.dec.Reset()
	v.on, v.sinceOn, v.silence, v.last, v.uneven = true, 0, 0, 0, false
}

// pad adds zeros up to n samples. The voice is off.
func (v *voice) pad(n int) {
	if v.n < n {
		clear(v.pcm[v.n:n])
		v.n = n
	}
}

// add appends samples, at least one. Where they do not follow from those before, the step is added to them and fades.
func (v *voice) add(pcm []float32) {
	to := v.pcm[v.n : v.n+len(pcm)]
	for i, x := range pcm {
		// Decoders go beyond full scale a little; hostile packets go anywhere. NaN passes, and is found in the energy.
		to[i] = min(max(x, -2), 2)
	}
	if v.uneven {
		step := v.last - to[0]
		for i := range to[:min(joint, len(to))] {
			to[i] += step * falling[i*fade/joint]
		}
	}
	for i := 0; i < len(to) && v.sinceOn < fade; i++ {
		to[i] *= 1 - falling[v.sinceOn]
		v.sinceOn++
	}
	v.n += len(pcm)
	v.last, v.uneven = to[len(to)-1], false
}

// conceal appends n samples, at most FrameSamples, that the decoder makes up; scratch is room for 120 ms.
func (v *voice) conceal(n int, scratch []float32) {
	size := (n + grid - 1) / grid * grid
	got, err := v.dec.Decode(nil, scratch[:size])
	if err != nil {
		got = 0
	}
	if got < n {
		clear(scratch[got:n])
	}
	v.add(scratch[:n])
	v.uneven = n < size
}

// end lets the stream go on in the decoder's imagination and fade.
func (v *voice) end(scratch []float32) {
	from := v.n
	v.conceal(fade, scratch)
	for i := range v.pcm[from:v.n] {
		v.pcm[from+i] *= falling[i]
	}
	v.on = false
}

// shift lets go of the first frame.
func (v *voice) shift() {
	v.n = copy(v.pcm[:], v.pcm[FrameSamples:v.n])
}

// square is the mean square of the first frame.
func (v *voice) square() float64 {
	var sum float64
	for _, x := range v.pcm[:FrameSamples] {
		sum += float64(x) * float64(x)
	}
	return sum / FrameSamples
}
