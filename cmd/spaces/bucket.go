package main

import "time"

// bucket is a token bucket: burst at once, and one more after each every. It has no clock and no lock; its owner
// gives the time.
type bucket struct {
	every time.Duration
	burst int
	full  time.Time // when the bucket will be full again
}

// newBucket makes a full one.
func newBucket(every time.Duration, burst int, now time.Time) bucket {
	return bucket{every: every, burst: burst, full: now}
}

// take asks for one token.
func (b *bucket) take(now time.Time) bool {
	if b.full.Before(now) {
		b.full = now
	}
	if b.full.Sub(now) > time.Duration(b.burst-1)*b.every {
		return false
	}
	b.full = b.full.Add(b.every)
	return true
}
