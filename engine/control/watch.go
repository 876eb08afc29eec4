package control

import (
	"context"
	"math/rand/v2"
	"time"
)

// Watcher follows a daemon's events through restarts of the daemon and of the caller. The zero value of every field but Path is
// useful.
type Watcher struct {
	Path  string   // of the control socket
	Rooms []string // only these rooms' events and the engine's; empty: all

	// After is the cursor of the last event that the caller has. Empty: start with a snapshot, or from now on if
	// FromNow is set.
	After   string
	FromNow bool

	// Down is called when the connection is lost or cannot be made, with the reason; Up when it is there (again).
	Down func(error)
	Up   func()

	// BackoffMin and BackoffMax bound the pause between attempts, which doubles from one to the other: 100 ms and 5 s
	// by default.
	BackoffMin, BackoffMax time.Duration
}

// WatchItem is one step of what a Watcher sees: a snapshot, which replaces everything known before, or an event.
// Exactly one of the two is set.
type WatchItem struct {
	Cursor   string // after this item; give it as Watcher.After to go on from here
	Snapshot *Snapshot
	Event    *Event
}

// Watch hands items to each, in order and none missing: between two snapshots every event comes once. It returns when ctx
// ends (with ctx.Err()), when each returns an error (with it), or when the daemon refuses the parameters (*Error with
// invalid_params); all else is tried again.
func (w *Watcher) Watch(ctx context.Context, each func(WatchItem) error) error {
	run := watch{Watcher: w, each: each, cursor: w.After, snapshot: w.After == "" && !w.FromNow}
	for attempt := 0; ; attempt++ {
		up, err := run.once(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case run.refused != nil:
			return run.refused
		case ReasonOf(err) == ReasonInvalidParams:
			return err
		case ReasonOf(err) == ReasonCursorExpired:
			run.cursor, run.snapshot = "", true
		case w.Down != nil:
			w.Down(err)
		}
		if up {
			attempt = 0
		}
		if err := w.pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// pause waits before an attempt, with up to half of the time left to chance, so that the callers of a daemon that
// restarts do not come all at once.
func (w *Watcher) pause(ctx context.Context, attempt int) error {
	shortest, longest := w.BackoffMin, w.BackoffMax
	if shortest <= 0 {
		shortest = 100 * time.Millisecond
	}
	if longest <= 0 {
		longest = 5 * time.Second
	}
	d := min(shortest<<min(attempt, 16), longest)
	t := time.NewTimer(d/2 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch is the state of one Watch.
type watch struct {
	*Watcher
	each     func(WatchItem) error
	cursor   string // Of the last item.
	snapshot bool   // The next subscription starts with a snapshot.
	refused  error  // What each returned.
}

// once subscribes and hands on items until something ends it. It says whether the subscription came about.
func (w *watch) once(ctx context.Context) (up bool, err error) {
	client := Client{path: w.Path} // only for Subscribe, which makes its own connection
	sub, result, err := client.Subscribe(ctx, SubscribeParams{After: w.cursor, Rooms: w.Rooms, Snapshot: w.snapshot})
	if err != nil {
		return false, err
	}
	defer sub.Close()
	if w.Up != nil {
		w.Up()
	}
	if result.Snapshot != nil {
		if err := w.hand(WatchItem{Cursor: result.Cursor, Snapshot: result.Snapshot}); err != nil {
			return true, err
		}
	}
	w.cursor, w.snapshot = result.Cursor, false
	for {
		e, err := sub.Next(ctx)
		if err != nil {
			return true, err
		}
		if err := w.hand(WatchItem{Cursor: e.Cursor, Event: &e}); err != nil {
			return true, err
		}
	}
}

func (w *watch) hand(item WatchItem) error {
	if err := w.each(item); err != nil {
		w.refused = err
		return err
	}
	w.cursor = item.Cursor
	return nil
}
