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
}

// window puts a source's packets in order. Owned by the Reader.
type window struct {
	frames  [windowSize]frame
	has     [windowSize]bool
	held    int
	next    uint64 // sequence number that is due
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
	// Fewer than windowHeld frames that wait are one, this one.
	if n != w.next && !force && w.held < windowHeld && now.Sub(w.frames[i].came) < windowWait {
		return frame{}, 0, false
	}
	f, lost = w.frames[i], int(n-w.next)+w.skipped
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
