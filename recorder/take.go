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
	// notesRoom is how many items of the queue are for notes alone: with packets missing, who came and went is still told.
	notesRoom = 256
	// silenceEvery is how often a take is told of one person's silence, in samples. What lies between is silence anyway,
	// and a hundred people who have once spoken would fill the queue with eight packets of it a second each.
	silenceEvery = 10 * align.SampleRate
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
	until int64 // where it ends, on the room's time; 0: it runs

	// Owned by the desk until completed, then by the recording's goroutine.
	missed   uint64                 // that the queue had no room for, and that are not told yet
	missedAt int64                  // the first of them
	stats    map[string]align.Stats // of each person, while it ran

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
		t.told.Store(max(now-replayLag-t.start, 0))
	}
}

// piece takes a person's next piece. Of silence only the last is told before somebody speaks, which leads decoders over to
// what follows, and one now and then.
func (t *take) piece(p *person, pc *align.Piece) {
	if !t.tracks || t.outside(pc.At, pc.Samples) {
		return
	}
	i := item{
		kind: itemPiece, at: pc.At - t.start, samples: int32(pc.Samples), person: p.name, level: pc.Level,
		audio: pc.Kind == align.Audio, payload: pc.Payload,
	}
	if pc.Kind == align.Silence && (!p.heard || i.at-p.toldAt < silenceEvery) {
		p.silence = i
		return
	}
	if s := &p.silence; s.samples > 0 && pc.Kind != align.Silence {
		t.push(s)
	}
	p.silence, p.heard, p.toldAt = item{}, true, i.at
	t.push(&i)
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
	if i.kind != itemNote && t.queue.Len() >= t.queue.Size()-notesRoom || !t.queue.Push(i) {
		if t.missed == 0 {
			t.missedAt = i.at
		}
		t.missed++
		t.lost.Add(1)
		return
	}
	if t.missed > 0 && i.kind != itemNote { // there is room again
		t.tellMissed()
	}
}

// tellMissed marks where the queue had no room.
func (t *take) tellMissed() {
	if l := t.missing(); t.queue.Push(&item{kind: itemNote, at: l.At, entry: l}) {
		t.missed = 0
	}
}

// missing is the entry of what the queue had no room for.
func (t *take) missing() *manifest.Line {
	return &manifest.Line{At: t.missedAt, Type: manifest.Dropped, Count: int64(t.missed), Why: whyDiskSlow}
}

// refused marks where the desk came too late to the data plane's ring.
func (t *take) refused(now int64, n uint64) {
	t.lost.Add(n)
	t.note(now, manifest.Line{Type: manifest.Dropped, Count: int64(n), Why: whyRingFull})
}
