package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"stentor/engine/control"
	recorded "stentor/recorder/replay"
	"stentor/recorder/store"
)

// replaysShown is how many replays the start page lists.
const replaysShown = 100

// Refusals about replays.
var (
	errNoReplay   = &denial{"no_replay", "This replay is not there any more."}
	errNotYours   = &denial{"not_host", "Only the host of the Space can delete its replay."}
	errReplayDown = &denial{"media_down", "The audio server cannot be reached right now. Please try again in a moment."}
)

// replayView is a replay as everybody sees it.
type replayView struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	Host      string    `json:"host"`
	State     string    `json:"state"` // recording, finishing, ready, failed
	Reason    string    `json:"reason,omitempty"`
	Live      bool      `json:"live"`            // it still grows
	Space     string    `json:"space,omitempty"` // while it goes on
	StartedAt time.Time `json:"started_at"`
	DurationS float64   `json:"duration_s"`
	People    []credit  `json:"people"`
}

// viewReplay shows a replay.
func (a *app) viewReplay(r *replay) replayView {
	v := replayView{
		ID: r.Recording, Title: r.Title, Host: r.Host, State: r.State, Reason: r.Reason, Live: r.live(),
		StartedAt: r.StartedAt, DurationS: r.DurationS, People: r.People,
	}
	if v.Live {
		v.DurationS = max(0, a.now().Sub(r.StartedAt).Seconds())
	}
	if a.find(r.Space) != nil {
		v.Space = r.Space
	}
	return v
}

// serveReplays lists the replays.
func (a *app) serveReplays(w http.ResponseWriter, _ *http.Request) {
	views := []replayView{}
	for _, r := range a.archive.list() {
		if len(views) < replaysShown {
			views = append(views, a.viewReplay(r))
		}
	}
	reply(w, http.StatusOK, map[string]any{"replays": views, "record": a.mayRecord()})
}

// serveReplay answers with one replay, for its page.
func (a *app) serveReplay(w http.ResponseWriter, r *http.Request) {
	known := a.archive.get(r.PathValue("id"))
	if known == nil {
		reply(w, http.StatusNotFound, errorNote("", errNoReplay))
		return
	}
	reply(w, http.StatusOK, a.viewReplay(known))
}

// serveDelete deletes a replay for the host, who shows his token as a bearer (RFC 6750 §2.1).
func (a *app) serveDelete(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if err := a.deleteReplay(r.Context(), r.PathValue("id"), token); err != nil {
		reply(w, statusOf(err), errorNote("delete", err))
		return
	}
	reply(w, http.StatusOK, struct{}{})
}

// deleteReplay has the engine remove a recording, and forgets it.
func (a *app) deleteReplay(ctx context.Context, id, token string) error {
	r := a.archive.get(id)
	switch {
	case r == nil:
		return errNoReplay
	case !r.mine(token):
		return errNotYours
	}
	if l := a.find(r.Space); l != nil { // Or it would start again.
		_ = l.act("", func(s *Space) error { s.unwant(id); return nil }) // Nothing to refuse.
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := a.ctl.RecordingDelete(ctx, &control.RecordingParams{Recording: id}); err != nil {
		a.log.Warn("recording is not deleted", "recording", id, "error", err)
		return errReplayDown
	}
	a.archive.remove(id)
	return nil
}

// unwant gives a recording up.
func (s *Space) unwant(recording string) {
	if s.take.wanted == recording {
		s.take.wanted = ""
	}
}

// recall compares the replays with the engine's recordings: after a start of either, and when events were missed.
// A recording whose Space this app has lost, because it was itself started anew, is ended with its room.
func (a *app) recall(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	all, err := a.ctl.RecordingList(ctx, &control.RecordingListParams{})
	a.mu.Lock()
	a.records = err == nil
	a.mu.Unlock()
	if err != nil {
		a.log.Warn("the engine keeps no recordings", "error", err)
		return
	}
	a.archive.reconcile(all.Recordings)
	for _, r := range a.archive.list() {
		if !r.live() || a.find(r.Space) != nil {
			continue
		}
		if _, err := a.ctl.RoomClose(ctx, &control.RoomParams{Room: r.Space}); err != nil {
			a.log.Warn("a room whose Space is lost does not close", "room", r.Space, "error", err)
		}
	}
}

// mayRecord tells whether the engine can record.
func (a *app) mayRecord() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.up && a.records
}

// library serves the files of the archive's replays, wherever the engine says that they are.
type library struct {
	// Immutable after newLibrary.
	archive *archive
	log     *slog.Logger
	spool   string      // where the engine writes; empty: where a recording's location says
	store   store.Store // nil: what a recording's location says

	mu     sync.Mutex
	places map[string]http.Handler // by the URL of the directory above the recording's
}

// newLibrary serves from a spool and a store; either may be left out, for the recordings' locations tell the rest.
func newLibrary(a *archive, spool string, st store.Store, log *slog.Logger) *library {
	return &library{archive: a, log: log, spool: spool, store: st, places: make(map[string]http.Handler)}
}

// ServeHTTP serves /{recording}/{file}.
func (lib *library) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	recording, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	known := lib.archive.get(recording)
	if known == nil {
		http.NotFound(w, r)
		return
	}
	h, err := lib.at(known.Location)
	if err != nil {
		lib.log.Error("a replay's place cannot be read", "recording", recording, "location", known.Location, "error", err)
		http.Error(w, "the replay cannot be reached", http.StatusServiceUnavailable)
		return
	}
	h.ServeHTTP(w, r)
}

// at is the handler of the recordings that lie beside the one at location.
func (lib *library) at(location string) (http.Handler, error) {
	u, err := url.Parse(location)
	if err != nil {
		return nil, err
	}
	u.Path = path.Dir(u.Path)
	lib.mu.Lock()
	defer lib.mu.Unlock()
	if h := lib.places[u.String()]; h != nil {
		return h, nil
	}
	c := recorded.Config{Spool: lib.spool, Store: lib.store, Allow: lib.allow, Log: lib.log}
	switch {
	case c.Store == nil && u.Scheme != "" && u.Scheme != "file":
		if c.Store, err = store.Open(u.String(), store.Options{}); err != nil { // Kept for as long as the app runs.
			return nil, err
		}
	case c.Spool == "":
		c.Spool = u.Path
	}
	h := recorded.New(c)
	lib.places[u.String()] = h
	return h, nil
}

// allow lets everybody hear what the archive knows; with it, answers stay in the visitor's own cache, and a replay that was
// deleted in no other.
func (lib *library) allow(_ *http.Request, recording string) error {
	if lib.archive.get(recording) == nil {
		return fs.ErrNotExist
	}
	return nil
}

// openLibrary reads the flags that say where the engine's files are.
func openLibrary(a *archive, spool, storeURL string, log *slog.Logger) (*library, func(), error) {
	if storeURL == "" {
		return newLibrary(a, spool, nil, log), func() {}, nil
	}
	st, err := store.Open(storeURL, store.Options{})
	if err != nil {
		return nil, nil, errors.Join(errors.New("--store"), err)
	}
	return newLibrary(a, spool, st, log), func() { _ = st.Close() }, nil
}
