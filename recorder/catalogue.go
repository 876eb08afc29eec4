package recorder

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"stentor/recorder/manifest"
	"stentor/recorder/store"
)

// tombstone is the name of a file in a recording's directory that says that the recording is being deleted: the mirror's.
const tombstone = store.Tombstone

// finishAgain is how long after a failure, a full disk say, finishing is tried again.
const finishAgain = time.Minute

// finish brings a recording that has ended to where it belongs, however often the disk refuses:
//
//  1. its files are closed and summed,
//  2. the store gets them, and confirms,
//  3. it is told that it is ready.
func (r *Recorder) finish(rec *recording, name string) {
	defer close(rec.idle)
	var m *manifest.Manifest
	r.persist(rec, name, "finished", func() (err error) { m, err = r.finishOnce(rec, name); return err })
	if rec.ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	rec.know(m)
	r.mu.Unlock()
	if r.mirror != nil && m.Stored == nil {
		r.persist(rec, name, "stored", func() error { return r.store(rec, m) })
	}
	if m.Stored != nil {
		r.dropCopy(m)
	}
	r.persist(rec, name, "told to be ready", func() error { return r.tellReady(rec, m) })
}

// persist does something until it succeeds, or until the recording is deleted or the daemon ends.
func (r *Recorder) persist(rec *recording, name, what string, do func() error) {
	for rec.ctx.Err() == nil {
		err := do()
		if err == nil || rec.ctx.Err() != nil {
			return
		}
		r.log.Error("a recording cannot be "+what+"; trying again", "recording", name, "again_in", finishAgain, "error", err)
		again := time.NewTimer(finishAgain)
		select {
		case <-rec.ctx.Done():
		case <-again.C:
		}
		again.Stop()
	}
}

func (r *Recorder) finishOnce(rec *recording, name string) (*manifest.Manifest, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-rec.ctx.Done():
		return nil, rec.ctx.Err()
	}
	if rec.unsaved != nil { // how it ended
		if err := r.disk.Save(r.dir(name), rec.unsaved); err != nil {
			return nil, err
		}
		rec.unsaved = nil
	}
	before, err := manifest.Load(os.DirFS(r.dir(name)))
	if err != nil {
		return nil, err
	}
	m, err := finish(rec.ctx, r.disk, r.dir(name), nil)
	if err == nil && before.State == manifest.Recording {
		r.log.Warn("a recording was closed after a crash", "recording", name, "duration_s", m.Duration.Seconds())
		r.config.Tell(Event{Type: Stopped, Recording: name, Room: m.Room, Reason: whyCrash, Duration: m.Duration.Seconds()})
	}
	return m, err
}

// store brings a whole recording into the store, and notes it when the store has confirmed everything. It waits for that.
func (r *Recorder) store(rec *recording, m *manifest.Manifest) error {
	files, err := r.files(m)
	if err != nil {
		return err
	}
	if err := r.mirror.Push(m.Recording, files); err != nil {
		return err
	}
	confirmed := make(chan struct{})
	if err := r.mirror.Seal(m.Recording, func() { close(confirmed) }); err != nil {
		return err
	}
	select {
	case <-confirmed:
	case <-rec.ctx.Done():
		return rec.ctx.Err()
	}
	done := *m
	done.Stored = &manifest.Stored{URL: r.location(m.Recording, true), At: time.Now().UTC()}
	if err := r.disk.Save(r.dir(m.Recording), &done); err != nil {
		return err
	}
	*m = done
	return nil
}

// dropCopy lets the spool's copy of a stored recording go, all but the manifest and the timeline.
func (r *Recorder) dropCopy(m *manifest.Manifest) {
	for _, dir := range []string{tracksDir, replayDir} {
		if err := os.RemoveAll(filepath.Join(r.dir(m.Recording), dir)); err != nil {
			r.log.Error("the spool's copy cannot be removed", "recording", m.Recording, "error", err)
		}
	}
}

