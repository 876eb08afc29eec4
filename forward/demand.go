package forward

import (
	"sync/atomic"
	"time"

	"stentor/forward/cc"
)

// demandWindow is how long the meter counts before it tells: long enough for a rate of 8 packets a second and slot, short
// enough that a room which falls silent, or begins to talk, is known within the time of a few words.
const demandWindow = 500 * time.Millisecond

// meter measures what a room would have its listeners hear. Owned by the Reader, but for told.
type meter struct {
	since  time.Time
	octets []int // by slot, of Opus
	main   int   // of the dominant speaker

	told atomic.Pointer[told]
}

// told is what was measured last. Immutable.
type told struct {
	demand cc.Demand
	until  time.Time // what is older says nothing
}

// count takes a packet that was published live.
func (m *meter) count(slot, octets int, main bool, now time.Time) {
	if past := now.Sub(m.since); past >= demandWindow {
		if past < 2*demandWindow {
			m.tell(past, now)
		}
		clear(m.octets)
		m.main, m.since = 0, now
	}
	m.octets[slot] += octets
	if main {
		m.main += octets
	}
}

func (m *meter) tell(past time.Duration, now time.Time) {
	rate := func(octets int) int { return int(int64(octets) * 8 * int64(time.Second) / int64(past)) }
	d := cc.Demand{Main: rate(m.main)}
	for _, n := range m.octets {
		if n > 0 {
			d.Talking++
			d.Payload += rate(n)
		}
	}
	m.told.Store(&told{d, now.Add(2 * demandWindow)})
}

// demand is what a listener would be sent of the room now, or mixed of its mix. For any goroutine.
func (r *Room) demand(mixed bool, now time.Time) cc.Demand {
	m := &r.meter
	if mixed {
		m = &r.mixMeter
	}
	if t := m.told.Load(); t != nil && now.Before(t.until) {
		return t.demand
	}
	return cc.Demand{}
}
