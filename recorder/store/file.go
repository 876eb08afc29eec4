package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// fileStore keeps each object as a file under a directory. os.Root lets no key and no symbolic link lead out of it.
type fileStore struct {
	root *os.Root
	url  string
}

func openFile(u *url.URL) (Store, error) {
	if u.Host != "" && u.Host != "localhost" {
		return nil, fmt.Errorf("store %q: a file URL has three slashes: file:///dir", u)
	}
	if u.RawQuery != "" {
		return nil, fmt.Errorf("store %q: a file URL has no query", u)
	}
	if !filepath.IsAbs(u.Path) {
		return nil, fmt.Errorf("store %q: want an absolute path: file:///dir", u)
	}
	dir := filepath.Clean(u.Path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return &fileStore{root: root, url: (&url.URL{Scheme: "file", Path: dir}).String()}, nil
}

func (s *fileStore) URL() string  { return s.url }
func (s *fileStore) Close() error { return s.root.Close() }

// Put writes a partial file beside the object's name, syncs it, and renames it once its checksum is right.
func (s *fileStore) Put(ctx context.Context, key string, body io.ReaderAt, p Properties) error {
	if err := errors.Join(CheckKey(key), p.check()); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	if err := s.makeDirs(path.Dir(key)); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	s.sweep(key)
	partial := path.Join(path.Dir(key), partialPrefix+path.Base(key)+"-"+rand.Text()[:8])
	err := s.write(ctx, partial, body, p)
	if err == nil {
		err = s.root.Rename(partial, key)
	}
	if err != nil {
		_ = s.root.Remove(partial) // an error here is the second about the same disk
		return fmt.Errorf("put %s: %w", key, err)
	}
	return s.syncDir(path.Dir(key))
}

func (s *fileStore) write(ctx context.Context, name string, body io.ReaderAt, p Properties) error {
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close() // a second Close does no harm
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), &contextReader{ctx, io.NewSectionReader(body, 0, p.Size)})
	if err != nil {
		return err
	}
	if n != p.Size || hex.EncodeToString(sum.Sum(nil)) != p.SHA256 {
		return ErrChanged
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// sweep removes what a Put of this key left when the process was killed.
func (s *fileStore) sweep(key string) {
	d, err := s.root.Open(path.Dir(key))
	if err != nil {
		return // nothing to remove, or Put will say why
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, n := range names {
		if of, ok := strings.CutPrefix(n, partialPrefix+path.Base(key)+"-"); ok && len(of) == 8 {
			_ = s.root.Remove(path.Join(path.Dir(key), n))
		}
	}
}

// makeDirs makes a directory and those above it, each durable before the next.
func (s *fileStore) makeDirs(dir string) error {
	if _, err := s.root.Stat(dir); err == nil {
		return nil
	}
	if err := s.makeDirs(path.Dir(dir)); err != nil {
		return err
	}
	if err := s.root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.syncDir(path.Dir(dir))
}

func (s *fileStore) syncDir(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (s *fileStore) Open(_ context.Context, key string) (Object, error) {
	if err := CheckKey(key); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	f, err := s.root.Open(key)
	if err != nil {
		return nil, fmt.Errorf("open: %w", notFound(err))
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = ErrNotFound
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open %s: %w", key, err)
	}
	return &fileObject{f, fileEntry(key, st)}, nil
}

// fileObject keeps reading the file that was opened, also when another takes its name.
type fileObject struct {
	*os.File
	entry Entry
}

func (o *fileObject) Entry() Entry { return o.entry }

func (s *fileStore) Stat(_ context.Context, key string) (Entry, error) {
	if err := CheckKey(key); err != nil {
		return Entry{}, fmt.Errorf("stat: %w", err)
	}
	st, err := s.root.Stat(key)
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("stat %s: %w", key, ErrNotFound)
	}
	if err != nil {
		return Entry{}, notFound(err)
	}
	return fileEntry(key, st), nil
}

func fileEntry(key string, st fs.FileInfo) Entry {
	return Entry{
		Key: key, Size: st.Size(), Modified: st.ModTime(), ContentType: contentType(key, Properties{}),
		ETag: fmt.Sprintf("%x-%x", st.ModTime().UnixNano(), st.Size()),
	}
}

// notFound is err, and ErrNotFound too if that is what it says. A file where a directory is wanted is one as well.
func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

func (s *fileStore) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Entry{}, fmt.Errorf("list: %w", err))
			return
		}
		dir := path.Clean("./" + prefix)
		err := fs.WalkDir(s.root.FS(), dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
			if !d.Type().IsRegular() || strings.HasPrefix(d.Name(), partialPrefix) {
				return nil
			}
			st, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed while we walk
			}
			if err != nil {
				return err
			}
			if !yield(fileEntry(name, st), nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(Entry{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

func (s *fileStore) Delete(_ context.Context, keys ...string) error {
	var errs []error
	for _, key := range keys {
		err := CheckKey(key)
		if err == nil {
			err = unlessNotFound(s.root.Remove(key))
		}
		if err == nil {
			err = unlessNotFound(s.syncDir(path.Dir(key)))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *fileStore) DeletePrefix(_ context.Context, prefix string) error {
	if err := checkPrefix(prefix); err != nil || prefix == "" {
		return fmt.Errorf("delete %q: want a prefix with a slash at its end (%v)", prefix, err)
	}
	dir := path.Clean(prefix)
	if err := s.root.RemoveAll(dir); err != nil {
		return fmt.Errorf("delete %s: %w", prefix, err)
	}
	return unlessNotFound(s.syncDir(path.Dir(dir)))
}

// unlessNotFound is err, or nil if all that it says is that something is not there.
func unlessNotFound(err error) error {
	if err == nil || errors.Is(notFound(err), ErrNotFound) {
		return nil
	}
	return err
}

// contextReader ends a copy when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}
