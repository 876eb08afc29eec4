package model

import "math/rand/v2"

// loss loses datagrams, each by itself or in bursts. Bursts are Gilbert's model (Bell System Technical Journal 39, 1960)
// with Elliott's two states, where the good one loses nothing and the bad one everything: a run of losses is geometric
// with mean Burst, a run without is geometric too, as long as the share asks.
type loss struct {
	random *rand.Rand
	bad    bool
}

// next tells whether the next datagram is lost. It always draws one number.
func (l *loss) next(c *Conditions) bool {
	draw := l.random.Float64()
	if c.Burst == 0 {
		l.bad = false
		return draw < c.Loss
	}
	if l.bad {
		l.bad = draw >= 1/c.Burst
	} else {
		l.bad = draw < c.Loss/(1-c.Loss)/c.Burst
	}
	return l.bad
}
