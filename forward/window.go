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
}

// window puts a source's packets in order. Owned by the Reader.
type window struct {
	frames  [windowSize]frame
	has     [windowSize]bool
	held    int
	next    uint64 // sequence number that is due
	started bool
	since   time.Time // when the oldest held frame came
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
	if w.held == 0 {
		w.since = now
	}
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
	i := w.next % windowSize
	if !w.has[i] {
		if !force && w.held < windowHeld && now.Sub(w.since) < windowWait {
			return frame{}, 0, false
		}
		for !w.has[i] {
			w.next++
			lost++
			i = w.next % windowSize
		}
	}
	f, w.frames[i], w.has[i] = w.frames[i], frame{}, false
	w.held--
	w.next++
	w.since = now
	return f, lost, true
}

// jump forgets the order so far: the next frame starts anew.
func (w *window) jump() { *w = window{} }
