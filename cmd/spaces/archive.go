package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"stentor/engine/control"
)

// replaySuffix is the end of the names of the archive's files.
const replaySuffix = ".json"

// replay is what the app knows of a recording and the engine does not: what it was about, whose it is, and the names of
// the people in it. As a file it outlives the app. A value is never changed once it is in the archive.
type replay struct {
	Recording string    `json:"recording"`
	Space     string    `json:"space"`
	Title     string    `json:"title"`
	Host      string    `json:"host"`
	HostKey   string    `json:"host_key"` // SHA-256 of the host's token, in hexadecimal: who has the token may delete it
	State     string    `json:"state"`    // as the engine told last
	Reason    string    `json:"reason,omitempty"`
	StartedAt time.Time `json:"started_at"`
	DurationS float64   `json:"duration_s,omitempty"` // once it has ended
	Location  string    `json:"location"`             // URL of its files
	People    []credit  `json:"people"`               // who was on stage, in the order of coming there
}

// credit is a person in a recording.
type credit struct {
	Peer string `json:"peer"` // as the recording's timeline knows him
	Name string `json:"name"`
	Role Role   `json:"role"`
}

// hashOf is what is kept of a host's token.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// mine tells whether a token is that of the replay's host.
func (r *replay) mine(token string) bool {
	return token != "" && subtle.ConstantTimeCompare([]byte(hashOf(token)), []byte(r.HostKey)) == 1
}

// live tells whether it still grows.
func (r *replay) live() bool { return r.State == control.RecordingRunning }

// replay is a recording of this Space that has begun.
func (s *Space) replay(rec *control.Recording) *replay {
	r := &replay{
		Recording: rec.Recording, Space: s.ID, Title: s.Title, Host: s.HostName, HostKey: hashOf(s.hostToken),
		State: rec.State, StartedAt: rec.StartedAt, Location: rec.Location, People: []credit{},
	}
	return r.credited(s.credits())
}

// credits lists who is on stage.
func (s *Space) credits() []credit {
	var on []credit
	for _, m := range s.stage() {
		on = append(on, credit{m.ID, m.Name, m.Role})
	}
	return on
}

// credits is whose names belong to the recording that runs.
func (l *live) credits() (recording string, people []credit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.space.take.running == "" {
		return "", nil
	}
	return l.space.take.running, l.space.credits()
}

// credited is r with people who were not in it; r itself if there are none.
func (r *replay) credited(people []credit) *replay {
	next := *r
	for _, p := range people {
		if !slices.ContainsFunc(next.People, func(c credit) bool { return c.Peer == p.Peer }) {
			next.People = append(slices.Clip(next.People), p)
		}
	}
	if len(next.People) == len(r.People) {
		return r
	}
	return &next
}

// archive holds the replays of this app, and keeps them in a directory: a file each, replaced as a whole. Only its own
// goroutine writes there, so that nobody who talks waits for a disk.
type archive struct {
	dir  string // Immutable.
	log  *slog.Logger
	wake chan struct{} // one token: something is to be written

	mu      sync.Mutex
	replays map[string]*replay
	lost    map[string]bool // the engine says that it has no such recording
	dirty   map[string]bool // to be written, or removed
}

// openArchive reads a directory, which is made if it is not there. A file that is none of the archive's is left alone.
func openArchive(dir string, log *slog.Logger) (*archive, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory for replays: %w (choose another one with --data)", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"+replaySuffix))
	if err != nil {
		return nil, err
	}
	a := &archive{
		dir: dir, log: log, wake: make(chan struct{}, 1),
		replays: make(map[string]*replay), lost: make(map[string]bool), dirty: make(map[string]bool),
	}
	for _, f := range files {
		r, err := readReplay(f)
		if err != nil {
			log.Warn("what is known of a replay cannot be read", "error", err)
			continue
		}
		a.replays[r.Recording] = r
	}
	return a, nil
}

// readReplay reads a file of the archive.
func readReplay(path string) (*replay, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(replay)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Recording == "" || r.Recording+replaySuffix != filepath.Base(path) {
		return nil, fmt.Errorf("%s: it tells of %q", path, r.Recording)
	}
	return r, nil
}

// get returns a replay, or nil.
func (a *archive) get(recording string) *replay {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lost[recording] {
		return nil
	}
	return a.replays[recording]
}

