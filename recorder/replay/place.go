package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"stentor/recorder/store"
)

// errNotFound is every reason why something is not there for a visitor.
var errNotFound = errors.New("no such replay")

// place is where a recording's files are: in the spool, in the bucket, or in both. It belongs to one request.
type place struct {
	recording string
	root      *os.Root // its directory in the spool, out of which no symbolic link leads; nil: the spool knows nothing of it
	store     store.Store
}

// find looks for a recording. A tombstone in the spool counts for the bucket too.
func (s *server) find(recording string) (*place, error) {
	p := &place{recording: recording, store: s.config.Store}
	dir := filepath.Join(s.config.Spool, recording)
	root, err := os.OpenRoot(dir)
	if err != nil && !notThere(err) { // what is no directory has an error of its own
		if st, e := os.Stat(dir); e == nil && !st.IsDir() {
			err = fs.ErrNotExist
		}
	}
	if notThere(err) {
		if p.store == nil {
			return nil, errNotFound
		}
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	p.root = root
	if _, err := root.Lstat(tombstone); !notThere(err) {
		p.close()
		return nil, errNotFound
	}
	return p, nil
}

func notThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, store.ErrNotFound)
}

func (p *place) close() {
	if p.root != nil {
		p.root.Close()
	}
}

// key names a file on a shelf. What the spool has told of a recording is forgotten when its directory is gone.
func (p *place) key(name string) string {
	if p.root == nil {
		return "bucket " + p.recording + "/" + name
	}
	return "spool " + p.recording + "/" + name
}

// file is an open one. It reads as long as it was when it was opened, though more may be appended meanwhile.
type file struct {
	io.ReadSeeker
	io.Closer
	version string // changes when the content does
	sha256  string // where the bucket knows it
	stored  bool   // it is the bucket's
}

// open opens a file of the spool, else of the bucket. The bucket's can be read for as long as ctx lasts.
func (p *place) open(ctx context.Context, name string) (*file, error) {
	f, err := p.openSpooled(name)
	if !errors.Is(err, errNotFound) {
		return f, err
	}
	return p.openStored(ctx, name)
}

func (p *place) openSpooled(name string) (*file, error) {
	if p.root == nil {
		return nil, errNotFound
	}
	f, err := p.root.Open(name)
	if notThere(err) {
		return nil, errNotFound
	}
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errNotFound
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &file{ReadSeeker: io.NewSectionReader(f, 0, st.Size()), Closer: f, version: versionOf(st)}, nil
}

// versionOf is by size and time of the last change, which a file that replaces another one has of its own.
func versionOf(st fs.FileInfo) string {
	return fmt.Sprintf("%x-%x", st.Size(), st.ModTime().UnixNano())
}

func (p *place) openStored(ctx context.Context, name string) (*file, error) {
	if p.store == nil {
		return nil, errNotFound
	}
	o, err := p.store.Open(ctx, p.recording+"/"+name)
	if notThere(err) {
		return nil, errNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	e := o.Entry()
	return &file{ReadSeeker: o, Closer: o, version: e.ETag, sha256: e.SHA256, stored: true}, nil
}

// errStore is that the bucket cannot be reached, or refuses.
var errStore = errors.New("store")