// files are those of a whole recording, in the order in which the store is to get them: what names others comes behind them.
func (r *Recorder) files(m *manifest.Manifest) ([]store.File, error) {
	var first, last []store.File
	for _, f := range m.Files {
		file := stored(f.Path, f.Bytes, f.SHA256)
		if file.Mutable {
			last = append(last, file)
		} else {
			first = append(first, file)
		}
	}
	self, err := sumFile(r.dir(m.Recording), manifest.Name)
	if err != nil {
		return nil, err
	}
	return append(append(first, last...), stored(self.Path, self.Bytes, self.SHA256)), nil
}

// stored describes a file to the mirror.
func stored(name string, size int64, sum string) store.File {
	c := manifest.ContentOf(name)
	return store.File{Name: name, Size: size, SHA256: sum, ContentType: c.Type, CacheControl: c.Cache, Mutable: c.Grows}
}

// pushSegment has a finished segment stored while the recording runs, and the playlist that names it.
func (r *Recorder) pushSegment(name string, w *writer, segment string, size int64, sum string) {
	files := []store.File{stored(segment, size, sum)}
	head, err := sumFile(w.dir, initName)
	if err != nil {
		return // it will be stored when the recording has ended
	}
	text := w.mix.playlist.Text()
	playlist := sha256.Sum256(text)
	files = append(files, stored(initName, head.Bytes, head.SHA256), stored(playlistName, int64(len(text)), hex.EncodeToString(playlist[:])))
	if err := r.mirror.Push(name, files); err != nil && !errors.Is(err, store.ErrDeleted) {
		r.log.Error("a segment cannot be stored", "recording", name, "error", err)
	}
}

// tellReady tells, once in a recording's life, that it is where it belongs. It is written down before: to tell twice would
// have an app server publish twice, and what it has missed recording.list tells.
func (r *Recorder) tellReady(rec *recording, m *manifest.Manifest) error {
	told := *m
	told.ReadyTold = true
	if !m.ReadyTold {
		if err := r.disk.Save(r.dir(m.Recording), &told); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rec.know(&told)
	if m.ReadyTold || r.recordings[m.Recording] != rec {
		return nil
	}
	e := Event{
		Type: Ready, Recording: m.Recording, Room: m.Room, Reason: m.Reason, Duration: m.Duration.Seconds(), Location: r.location(m.Recording, m.Stored != nil),
	}
	if m.State == manifest.Failed {
		e.Type = Failed
	}
	r.config.Tell(e)
	return nil
}

// location is the URL of a recording's directory: in the spool, until the store has everything.
func (r *Recorder) location(name string, stored bool) string {
	if stored && r.config.Store != nil {
		if u, err := url.Parse(r.config.Store.URL()); err == nil {
			return u.JoinPath(name).String()
		}
	}
	dir, err := filepath.Abs(r.dir(name))
	if err != nil {
		dir = r.dir(name)
	}
	return (&url.URL{Scheme: "file", Path: dir}).String()
}

// Status is a recording as it is now.
type Status struct {
	Manifest manifest.Manifest // as saved last, without Files; Duration and Safe are of now
	Bytes    int64
	Dropped  uint64 // packets that are missing in it
	Stored   bool
	Location string
}

func (r *Recorder) status(rec *recording) Status {
	s := Status{Manifest: *rec.man, Bytes: rec.bytes, Stored: rec.stored, Location: r.location(rec.man.Recording, rec.stored)}
	for _, d := range rec.man.Drops {
		s.Dropped += uint64(d.Count)
	}
	if rec.take == nil {
		return s
	}
	s.Dropped = rec.take.lost.Load()
	s.Manifest.Duration = manifest.Position(rec.take.length.Load())
	s.Manifest.Safe = min(manifest.Position(rec.writer.safe.Load()), s.Manifest.Duration)
	s.Bytes = rec.writer.bytes.Load()
	if people := rec.writer.people.Load(); people != nil {
		s.Manifest.Tracks = *people
	}
	return s
}

// Get returns one recording.
func (r *Recorder) Get(name string) (Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.recordings[name]
	if rec == nil || rec.man == nil {
		return Status{}, ErrNotFound
	}
	return r.status(rec), nil
}

// List returns the recordings of a room, or of all for an empty name, by the time they began.
func (r *Recorder) List(room string) []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Status
	for _, rec := range r.recordings {
		if rec.man != nil && (room == "" || rec.man.Room == room) {
			list = append(list, r.status(rec))
		}
	}
	slices.SortFunc(list, func(a, b Status) int {
		return cmp.Or(a.Manifest.StartedAt.Compare(b.Manifest.StartedAt), cmp.Compare(a.Manifest.Recording, b.Manifest.Recording))
	})
	return list
}

