package recorder

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stentor/recorder/manifest"
	"stentor/recorder/store"
)

// bucket is a directory that can be out of reach, and that keeps note of the order in which it got what.
type bucket struct {
	store.Store
	dir string

	mu   sync.Mutex
	down bool
	hang bool // puts wait until their context ends
	got  []string
}

var errDown = errors.New("the bucket is out of reach")

func newBucket(t testing.TB) *bucket {
	t.Helper()
	b := &bucket{dir: t.TempDir()}
	var err error
	if b.Store, err = store.Open((&url.URL{Scheme: "file", Path: b.dir}).String(), store.Options{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bucket) set(down, hang bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down, b.hang = down, hang
}

func (b *bucket) reach(ctx context.Context, put bool) error {
	b.mu.Lock()
	down, hang := b.down, b.hang
	b.mu.Unlock()
	if hang && put {
		<-ctx.Done()
		return ctx.Err()
	}
	if down {
		return errDown
	}
	return nil
}

func (b *bucket) Put(ctx context.Context, key string, body io.ReaderAt, p store.Properties) error {
	if err := b.reach(ctx, true); err != nil {
		return err
	}
	err := b.Store.Put(ctx, key, body, p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, key)
	return err
}

func (b *bucket) Stat(ctx context.Context, key string) (store.Entry, error) {
	if err := b.reach(ctx, false); err != nil {
		return store.Entry{}, err
	}
	return b.Store.Stat(ctx, key)
}

func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[store.Entry, error] {
	if err := b.reach(ctx, false); err != nil {
		return func(yield func(store.Entry, error) bool) { yield(store.Entry{}, err) }
	}
	return b.Store.List(ctx, prefix)
}

func (b *bucket) DeletePrefix(ctx context.Context, prefix string) error {
	if err := b.reach(ctx, false); err != nil {
		return err
	}
	return b.Store.DeletePrefix(ctx, prefix)
}

func there(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// waitFor waits in virtual time.
func (s *studio) waitFor(what string, ok func() bool) {
	s.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Errorf("it does not come to it: %s", what)
}

// restart ends the daemon and starts it again.
func (s *studio) restart() {
	s.Helper()
	s.close()
	s.open()
}

func TestABucketThatIsDownForAMinuteGetsEverythingLater(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		spool, b := t.TempDir(), newBucket(t)
		inStudio(t, spool, func(s *studio) { s.config.Store = b }, func(s *studio) {
			ann := s.joins("ann", 1, 400)
			s.start("take")
			s.talk(6*time.Second, ann)
			s.waitFor("the first segment is stored while the room is live", func() bool { return there(filepath.Join(b.dir, "take", segmentName(1))) })
			b.set(true, false)
			s.talk(20*time.Second, ann)
			s.stop("take")
			s.silence(10*time.Second, ann)
			if restarted {
				s.restart()
			}
			time.Sleep(24 * time.Second)
			if s.count(Ready) > 0 || !there(filepath.Join(spool, "take", trackName("ann"))) || !there(filepath.Join(spool, "take", wholeName)) {
				s.Error("the spool has been let go, or the recording told to be ready, while the bucket had nothing")
			}
			if st, err := s.recorder.Get("take"); err != nil || st.Stored || st.Manifest.ReadyTold {
				s.Errorf("it says %+v, %v", st, err)
			}
			b.set(false, false)
			if e := s.ended("take"); !strings.HasPrefix(e.Location, "file://"+b.dir) {
				s.Errorf("it is said to be at %s", e.Location)
			}
			s.once("take", Ready, "stopped")
			if there(filepath.Join(spool, "take", "tracks")) || there(filepath.Join(spool, "take", "replay")) {
				s.Error("the spool still has what the bucket has confirmed")
			}
			s.restart()
			if st, err := s.recorder.Get("take"); err != nil || !st.Stored || st.Bytes == 0 {
				s.Errorf("after another start it says %+v, %v", st, err)
			}
			time.Sleep(10 * time.Second)
			s.once("take", Ready, "stopped")
		})
		verify(t, filepath.Join(b.dir, "take"))
		loud(t, "the bucket's", hear(t, filepath.Join(b.dir, "take", playlistName)), 400, 0.1, 25.9)
		last := func(key string) int { return slices.Index(b.got, "take/"+key) }
		if n := len(b.got); b.got[n-1] != "take/"+manifest.Name || last(segmentName(1)) > last(playlistName) {
			t.Errorf("stored in the order %v", b.got)
		}
	}
}

// gone waits until nothing is left of a recording.
func (s *studio) gone(b *bucket, name string) {
	s.Helper()
	s.waitFor("nothing is left of "+name, func() bool {
		return !there(filepath.Join(s.spool, name)) && !there(filepath.Join(b.dir, name))
	})
	if _, err := s.recorder.Get(name); !errors.Is(err, ErrNotFound) || len(s.recorder.List("")) > 0 {
		s.Errorf("%s is still told of: %v", name, err)
	}
}

func (s *studio) delete(name string) {
	s.Helper()
	if err := s.recorder.Delete(name); err != nil {
		s.Errorf("delete %s: %v", name, err)
	}
	if _, err := s.recorder.Get(name); !errors.Is(err, ErrNotFound) {
		s.Errorf("%s was deleted, and is told of: %v", name, err)
	}
}

func TestWhatIsDeletedIsGoneEverywhereAndItsNameIsFree(t *testing.T) {
	spool, b := t.TempDir(), newBucket(t)
	inStudio(t, spool, func(s *studio) { s.config.Store = b }, func(s *studio) {
		ann := s.joins("ann", 1, 400)
		for _, when := range []string{"stored", "running", "just stopped", "being uploaded", "unreachable", "unreachable over a restart"} {
			b.set(false, false)
			s.start("take")
			s.talk(6*time.Second, ann)
			switch when {
			case "stored":
				s.stop("take")
				s.ended("take")
			case "just stopped":
				s.stop("take")
			case "being uploaded":
				b.set(false, true)
				s.stop("take")
				time.Sleep(5 * time.Second)
			case "unreachable", "unreachable over a restart":
				s.stop("take")
				s.silence(5*time.Second, ann)
				b.set(true, false)
			}
			s.delete("take")
			s.delete("take")
			if when == "unreachable over a restart" {
				s.restart()
				ann = s.joins("ann", 1, 400)
			}
			if b.down {
				time.Sleep(30 * time.Second)
				if err := s.recorder.Start(s.desk, Start{Recording: "take", Room: "room", Replay: true}); !errors.Is(err, ErrConflict) {
					s.Errorf("%s: a name that is being deleted was given away: %v", when, err)
				}
			}
			b.set(false, false)
			s.gone(b, "take")
			if n := len(s.of("take", Deleted)); n != 1 {
				s.Errorf("%s: the deletion was told %d times", when, n)
			}
			s.events = nil
		}
		s.delete("never heard of")
		if len(s.events) > 0 {
			s.Errorf("of what never was, it is told %+v", s.events)
		}
		s.start("take")
		s.talk(2*time.Second, ann)
		s.stop("take")
		s.ended("take")
		s.once("take", Ready, "stopped")
	})
	verify(t, filepath.Join(b.dir, "take"))
}

func TestOldRecordingsAreSweptAway(t *testing.T) {
	spool := t.TempDir()
	inStudio(t, spool, func(s *studio) { s.config.Retention = time.Minute }, func(s *studio) {
		ann := s.joins("ann", 1, 400)
		s.start("old")
		s.talk(time.Second, ann)
		s.stop("old")
		s.ended("old")
		time.Sleep(50 * time.Second)
		s.start("new")
		s.talk(time.Second, ann)
		s.recorder.Sweep(time.Now())
		if n := len(s.recorder.List("")); n != 2 {
			s.Errorf("%d recordings before their time", n)
		}
		// The wall clock, wrong since the machine was started, is set right, ten years ahead.
		s.recorder.mu.Lock()
		old := s.recorder.recordings["old"].man
		old.StartedAt, old.StoppedAt = old.StartedAt.AddDate(-10, 0, 0), old.StoppedAt.AddDate(-10, 0, 0)
		s.recorder.mu.Unlock()
		s.recorder.Sweep(time.Now())
		if n := len(s.recorder.List("")); n != 2 {
			s.Errorf("%d recordings after the clock was set", n)
		}
		time.Sleep(20 * time.Second)
		s.recorder.Sweep(time.Now())
		s.waitFor("the old one is gone, the one that runs stays", func() bool { return !there(filepath.Join(spool, "old")) })
		if list := s.recorder.List("room"); len(list) != 1 || list[0].Manifest.Recording != "new" {
			s.Errorf("left: %+v", list)
		}
		s.stop("new")
		s.ended("new")
	})
}

func TestASpoolHasOneRecorder(t *testing.T) {
	spool := t.TempDir()
	inStudio(t, spool, nil, func(s *studio) {
		if r, err := New(s.config); err == nil {
			s.Error("two have one spool")
			r.Close()
		}
		s.start("take") // and the first one is as well as before
		s.stop("take")
		s.ended("take")
	})
}

// A deletion that was killed has left the tombstone, and half of the rest.
func TestADeletionGoesOnAfterACrash(t *testing.T) {
	spool := t.TempDir()
	inStudio(t, spool, nil, func(s *studio) {
		s.start("take")
		s.stop("take")
		s.ended("take")
		if err := os.WriteFile(filepath.Join(spool, "take", tombstone), nil, 0o640); err != nil {
			s.Fatal(err)
		}
		s.restart()
		s.waitFor("it is gone", func() bool { return !there(filepath.Join(spool, "take")) })
		if len(s.recorder.List("")) > 0 {
			s.Error("a deleted recording has come back")
		}
	})
}

// A daemon that was killed while it began a recording, before anybody was told, has left a name that can be used. What else
// lies in the spool is not touched.
func TestWhatNeverBeganLeavesItsNameFree(t *testing.T) {
	spool := t.TempDir()
	for _, name := range []string{"take/tracks", "take/replay", "lost+found", "bare", "album/tracks"} {
		if err := os.MkdirAll(filepath.Join(spool, name), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"take/timeline.jsonl", "take/replay/init.mp4", "take/replay/.index.m3u8.tmp", "take/manifest.json.tmp", "album/tracks/song.ogg"} {
		if err := os.WriteFile(filepath.Join(spool, name), []byte("{"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	inStudio(t, spool, nil, func(s *studio) {
		ann := s.joins("ann", 1, 400)
		for _, name := range []string{"take", "bare"} {
			s.start(name)
			s.talk(time.Second, ann)
			s.stop(name)
			s.ended(name)
		}
		if err := s.recorder.Start(s.desk, Start{Recording: "album", Room: "room", Tracks: true}); !errors.Is(err, ErrConflict) {
			s.Errorf("somebody's album: %v", err)
		}
	})
	verify(t, filepath.Join(spool, "take"))
	verify(t, filepath.Join(spool, "bare"))
	if !there(filepath.Join(spool, "lost+found")) || !there(filepath.Join(spool, "album/tracks/song.ogg")) {
		t.Error("something of others' is gone from the spool")
	}
}
