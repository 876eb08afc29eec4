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
	most  atomic.Int64 // ns, that total has told
}

func (b *busy) begin(now time.Time) {
	b.word.Store((b.word.Load()>>1-int64(now.Sub(b.epoch)))<<1 | 1)
}

func (b *busy) end(now time.Time) {
	b.word.Store((b.word.Load()>>1 + int64(now.Sub(b.epoch))) << 1)
}

// total is the time so far. It never falls: who has read the clock just before the work began would see less than was done
// before.
func (b *busy) total(now time.Time) time.Duration {
	w := b.word.Load()
	t := w >> 1
	if w&1 != 0 {
		t += int64(now.Sub(b.epoch))
	}
	for {
		told := b.most.Load()
		if t <= told {
			return time.Duration(told)
		}
		if b.most.CompareAndSwap(told, t) {
			return time.Duration(t)
		}
	}
}
