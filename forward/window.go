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

	hollow   bool // nothing but padding: only its number counts
	restored bool // did not come itself, another packet brought its payload
}

// counts tells whether a frame behind a gap says something of what is missing: it has come itself, at the pace of audio.
func (f *frame) counts() bool { return !f.restored && !f.hollow }

// window puts a source's packets in order. Owned by the Reader.
type window struct {
	frames  [windowSize]frame
	has     [windowSize]bool
	held    int
	arrived int    // of those held, neither restored nor hollow
	next    uint64 // sequence number that is due
	end     uint64 // of the last frame that was popped, on the source's clock
	skipped int    // lost before next, not told yet
	hollows uint64 // hollow ones so far: those that come out are numbered as if there had been none
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
	if f.counts() {
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
		if !w.has[n%windowSize] || f.hollow {
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

// pads tells whether a held frame is hollow.
func (w *window) pads(seq uint64) bool {
	return seq >= w.next && w.fits(seq) && w.frames[seq%windowSize].hollow
}

// pop returns the next frame and how many are given up as lost before it. Without force it waits for missing ones.
func (w *window) pop(now time.Time, force bool) (f frame, lost int, ok bool) {
	for w.held > 0 {
		if f, lost, ok = w.take(now, force); !ok || !f.hollow {
			f.seq -= w.hollows
			return f, lost, ok
		}
		w.hollows++
		w.skipped = lost // is told with the next one that is more
	}
	return frame{}, 0, false
}

// take is pop, and returns hollow frames too. Something must be held.
func (w *window) take(now time.Time, force bool) (f frame, lost int, ok bool) {
	n := w.next
	for !w.has[n%windowSize] {
		n++
	}
	i := n % windowSize
	// Fewer than windowHeld that count are one: networks that reorder may do so by that much.
	if n != w.next && !force && w.arrived < windowHeld && now.Sub(w.frames[i].came) < windowWait {
		return frame{}, 0, false
	}
	f, lost = w.frames[i], int(n-w.next)+w.skipped
	if f.counts() {
		w.arrived--
	}
	if !f.hollow {
		w.end = f.ts + uint64(f.samples)
	}
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
func (w *window) jump() { *w = window{hollows: w.hollows} }
