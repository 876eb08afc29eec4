package recorder

import "sync/atomic"

// cacheLine is what two cores must not share if each of them writes to its own part of it. The prefetcher of x86 fetches
// lines in pairs, hence 128 and not 64.
const cacheLine = 128

// Ring carries values from exactly one goroutine to exactly one other, and neither ever waits: a full ring refuses, an
// empty one has nothing. It takes no lock and allocates nothing after NewRing.
//
// Memory order. head counts what was pushed, tail what was popped; both only grow, and slot i of the program order lives
// at i modulo the size. The pusher writes the slot and then stores head; the popper loads head and then reads the slot.
// Go's atomics are sequentially consistent (The Go Memory Model, "Atomic Values"), so whoever sees the new head sees
// the slot's content. The other way around: the popper empties the slot and then stores tail; the pusher loads tail and
// only then writes the slot again, so it never writes what is still being read. Each side keeps the last value that it
// has seen of the other's counter, and looks again only when that says full or empty: a counter that has moved on since
// only means more room, or more to take, so an old value is safe. In the common case a push therefore touches no cache
// line that the other side writes, but the slot itself.
type Ring[T any] struct {
	slots []T    // Immutable; its elements belong to the pusher from tail+size on, to the popper below head.
	mask  uint64 // Immutable.

	_ [cacheLine]byte

	// Owned by the pusher, but head, which the popper reads.
	head     atomic.Uint64
	tailSeen uint64
	refused  atomic.Uint64

	_ [cacheLine]byte

	// Owned by the popper, but tail, which the pusher reads.
	tail     atomic.Uint64
	headSeen uint64

	_ [cacheLine]byte
}

// NewRing makes a ring of at least size values, rounded up to a power of two.
func NewRing[T any](size int) *Ring[T] {
	n := 1
	for n < size {
		n *= 2
	}
	return &Ring[T]{slots: make([]T, n), mask: uint64(n - 1)}
}

// Push copies a value into the ring. False: it is full, and the value is counted as refused. For the pusher alone.
func (r *Ring[T]) Push(v *T) bool {
	head := r.head.Load()
	if head-r.tailSeen == uint64(len(r.slots)) {
		if r.tailSeen = r.tail.Load(); head-r.tailSeen == uint64(len(r.slots)) {
			r.refused.Add(1)
			return false
		}
	}
	r.slots[head&r.mask] = *v
	r.head.Store(head + 1)
	return true
}

// Pop takes the oldest value. False: the ring is empty. For the popper alone.
func (r *Ring[T]) Pop(v *T) bool {
	tail := r.tail.Load()
	if tail == r.headSeen {
		if r.headSeen = r.head.Load(); tail == r.headSeen {
			return false
		}
	}
	slot := &r.slots[tail&r.mask]
	*v = *slot
	var zero T
	*slot = zero // what it pointed to is not kept alive until the ring comes round
	r.tail.Store(tail + 1)
	return true
}

// Len is how many values wait. It is a moment's truth to anybody but the two.
func (r *Ring[T]) Len() int { return int(r.head.Load() - r.tail.Load()) }

// Size is how many values fit.
func (r *Ring[T]) Size() int { return len(r.slots) }

// Refused is how many values did not fit, so far.
func (r *Ring[T]) Refused() uint64 { return r.refused.Load() }
