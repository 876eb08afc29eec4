package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"stentor/engine/control"
	"stentor/recorder/manifest"
	"stentor/recorder/store"
)

// localCopy finds the directory of a recording that is named by it, by its URL, or by the name that the daemon knows. What
// is not on this machine's disk is downloaded, and goes away with done.
func (t *tool) localCopy(ctx context.Context, arg string) (dir string, done func(), err error) {
	nothing := func() {}
	if st, err := os.Stat(arg); err == nil && st.IsDir() || strings.HasPrefix(arg, "/") || strings.HasPrefix(arg, ".") {
		return arg, nothing, isRecording(arg)
	}
	location := arg
	if !strings.Contains(arg, "://") {
		if location, err = t.locate(ctx, arg); err != nil {
			return "", nil, err
		}
	}
	u, err := url.Parse(location)
	if err != nil {
		return "", nil, err
	}
	if u.Scheme == "file" {
		return u.Path, nothing, isRecording(u.Path)
	}
	if dir, err = os.MkdirTemp("", "stentor-record-"); err != nil {
		return "", nil, err
	}
	done = func() { os.RemoveAll(dir) }
	if err = t.download(ctx, location, dir); err == nil {
		err = isRecording(dir)
	}
	if err != nil {
		done()
	}
	return dir, done, err
}

// locate asks the daemon where a recording is.
func (t *tool) locate(ctx context.Context, name string) (location string, err error) {
	err = t.call(ctx, func(ctx context.Context, c *control.Client) error {
		r, err := c.RecordingGet(ctx, &control.RecordingParams{Recording: name})
		if err != nil {
			return err
		}
		location = r.Location
		return nil
	})
	return location, err
}

// isRecording tells whether a directory holds one.
func isRecording(dir string) error {
	_, err := os.Stat(filepath.Join(dir, manifest.Name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("no recording is in %s (there is no %s); one that is not stored yet is in the daemon's spool", dir, manifest.Name)
	}
	return err
}

// download copies everything of a recording from where a URL says.
func (t *tool) download(ctx context.Context, location, dir string) error {
	from, err := store.Open(location, store.Options{})
	if err != nil {
		return err
	}
	defer from.Close()
	var entries []store.Entry
	var total, done int64
	for e, err := range from.List(ctx, "") {
		if err != nil {
			return err
		}
		if !filepath.IsLocal(filepath.FromSlash(e.Key)) {
			return fmt.Errorf("%s holds an object that cannot be a file's: %q", location, e.Key)
		}
		entries, total = append(entries, e), total+e.Size
	}
	m := t.newMeter(location)
	defer m.close()
	for _, e := range entries {
		if err := fetch(ctx, from, e.Key, filepath.Join(dir, filepath.FromSlash(e.Key)), func(n int) {
			done += int64(n)
			m.step("download", done, total)
		}); err != nil {
			return err
		}
	}
	return nil
}

func fetch(ctx context.Context, from store.Store, key, name string, progress func(n int)) error {
	o, err := from.Open(ctx, key)
	if err != nil {
		return err
	}
	defer o.Close()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	to, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.TeeReader(o, counter(progress)))
	return errors.Join(err, to.Close())
}

// counter tells how much is written to it.
type counter func(n int)

func (c counter) Write(b []byte) (int, error) {
	c(len(b))
	return len(b), nil
}

// plain keeps a file's error from being taken for the control socket's, which explain would say.
func plain(err error) error {
	if errors.As(err, new(*fs.PathError)) || errors.As(err, new(*os.LinkError)) {
		return errors.New(err.Error())
	}
	return err
}