// Delete removes a recording, running or not, from the spool and from the store. When it returns, it is in no list and has a
// tombstone; its files go as soon as nobody works on them and the store can be reached. A recording that is not there is
// deleted already.
func (r *Recorder) Delete(name string) error {
	r.mu.Lock()
	rec := r.recordings[name]
	if rec != nil && rec.man == nil { // it is just being begun
		r.mu.Unlock()
		<-rec.begun
		r.mu.Lock()
	}
	if r.recordings[name] != rec || rec == nil {
		r.mu.Unlock()
		return nil
	}
	r.stopLocked(rec, whyDeleted)
	rec.cancel()
	delete(r.recordings, name)
	r.config.Tell(Event{Type: Deleted, Recording: name, Room: rec.man.Room})
	erase := !r.closed // else the next daemon does
	if erase {
		r.workers.Add(1)
	}
	r.mu.Unlock()
	err := os.WriteFile(filepath.Join(r.dir(name), tombstone), nil, 0o640)
	if err == nil {
		err = r.disk.SyncDir(r.dir(name))
	}
	if erase {
		go func() {
			defer r.workers.Done()
			<-rec.idle
			r.erase(name)
		}()
	}
	return err
}

// erase removes the files of a recording that has a tombstone, which goes last.
func (r *Recorder) erase(name string) {
	var err error
	if r.mirror != nil {
		err = r.mirror.Delete(name, nil)
	} else {
		err = eraseDir(r.dir(name))
	}
	if err != nil && r.ctx.Err() == nil {
		r.log.Error("a recording cannot be deleted; the daemon tries again when it starts", "recording", name, "error", err)
	}
}

func eraseDir(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != tombstone && err == nil {
			err = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return cmp.Or(err, os.RemoveAll(dir))
}

// Sweep deletes recordings that are older than the retention. Call it now and then; it does not wait for the disk.
func (r *Recorder) Sweep(now time.Time) {
	if r.config.Retention <= 0 {
		return
	}
	var old []string
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, rec := range r.recordings {
		if rec.man != nil && !rec.running && rec.man.ReadyTold && rec.age(now) > r.config.Retention {
			old = append(old, name)
		}
	}
	if len(old) == 0 || r.closed {
		return
	}
	r.workers.Go(func() {
		for _, name := range old {
			r.log.Info("a recording is deleted by its age", "recording", name)
			if err := r.Delete(name); err != nil {
				r.log.Error("a recording cannot be deleted", "recording", name, "error", err)
			}
		}
	})
}

// age is how long ago a recording ended. Of one that this process has seen end, the monotonic clock tells it too, and that
// counts if it says less: a wall clock that was set right, years ahead, does not make it old.
func (rec *recording) age(now time.Time) time.Duration {
	age := now.Sub(rec.man.StoppedAt)
	if !rec.ended.IsZero() {
		age = min(age, now.Sub(rec.ended))
	}
	return age
}

// Totals is how the store is doing; false without one.
func (r *Recorder) Totals() (store.Totals, bool) {
	r.mu.Lock()
	mirror := r.mirror
	r.mu.Unlock()
	if mirror == nil {
		return store.Totals{}, false
	}
	return mirror.Totals(), true
}

// Free is how many octets may still be written where the spool is.
func (r *Recorder) Free() (uint64, error) { return r.disk.Free(r.config.Spool) }
