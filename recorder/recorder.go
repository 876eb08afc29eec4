package recorder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"stentor/recorder/manifest"
	"stentor/recorder/store"
)

// segmentDefault is the length of a segment, in samples: the live edge is then
// 1 to 4 s behind the room, replayLag included.
const segmentDefault = 3 * manifest.SampleRate

// Config is what a Recorder needs. Zero values mean the defaults.
type Config struct {
	Spool string      // directory of all recordings; made when the first one begins
	Store store.Store // where recordings go in the end; nil: they stay in the spool

	Node          string
	RecoveryPoint time.Duration // a crash loses no more of what was said; 200 ms to 10 s, default 1 s
	Segment       time.Duration // of the replay; whole seconds, 1 to 10 s, default 3 s
	Bitrate       int           // of the mix, b/s; 0: 48000
	FreeMin       uint64        // octets: with less, no recording begins and those that run are closed; default 64 MiB
	Retention     time.Duration // ready recordings are deleted when they are so old; 0: never

	Log  *slog.Logger
	Tell func(Event) // from any goroutine; must not wait. nil: nobody
}

// Errors of Recorder's methods.
var (
	ErrNotFound    = errors.New("there is no such recording")
	ErrConflict    = errors.New("the name is taken")
	ErrUnavailable = errors.New("recording is not possible now")
)

// EventType is what has happened to a recording.
type EventType uint8

// Event types.
const (
	Started EventType = iota
	Gap               // packets are missing
	Stopped           // nothing more is taken
	Ready             // whole, and where it belongs; once for each recording
	Failed            // likewise, but it ended early
	Deleted
)

// Event tells of a recording.
type Event struct {
	Type            EventType
	Recording, Room string
	Reason          string
	Duration        float64 // seconds
	Location        string
	Dropped         uint64
}

// Recorder keeps the recordings of a daemon: those that run, and those that are kept.
type Recorder struct {
	config Config // Immutable.
	log    *slog.Logger
	disk   disk
	mirror *store.Mirror // nil: no store
	lock   *os.File

	ctx     context.Context // of finishing
	stop    context.CancelFunc
	workers sync.WaitGroup
	turn    chan struct{} // finishing one at a time, so that media has the other cores

	mu         sync.Mutex
	recordings map[string]*recording
	closed     bool
}

// recording is one in the catalogue. Guarded by Recorder.mu.
type recording struct {
	man     *manifest.Manifest // as saved last; its Files are left out. nil: it is just being begun
	bytes   int64
	stored  bool
	running bool
	desk    *Desk     // while it runs
	take    *take     // likewise
	writer  *writer   // likewise
	ended   time.Time // by this process; it carries the monotonic clock. Zero: by an earlier one

	unsaved *manifest.Manifest // what the disk has not taken. Owned by the recording's worker.
	toldGap time.Time
	untold  int64 // packets missed since

	ctx    context.Context // of finishing it
	cancel context.CancelFunc
	begun  chan struct{} // closed when it is known whether it begins
	idle   chan struct{} // closed when nobody works on its files any more
}

func newRecording(ctx context.Context) *recording {
	rec := &recording{begun: make(chan struct{}), idle: make(chan struct{})}
	rec.ctx, rec.cancel = context.WithCancel(ctx)
	return rec
}

// New takes the spool, which nobody else may have, and goes on with what a crash has left in it.
func New(c Config) (*Recorder, error) { return newOn(c, realDisk{}) }

func newOn(c Config, d disk) (*Recorder, error) {
	c.RecoveryPoint = cmp.Or(c.RecoveryPoint, time.Second)
	c.Segment = cmp.Or(c.Segment, segmentDefault*time.Second/manifest.SampleRate)
	c.Bitrate = cmp.Or(c.Bitrate, 48_000)
	c.FreeMin = cmp.Or(c.FreeMin, 64<<20)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Tell == nil {
		c.Tell = func(Event) {}
	}
	r := &Recorder{config: c, log: c.Log, disk: d, recordings: map[string]*recording{}, turn: make(chan struct{}, 1)}
	r.ctx, r.stop = context.WithCancel(context.Background())
	if err := r.open(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// open takes the spool, reads what is in it, and has it finished.
func (r *Recorder) open() (err error) {
	if err := os.MkdirAll(r.config.Spool, 0o750); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(r.config.Spool, ".lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return fmt.Errorf("spool %s: another daemon has it: %w", r.config.Spool, err)
	}
	r.lock = lock
	if r.config.Store != nil {
		r.mirror, err = store.NewMirror(store.MirrorConfig{Spool: r.config.Spool, Store: r.config.Store, Log: r.log})
		if err != nil {
			return err
		}
	}
	return r.load()
}

// load reads the catalogue, and finishes what is not finished.
func (r *Recorder) load() error {
	entries, err := os.ReadDir(r.config.Spool)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && e.Name()[0] != '.' {
			r.find(e.Name())
		}
	}
	return nil
}

// find takes a directory of the spool into the catalogue, if it is a recording.
func (r *Recorder) find(name string) {
	dir := r.dir(name)
	if _, err := os.Stat(filepath.Join(dir, tombstone)); err == nil {
		if r.mirror == nil { // which finds tombstones itself
			r.workers.Go(func() { r.erase(name) })
		}
		return
	}
	m, err := manifest.Load(os.DirFS(dir))
	if err == nil && m.Recording != name {
		err = fmt.Errorf("it is that of %s", m.Recording)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && stillborn(dir):
		// Killed before it was announced. Who asked for it has had no answer, and will ask again for the same name.
		if err := os.RemoveAll(dir); err != nil {
			r.log.Error("a recording that never began cannot be removed", "directory", dir, "error", err)
		}
		return
	case err != nil: // it is left for somebody to look at
		r.log.Warn("a directory in the spool is no recording", "directory", dir, "error", err)
		return
	}
	rec := newRecording(r.ctx)
	close(rec.begun)
	rec.know(m)
	r.recordings[name] = rec
	r.workers.Go(func() { r.finish(rec, name) })
}

// stillborn tells whether a directory holds nothing but what begin makes before the manifest: no sound, and nothing of
// anybody else.
func stillborn(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, tracksDir)); err != nil { // which comes first
		return false
	}
	known := map[string]bool{manifest.TimelineName: true, manifest.Name + ".tmp": true}
	for _, name := range []string{initName, playlistName, masterName} {
		known[name], known[temporary(name)] = true, true
	}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, name); err == nil && !d.IsDir() && !known[rel] {
			err = fs.ErrExist
		}
		return err
	})
	return err == nil
}

