package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"stentor/engine/control"
)

// Limits of the whole app.
const (
	spacesMax   = 500              // Spaces at once; with their two goroutines and state some 20 MB
	spacesShown = 50               // in the list of live Spaces
	pagesMax    = 20_000           // WebSockets at once, at some 40 KB each below 1 GB
	sweepEvery  = time.Second      // how exactly the times of grace are kept
	closeWait   = 3 * time.Second  // for the rooms to be closed when the app stops
	startEvery  = time.Second / 20 // between two Spaces started, on average
	startBurst  = 40               // Spaces started at once
)

// app holds all the Spaces that are going on.
type app struct {
	// Immutable after newApp.
	ctl     commander
	archive *archive
	library http.Handler // of the replays
	log     *slog.Logger
	now     func() time.Time

	wg     sync.WaitGroup // the goroutines of the Spaces
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	lives   map[string]*live
	up      bool // the engine can be reached
	records bool // it keeps recordings
	starts  bucket
	pages   int
	gone    chan struct{} // one token: a page has gone
}

// newApp makes an app without Spaces; ctl may be down until mediaUp says otherwise.
func newApp(ctl commander, arch *archive, library http.Handler, log *slog.Logger, now func() time.Time) *app {
	a := &app{
		ctl: ctl, archive: arch, library: library, log: log, now: now, lives: make(map[string]*live), gone: make(chan struct{}, 1),
		starts: newBucket(startEvery, startBurst, now()),
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// start opens a Space. The room is opened first: a Space without one would be a promise that nobody keeps.
func (a *app) start(ctx context.Context, title, hostName string, record bool) (id, hostToken string, err error) {
	title, hostName = cleanName(title), cleanName(hostName)
	if hostName == "" {
		return "", "", errNameMissing
	}
	if title == "" {
		title = hostName + "’s Space"
	}
	if err := a.mayStart(); err != nil {
		return "", "", err
	}
	id, hostToken = newID(), newToken()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s := newSpace(id, hostToken, title, hostName, a.now())
	if _, err := a.ctl.RoomOpen(ctx, roomOpen(id)); err != nil {
		a.log.Warn("room does not open", "room", id, "error", err)
		if reasonOf(err) == "" { // Without an answer it may have opened: it is begun as ended, so that drive closes it.
			s.Ended = true
			a.add(s)
		}
		return "", "", &denial{"media_down", explain(err)}
	}
	if record {
		if err := a.recordFirst(ctx, s); err != nil {
			s.Ended = true // Who chose to be recorded is not to talk without it.
			a.add(s)
			return "", "", err
		}
	}
	a.add(s)
	return id, hostToken, nil
}

// recordFirst has a Space recorded before anybody is in it, so that nothing is missed and nobody is surprised.
func (a *app) recordFirst(ctx context.Context, s *Space) error {
	s.nameTake()
	rec, err := a.ctl.RecordingStart(ctx, recordStart(s.ID, s.take.wanted))
	if err != nil {
		a.log.Warn("recording does not start", "room", s.ID, "error", err)
		return &denial{"not_recorded", errNotTaken + explainTake(err)}
	}
	s.runs(rec.Recording)
	a.archive.add(s.replay(rec))
	return nil
}

// mayStart holds the limits on new Spaces.
func (a *app) mayStart() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !a.up:
		return &denial{"media_down", "The audio server cannot be reached right now. Please try again in a moment."}
	case len(a.lives) >= spacesMax:
		return &denial{"full", "There are too many Spaces right now. Please try again later."}
	case !a.starts.take(a.now()):
		return &denial{"too_fast", "Too many Spaces are being started. Please try again in a moment."}
	}
	return nil
}

// add lets a Space begin: its goroutines run until the room is closed or the app stops.
func (a *app) add(s *Space) {
	l := newLive(a, s)
	a.mu.Lock()
	l.media = a.up // Before it is in the map nobody else has it.
	a.lives[s.ID] = l
	a.mu.Unlock()
	ctx, cancel := context.WithCancel(a.ctx)
	a.wg.Go(func() { l.publish(ctx) })
	a.wg.Go(func() {
		defer cancel() // The room is closed: nobody is left to publish to.
		l.drive(ctx)
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.lives, s.ID)
	})
}

