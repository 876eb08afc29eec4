package recorder

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"stentor/recorder/align"
	"stentor/recorder/cmaf"
	"stentor/recorder/manifest"
)

// writer brings a recording to the disk while it runs. One goroutine, run, does it all and is the only one that waits for
// the disk.
//
//  1. drain: what the desk has queued goes into pages and chunks.
//  2. flush: pages and chunks go to the files. What is there survives the process.
//  3. sync: the files go to the disk, and then the manifest says how far that is so. A busy disk takes its time for each of
//     them, and in between the first two steps go on.
type writer struct {
	// Immutable.
	take     *take
	dir      string
	disk     disk
	recovery time.Duration
	freeMin  uint64
	log      *slog.Logger
	failed   func(err error) // called once, by run: the recording has to end
	gap      func(why string, n int64)

	bytes  atomic.Int64                     // of all files
	people atomic.Pointer[[]manifest.Track] // not to be written to
	safe   atomic.Int64                     // samples: up to here everything is on the disk

	// Owned by run.
	man      *manifest.Manifest
	tracks   map[string]*track
	before   map[string]item // last silence of those who have no track yet
	mix      *segments       // nil: no replay is wanted
	lines    *manifest.LineWriter
	timeline file
	ids      map[string][]uint32    // of who joined
	levels   map[string]int         // loudest of the second that runs
	second   int64                  // its number
	drained  int64                  // the position up to which the desk has told everything
	stats    map[string]align.Stats // of the take, once it is complete
	failing  bool                   // failed has been called
	broken   bool                   // the disk has refused something: nothing more is written
	names    bool                   // files have been made whose names are not safe yet
	flushed  time.Time
	saved    time.Time
	checked  time.Time
}

const (
	// saveEvery is how often the manifest says how far the recording is.
	saveEvery = 5 * time.Second
	// freeEvery is how often the disk is asked for its free room.
	freeEvery = time.Second
)

// run works until the desk has completed the take, and closes the files.
func (w *writer) run() {
	pace := min(takePace, w.recovery/8)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	var synced time.Time
	for done := false; !done; {
		select {
		case <-tick.C:
		case <-w.take.completed:
			done = true
		}
		w.drain()
		now := time.Now()
		// Flushing takes the age of what is not on the disk to 0; what came since the last tick waits another one.
		if now.Sub(synced) >= w.flushEvery() && !done {
			synced = now
			w.try(w.flush)
			w.try(w.sync)
			w.try(w.breathe)
			w.try(func() error { return w.save(now) })
			w.room(now)
		}
	}
	w.close()
}

// try runs f unless the disk has failed before, and notes when it does.
func (w *writer) try(f func() error) {
	if w.broken {
		return
	}
	err := f()
	if err == nil {
		return
	}
	w.broken = true
	w.fail(err)
}

// fail has the recording end because of its disk. What comes until it does is still written, if the disk can.
func (w *writer) fail(err error) {
	if w.failing {
		return
	}
	w.failing = true
	w.man.Reason = whyDiskError
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		w.man.Reason = whyDiskFull
	}
	w.failed(err)
}

// drain writes down what the desk has queued. After the disk has failed it only empties the queue.
func (w *writer) drain() {
	until := w.take.told.Load()
	var i item
	for w.take.queue.Pop(&i) {
		w.try(func() error { return w.write(&i) })
	}
	w.drained = until
}

func (w *writer) write(i *item) error {
	switch i.kind {
	case itemPiece:
		return w.piece(i)
	case itemMix:
		return w.mix.put(i.at, i.payload)
	default:
		return w.note(i.entry)
	}
}

func (w *writer) piece(i *item) error {
	t := w.tracks[i.person]
	switch {
	case t == nil && !i.audio: // a track begins with something that was said
		w.before[i.person] = *i
		return nil
	case t == nil:
		var err error
		if t, err = w.newTrack(i); err != nil {
			return err
		}
	}
	if i.audio {
		t.dirty = true
		t.packets++
		t.spoken += int64(i.samples)
		if err := w.loud(i); err != nil {
			return err
		}
	}
	return t.put(i.at, int(i.samples), i.payload)
}