// know keeps of a manifest what the catalogue tells.
func (rec *recording) know(m *manifest.Manifest) {
	short := *m
	rec.bytes = 0
	for _, f := range m.Files {
		rec.bytes += f.Bytes
	}
	short.Files = nil
	rec.man, rec.stored = &short, m.Stored != nil
}

func (r *Recorder) dir(name string) string { return filepath.Join(r.config.Spool, name) }

// Start is what a recording begins with.
type Start struct {
	Recording, Room string
	Tracks, Replay  bool
	Notes           []manifest.Line // who is there
}

// Start begins to record what a desk gets. ErrConflict: the name is taken, or the desk is being recorded. ErrUnavailable: the
// spool cannot be written, or has no room. It waits for the disk, and nobody waits for it.
func (r *Recorder) Start(d *Desk, s Start) error {
	rec, err := r.reserve(s)
	if err != nil {
		return err
	}
	defer r.workers.Done()
	defer close(rec.begun)
	rec.desk, rec.take = d, newTake(s.Tracks, s.Replay)
	var w *writer
	if err = r.vacant(s.Recording); err == nil {
		if w, err = r.begin(rec, s); err != nil {
			err = errors.Join(err, os.RemoveAll(r.dir(s.Recording)))
		}
	}
	if err != nil && !errors.Is(err, ErrConflict) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		delete(r.recordings, s.Recording)
		return err
	}
	rec.running, rec.writer = true, w
	rec.know(w.man)
	r.config.Tell(Event{Type: Started, Recording: s.Recording, Room: s.Room})
	r.workers.Go(func() {
		w.run()
		r.ended(rec, w)
		r.finish(rec, s.Recording)
	})
	if r.closed {
		r.stopLocked(rec, whyShutdown)
	}
	return nil
}

// reserve takes a name in the catalogue, and a place among the workers.
func (r *Recorder) reserve(s Start) (*recording, error) {
	if s.Recording == "" || s.Recording[0] == '.' || filepath.Base(s.Recording) != s.Recording {
		return nil, fmt.Errorf("%w: %q cannot be the name of a directory in the spool", ErrUnavailable, s.Recording)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, ErrUnavailable
	case r.recordings[s.Recording] != nil:
		return nil, ErrConflict
	}
	rec := newRecording(r.ctx)
	r.recordings[s.Recording] = rec
	r.workers.Add(1)
	return rec, nil
}

