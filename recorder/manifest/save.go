package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// sizeMax is the longest manifest that is read: two days in segments of 2 s are 86,400 files of 130 octets, 11 MB.
const sizeMax = 16 << 20

// Decode reads a manifest: one JSON object of at most 16 MB, no field that is not known, nothing behind it, nothing that
// Check refuses. The error is ErrManifest, or r's.
func Decode(r io.Reader) (*Manifest, error) {
	b, err := io.ReadAll(io.LimitReader(r, sizeMax+1))
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	if len(b) > sizeMax {
		return nil, wrong("more than %d octets", sizeMax)
	}
	m := &Manifest{}
	if err := strictly(b, m); err != nil {
		return nil, wrong("%w", err)
	}
	return m, m.Check()
}

// strictly decodes one JSON value without fields that are not known.
func strictly(b []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind it")
	}
	return nil
}

// Load reads the manifest of a recording's directory. Without one the error is fs.ErrNotExist.
func Load(dir fs.FS) (*Manifest, error) {
	f, err := dir.Open(Name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Decode(f)
}

// Save writes m into the recording's directory in one step: after a crash at any moment the old manifest is there or the
// new one, whole. When it returns without an error, the new one is on the disk. One caller at a time. ErrManifest is what
// Check refuses; with every error the old manifest stays.
func Save(dir string, m *Manifest) error {
	if err := m.Check(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return fmt.Errorf("encode the manifest: %w", err)
	}
	if len(b) >= sizeMax {
		return wrong("more than %d octets", sizeMax)
	}
	return replace(dir, Name, append(b, '\n'))
}

// replace writes a file under another name, brings it to the disk, gives it its name, and brings the name to the disk. A
// file that a crash has left under the other name is overwritten.
func replace(dir, name string, b []byte) (err error) {
	path := filepath.Join(dir, name)
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir brings the names in a directory to the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
