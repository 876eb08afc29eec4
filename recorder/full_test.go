package recorder

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stentor/recorder/manifest"
)

// another is a second room on the same recorder.
func (s *studio) another() *studio {
	o := &studio{TB: s.TB, spool: s.spool, epoch: s.epoch, recorder: s.recorder}
	o.desk = NewDesk(DeskConfig{Position: o.position})
	return o
}

// ended waits until a recording has been told to be ready or failed, and returns that.
func (s *studio) ended(name string) Event {
	s.Helper()
	for range 3000 {
		for _, kind := range []EventType{Ready, Failed} {
			if e := s.of(name, kind); len(e) > 0 {
				return e[0]
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Fatalf("%s has not ended: %+v", name, s.events)
	return Event{}
}

// of are the events of a type that a recording has had.
func (s *studio) of(name string, kind EventType) (list []Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Recording == name && e.Type == kind {
			list = append(list, e)
		}
	}
	return list
}

// once holds what a recording that ended by itself has told.
func (s *studio) once(name string, kind EventType, reason string) {
	s.Helper()
	if e := s.of(name, kind); len(e) != 1 || e[0].Reason != reason {
		s.Errorf("%s: event %d, %q, was told as %+v", name, kind, reason, e)
	}
}

// Whatever it is that the disk has no room for any more: the recording ends there, says so, and what there is plays. Once
// there is room again its files are closed, and the next recording is as if nothing had been.
func TestAFullDiskEndsARecordingThatStillPlays(t *testing.T) {
	for _, tt := range []struct{ what, op, name string }{
		{"a page", opWrite, ".ogg"}, {"a chunk", opWrite, ".m4s"}, {"a new segment", opAppend, ".m4s"}, {"a line", opWrite, ".jsonl"},
		{"the manifest", opSave, ""}, {"the playlist", opReplace, ".m3u8"}, {"everything", "", ""}, {"pages on their way", opSync, ".ogg"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			spool := t.TempDir()
			d := &moodyDisk{}
			inStudio(t, spool, func(s *studio) { s.disk = d }, func(s *studio) {
				ann, bob := s.joins("ann", 1, 400), s.joins("bob", 2, 1000)
				bob.slot = 1
				s.start("take")
				s.talk(7*time.Second, ann, bob)
				d.set(func(op, name string) error {
					if strings.Contains(op, tt.op) && strings.HasSuffix(name, tt.name) {
						return &os.PathError{Op: op, Path: name, Err: syscall.ENOSPC}
					}
					return nil
				})
				s.talk(8*time.Second, ann, bob)
				s.once("take", Stopped, whyDiskFull)
				if st, err := s.recorder.Get("take"); err != nil || st.Manifest.State == manifest.Recording || st.Manifest.Reason != whyDiskFull {
					t.Errorf("it says %+v, %v", st.Manifest, err)
				}
				d.set(nil)
				s.ended("take")
				s.once("take", Failed, whyDiskFull)
				s.once("take", Stopped, whyDiskFull)
				s.start("next")
				s.talk(2*time.Second, ann, bob)
				s.stop("next")
				s.ended("next")
				s.once("next", Ready, "stopped")
			})
			dir := filepath.Join(spool, "take")
			m := verify(t, dir)
			if got := m.Duration.Seconds(); m.State != manifest.Failed || m.Reason != whyDiskFull || got < 6.3 || got > 13 {
				t.Errorf("%q by %q, %v s long", m.State, m.Reason, got)
			}
			mix := hear(t, filepath.Join(dir, wholeName))
			for name, hz := range map[string]float64{"ann": 400, "bob": 1000} {
				loud(t, name, hear(t, filepath.Join(dir, trackName(name))), hz, 0.1, 6.3)
				loud(t, "mix", mix, hz, 0.1, 6.2)
			}
			verify(t, filepath.Join(spool, "next"))
			loud(t, "next", hear(t, filepath.Join(spool, "next", wholeName)), 400, 0.1, 1.9)
		})
	}
}

// Who leaves some room free can close what was begun: then nothing at all is lost, and the disk is not full afterwards.
func TestARecordingEndsBeforeTheDiskIsFull(t *testing.T) {
	spool := t.TempDir()
	d := &moodyDisk{free: 1 << 30}
	inStudio(t, spool, func(s *studio) { s.disk, s.config.FreeMin = d, 64<<20 }, func(s *studio) {
		ann := s.joins("ann", 1, 400)
		s.start("take")
		s.talk(5*time.Second, ann)
		d.mu.Lock()
		d.free = 1 << 20
		d.mu.Unlock()
		s.talk(3*time.Second, ann)
		s.ended("take")
		s.once("take", Failed, whyDiskFull)
		err := s.recorder.Start(s.desk, Start{Recording: "next", Room: "room", Tracks: true})
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("the next one: %v", err)
		}
		if _, err := os.Stat(filepath.Join(spool, "next")); err == nil {
			t.Error("what could not begin has left a directory")
		}
	})
	m := verify(t, filepath.Join(spool, "take"))
	if d := m.Duration.Seconds(); d < 5 || d > 7.5 || len(m.Gaps) > 0 {
		t.Errorf("%v s, gaps %v", d, m.Gaps)
	}
	loud(t, "ann", hear(t, filepath.Join(spool, "take", trackName("ann"))), 400, 0.1, m.Duration.Seconds()-0.1)
}

