package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"
)

// runUpload stores one file and notes what came of it.
func (m *Mirror) runUpload(r *recording, p *pending) {
	m.mu.Lock()
	f := p.File
	m.mu.Unlock()

	local, err := m.store(r, f)
	if err == nil {
		m.writeJournal(r.name, f)
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	r.running--
	p.running = false
	switch {
	case err == nil:
		m.succeeded(r)
		r.confirm(f)
		m.totals.Uploaded++
		m.totals.UploadedBytes += uint64(f.Size)
	case local:
		m.spoiled(r, p, f, err)
	default:
		r.interrupted = time.Now()
		m.failed(r, err)
	}
}

// store puts a file. local says that the error is the spool's and not the store's.
func (m *Mirror) store(r *recording, f File) (local bool, err error) {
	ctx, cancel := m.attempt(r.ctx, f.Size)
	defer cancel()
	file, err := m.spool.Open(path.Join(r.name, f.Name))
	if err != nil {
		return true, err
	}
	defer file.Close()
	if err := checksum(ctx, file, f); err != nil {
		return true, fmt.Errorf("%s in the spool: %w", f.Name, err)
	}
	err = m.cfg.Store.Put(ctx, path.Join(r.name, f.Name), file, f.properties())
	return errors.Is(err, ErrChanged), err
}

// checksum reads a file before it is put: bytes that were not announced must not even be on their way.
func checksum(ctx context.Context, file *os.File, f File) error {
	sum := sha256.New()
	n, err := io.Copy(sum, &contextReader{ctx, io.NewSectionReader(file, 0, f.Size)})
	if err != nil {
		return err
	}
	if n != f.Size || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return ErrChanged
	}
	return nil
}

// spoiled notes trouble with the file itself. It holds up what stands behind it, and nobody else. Under mu.
func (m *Mirror) spoiled(r *recording, p *pending, f File, err error) {
	if r.ctx.Err() != nil || !p.same(f) {
		return // ended by ourselves, or there is a newer push already
	}
	if p.backoff.failures == 0 && !p.Mutable { // A replaced playlist is no trouble: its next push is under way.
		m.cfg.Log.Warn("a file of the spool cannot be stored", "recording", r.name, "error", err)
	}
	p.backoff.fail(time.Now(), m.cfg.BackoffMin, m.cfg.BackoffMax)
	m.totals.Retries++
	r.lastError = err
}

// runVerify looks at the store once more before the spool's copy is given away: with all files confirmed one by one over
// hours, somebody may have emptied the bucket, or an interrupted upload of an old playlist come through at last.
func (m *Mirror) runVerify(r *recording) (done []func()) {
	m.mu.Lock()
	expected := make(map[string]File, len(r.stored))
	for name, f := range r.stored {
		expected[name] = f
	}
	m.mu.Unlock()

	missing, err := m.missing(r, expected)

	m.mu.Lock()
	defer m.mu.Unlock()
	r.running--
	if err != nil {
		m.failed(r, err)
		return nil
	}
	m.succeeded(r)
	if r.deleting {
		return nil
	}
	r.repent(missing, time.Now())
	if len(missing) > 0 {
		m.cfg.Log.Warn("the store has lost files; storing them again", "recording", r.name, "files", len(missing))
	}
	if len(r.pending) > 0 || r.ctx.Err() != nil {
		return nil
	}
	m.forget(r)
	return r.sealed
}

// missing are those of the expected files that the store does not have as it should.
func (m *Mirror) missing(r *recording, expected map[string]File) (missing []File, err error) {
	ctx, cancel := m.attempt(r.ctx, 0)
	defer cancel()
	prefix := r.name + "/"
	for e, err := range m.cfg.Store.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		name := e.Key[len(prefix):]
		if f, ok := expected[name]; ok && f.Size == e.Size && !f.Mutable {
			delete(expected, name)
		}
	}
	for name, f := range expected { // few: the mutable ones, and what is missing
		e, err := m.cfg.Store.Stat(ctx, prefix+name)
		switch {
		case err != nil && !errors.Is(err, ErrNotFound):
			return nil, err
		case err != nil || e.Size != f.Size || e.SHA256 != "" && e.SHA256 != f.SHA256:
			missing = append(missing, f)
		}
	}
	return missing, nil
}
