package recorder

import (
	"sync/atomic"
	"time"

	"stentor/recorder/align"
	"stentor/recorder/manifest"
)

const (
	// queueSize is how many items wait for the disk: three who talk, their mix, and a few who do not make 250 a second,
	// so a disk may stand still for half a minute before anything is left out. An item takes 80 octets: 650 KB.
	queueSize = 8192
	// takePace is how often the recording's goroutine looks into its queue. It is part of what a crash loses.
	takePace = 100 * time.Millisecond
)

// item is one thing that a desk gives to a recording, at a position of the recording.
type item struct {
	at      int64
	samples int32
	kind    itemKind
	level   uint8
	audio   bool   // a packet that somebody has sent
	person  string // of a piece
	payload []byte
	entry   *manifest.Line // of a note
}

type itemKind uint8

const (
	itemPiece itemKind = iota
	itemMix
	itemNote
)

// Why something is missing in a recording, or why it ended.
const (
	whyRingFull  = "recorder_late" // the desk did not come to the ring in time
	whyDiskSlow  = "disk_slow"     // the disk did not keep up
	whyDiskFull  = "disk_full"
	whyDiskError = "disk_error"
	whyCrash     = "crash"
	whyShutdown  = "shutdown"
	whyDeleted   = "deleted"
)

// take is one recording of a room while it runs: the way from the desk to the disk. The desk's goroutine fills the queue; the
// recording's own goroutine, which writer has, empties it, and is the only one that waits for the disk.
type take struct {
	// Immutable after begin.
	replay, tracks bool
	start          int64 // position 0, on the room's time

	queue     *Ring[item]
	completed chan struct{} // closed by the desk: nothing more comes

	// Owned by the desk.
	until  int64 // where it ends, on the room's time; 0: it runs
	missed uint64

	stats map[string]align.Stats // of each person, while it ran. Set before completed.

	length atomic.Int64  // samples so far
	told   atomic.Int64  // samples: all up to here is in the queue, or was
	lost   atomic.Uint64 // packets that should be in it and are not
}

func newTake(tracks, replay bool) *take {
	return &take{tracks: tracks, replay: replay, queue: NewRing[item](queueSize), completed: make(chan struct{})}
}

// begin sets position 0.
func (t *take) begin(at int64) { t.start = at }

// stop says where the recording ends, a whole number of the mix's packets. What is heard later is not in it.
func (t *take) stop(at int64) {
	if t.until == 0 {
		t.until = max((at+grid-1)/grid*grid, t.start+grid)
		t.length.Store(t.until - t.start)
	}
}

// complete ends the desk's part.
func (t *take) complete(stats map[string]align.Stats) {
	t.stats = stats
	t.told.Store(t.length.Load())
	if t.missed > 0 {
		t.tellMissed(t.length.Load())
	}
	close(t.completed)
}

// outside tells what lies before the recording or after it. A piece on the border is left out: silence, or the trimmed end
// of the one before, is in its place.
func (t *take) outside(at int64, samples int) bool {
	return at < t.start || t.until != 0 && at >= t.until
}

// progress says how far the room has come, and how far everything is in the queue.
func (t *take) progress(now int64) {
	if t.until == 0 {
		t.length.Store(max(now-t.start, 0))
		t.told.Store(max(now-mixLag-t.start, 0))
	}
}

func (t *take) piece(name string, pc *align.Piece) {
	if !t.tracks || t.outside(pc.At, pc.Samples) {
		return
	}
	t.push(&item{
		kind: itemPiece, at: pc.At - t.start, samples: int32(pc.Samples), person: name, level: pc.Level,
		audio: pc.Kind == align.Audio, payload: pc.Payload,
	})
}

func (t *take) mixed(at int64, payload []byte) {
	if t.replay && !t.outside(at, grid) {
		t.push(&item{kind: itemMix, at: at - t.start, samples: grid, payload: payload})
	}
}

// note puts an entry at its place in the timeline. Notes are rare, and packets leave them some room.
func (t *take) note(now int64, e manifest.Line) {
	if t.until == 0 {
		e.At = max(now-t.start, 0)
		t.push(&item{kind: itemNote, at: e.At, entry: &e})
	}
}

func (t *take) push(i *item) {
	if !t.queue.Push(i) {
		t.missed++
		t.lost.Add(1)
		return
	}
	if t.missed > 0 { // there is room again
		t.tellMissed(i.at)
	}
}

// tellMissed marks where the queue had no room.
func (t *take) tellMissed(at int64) {
	l := manifest.Line{At: at, Type: manifest.Dropped, Count: int64(t.missed), Why: whyDiskSlow}
	if t.queue.Push(&item{kind: itemNote, at: at, entry: &l}) {
		t.missed = 0
	}
}

// refused marks where the desk came too late to the data plane's ring.
func (t *take) refused(now int64, n uint64) {
	t.lost.Add(n)
	t.note(now, manifest.Line{Type: manifest.Dropped, Count: int64(n), Why: whyRingFull})
}
