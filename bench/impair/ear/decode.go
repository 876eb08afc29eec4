package ear

import (
	"fmt"
	"math"
	"time"

	"github.com/thesyncim/gopus"
)

const sampleRate = 48000

// Decoder decodes the packets of one line, in 48 kHz and mono. Of a nil packet it makes up len(pcm) samples.
type Decoder interface {
	Decode(packet []byte, pcm []float32) (n int, err error)
}

// Gopus is the decoder in pure Go.
func Gopus() (Decoder, error) {
	d, err := gopus.NewDecoder(gopus.DefaultDecoderConfig(sampleRate, 1))
	if err != nil {
		return nil, fmt.Errorf("opus decoder: %w", err)
	}
	return d, nil
}

// Sound is what came out of the loudspeaker, all lines together.
type Sound struct {
	PCM   []float32 // 48 kHz, from the zero of the ear's times on, full scale being 1
	spots map[id]spot
}

// spot is where a frame that was played lies in Sound.PCM. It is shorter than a frame where the tempo was raised.
type spot struct{ start, n int }

// Listen plays all lines until a time and decodes what they played, each by a decoder of its own.
func (e *Ear) Listen(until time.Duration, decoder func() (Decoder, error)) (Played, *Sound, error) {
	var out Played
	s := &Sound{PCM: make([]float32, samplesOf(until)+frameSamples), spots: map[id]spot{}}
	for _, l := range e.ordered() {
		var one Played
		l.play(until, &one)
		d, err := decoder()
		if err != nil {
			return Played{}, nil, err
		}
		if len(l.arrivals) > 0 {
			v := voicing{decoder: d, sound: s, at: samplesOf(l.arrivals[0].at + frameTime)}
			if err := v.all(&one, l.arrivals[0].at+frameTime, until); err != nil {
				return Played{}, nil, fmt.Errorf("line %d: %w", l.of, err)
			}
		}
		out.add(&one)
	}
	out.sort()
	return out, s, nil
}

func samplesOf(d time.Duration) int { return int(d * sampleRate / time.Second) }

// voicing makes sound of what a line played: 20 ms a tick, whatever the tick was.
//
//  1. A frame is decoded; two in one tick, too. If there is none, the decoder conceals, unless the jitter buffer has drawn out what
//     was being played.
//  2. What is queued beyond a tick's 20 ms, because two frames came at once, is taken out again piece by piece, as NetEq's accelerate does,
//     and what is missing of it, because the last frame was drawn out, is put in.
//  3. 20 ms go to the loudspeaker.
type voicing struct {
	decoder Decoder
	sound   *Sound
	at      int       // where the queue's first sample goes
	queue   []float32 // decoded, not played yet
	past    []float32 // the last that were played
	newest  id        // the frame at the queue's end; none's where that is made up
	faded   int       // ticks since anything was decoded
	pcm     [framesMost * frameSamples]float32
}

const (
	// fadedMost is how many ticks are made up before there is silence: concealment has faded after five.
	fadedMost = 25

	// cutLeast … cutMost are taken out at a time. Between them lies a whole number of periods of any tone above 300 Hz, and cutLeast
	// in each of the six ticks that lie between two raises of the tempo at least is all that was too much.
	cutLeast = 160
	cutMost  = 320
	// spliced is over how many samples a cut is faded, and how many are compared to find it.
	spliced = 160
)

// all goes through the ticks.
func (v *voicing) all(p *Played, from, until time.Duration) error {
	plays, drawn := p.Plays, p.Drawn
	for now := from; now < until; now += frameTime {
		came := false
		for len(plays) > 0 && plays[0].At == now {
			if err := v.frame(&plays[0]); err != nil {
				return err
			}
			plays, came = plays[1:], true
		}
		if len(drawn) > 0 && drawn[0] == now {
			drawn, came = drawn[1:], true
		}
		if !came {
			if err := v.conceal(); err != nil {
				return err
			}
		}
		v.hurry()
		v.dawdle()
		v.out()
	}
	return nil
}

// frame decodes one.
func (v *voicing) frame(p *Play) error {
	n, err := v.decoder.Decode(p.octets, v.pcm[:])
	if err != nil {
		return fmt.Errorf("frame %d of %d: %w", p.N, p.Speaker, err)
	}
	if _, twice := v.sound.spots[id{p.Speaker, p.N}]; !twice {
		v.sound.spots[id{p.Speaker, p.N}] = spot{v.at + len(v.queue), n}
	}
	v.queue = append(v.queue, v.pcm[:n]...)
	v.newest, v.faded = id{p.Speaker, p.N}, 0
	return nil
}

// conceal makes up 20 ms.
func (v *voicing) conceal() error {
	pcm := v.pcm[:frameSamples]
	clear(pcm)
	if v.faded++; v.faded <= fadedMost {
		if _, err := v.decoder.Decode(nil, pcm); err != nil {
			return fmt.Errorf("concealing: %w", err)
		}
	}
	v.queue, v.newest = append(v.queue, pcm...), id{}
	return nil
}

// hurry takes a piece out of the middle of the newest 20 ms, if there is more than is needed: as many samples as make the ends fit best.
func (v *voicing) hurry() {
	if len(v.queue) < frameSamples+cutMost {
		return
	}
	const from = 240 // the middle is the same far from both ends when cut
	x := v.queue[len(v.queue)-frameSamples:]
	lag := fit(x, from, 1)
	for i := range spliced {
		w := float32(i) / spliced
		x[from+i] = x[from+i]*(1-w) + x[from+lag+i]*w
	}
	v.queue = v.queue[:len(v.queue)-frameSamples+from+spliced+copy(x[from+spliced:], x[from+lag+spliced:])]
	if at, is := v.sound.spots[v.newest]; is && at.start+at.n == v.at+len(v.queue)+lag {
		v.sound.spots[v.newest] = spot{at.start, at.n - lag}
	}
}

// dawdle repeats the end of what was played where the queue is too short.
func (v *voicing) dawdle() {
	missing := frameSamples - len(v.queue)
	if missing <= 0 {
		return
	}
	x := append(v.past, v.queue...)
	if len(x) < cutMost+spliced {
		v.queue = append(v.queue, make([]float32, missing)...)
		return
	}
	lag := fit(x, len(x)-spliced, -1)
	for range missing {
		x = append(x, x[len(x)-lag])
	}
	v.queue = append(v.queue, x[len(x)-missing:]...)
}

// fit is by how many samples, forward or back, a piece of x looks most like itself.
func fit(x []float32, from, direction int) (lag int) {
	best := float32(-1)
	for l := cutLeast; l <= cutMost; l++ {
		var product, energy float32
		for i, a := range x[from : from+spliced] {
			b := x[from+i+direction*l]
			product, energy = product+a*b, energy+b*b
		}
		if energy > 0 {
			product /= float32(math.Sqrt(float64(energy)))
		}
		if product > best {
			best, lag = product, l
		}
	}
	return max(lag, cutLeast)
}

// out lets 20 ms be heard.
func (v *voicing) out() {
	for i, x := range v.queue[:frameSamples] {
		if v.at+i < len(v.sound.PCM) {
			v.sound.PCM[v.at+i] += x
		}
	}
	v.at += frameSamples
	v.past = append(v.past[:0], v.queue[:frameSamples]...)
	v.queue = v.queue[:copy(v.queue, v.queue[frameSamples:])]
}
