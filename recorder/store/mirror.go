package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// ErrDeleted says that a recording is being deleted: nothing of it is stored any more.
var ErrDeleted = errors.New("the recording is being deleted")

// MirrorConfig is what a Mirror needs. Zero values mean the defaults.
type MirrorConfig struct {
	Spool string // directory; each directory in it is a recording
	Store Store  // stays the caller's, to be closed after the Mirror

	Parallel   int           // uploads and deletions at once; default 4
	BackoffMin time.Duration // after a first failure; default 1 s, doubled with each further one
	BackoffMax time.Duration // default 1 min

	// Patience is what one attempt may take, beside a second for every 16 KiB. Default 2 min. It is the last resort: a
	// Store should itself notice that nothing moves.
	Patience time.Duration

	// Settle is for how long an interrupted upload may still turn up in the store. Default 1 min. A deletion that has
	// interrupted one looks again after it.
	Settle time.Duration

	// Changed is told when the store goes down, with the error, and comes up again; nil: nobody. Called in order, by one
	// goroutine, and must not wait.
	Changed func(up bool, err error)

	Log *slog.Logger // nil: none
}

const (
	parallelDefault   = 4
	backoffMinDefault = time.Second
	backoffMaxDefault = time.Minute
	patienceDefault   = 2 * time.Minute
	settleDefault     = time.Minute
	rateMin           = 16 << 10 // bytes a second, of an upload that is worth going on with

	// downAfter failures without a success in between, the store counts as down: one or two happen to everybody.
	downAfter = 3
)

func (c *MirrorConfig) fill() {
	set(&c.Parallel, parallelDefault)
	set(&c.BackoffMin, backoffMinDefault)
	set(&c.BackoffMax, max(backoffMaxDefault, c.BackoffMin))
	set(&c.Patience, patienceDefault)
	set(&c.Settle, settleDefault)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// File is one file of a recording, to be stored under <recording>/<Name>.
type File struct {
	Name         string `json:"name"` // relative to the recording's directory, with slashes
	Size         int64  `json:"size"` // bytes; a file that has grown since is stored up to here
	SHA256       string `json:"sha256"`
	ContentType  string `json:"content_type,omitempty"` // "": by the name's extension
	CacheControl string `json:"cache_control,omitempty"`

	// Mutable is a file that changes and that speaks of others: it is stored only when everything pushed before it is.
	Mutable bool `json:"mutable,omitempty"`
}

func (f File) properties() Properties {
	return Properties{Size: f.Size, SHA256: f.SHA256, ContentType: f.ContentType, CacheControl: f.CacheControl}
}

// same says whether storing f makes storing g needless.
func (f File) same(g File) bool { return f.Size == g.Size && f.SHA256 == g.SHA256 }

func (f File) check() error {
	if err := errors.Join(CheckKey(f.Name), f.properties().check()); err != nil {
		return fmt.Errorf("file %q: %w", f.Name, err)
	}
	if strings.HasPrefix(f.Name, ".") {
		return fmt.Errorf("file %q: such names are the mirror's own", f.Name)
	}
	return nil
}

// Mirror brings recordings from the spool into a store, in the background, for as long as it takes. All methods but
// Close return at once, whatever the store does, and may be called by several goroutines.
type Mirror struct {
	// Immutable after NewMirror.
	cfg   MirrorConfig
	spool *os.Root
	ctx   context.Context
	stop  context.CancelFunc
	wake  chan struct{} // room for one

	jobs    sync.WaitGroup
	planner chan struct{} // closed when plan has returned

	tombs sync.Mutex // held while a recording's directory comes or goes for its deletion; never together with mu

	mu         sync.Mutex // held briefly, never over I/O
	recordings map[string]*recording
	turns      []*recording // the same; whose turn is next stands first
	running    int          // jobs
	failures   int          // of the store, since its last success
	notices    []notice     // for Changed
	totals     Totals       // its counters and what is said of the store
}

// notice is a call of Changed that is due.
type notice struct {
	up  bool
	err error
}

// NewMirror starts a mirror, and goes on with the deletions of which it finds tombstones. Uploads go on when their
// recording is pushed again; what the store has already confirmed is not uploaded again.
func NewMirror(cfg MirrorConfig) (*Mirror, error) {
	cfg.fill()
	if cfg.Store == nil || cfg.Parallel < 0 || cfg.BackoffMin < 0 || cfg.BackoffMax < cfg.BackoffMin {
		return nil, errors.New("mirror: want a store, and limits that are not negative")
	}
	spool, err := os.OpenRoot(cfg.Spool)
	if err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	m := &Mirror{
		cfg: cfg, spool: spool, wake: make(chan struct{}, 1), planner: make(chan struct{}),
		recordings: map[string]*recording{}, totals: Totals{Up: true},
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	if err := m.findTombstones(); err != nil {
		m.stop()
		return nil, errors.Join(fmt.Errorf("mirror: %w", err), spool.Close())
	}
	go m.plan()
	return m, nil
}

// Push says that these files of the recording are finished, or in a new state that is worth storing. Files that are not
// named stay as they are; naming a file again, unchanged, costs nothing. Order counts: a Mutable file is stored when all
// that was pushed before it is, in this call or earlier. So a playlist stands behind its segments, and the manifest
// behind everything.
//
// A Mutable file that has been replaced in the spool since it was pushed is left until it is pushed again: its new
// content may speak of files that the mirror does not know.
func (m *Mirror) Push(name string, files []File) error {
	for _, f := range files {
		if err := f.check(); err != nil {
			return fmt.Errorf("push %s: %w", name, err)
		}
	}
	return m.with(name, func(r *recording) {
		for _, f := range files {
			r.push(f, time.Now())
		}
	})
}

// Seal says that the recording is finished: no Push follows. When all that was pushed is in the store, and a last look at
// the store has found it there, done is called once, from a goroutine of the mirror, and the mirror forgets the
// recording: its directory may be removed. After a restart, push and seal again. A deletion lets done fall.
func (m *Mirror) Seal(name string, done func()) error {
	return m.with(name, func(r *recording) { r.sealed = append(r.sealed, done) })
}

// with calls f for a recording, which may be new, and lets plan look at what has changed.
func (m *Mirror) with(name string, f func(*recording)) error {
	if err := checkRecording(name); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	m.mu.Lock()
	_, known := m.recordings[name]
	m.mu.Unlock()
	var stored map[string]File
	if !known {
		stored = m.readJournal(name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return fmt.Errorf("mirror: %s: closed", name)
	}
	r := m.recordings[name]
	if r == nil {
		r = m.add(name, stored)
	}
	if r.deleting {
		return fmt.Errorf("mirror: %s: %w", name, ErrDeleted)
	}
	f(r)
	m.poke()
	return nil
}

// add begins with a recording. Under mu.
func (m *Mirror) add(name string, stored map[string]File) *recording {
	r := &recording{name: name, stored: stored, pushed: map[string]uint64{}}
	if r.stored == nil {
		r.stored = map[string]File{}
	}
	r.ctx, r.cancel = context.WithCancel(m.ctx)
	m.recordings[name] = r
	m.turns = append(m.turns, r)
	return r
}

// poke makes plan look again.
func (m *Mirror) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Close interrupts what is under way and waits for its end. Nothing is lost: what the store has not confirmed is
// uploaded after the next start. Not to be called from done or Changed.
func (m *Mirror) Close() error {
	m.mu.Lock()
	m.stop()
	m.mu.Unlock()
	<-m.planner
	m.jobs.Wait()
	return m.spool.Close()
}
