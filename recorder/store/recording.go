package store

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// recording is what a Mirror knows of one recording. It decides what is due; it does no I/O. Under the Mirror's mu.
type recording struct {
	name   string
	ctx    context.Context // of its jobs; ends when it is deleted or the mirror is closed
	cancel context.CancelFunc

	pending []*pending        // what the store has not confirmed, in the order of the pushes
	stored  map[string]File   // what it has
	pushes  uint64            // so far
	pushed  map[string]uint64 // each name's last one, by number

	sealed   []func() // to be told when everything is confirmed; empty: not sealed
	deleting bool
	deleted  []func() // to be told when the store has nothing any more
	erased   bool     // the store has once had nothing
	buried   bool     // there was a Delete since the deletion's last attempt began

	running     int       // jobs
	interrupted time.Time // when an upload last ended without an answer
	backoff     backoff   // the store's failures with this recording
	lastError   error     // nil after a success
}

// pending is a file on its way.
type pending struct {
	File
	since   time.Time // pushed with this content
	running bool
	backoff backoff // trouble with the file itself, in the spool
}

// push takes over one file of a Push.
func (r *recording) push(f File, now time.Time) {
	r.pushes++
	r.pushed[f.Name] = r.pushes
	at := slices.IndexFunc(r.pending, func(p *pending) bool { return p.Name == f.Name })
	switch {
	case at < 0 && r.stored[f.Name].same(f):
		r.stored[f.Name] = f
	case at < 0:
		r.pending = append(r.pending, &pending{File: f, since: now})
	case r.pending[at].same(f):
		r.pending[at].File = f
	default: // It speaks of what was pushed since, so it goes behind that.
		p := r.pending[at]
		p.File, p.since, p.backoff = f, now, backoff{}
		r.pending = append(slices.Delete(r.pending, at, at+1), p)
	}
}

// confirm notes that the store has f. What was pushed meanwhile with other content stays pending. Of a recording that is
// being deleted meanwhile nothing is noted: all of it goes.
func (r *recording) confirm(f File) {
	if r.deleting {
		return
	}
	r.stored[f.Name] = f
	r.pending = slices.DeleteFunc(r.pending, func(p *pending) bool { return p.Name == f.Name && p.same(f) })
}

// repent notes that the store lacks what it had confirmed. It is pushed again in the order in which it was: what speaks of
// others behind them.
func (r *recording) repent(missing []File, now time.Time) {
	slices.SortFunc(missing, func(a, b File) int { return cmp.Compare(r.pushed[a.Name], r.pushed[b.Name]) })
	for _, f := range missing {
		delete(r.stored, f.Name)
		r.push(f, now)
	}
}

// task is what is due of a recording.
type task int

const (
	nothing task = iota
	upload       // of one pending file
	verify       // that the store has everything
	erase        // the recording
)

// due says what to do next, and with which file. With nothing to do it says when to ask again; zero: after a change.
func (r *recording) due(now time.Time) (t task, p *pending, again time.Time) {
	alone := r.deleting || r.backoff.failures > 0 || len(r.pending) == 0
	if alone && r.running > 0 {
		return nothing, nil, time.Time{} // its end is a change
	}
	if now.Before(r.backoff.until) {
		return nothing, nil, r.backoff.until
	}
	switch {
	case r.deleting:
		return erase, nil, time.Time{}
	case len(r.pending) > 0:
		return r.dueFile(now)
	case len(r.sealed) > 0:
		return verify, nil, time.Time{}
	}
	return nothing, nil, time.Time{}
}

func (r *recording) dueFile(now time.Time) (task, *pending, time.Time) {
	var again time.Time
	for i, p := range r.pending {
		switch {
		case p.running || p.Mutable && i > 0:
		case now.Before(p.backoff.until):
			if again.IsZero() || p.backoff.until.Before(again) {
				again = p.backoff.until
			}
		default:
			return upload, p, time.Time{}
		}
	}
	return nothing, nil, again
}

// backoff is the time until the next attempt: doubled with each failure, and spread, so that what has failed together
// is not tried again together.
type backoff struct {
	failures int
	until    time.Time
}

// fail notes a failure. Those of attempts that ran at the same time count once.
func (b *backoff) fail(now time.Time, least, most time.Duration) {
	if now.Before(b.until) {
		return
	}
	wait := least << min(b.failures, 30)
	if wait <= 0 || wait > most {
		wait = most
	}
	b.failures++
	b.until = now.Add(wait/2 + rand.N(wait/2+1))
}
