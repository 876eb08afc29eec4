package store

import (
	"context"
	"errors"
	"slices"
	"time"
)

// plan is the mirror's one goroutine that starts jobs: up to Parallel, the recordings taking turns.
func (m *Mirror) plan() {
	defer close(m.planner)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for m.ctx.Err() == nil {
		again := m.startJobs()
		m.tell()
		timer.Stop()
		if !again.IsZero() {
			timer.Reset(time.Until(again))
		}
		select {
		case <-m.ctx.Done():
		case <-m.wake:
		case <-timer.C:
		}
	}
}

// startJobs starts what is due and says when something will be; zero: after a poke.
func (m *Mirror) startJobs() (again time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for now := time.Now(); m.running < m.cfg.Parallel; {
		r, t, p, next := m.next(now)
		if r == nil {
			return next
		}
		m.turns = append(slices.DeleteFunc(m.turns, func(o *recording) bool { return o == r }), r)
		m.running++
		r.running++
		if p != nil {
			p.running = true
		}
		m.jobs.Go(func() { m.run(r, t, p) })
	}
	return time.Time{}
}

// next finds whose turn it is.
func (m *Mirror) next(now time.Time) (*recording, task, *pending, time.Time) {
	var again time.Time
	for _, r := range m.turns {
		t, p, next := r.due(now)
		if t != nothing {
			return r, t, p, time.Time{}
		}
		if !next.IsZero() && (again.IsZero() || next.Before(again)) {
			again = next
		}
	}
	return nil, nothing, nil, again
}

// run is a job's goroutine.
func (m *Mirror) run(r *recording, t task, p *pending) {
	var done []func()
	switch t {
	case upload:
		m.runUpload(r, p)
	case verify:
		done = m.runVerify(r)
	case erase:
		done = m.runErase(r)
	}
	for _, f := range done {
		if f != nil {
			f()
		}
	}
	m.mu.Lock()
	m.running--
	m.poke()
	m.mu.Unlock()
}

// attempt bounds what one attempt at storing so many bytes may take.
func (m *Mirror) attempt(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, m.cfg.Patience+time.Duration(size/rateMin)*time.Second)
}

// succeeded notes that the store has answered. Under mu.
func (m *Mirror) succeeded(r *recording) {
	r.backoff, r.lastError = backoff{}, nil
	m.failures = 0
	if m.totals.Up {
		return
	}
	m.totals.Up, m.totals.LastError = true, nil
	m.notices = append(m.notices, notice{up: true})
	for _, o := range m.recordings {
		o.backoff.until = time.Time{} // Whoever waited for the store need not wait on.
	}
}

// failed notes that the store has failed a recording, or refused it. Under mu.
func (m *Mirror) failed(r *recording, err error) {
	if r.ctx.Err() != nil {
		return // We have ended it ourselves.
	}
	m.noteFailure(r, err)
}

func (m *Mirror) noteFailure(r *recording, err error) {
	r.backoff.fail(time.Now(), m.cfg.BackoffMin, m.cfg.BackoffMax)
	r.lastError = err
	m.totals.Retries++
	m.totals.LastError = err
	m.failures++
	if m.totals.Up && (m.failures >= downAfter || errors.Is(err, ErrDenied)) {
		m.totals.Up = false
		m.notices = append(m.notices, notice{up: false, err: err})
	}
}

// tell says to the log and to Changed what has become of the store.
func (m *Mirror) tell() {
	m.mu.Lock()
	notices := m.notices
	m.notices = nil
	m.mu.Unlock()
	for _, n := range notices {
		if n.up {
			m.cfg.Log.Info("store is up again", "store", m.cfg.Store.URL())
		} else {
			m.cfg.Log.Error("store is down; recordings stay in the spool", "store", m.cfg.Store.URL(), "error", n.err)
		}
		if m.cfg.Changed != nil {
			m.cfg.Changed(n.up, n.err)
		}
	}
}

// forget lets go of a recording. Under mu.
func (m *Mirror) forget(r *recording) {
	r.cancel()
	delete(m.recordings, r.name)
	m.turns = slices.DeleteFunc(m.turns, func(o *recording) bool { return o == r })
}