// newTrack begins the track of somebody who is heard for the first time. The last silence before it belongs to it: it leads
// decoders over to what follows.
func (w *writer) newTrack(i *item) (*track, error) {
	t, err := newTrack(w.disk, w.dir, i.person, w.comments(i.person))
	if err != nil {
		return nil, err
	}
	w.tracks[i.person], t.starts, w.names = t, i.at, true
	if b, ok := w.before[i.person]; ok && b.at+int64(b.samples) == i.at {
		err = t.put(b.at, int(b.samples), b.payload)
	}
	delete(w.before, i.person)
	return t, err
}

// comments are what a player shows of a track.
func (w *writer) comments(person string) []string {
	return []string{
		"TITLE=" + w.man.Room, "ARTIST=" + person, "ALBUM=" + w.man.Recording,
		"DATE=" + w.man.StartedAt.Format(time.RFC3339),
	}
}

// loud keeps the loudest packet of each second and person, and writes a line when the second is over.
func (w *writer) loud(i *item) error {
	if second := i.at / align.SampleRate; second > w.second {
		if err := w.tellLevels((w.second + 1) * align.SampleRate); err != nil {
			return err
		}
		w.second = second
	}
	level := -int(i.level & 0x7f)
	if was, ok := w.levels[i.person]; level > -127 && (!ok || level > was) {
		w.levels[i.person] = level
	}
	return nil
}

func (w *writer) tellLevels(at int64) error {
	if len(w.levels) == 0 {
		return nil
	}
	err := w.line(manifest.Line{At: at, Type: manifest.Levels, Levels: w.levels})
	clear(w.levels)
	return err
}

// line appends a line. One that cannot stand in a timeline is left out: it is no reason to end a recording.
func (w *writer) line(l manifest.Line) error {
	err := w.lines.Add(l)
	if errors.Is(err, manifest.ErrLine) {
		w.log.Error("a line cannot stand in the timeline", "recording", w.man.Recording, "error", err)
		return nil
	}
	return err
}

// note writes a line of the timeline, and keeps in the manifest what is missing.
func (w *writer) note(l *manifest.Line) error {
	if l.Type == manifest.Joined {
		w.ids[l.Person] = append(w.ids[l.Person], l.AudioID)
	}
	if l.Type == manifest.Dropped {
		w.man.Drops = addDrop(w.man.Drops, l)
		w.gap(l.Why, l.Count)
	}
	return w.line(*l)
}

// flushEvery is how long words may wait for their page to be full.
func (w *writer) flushEvery() time.Duration { return w.recovery * 2 / 5 }

// breathe is called between two things that take long.
func (w *writer) breathe() error {
	if time.Since(w.flushed) < w.flushEvery() {
		return nil
	}
	w.drain()
	if w.broken {
		return nil
	}
	return w.flush()
}

// flush brings what was collected to the files.
func (w *writer) flush() error {
	w.flushed = time.Now()
	for _, t := range w.tracks {
		if !t.dirty { // silence waits for its page to be full
			continue
		}
		if err := t.w.Flush(); err != nil {
			return err
		}
	}
	if w.mix != nil {
		if err := w.mix.flush(); err != nil {
			return err
		}
	}
	return w.lines.Flush()
}

// sync brings the files to the disk.
func (w *writer) sync() error {
	bytes, safe := w.lines.Bytes(), w.drained // what is written meanwhile may be synced, or not
	for _, t := range w.tracks {
		bytes += t.w.Bytes()
		if !t.dirty {
			continue
		}
		if err := t.sync(); err != nil {
			return err
		}
		if err := w.breathe(); err != nil {
			return err
		}
	}
	if w.mix != nil {
		bytes += w.mix.total
		if err := w.mix.sync(); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		if err := w.breathe(); err != nil {
			return err
		}
	}
	if err := w.timeline.Sync(); err != nil {
		return err
	}
	if err := w.syncNames(); err != nil {
		return err
	}
	w.bytes.Store(bytes)
	w.safe.Store(safe)
	return nil
}

// syncNames makes new files findable after the power has failed.
func (w *writer) syncNames() error {
	if w.mix != nil && w.mix.named {
		w.mix.named = false
		if err := w.disk.SyncDir(filepath.Join(w.dir, replayDir)); err != nil {
			return err
		}
	}
	if !w.names {
		return nil
	}
	w.names = false
	return w.disk.SyncDir(filepath.Join(w.dir, tracksDir))
}

