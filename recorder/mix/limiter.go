package mix

// limiterDelay is how far the limiter looks ahead, in samples: 5 ms, within which the ear does not separate a gain's
// change from the sound that causes it.
const limiterDelay = 240

const (
	// ceiling is the highest sample there may be, -2.5 dBFS. What lies between samples and what the encoder adds stays
	// below -1 dBFS then.
	ceiling = 0.75
	// release is how much of the way back a gain goes with every sample: 150 ms to 1/e.
	release = 1.0 / (0.15 * 48000)
	// openFrom is a gain that is none any more, 0.001 dB.
	openFrom = 0.9999
	// spread is over how many samples gains are held and averaged: all that a sample can wait.
	spread = limiterDelay + 1
)

// limiter keeps a signal below the ceiling by a gain that reaches each peak smoothly. For sample n the gain asked for
// is ceiling/|x|; the lowest of the last spread of these is held; its return is slowed; the mean of the last spread of
// that is applied to the sample of limiterDelay ago. Every number in that mean was held for that sample too, so none is
// above what it asks for. Without peaks the signal passes as it is.
type limiter struct {
	delayed [limiterDelay]float32
	empty   bool // delayed is all zeros

	n     int64           // samples so far
	low   [spread]dip     // a ring of gains below 1, rising from the front to the back: the front is the lowest
	front int             // in low
	count int             // of low
	held  float64         // the gain after its release
	gains [spread]float64 // a ring, by n
	sum   float64         // of gains
	ones  int             // how many gains on end are 1; spread: the limiter is open
}

// dip is a gain asked for at n.
type dip struct {
	n    int64
	gain float64
}

func (l *limiter) reset() {
	*l = limiter{empty: true, held: 1, sum: spread, ones: spread}
	for i := range l.gains {
		l.gains[i] = 1
	}
}

// run writes to out what came limiterDelay before in, both of the same length of at least limiterDelay. silent says
// that in is all zeros; the answer, that out is.
func (l *limiter) run(in, out []float32, silent bool) (quiet bool) {
	if silent && l.empty {
		clear(out)
		return true
	}
	copy(out, l.delayed[:])
	copy(out[limiterDelay:], in[:len(in)-limiterDelay])
	copy(l.delayed[:], in[len(in)-limiterDelay:])
	l.empty = silent
	if l.ones >= spread && peak(in) <= ceiling {
		return false
	}
	for i, x := range in {
		out[i] *= float32(l.next(float64(max(x, -x))))
	}
	return false
}

// next takes the magnitude of a sample and gives the gain for the one of limiterDelay ago.
func (l *limiter) next(x float64) float64 {
	lowest := l.lowest(x)
	if lowest < l.held {
		l.held = lowest
	} else if l.held += (lowest - l.held) * release; l.held > openFrom {
		l.held = lowest
	}
	i := l.n % spread
	l.sum += l.held - l.gains[i]
	l.gains[i] = l.held
	l.n++
	if l.ones++; l.held < 1 {
		l.ones = 0
	}
	if l.ones >= spread {
		l.sum = spread // which rounding has moved by a hair
	}
	return l.sum / spread
}

// lowest is the lowest gain that the last spread samples ask for, of which x is the newest.
func (l *limiter) lowest(x float64) float64 {
	if l.count > 0 && l.low[l.front].n <= l.n-spread {
		l.front, l.count = (l.front+1)%spread, l.count-1
	}
	if x > ceiling {
		gain := ceiling / x
		for l.count > 0 && l.low[(l.front+l.count-1)%spread].gain >= gain {
			l.count--
		}
		l.low[(l.front+l.count)%spread] = dip{l.n, gain}
		l.count++
	}
	if l.count == 0 {
		return 1
	}
	return l.low[l.front].gain
}

func peak(pcm []float32) (p float32) {
	for _, x := range pcm {
		p = max(p, x, -x)
	}
	return p
}
