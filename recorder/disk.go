package recorder

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"stentor/recorder/manifest"
)

// disk is what a recording needs of a file system to write: the real one, or one that a test makes slow or full.
type disk interface {
	// Append opens a file for writing at its end, and makes it if need be.
	Append(name string) (file, error)
	// Replace gives a file new content in one step: a reader sees the old one or the new one.
	Replace(name string, content []byte) error
	// Save writes a recording's manifest in one step, and to the disk.
	Save(dir string, m *manifest.Manifest) error
	// SyncDir makes the names in a directory as safe as what they name.
	SyncDir(dir string) error
	// Free is how many octets may still be written where dir is.
	Free(dir string) (uint64, error)
}

type file interface {
	io.Writer
	io.Closer
	Sync() error
}

// realDisk is the operating system's.
type realDisk struct{}

func (realDisk) Append(name string) (file, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// temporary is the name under which the new content of a file grows.
func temporary(name string) string {
	return filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".tmp")
}

// Replace does not sync: what is written so can be made again from what is synced.
func (realDisk) Replace(name string, content []byte) error {
	tmp := temporary(name)
	if err := os.WriteFile(tmp, content, 0o640); err != nil {
		os.Remove(tmp)
		return err
	}
	return os.Rename(tmp, name)
}

func (realDisk) Free(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return st.Bavail * uint64(st.Bsize), nil
}

func (realDisk) Save(dir string, m *manifest.Manifest) error { return manifest.Save(dir, m) }

func (realDisk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
