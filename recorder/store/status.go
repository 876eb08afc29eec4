package store

import "time"

// Status tells how one recording is doing.
type Status struct {
	Pending      int       // files that the store has not confirmed
	PendingBytes int64     // of these
	Oldest       time.Time // when the one that waits longest was pushed; zero if none waits
	Stored       int       // files that the store has
	Sealed       bool
	Deleting     bool
	Failures     int       // of the store with this recording, since its last success
	Next         time.Time // not before then will the next attempt be; zero if nothing holds it up
	LastError    error     // nil after a success; errors.Is(…, ErrDenied): somebody has to mend it
}

// Totals tells how the mirror is doing: gauges and counters for metrics.
type Totals struct {
	Up           bool          // false after several failures in a row, or one refusal, until the next success
	LastError    error         // why it is not up; with Up, the last trouble there was since it came up, or nil
	Recordings   int           // that the mirror knows; it forgets those that are confirmed or deleted
	Deleting     int           // of these
	Pending      int           // files
	PendingBytes int64         // of these
	OldestAge    time.Duration // of the file that waits longest; 0 if none waits

	// Since the mirror was started.
	Uploaded      uint64 // files
	UploadedBytes uint64
	Retries       uint64 // attempts that failed
	Deleted       uint64 // recordings
}

// Status tells of a recording; false if the mirror does not know it, or not any more.
func (m *Mirror) Status(name string) (Status, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.recordings[name]
	if r == nil {
		return Status{}, false
	}
	return r.status(), true
}

func (r *recording) status() Status {
	s := Status{
		Pending: len(r.pending), Stored: len(r.stored), Sealed: len(r.sealed) > 0, Deleting: r.deleting,
		Failures: r.backoff.failures, Next: r.backoff.until, LastError: r.lastError,
	}
	for _, p := range r.pending {
		s.PendingBytes += p.Size
		if s.Oldest.IsZero() || p.since.Before(s.Oldest) {
			s.Oldest = p.since
		}
	}
	return s
}

// Totals tells of all recordings together.
func (m *Mirror) Totals() Totals {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.totals
	t.Recordings = len(m.recordings)
	for _, r := range m.recordings {
		s := r.status()
		t.Pending += s.Pending
		t.PendingBytes += s.PendingBytes
		if s.Deleting {
			t.Deleting++
		}
		if !s.Oldest.IsZero() {
			t.OldestAge = max(t.OldestAge, time.Since(s.Oldest))
		}
	}
	return t
}