// A recording that is whole stays so while there is no room for what is made in the end.
func TestNoRoomToFinishOnlyTakesLonger(t *testing.T) {
	for _, tt := range []struct{ what, op, name string }{
		{"the whole file", opWrite, "replay.mp4.tmp"}, {"the playlist", opReplace, "index.m3u8"}, {"the last line", opWrite, ".jsonl"}, {"the manifest", opSave, ""},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			spool := t.TempDir()
			d := &moodyDisk{}
			inStudio(t, spool, func(s *studio) { s.disk = d }, func(s *studio) {
				ann := s.joins("ann", 1, 400)
				s.start("take")
				s.talk(3*time.Second, ann)
				s.recorder.turn <- struct{}{} // nothing is finished before its turn
				s.stop("take")
				s.silence(time.Second, ann)
				d.set(func(op, name string) error {
					if op == tt.op && strings.HasSuffix(name, tt.name) {
						return syscall.ENOSPC
					}
					return nil
				})
				<-s.recorder.turn
				time.Sleep(150 * time.Second)
				if n := len(s.of("take", Ready)); n > 0 {
					t.Error("it is ready without the room for it")
				}
				d.set(nil)
				s.ended("take")
				s.once("take", Ready, "stopped")
			})
			dir := filepath.Join(spool, "take")
			if m := verify(t, dir); m.State != manifest.Ready || len(m.Gaps) > 0 || m.Duration.Seconds() < 2.99 {
				t.Errorf("%q, %v s, gaps %v", m.State, m.Duration.Seconds(), m.Gaps)
			}
			loud(t, "ann", hear(t, filepath.Join(dir, trackName("ann"))), 400, 0.1, 2.9)
			loud(t, "mix", hear(t, filepath.Join(dir, wholeName)), 400, 0.1, 2.9)
		})
	}
}

// The same on a file system that really is full: of 2 MB, where it may be mounted. Two rooms are recorded on it. Both end,
// both can be heard once something has been removed, and then there is room for the next one.
func TestAFullFileSystemEndsAllRecordingsOnIt(t *testing.T) {
	spool := t.TempDir()
	switch err := syscall.Mount("stentor-test", spool, "tmpfs", 0, "size=2m,mode=0750"); {
	case errors.Is(err, syscall.EPERM):
		t.Log("nothing may be mounted here: that a full disk is borne is shown by the disk that pretends, alone")
		return
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(spool, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(spool, ".ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	inStudio(t, spool, nil, func(s *studio) {
		o := s.another()
		defer o.desk.Close()
		ann, bob := s.joins("ann", 1, 400), o.joins("bob", 2, 1000)
		s.start("first")
		o.start("second")
		for len(s.of("first", Stopped)) == 0 || len(s.of("second", Stopped)) == 0 {
			before := time.Now()
			ann.says()
			bob.says()
			if waited := time.Since(before); waited > 0 {
				s.Fatalf("the data plane has waited for %v", waited)
			}
			time.Sleep(20 * time.Millisecond)
			if s.position() > 300*48000 {
				s.Fatal("a disk of 2 MB holds all this")
			}
		}
		time.Sleep(10 * time.Second)
		if err := os.Remove(ballast); err != nil {
			s.Fatal(err)
		}
		for _, name := range []string{"first", "second"} {
			s.ended(name)
			s.once(name, Failed, whyDiskFull)
			m := verify(s, filepath.Join(spool, name))
			if m.State != manifest.Failed || m.Duration.Seconds() < 20 {
				s.Errorf("%s: %q, %v s", name, m.State, m.Duration.Seconds())
			}
		}
		s.start("next")
		s.talk(2*time.Second, ann)
		s.stop("next")
		s.ended("next")
		s.once("next", Ready, "stopped")
	})
	for name, hz := range map[string]float64{"first": 400, "second": 1000} {
		pcm := hear(t, filepath.Join(spool, name, wholeName))
		loud(t, name, pcm, hz, 0.1, float64(len(pcm))/48000-2)
	}
	verify(t, filepath.Join(spool, "next"))
}