// save brings the manifest up to date, now and then.
func (w *writer) save(now time.Time) error {
	if now.Sub(w.saved) < saveEvery {
		return nil
	}
	w.saved = now
	w.man.Safe = manifest.Position(w.safe.Load())
	w.man.Duration = w.man.Safe
	w.describe()
	return w.disk.Save(w.dir, w.man)
}

// room ends the recording before the disk is full, so that what there is can be closed. A disk that does not tell has room
// until it refuses something.
func (w *writer) room(now time.Time) {
	if now.Sub(w.checked) < freeEvery {
		return
	}
	w.checked = now
	if free, err := w.disk.Free(w.dir); err == nil && free < w.freeMin {
		w.fail(fmt.Errorf("%d octets are left, of %d that must be: %w", free, w.freeMin, syscall.ENOSPC))
	}
}

// close ends the files as well as the disk lets it. What is torn or short is mended by finish, which looks at what there is.
func (w *writer) close() {
	end := w.take.length.Load()
	w.stats = w.take.stats
	if w.take.missed > 0 { // the last that the queue had no room for
		w.try(func() error { return w.note(w.take.missing()) })
	}
	w.try(func() error { return w.tellLevels(end) })
	w.try(w.lines.Flush)
	for _, t := range w.tracks {
		w.try(func() error { return t.close(end) })
		if w.broken {
			t.file.Close()
		}
	}
	if w.mix != nil {
		w.try(w.mix.close)
	}
	w.try(w.timeline.Sync)
	w.try(w.timeline.Close)
	w.try(w.syncNames)
	if w.broken {
		_ = w.abandon()
	} else {
		w.safe.Store(end)
	}
	w.man.Duration, w.man.Safe = manifest.Position(end), manifest.Position(min(w.safe.Load(), end))
	w.describe()
}

// abandon lets go of the files that every recording has.
func (w *writer) abandon() (err error) {
	if w.timeline != nil {
		err = w.timeline.Close()
	}
	if w.mix != nil {
		err = errors.Join(err, w.mix.abandon())
	}
	return err
}

// started sets the wall clock at position 0, before run.
func (w *writer) started(at time.Time) {
	w.man.StartedAt = at
	if w.mix != nil {
		w.mix.playlist = cmaf.NewPlaylist(int64(w.man.Replay.Target), at)
	}
}

// describe tells of the tracks what only the take has seen. Their sums are finish's.
func (w *writer) describe() {
	w.man.Tracks = nil
	for _, person := range slices.Sorted(maps.Keys(w.tracks)) {
		t, st := w.tracks[person], w.stats[person]
		w.man.Tracks = append(w.man.Tracks, manifest.Track{
			File: manifest.File{Path: t.name, Bytes: t.safe.GoodBytes}, Person: person, AudioIDs: append([]uint32{}, w.ids[person]...),
			Starts: manifest.Position(t.starts), Samples: t.safe.Played(), Spoken: manifest.Position(t.spoken),
			Packets: t.packets, Lost: int64(st.Lost), Dropped: int64(st.Late),
			Corrections: manifest.Corrections{Inserted: int64(st.Inserted), Removed: int64(st.Removed)}, DriftPPM: st.DriftPPM,
		})
	}
	people := w.man.Tracks
	w.people.Store(&people)
}

// newWriter makes the files that every recording has. A recording whose manifest is there exists.
func newWriter(w *writer, segment int64, bitrate int) (err error) {
	w.before = map[string]item{}
	w.tracks, w.levels, w.ids = map[string]*track{}, map[string]int{}, map[string][]uint32{}
	if w.timeline, err = w.disk.Append(filepath.Join(w.dir, manifest.TimelineName)); err != nil {
		return err
	}
	w.lines = manifest.NewLineWriter(w.timeline)
	if err = w.line(manifest.Line{Type: manifest.Start}); err != nil {
		return err
	}
	if w.take.replay {
		chunk := int64(w.recovery/time.Millisecond) * align.SampleRate / 1000 * 2 / 5 / grid * grid
		if w.mix, err = newSegments(w.disk, w.dir, segment, max(chunk, grid), bitrate, w.man.StartedAt); err != nil {
			return err
		}
	}
	return nil
}
