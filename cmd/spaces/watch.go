package main

import (
	"context"
	"sync"
	"time"

	"stentor/engine/control"
)

// dialPause is the longest pause between two attempts to reach a daemon that is away: people are waiting.
const dialPause = time.Second

// remote is a commander whose daemon may not be there yet: it dials with the first call that succeeds.
// control.Client makes its connection again by itself after that.
type remote struct {
	path string // Immutable.

	mu     sync.Mutex
	client *control.Client
}

// dial makes the client, or returns the one that is there.
func (r *remote) dial(ctx context.Context) (*control.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return r.client, nil
	}
	c, err := control.Dial(ctx, r.path)
	if err != nil {
		return nil, err
	}
	r.client = c
	return c, nil
}

// close ends the connection.
func (r *remote) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		_ = r.client.Close() // Nothing is under way any more.
		r.client = nil
	}
}

// through makes one call on the client.
func through[P, R any](ctx context.Context, r *remote, p P, call func(*control.Client, context.Context, P) (R, error)) (R, error) {
	c, err := r.dial(ctx)
	if err != nil {
		var none R
		return none, err
	}
	return call(c, ctx, p)
}

// RoomOpen implements commander, as do the others.
func (r *remote) RoomOpen(ctx context.Context, p *control.RoomOpenParams) (*control.Room, error) {
	return through(ctx, r, p, (*control.Client).RoomOpen)
}

func (r *remote) RoomClose(ctx context.Context, p *control.RoomParams) (*control.Empty, error) {
	return through(ctx, r, p, (*control.Client).RoomClose)
}

func (r *remote) PeerJoin(ctx context.Context, p *control.PeerJoinParams) (*control.PeerJoinResult, error) {
	return through(ctx, r, p, (*control.Client).PeerJoin)
}

func (r *remote) PeerUpdate(ctx context.Context, p *control.PeerUpdateParams) (*control.Peer, error) {
	return through(ctx, r, p, (*control.Client).PeerUpdate)
}

func (r *remote) PeerRestart(ctx context.Context, p *control.PeerRestartParams) (*control.PeerRestartResult, error) {
	return through(ctx, r, p, (*control.Client).PeerRestart)
}

func (r *remote) PeerLeave(ctx context.Context, p *control.PeerParams) (*control.Empty, error) {
	return through(ctx, r, p, (*control.Client).PeerLeave)
}

func (r *remote) RecordingStart(ctx context.Context, p *control.RecordingStartParams) (*control.Recording, error) {
	return through(ctx, r, p, (*control.Client).RecordingStart)
}

func (r *remote) RecordingStop(ctx context.Context, p *control.RecordingParams) (*control.Recording, error) {
	return through(ctx, r, p, (*control.Client).RecordingStop)
}

func (r *remote) RecordingList(ctx context.Context, p *control.RecordingListParams) (*control.RecordingList, error) {
	return through(ctx, r, p, (*control.Client).RecordingList)
}

func (r *remote) RecordingDelete(ctx context.Context, p *control.RecordingParams) (*control.Empty, error) {
	return through(ctx, r, p, (*control.Client).RecordingDelete)
}

// watch follows the engine's events until ctx is done. After a lost connection the Watcher resumes from its cursor;
// after a lost daemon it begins with a snapshot, with which every Space is compared.
func (a *app) watch(ctx context.Context, path string) error {
	down := false // Said once, not with every attempt.
	w := control.Watcher{
		Path: path,
		Up: func() {
			a.log.Info("engine is there", "control", path)
			down = false
			a.mediaUp(true)
		},
		Down: func(err error) {
			if !down {
				a.log.Warn("engine is away", "control", path, "error", err)
			}
			down = true
			a.mediaUp(false)
		},
		BackoffMax: dialPause,
	}
	return w.Watch(ctx, func(item control.WatchItem) error {
		if item.Snapshot != nil {
			a.reconcile(item.Snapshot)
			a.recall(ctx)
		} else {
			a.heard(item.Event)
		}
		return nil
	})
}
