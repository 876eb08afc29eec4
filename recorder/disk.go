package recorder

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// disk is what a running recording needs of a file system: the real one, or one that a test makes slow or full.
type disk interface {
	// Append opens a file for writing at its end, and makes it if need be.
	Append(name string) (file, error)
	// Replace gives a file new content in one step: a reader sees the old one or the new one.
	Replace(name string, content []byte) error
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
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
}

// Replace does not sync: what is written so can be made again from what is synced.
func (realDisk) Replace(name string, content []byte) error {
	tmp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".tmp")
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

// syncDir makes the names in a directory as safe as what they name.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