// find is the Space of that id, unless it has ended.
func (a *app) find(id string) *live {
	a.mu.Lock()
	l := a.lives[id]
	a.mu.Unlock()
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.space.Ended {
		return nil
	}
	return l
}

// all lists the Spaces.
func (a *app) all() []*live {
	a.mu.Lock()
	defer a.mu.Unlock()
	ls := make([]*live, 0, len(a.lives))
	for _, l := range a.lives {
		ls = append(ls, l)
	}
	return ls
}

// cards is the list of live Spaces with somebody in them, the fullest first.
func (a *app) cards() []cardView {
	cards := []cardView{}
	for _, l := range a.all() {
		l.mu.Lock()
		if !l.space.Ended && len(l.space.members) > 0 {
			cards = append(cards, l.space.card())
		}
		l.mu.Unlock()
	}
	slices.SortFunc(cards, func(x, y cardView) int {
		if x.People != y.People {
			return y.People - x.People
		}
		return strings.Compare(x.ID, y.ID)
	})
	return cards[:min(len(cards), spacesShown)]
}

// run keeps the times of grace until ctx is done.
func (a *app) run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.sweep()
		case <-ctx.Done():
			return
		}
	}
}

// sweep gives up the people and the Spaces that are gone.
func (a *app) sweep() {
	now, up := a.now(), a.isUp()
	for _, l := range a.all() {
		l.mediaUp(up) // A Space that paused after a failed call tries again.
		if l.sweep(now) {
			_ = l.end("Nobody was left.", nil) // Without a rule nothing can be refused.
		}
	}
}

// isUp tells whether the engine can be reached.
func (a *app) isUp() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.up
}

// mediaUp tells every Space whether the engine can be reached.
func (a *app) mediaUp(up bool) {
	a.mu.Lock()
	a.up = up
	a.mu.Unlock()
	for _, l := range a.all() {
		l.mediaUp(up)
	}
}

// heard takes an event of the engine to its Space.
func (a *app) heard(ev *control.Event) {
	a.mu.Lock()
	l := a.lives[ev.Room]
	a.mu.Unlock()
	a.archive.heard(ev)
	if l != nil {
		l.heard(ev)
	}
}

// reconcile compares every Space with a snapshot. Rooms that are none of this app's are left alone: a daemon may serve
// several apps.
func (a *app) reconcile(snap *control.Snapshot) {
	rooms := make(map[string]*control.RoomSnapshot)
	for i := range snap.Rooms {
		rooms[snap.Rooms[i].Room.Room] = &snap.Rooms[i]
	}
	for _, l := range a.all() {
		l.reconcile(rooms[l.id])
	}
}

// stop ends all Spaces, tells their pages, and waits, for closeWait at most, until the engine knows and the pages have
// gone. The app keeps its Spaces in memory, so nobody could come back to them.
func (a *app) stop() {
	for _, l := range a.all() {
		_ = l.end("The server was stopped.", nil) // Without a rule nothing can be refused.
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.wg.Wait()
	}()
	late := time.NewTimer(closeWait)
	defer late.Stop()
	select {
	case <-done:
		a.awaitPages(late.C)
	case <-late.C:
		a.log.Warn("rooms are left open, the engine does not answer")
	}
	a.cancel()
	<-done
}

// awaitPages waits until no page is left, or late.
func (a *app) awaitPages(late <-chan time.Time) {
	for a.pageCount() > 0 {
		select {
		case <-a.gone:
		case <-late:
			return
		}
	}
}

// pageCount is how many pages are connected.
func (a *app) pageCount() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pages
}

// pageIn counts a page in, if there is room for it.
func (a *app) pageIn() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pages >= pagesMax {
		return fmt.Errorf("more than %d pages", pagesMax)
	}
	a.pages++
	return nil
}

// pageOut counts it out again.
func (a *app) pageOut() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pages--
	poke(a.gone)
}
