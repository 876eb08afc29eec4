package recorder

import (
	"sync"
	"time"

	"stentor/recorder/manifest"
)

// moodyDisk is the real one until a test makes it refuse or stand still.
type moodyDisk struct {
	realDisk
	mu   sync.Mutex
	mood func(op, name string) error // may sleep; nil: in good mood
	free uint64                      // 0: what the real one has
}

// The operations that a mood is asked for.
const (
	opAppend  = "append"
	opWrite   = "write"
	opSync    = "sync"
	opReplace = "replace"
	opSave    = "save"
)

func (d *moodyDisk) set(mood func(op, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mood = mood
}

func (d *moodyDisk) ask(op, name string) error {
	d.mu.Lock()
	mood := d.mood
	d.mu.Unlock()
	if mood == nil {
		return nil
	}
	return mood(op, name)
}

func (d *moodyDisk) Append(name string) (file, error) {
	if err := d.ask(opAppend, name); err != nil {
		return nil, err
	}
	f, err := d.realDisk.Append(name)
	if err != nil {
		return nil, err
	}
	return &moodyFile{f, d, name}, nil
}

func (d *moodyDisk) Replace(name string, content []byte) error {
	if err := d.ask(opReplace, name); err != nil {
		return err
	}
	return d.realDisk.Replace(name, content)
}

func (d *moodyDisk) Save(dir string, m *manifest.Manifest) error {
	if err := d.ask(opSave, dir); err != nil {
		return err
	}
	return d.realDisk.Save(dir, m)
}

func (d *moodyDisk) Free(dir string) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.free > 0 {
		return d.free, nil
	}
	return d.realDisk.Free(dir)
}

type moodyFile struct {
	file
	disk *moodyDisk
	name string
}

// Write leaves half of it in the file if it fails, as a disk does that is full.
func (f *moodyFile) Write(b []byte) (int, error) {
	if err := f.disk.ask(opWrite, f.name); err != nil {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, err
	}
	return f.file.Write(b)
}

func (f *moodyFile) Sync() error {
	if err := f.disk.ask(opSync, f.name); err != nil {
		return err
	}
	return f.file.Sync()
}

// stall makes every operation that begins in a time from now on take until its end.
func (d *moodyDisk) stall(t time.Duration) {
	end := time.Now().Add(t)
	d.set(func(string, string) error {
		time.Sleep(time.Until(end))
		return nil
	})
}
