package impair

import (
	"slices"
	"sync"
	"time"

	"stentor/bench/impair/model"
)

// meter is a model's path that keeps account, second by second. It is a simnet.Path and is safe for concurrent use.
type meter struct {
	mu      sync.Mutex
	start   time.Time
	path    *model.Path
	seconds []second
	queued  []queued
}

// second is what happened in one. Octets are on the wire.
type second struct{ sent, arrived, sentPackets, lostPackets int }

// queued is what a packet found before the bottleneck.
type queued struct{ at, wait time.Duration }

func newMeter(seed uint64, schedule []model.Step, start time.Time) *meter {
	return &meter{start: start, path: model.New(seed, schedule, start)}
}

// Send implements simnet.Path.
func (m *meter) Send(now time.Time, size int) (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	past := now.Sub(m.start)
	m.queued = append(m.queued, queued{past, m.path.Queue(now)})
	at, fate := m.path.Send(now, size)
	s := m.second(past)
	s.sent += size + model.HeaderSize
	s.sentPackets++
	if fate != model.Delivered {
		s.lostPackets++
		return at, false
	}
	m.second(at.Sub(m.start)).arrived += size + model.HeaderSize
	return at, true
}

func (m *meter) second(past time.Duration) *second {
	i := max(0, int(past/time.Second))
	for len(m.seconds) <= i {
		m.seconds = append(m.seconds, second{})
	}
	return &m.seconds[i]
}

// queueMsP95 is the 95th percentile of what packets found before the bottleneck, from a time on.
func (m *meter) queueMsP95(from, to time.Duration) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var waits []time.Duration
	for _, q := range m.queued {
		if q.at >= from && q.at < to {
			waits = append(waits, q.wait)
		}
	}
	if len(waits) == 0 {
		return 0
	}
	slices.Sort(waits)
	return milliseconds(waits[(len(waits)-1)*95/100])
}

// queueMsMax is the longest in a second.
func (m *meter) queueMsMax(second int) (longest float64) {
	for _, q := range m.queued {
		if int(q.at/time.Second) == second {
			longest = max(longest, milliseconds(q.wait))
		}
	}
	return longest
}

// kbps is what was sent to the listener in a time, headers included.
func (m *meter) kbps(from, to time.Duration) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	octets := 0
	for i := int(from / time.Second); i < min(int(to/time.Second), len(m.seconds)); i++ {
		octets += m.seconds[i].sent
	}
	return float64(octets) * 8 / 1000 / (to - from).Seconds()
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
