package model

import (
	"errors"
	"fmt"
	"time"
)

// HeaderSize is what a datagram costs on the wire besides itself: IPv4 20 octets (RFC 791), UDP 8 (RFC 768). Rates and
// queues count it.
const HeaderSize = 28

// Conditions are what a path does to datagrams during a part of its schedule. The zero value does nothing.
type Conditions struct {
	Rate    int           // b/s on the wire; 0: no bottleneck
	Queue   int           // octets that may wait before the bottleneck
	Delay   time.Duration // of every datagram, besides the queue's
	Jitter  time.Duration // added to Delay, uniform in [0, Jitter)
	Reorder bool          // jitter may let a datagram overtake another
	Loss    float64       // share of datagrams lost behind the queue, 0 … 0.9
	Burst   float64       // mean length of a run of losses, in datagrams; 0: each is lost or not by itself
	Down    bool          // nothing gets in
	Flows   int           // bulk flows through the same bottleneck
}

// Step is a part of a schedule: Conditions from At on, until the next one.
type Step struct {
	At time.Duration // since the start of the path
	Conditions
}

// Limits of what Validate takes.
const (
	rateMin  = 1_000         // a datagram of 1500 octets takes 12 s
	rateMax  = 1_000_000_000 // beyond it there is no bottleneck for audio
	flowsMax = 64
	queueMax = 1 << 30
	delayMax = 10 * time.Second
	burstMax = 1000
)

// Validate says what is wrong with conditions.
func (c *Conditions) Validate() error {
	switch {
	case c.Rate != 0 && (c.Rate < rateMin || c.Rate > rateMax):
		return fmt.Errorf("a rate of %d b/s is outside %d … %d", c.Rate, rateMin, rateMax)
	case c.Rate != 0 && (c.Queue < 1500 || c.Queue > queueMax):
		return fmt.Errorf("a queue of %d octets is outside 1500 … %d", c.Queue, queueMax)
	case c.Rate == 0 && c.Queue != 0:
		return errors.New("a queue without a rate never fills")
	case c.Delay < 0 || c.Delay > delayMax || c.Jitter < 0 || c.Jitter > delayMax:
		return fmt.Errorf("a delay is outside 0 … %v", delayMax)
	case !(c.Loss >= 0 && c.Loss <= 0.9): // not a number neither
		return fmt.Errorf("a loss of %g is outside 0 … 0.9", c.Loss)
	case c.Burst != 0 && !(c.Burst >= 1 && c.Burst <= burstMax):
		return fmt.Errorf("a mean burst of %g is outside 1 … %d", c.Burst, burstMax)
	case c.Burst != 0 && c.Loss == 0:
		return errors.New("bursts without loss")
	case c.Burst != 0 && c.Loss/(1-c.Loss) > c.Burst: // or a good run would be shorter than one datagram
		return fmt.Errorf("bursts of %g cannot make a loss of %g: they would have to overlap", c.Burst, c.Loss)
	case c.Flows < 0 || c.Flows > flowsMax:
		return fmt.Errorf("%d flows is outside 0 … %d", c.Flows, flowsMax)
	case c.Flows > 0 && c.Rate == 0:
		return errors.New("flows without a rate have nothing to compete for")
	}
	return nil
}

// QueueOf is a queue that takes so long to drain, in octets.
func QueueOf(d time.Duration, rate int) int {
	return int(d.Seconds() * float64(rate) / 8)
}
