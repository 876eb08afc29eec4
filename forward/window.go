package forward

import "time"

const (
	// windowSize is how far ahead of a gap a packet may be and still be held: a power of two, well above windowHeld.
	windowSize = 16
	// windowHeld is how many packets wait for a missing one. Networks that reorder do so by one or two packets.
	windowHeld = 2
	// windowWait is how long they wait at most: two packets of 20 ms, should the next ones not come.
	windowWait = 40 * time.Millisecond
)

// frame is one packet of a source, decrypted.
type frame struct {
	seq     uint64 // extended
	ts      uint64 // extended
	payload []byte // in the source's arena
	samples int    // duration
	level   uint8  // RFC 6464 octet
	came    time.Time

	restored bool // did not come itself, another packet brought its payload
}

// window puts a source's packets in order. Owned by the Reader.
type window struct {
	frames  [windowSize]frame
	has     [windowSize]bool
	held    int
	arrived int    // of those held, not restored
	next    uint64 // sequence number that is due
	end     uint64 // of the last frame that was popped, on the source's clock
	skipped int    // lost before next, not told yet
	started bool
}

// put takes a frame; false: it is late, or there already. Before that the caller must have popped until the frame
// fits.
func (w *window) put(f frame, now time.Time) bool {
	if !w.started {
		w.started, w.next = true, f.seq
	}
	i := f.seq % windowSize
	if f.seq < w.next || w.has[i] {
		return false
	}
	f.came = now
	w.frames[i], w.has[i] = f, true
	w.held++
	if !f.restored {
		w.arrived++
	}
	return true
}

// lacks tells whether a frame is still wanted, is not there, and lies on the clock where its number says: behind those
// before it and before those behind it.
func (w *window) lacks(seq, ts uint64, samples int) bool {
	if !w.started || seq < w.next || !w.fits(seq) || w.has[seq%windowSize] || ts < w.end {
		return false
	}
	for n := w.next; n < w.next+windowSize; n++ {
		f := &w.frames[n%windowSize]
		if !w.has[n%windowSize] {
			continue
		}
		if n < seq && f.ts+uint64(f.samples) > ts || n > seq && ts+uint64(samples) > f.ts {
			return false
		}
	}
	return true
}

// fits tells whether a sequence number is near enough to be held.
func (w *window) fits(seq uint64) bool {
	return !w.started || seq < w.next+windowSize
}

// pop returns the next frame and how many are given up as lost before it. Without force it waits for missing ones.
func (w *window) pop(now time.Time, force bool) (f frame, lost int, ok bool) {
	if w.held == 0 {
		return frame{}, 0, false
	}
	n := w.next
	for !w.has[n%windowSize] {
		n++
	}
	i := n % windowSize
	// Fewer than windowHeld that have come themselves are one: the network may still have overtaken no more than itself.
	if n != w.next && !force && w.arrived < windowHeld && now.Sub(w.frames[i].came) < windowWait {
		return frame{}, 0, false
	}
	f, lost = w.frames[i], int(n-w.next)+w.skipped
	if !f.restored {
		w.arrived--
	}
	w.end = f.ts + uint64(f.samples)
	w.frames[i], w.has[i], w.skipped = frame{}, false, 0
	w.held--
	w.next = n + 1
	return f, lost, true
}

// due is when a window that holds a frame gives up what is missing before it.
func (w *window) due() time.Time {
	n := w.next
	for !w.has[n%windowSize] {
		n++
	}
	return w.frames[n%windowSize].came.Add(windowWait)
}

// skip makes an empty window wait for seq, which is too far ahead to fit: what is between is lost.
func (w *window) skip(seq uint64) {
	w.skipped += int(seq - w.next)
	w.next = seq
}

// jump forgets the order so far: the next frame starts anew.
func (w *window) jump() { *w = window{} }
