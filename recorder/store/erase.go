package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"
)

// Tombstone is the name of the file in a recording's directory that says: this is being deleted. Who looks through the
// spool passes such a directory by; the mirror removes it.
const Tombstone = ".deleted"

// Delete removes a recording from the spool and from the store, half-finished uploads too. When it returns nil, a
// tombstone is on the disk and the deletion will be done whatever happens. When nothing is left, done is called once
// (nil: nobody), from a goroutine of the mirror; not after a restart. What writes into the recording's directory must
// have stopped.
func (m *Mirror) Delete(name string, done func()) error {
	if err := checkRecording(name); err != nil {
		return fmt.Errorf("mirror: delete: %w", err)
	}
	if err := m.bury(name); err != nil {
		return fmt.Errorf("mirror: delete %s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return fmt.Errorf("mirror: delete %s: closed", name)
	}
	r := m.recordings[name]
	if r == nil {
		r = m.add(name, nil)
	}
	r.doom()
	r.buried = true
	r.deleted = append(r.deleted, done)
	m.poke()
	return nil
}

// doom ends the recording's uploads and lets nothing follow but its deletion. Under the Mirror's mu.
func (r *recording) doom() {
	r.cancel()
	r.deleting, r.pending, r.sealed, r.stored, r.backoff = true, nil, nil, nil, backoff{}
}

// bury writes the tombstone and makes it durable.
func (m *Mirror) bury(name string) error {
	m.tombs.Lock()
	defer m.tombs.Unlock()
	if err := m.spool.MkdirAll(name, 0o755); err != nil {
		return err
	}
	f, err := m.spool.OpenFile(path.Join(name, Tombstone), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(m.syncDir(name), m.syncDir("."))
}

func (m *Mirror) syncDir(dir string) error {
	d, err := m.spool.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// findTombstones goes on with the deletions of an earlier run.
func (m *Mirror) findTombstones() error {
	dirs, err := fs.ReadDir(m.spool.FS(), ".")
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if !d.IsDir() || checkRecording(d.Name()) != nil {
			continue
		}
		_, err := m.spool.Stat(path.Join(d.Name(), Tombstone))
		switch {
		case err == nil:
			m.add(d.Name(), nil).doom()
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

// runErase makes one attempt. Nothing else runs for the recording meanwhile.
func (m *Mirror) runErase(r *recording) (done []func()) {
	m.mu.Lock()
	settled := r.interrupted.Add(m.cfg.Settle)
	r.buried = false
	m.mu.Unlock()

	final := !time.Now().Before(settled)
	err := m.erase(r.name)
	if err == nil && final {
		m.tombs.Lock()
		err = m.spool.RemoveAll(r.name)
		m.tombs.Unlock()
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	r.running--
	if err != nil {
		m.eraseFailed(r, err)
		return nil
	}
	m.succeeded(r)
	if !r.erased {
		m.totals.Deleted++
	}
	r.erased = true
	switch {
	case !final:
		r.backoff.until = settled // once more, when nothing can come through any longer
	case !r.buried:
		m.forget(r)
	} // else once more: another Delete has come, and its tombstone may still stand
	done, r.deleted = r.deleted, nil
	return done
}

// erase removes everything but the tombstone.
func (m *Mirror) erase(name string) error {
	files, err := fs.ReadDir(m.spool.FS(), name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, f := range files {
		if f.Name() == Tombstone {
			continue
		}
		if err := m.spool.RemoveAll(path.Join(name, f.Name())); err != nil {
			return err
		}
	}
	ctx, cancel := m.attempt(m.ctx, 0)
	defer cancel()
	if err := m.cfg.Store.DeletePrefix(ctx, name+"/"); err != nil {
		return err
	}
	for e, err := range m.cfg.Store.List(ctx, name+"/") {
		if err != nil {
			return err
		}
		return fmt.Errorf("%s is still there", e.Key)
	}
	return nil
}

// eraseFailed is failed for a deletion, whose recording's context has ended long since. Under mu.
func (m *Mirror) eraseFailed(r *recording, err error) {
	if m.ctx.Err() != nil {
		return
	}
	m.noteFailure(r, err)
}