// list returns the replays: those that still grow first, then the latest.
func (a *archive) list() []*replay {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*replay, 0, len(a.replays))
	for name, r := range a.replays {
		if !a.lost[name] {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(x, y *replay) int {
		switch {
		case x.live() && !y.live():
			return -1
		case y.live() && !x.live():
			return 1
		case !x.StartedAt.Equal(y.StartedAt):
			return y.StartedAt.Compare(x.StartedAt)
		}
		return strings.Compare(x.Recording, y.Recording)
	})
	return list
}

// put keeps a replay; nil removes it. Under mu.
func (a *archive) put(recording string, r *replay) {
	if a.replays[recording] == r {
		return
	}
	a.replays[recording] = r
	if r == nil {
		delete(a.replays, recording)
	}
	a.dirty[recording] = true
	poke(a.wake)
}

// add takes a recording that has begun; a second time it changes nothing.
func (a *archive) add(r *replay) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.replays[r.Recording] == nil {
		a.put(r.Recording, r)
	}
	delete(a.lost, r.Recording)
}

// remove forgets a replay.
func (a *archive) remove(recording string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.put(recording, nil)
}

// credit takes the names of people on stage.
func (a *archive) credit(recording string, people []credit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.replays[recording]; r != nil {
		a.put(recording, r.credited(people))
	}
}

// change takes over a recording's state.
func (a *archive) change(recording, state, reason string, durationS float64, location string) {
	r := a.replays[recording]
	if r == nil {
		return
	}
	next := *r
	next.State, next.Reason, next.DurationS = state, reason, durationS
	if location != "" {
		next.Location = location
	}
	if state == control.RecordingRunning {
		next.DurationS = 0 // It is not written down each time that somebody asks.
	}
	if !sameReplay(&next, r) {
		a.put(recording, &next)
	}
}

// sameReplay compares what change changes.
func sameReplay(x, y *replay) bool {
	return x.State == y.State && x.Reason == y.Reason && x.DurationS == y.DurationS && x.Location == y.Location
}

// heard takes an event of the engine.
func (a *archive) heard(ev *control.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch ev.Type {
	case control.EventRecordingStopped:
		a.change(ev.Recording, control.RecordingFinishing, ev.Reason, ev.DurationS, "")
	case control.EventRecordingReady:
		a.change(ev.Recording, control.RecordingReady, ev.Reason, ev.DurationS, ev.Location)
	case control.EventRecordingFailed:
		a.change(ev.Recording, control.RecordingFailed, ev.Reason, ev.DurationS, ev.Location)
	case control.EventRecordingDeleted:
		a.put(ev.Recording, nil)
	}
}

// reconcile compares the archive with all the recordings that the engine has. What it does not have is not shown, but
// kept: another daemon may be on the socket for now.
func (a *archive) reconcile(recordings []control.Recording) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost = make(map[string]bool)
	for name := range a.replays {
		a.lost[name] = true
	}
	for i := range recordings {
		rec := &recordings[i]
		delete(a.lost, rec.Recording)
		a.change(rec.Recording, rec.State, rec.Reason, rec.DurationS, rec.Location)
	}
}

// run writes what changes until ctx is done, and then what is left.
func (a *archive) run(ctx context.Context) {
	for {
		select {
		case <-a.wake:
			a.write()
		case <-ctx.Done():
			a.write()
			return
		}
	}
}

// write brings the directory up to date. What cannot be written is tried again with the next change.
func (a *archive) write() {
	a.mu.Lock()
	work := make(map[string]*replay, len(a.dirty))
	for name := range a.dirty {
		work[name] = a.replays[name]
	}
	clear(a.dirty)
	a.mu.Unlock()
	for name, r := range work {
		if err := a.save(name, r); err != nil {
			a.log.Error("what is known of a replay cannot be kept", "recording", name, "error", err)
			a.mu.Lock()
			a.dirty[name] = true
			a.mu.Unlock()
		}
	}
}

// save replaces a replay's file, or removes it.
func (a *archive) save(name string, r *replay) error {
	path := filepath.Join(a.dir, name+replaySuffix)
	if r == nil {
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	f, err := os.CreateTemp(a.dir, "."+name+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // It is not there any more when all went well.
	_, err = f.Write(append(encode(r), '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
