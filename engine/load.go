package engine

import (
	"time"

	"stentor/forward"
)

const (
	// lookEvery is how often the load is looked at, and loadLooks over how many looks it is told: half a second holds
	// eight bursts of packed rooms, and one of what else runs here does not decide.
	lookEvery = 250 * time.Millisecond
	loadLooks = 2
	// behindMost is the share of a room's program, of 2.3 s, that a shard may be behind by and not count as full. Who is
	// busy for two thirds of the time can be as late as that: the Reader, handshakes and other processes take the rest.
	behindMost = 0.25
)

// load is how busy the shards are.
type load struct {
	past []sample  // the oldest first, loadLooks at most
	each []float64 // of each shard, over the time since the oldest: 1 and more is full
	max  float64   // of the busiest
}

// sample is what was counted by one moment.
type sample struct {
	at   time.Time
	busy []time.Duration // of each shard
}

// look takes the shards' counters.
func (l *load) look(st forward.Stats, now time.Time) {
	s := sample{at: now}
	for _, sh := range st.Shards {
		s.busy = append(s.busy, sh.Busy)
	}
	l.each, l.max = make([]float64, len(st.Shards)), 0
	for i, sh := range st.Shards {
		if len(l.past) > 0 {
			old := &l.past[0]
			l.each[i] = float64(sh.Busy-old.busy[i]) / float64(max(now.Sub(old.at), time.Millisecond))
		}
		if sh.Behind > behindMost {
			l.each[i] = max(l.each[i], 1)
		}
		l.max = max(l.max, l.each[i])
	}
	if len(l.past) == loadLooks {
		l.past = l.past[1:]
	}
	l.past = append(l.past, s)
}
