package forward

// arenaChunk holds about a second of one speaker at 32 kb/s (50 packets of 120 octets with their headers), so that a
// silent room's program pins no more than a few chunks.
const arenaChunk = 8 << 10

// arena gives a source room to decrypt into. What is kept is never written again: it becomes the payload that all
// listeners' packets are sealed from, and is garbage when the program has passed it. Owned by the Reader.
type arena struct {
	chunk []byte // the free rest
}

// reserve returns n octets of capacity. They are reserved anew until keep.
func (a *arena) reserve(n int) []byte {
	if len(a.chunk) < n {
		a.chunk = make([]byte, max(arenaChunk, n))
	}
	return a.chunk[:0:n]
}

// keep makes the first n reserved octets permanent.
func (a *arena) keep(n int) { a.chunk = a.chunk[n:] }