// vacant returns ErrConflict where the spool has something under a name. Whoever asks has reserved the name: else it would
// be the directory that another one is just making.
func (r *Recorder) vacant(name string) error {
	_ = syscall.Rmdir(r.dir(name)) // an empty one is all that a crash has left of another try
	_, err := os.Lstat(r.dir(name))
	switch {
	case err == nil: // being deleted, or no recording
		return ErrConflict
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// begin makes a recording's directory and first files, and has the desk feed it.
func (r *Recorder) begin(rec *recording, s Start) (*writer, error) {
	dir := r.dir(s.Recording)
	free, err := r.disk.Free(r.config.Spool)
	if err == nil && free < r.config.FreeMin {
		err = fmt.Errorf("%d octets are left, of %d that must be: %w", free, r.config.FreeMin, syscall.ENOSPC)
	}
	if err = cmp.Or(err, os.MkdirAll(filepath.Join(dir, tracksDir), 0o750)); err != nil {
		return nil, err
	}
	if s.Replay {
		if err := os.MkdirAll(filepath.Join(dir, replayDir), 0o750); err != nil {
			return nil, err
		}
	}
	m := &manifest.Manifest{
		Version: manifest.Version, Recording: s.Recording, Room: s.Room, Node: r.config.Node, State: manifest.Recording,
		StartedAt: time.Now().UTC(), RecoveryPoint: position(r.config.RecoveryPoint), TracksWanted: s.Tracks, ReplayWanted: s.Replay,
	}
	if s.Replay {
		m.Replay = &manifest.Replay{Playlist: playlistName, Init: initName, Target: position(r.config.Segment), Bitrate: r.config.Bitrate}
	}
	w := &writer{
		take: rec.take, dir: dir, disk: r.disk, recovery: r.config.RecoveryPoint, freeMin: r.config.FreeMin, man: m, log: r.log,
		failed: func(err error) { r.failed(rec, s, err) },
		gap:    func(why string, n int64) { r.gap(rec, s, why, n) },
	}
	if err := newWriter(w, int64(position(r.config.Segment)), r.config.Bitrate); err != nil {
		return nil, errors.Join(err, w.abandon())
	}
	if w.mix != nil && r.mirror != nil {
		w.mix.finished = func(name string, size int64, sum string) { r.pushSegment(m.Recording, w, name, size, sum) }
	}
	err = cmp.Or(r.disk.Save(dir, m), r.disk.SyncDir(r.config.Spool))
	if err == nil {
		err = rec.desk.record(rec.take)
	}
	if err != nil {
		return nil, errors.Join(err, w.abandon())
	}
	w.started(time.Now().UTC()) // a slow disk may have taken its time
	for _, l := range s.Notes {
		rec.desk.Note(l)
	}
	return w, nil
}

func position(d time.Duration) manifest.Position {
	return manifest.Position(d / time.Millisecond * manifest.SampleRate / 1000)
}

// failed ends a recording whose disk refuses.
func (r *Recorder) failed(rec *recording, s Start, err error) {
	r.log.Error("a recording has failed", "recording", s.Recording, "room", s.Room, "error", err)
	rec.desk.release(rec.take)
}

// gapEvery is how often a gap is told of one recording.
const gapEvery = 10 * time.Second

func (r *Recorder) gap(rec *recording, s Start, why string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec.untold += n
	if now := time.Now(); rec.toldGap.IsZero() || now.Sub(rec.toldGap) >= gapEvery {
		r.config.Tell(Event{Type: Gap, Recording: s.Recording, Room: s.Room, Reason: why, Dropped: uint64(rec.untold)})
		rec.toldGap, rec.untold = now, 0
	}
}

// Stop ends a recording, for a reason that is told. One that has ended already stays as it is.
func (r *Recorder) Stop(name, reason string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.recordings[name]
	if rec == nil || rec.man == nil {
		return ErrNotFound
	}
	r.stopLocked(rec, reason)
	return nil
}

func (r *Recorder) stopLocked(rec *recording, reason string) {
	if !rec.running {
		return
	}
	rec.running = false
	rec.man.State, rec.man.Reason = manifest.Finishing, reason
	rec.man.StoppedAt = rec.man.StartedAt.Add(length(rec.take.length.Load()))
	rec.desk.release(rec.take)
	r.config.Tell(Event{
		Type: Stopped, Recording: rec.man.Recording, Room: rec.man.Room, Reason: reason,
		Duration: float64(rec.take.length.Load()) / manifest.SampleRate,
	})
}

// ended keeps what the take has found out. Its files are closed.
func (r *Recorder) ended(rec *recording, w *writer) {
	m := w.man
	r.mu.Lock()
	failed := rec.running // nobody has stopped it, the disk has
	m.Reason = cmp.Or(m.Reason, rec.man.Reason)
	m.StoppedAt = m.StartedAt.Add(length(int64(m.Duration)))
	m.State = manifest.Finishing
	rec.know(m)
	rec.bytes = w.bytes.Load()
	rec.running, rec.take, rec.writer = false, nil, nil
	rec.ended = time.Now()
	if failed {
		r.config.Tell(Event{Type: Stopped, Recording: m.Recording, Room: m.Room, Reason: m.Reason, Duration: m.Duration.Seconds()})
	}
	r.mu.Unlock()
	if err := r.disk.Save(w.dir, m); err != nil {
		rec.unsaved = m
		r.log.Error("the manifest cannot be saved; it is kept until it can", "recording", m.Recording, "error", err)
	}
}

// closeGrace is how long Close waits for recordings to be finished, and stored, that have just been stopped: enough for an
// hour of one.
const closeGrace = 3 * time.Second

// Close ends what runs, for the reason of a shutdown, and waits until the files are closed. What is not finished by then
// is finished when the daemon starts again.
func (r *Recorder) Close() error {
	r.mu.Lock()
	r.closed = true
	for _, rec := range r.recordings {
		r.stopLocked(rec, whyShutdown)
	}
	r.mu.Unlock()
	done := make(chan struct{})
	go func() { r.workers.Wait(); close(done) }()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
	}
	r.stop()
	<-done
	if r.mirror != nil {
		r.mirror.Close()
	}
	if r.lock == nil {
		return nil
	}
	// Closing alone would leave it locked for as long as a process that is just being started has the descriptor too.
	return errors.Join(syscall.Flock(int(r.lock.Fd()), syscall.LOCK_UN), r.lock.Close())
}
