package forward

import (
	"sync/atomic"
	"time"
)

// busy is how long somebody has been at work, with what is under way: a shard that is late may be at one pass for half a
// second, and must not look idle meanwhile. One goroutine at a time writes, any number read.
//
// Total and start must be read together, so one word has both: while nobody works it is the total, and while somebody
// does the total less the start, which the time of reading makes whole again. The lowest bit tells which.
type busy struct {
	epoch time.Time    // Immutable. What starts are counted from.
	word  atomic.Int64 // ns, shifted by one
}

func (b *busy) begin(now time.Time) {
	b.word.Store((b.word.Load()>>1-int64(now.Sub(b.epoch)))<<1 | 1)
}

func (b *busy) end(now time.Time) {
	b.word.Store((b.word.Load()>>1 + int64(now.Sub(b.epoch))) << 1)
}

// total is the time so far.
func (b *busy) total(now time.Time) time.Duration {
	w := b.word.Load()
	if w&1 != 0 {
		return time.Duration(w>>1) + now.Sub(b.epoch)
	}
	return time.Duration(w >> 1)
}
