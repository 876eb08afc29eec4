package store

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// errDown is what a bucket says that cannot be reached.
var errDown = errors.New("connection refused")

func newMirror(t *testing.T, spool string, s Store, change func(*MirrorConfig)) *Mirror {
	t.Helper()
	cfg := MirrorConfig{Spool: spool, Store: s}
	if change != nil {
		change(&cfg)
	}
	m, err := NewMirror(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func push(t *testing.T, m *Mirror, name string, files []File) {
	t.Helper()
	if err := m.Push(name, files); err != nil {
		t.Fatal(err)
	}
}

// seal seals and counts how often done is called.
func seal(t *testing.T, m *Mirror, name string) *atomic.Int32 {
	t.Helper()
	var n atomic.Int32
	if err := m.Seal(name, func() { n.Add(1) }); err != nil {
		t.Fatal(err)
	}
	return &n
}

func closeMirror(t *testing.T, m *Mirror) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func status(t *testing.T, m *Mirror, name string) Status {
	t.Helper()
	s, ok := m.Status(name)
	if !ok {
		t.Fatalf("the mirror does not know %s", name)
	}
	return s
}

func TestALiveRecordingOutlivesAnOutageOfAMinute(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		var heard []bool
		m := newMirror(t, spool, b, func(c *MirrorConfig) { c.Changed = func(up bool, _ error) { heard = append(heard, up) } })
		tk := newTake(t, spool, "take")
		for second := range 160 { // after the outage as long as the longest wait, and more
			switch second {
			case 20:
				b.set(func() { b.fails = func(string) error { return errDown } })
			case 80:
				total, s := m.Totals(), status(t, m, "take")
				if total.Up || !errors.Is(total.LastError, errDown) || total.Pending != 16 || total.OldestAge < 59*time.Second {
					t.Errorf("at the end of the outage: %+v", total)
				}
				if s.Pending != 16 || s.PendingBytes < 15_000 || !errors.Is(s.LastError, errDown) || s.Next.IsZero() {
					t.Errorf("at the end of the outage: %+v", s)
				}
				if total.Retries < 5 || total.Retries > 12 {
					t.Errorf("%d attempts in a minute; want about 1, 2, 4 … s between them", total.Retries)
				}
				b.set(func() { b.fails = nil })
			}
			if second%4 == 0 {
				push(t, m, "take", tk.grow())
			}
			time.Sleep(time.Second)
		}
		if names := strings.Count(b.content("take/replay/index.m3u8"), "seg"); names < 39 {
			t.Errorf("80 s after the outage the playlist names %d segments of 40", names)
		}
		push(t, m, "take", tk.finish())
		done := seal(t, m, "take")
		time.Sleep(5 * time.Second)
		if total := m.Totals(); done.Load() != 1 || !total.Up || total.Pending != 0 || total.Recordings != 0 || total.Uploaded < 45 {
			t.Errorf("at the end: done %d times, %+v", done.Load(), total)
		}
		if n := len(b.keys("take/")); n != 42 {
			t.Errorf("the bucket has %d files, want 42", n)
		}
		closeMirror(t, m)
		if !slices.Equal(heard, []bool{false, true}) {
			t.Errorf("told of up: %v", heard)
		}
	})
}

func TestAfterALongOutageAllComesAtOnce(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		b.fails = func(string) error { return errDown }
		up := make(chan bool, 2)
		m := newMirror(t, spool, b, func(c *MirrorConfig) {
			c.BackoffMax = 10 * time.Minute
			c.Changed = func(is bool, _ error) { up <- is }
		})
		names := []string{"a", "b", "c", "d", "e", "f"}
		for _, name := range names {
			tk := newTake(t, spool, name)
			for range 100 {
				push(t, m, name, tk.grow())
			}
			push(t, m, name, tk.finish())
		}
		<-up // down
		time.Sleep(time.Hour)
		if n := b.calls(); n > 6*25 {
			t.Errorf("%d attempts in an hour for 6 recordings; want ten to the first ten minutes, then one or two in ten", n)
		}
		b.set(func() { b.fails = nil })
		if !<-up {
			t.Error("down again")
		}
		time.Sleep(10 * time.Second) // for 612 files of 50 ms, four at once, and none that waits out its ten minutes
		if total := m.Totals(); total.Pending != 0 || !total.Up {
			t.Errorf("10 s after the first success: %+v", total)
		}
		if b.most != parallelDefault {
			t.Errorf("%d uploads at once, want %d", b.most, parallelDefault)
		}
		closeMirror(t, m)
	})
}

func TestAPlaylistPushedDuringItsUploadIsUploadedAgain(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		m := newMirror(t, spool, b, nil)
		tk := newTake(t, spool, "take")
		push(t, m, "take", []File{tk.write("timeline.jsonl", "one", true)})
		time.Sleep(b.takes / 2)
		push(t, m, "take", []File{tk.write("timeline.jsonl", "two", true)})
		time.Sleep(b.takes)
		if s := status(t, m, "take"); b.content("take/timeline.jsonl") != "one" || s.Pending != 1 {
			t.Errorf("after the first upload %q is there, %+v", b.content("take/timeline.jsonl"), s)
		}
		time.Sleep(b.takes)
		if s := status(t, m, "take"); b.content("take/timeline.jsonl") != "two" || s.Pending != 0 {
			t.Errorf("after the second upload %q is there, %+v", b.content("take/timeline.jsonl"), s)
		}
		closeMirror(t, m)
	})
}

func TestABrokenRecordingHoldsUpNobodyElse(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		b.fails = func(key string) error {
			if strings.HasPrefix(key, "refused/") {
				return errDown
			}
			return nil
		}
		b.hangs = func(key string) bool { return strings.HasPrefix(key, "hangs/") }
		m := newMirror(t, spool, b, nil)
		takes := map[string]*take{}
		for _, name := range []string{"refused", "hangs", "well"} {
			takes[name] = newTake(t, spool, name)
		}
		for range 100 {
			for name, tk := range takes {
				push(t, m, name, tk.grow())
			}
			time.Sleep(4 * time.Second)
		}
		push(t, m, "well", takes["well"].finish())
		done := seal(t, m, "well")
		time.Sleep(10 * time.Second)
		if done.Load() != 1 {
			t.Errorf("the sound recording waits: %+v", status(t, m, "well"))
		}
		for _, name := range []string{"refused", "hangs"} {
			if s := status(t, m, name); s.Pending != 101 || s.LastError == nil || s.Failures == 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
		closeMirror(t, m)
	})
}

func TestAReplacedPlaylistWaitsForItsPush(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		b.fails = func(string) error { return errDown }
		m := newMirror(t, spool, b, nil)
		tk := newTake(t, spool, "take")
		push(t, m, "take", tk.grow())
		time.Sleep(5 * time.Second)
		second := tk.grow() // in the spool, and not yet pushed
		b.set(func() { b.fails = nil })
		time.Sleep(time.Minute)
		if got := b.keys(""); !slices.Equal(got, []string{"take/replay/seg-00001.m4s"}) {
			t.Errorf("the bucket has %q", got)
		}
		if s := status(t, m, "take"); !errors.Is(s.LastError, ErrChanged) {
			t.Errorf("status %+v", s)
		}
		push(t, m, "take", second)
		time.Sleep(time.Second)
		if s := status(t, m, "take"); s.Pending != 0 || s.Stored != 3 || s.LastError != nil {
			t.Errorf("pushed, and still %+v", s)
		}
		closeMirror(t, m)
	})
}

func TestAFileThatGrowsIsStoredAsFarAsItWasPushed(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		m := newMirror(t, spool, b, nil)
		tk := newTake(t, spool, "take")
		f := tk.write("timeline.jsonl", "{}\n", true)
		tk.write("timeline.jsonl", "{}\n{}\n", true)
		push(t, m, "take", []File{f})
		time.Sleep(time.Second)
		if got := b.content("take/timeline.jsonl"); got != "{}\n" {
			t.Errorf("the bucket has %q", got)
		}
		closeMirror(t, m)
	})
}

func TestASpoiledFileIsNeverConfirmed(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		m := newMirror(t, spool, b, nil)
		tk := newTake(t, spool, "take")
		files := tk.grow()
		files = append(files, tk.grow()...)
		tk.write(files[0].Name, "rotten", false)
		push(t, m, "take", files)
		done := seal(t, m, "take")
		time.Sleep(time.Hour)
		if got := b.keys(""); !slices.Equal(got, []string{"take/replay/seg-00002.m4s"}) || done.Load() != 0 {
			t.Errorf("the bucket has %q, done %d times", got, done.Load())
		}
		if s := status(t, m, "take"); s.Pending != 2 || !errors.Is(s.LastError, ErrChanged) {
			t.Errorf("status %+v", s)
		}
		if !m.Totals().Up {
			t.Error("the store is blamed")
		}
		closeMirror(t, m)
	})
}

func TestARestartGoesOnWhereItStopped(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		m := newMirror(t, spool, b, nil)
		tk := newTake(t, spool, "take")
		var all []File
		for range 10 {
			all = append(all, tk.grow()...)
		}
		push(t, m, "take", all[:18])
		time.Sleep(10 * time.Second)
		b.set(func() { b.hangs = func(string) bool { return true } })
		push(t, m, "take", all)
		synctest.Wait()
		closeMirror(t, m) // with an upload under way
		b.set(func() { b.hangs, b.puts = nil, map[string]int{} })

		journal := filepath.Join(spool, "take", ".stored.jsonl")
		f, err := os.OpenFile(journal, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.WriteString(`{"name":"replay/seg-00010.m4s","si`) // torn by the end of the process
		f.Close()

		m = newMirror(t, spool, b, nil)
		push(t, m, "take", append(all, tk.finish()...))
		done := seal(t, m, "take")
		time.Sleep(10 * time.Second)
		if n := b.calls(); n != 3 || done.Load() != 1 {
			t.Errorf("%d uploads, done %d times; want segment 10, the playlist, the manifest", n, done.Load())
		}
		push(t, m, "take", all[18:])
		if s := status(t, m, "take"); s.Pending != 0 || s.Stored != 12 {
			t.Errorf("what was written behind the torn line is not read: %+v", s)
		}
		closeMirror(t, m)
	})
}

func TestAnotherStoreBeginsAnew(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		tk := newTake(t, spool, "take")
		files := tk.grow()
		m := newMirror(t, spool, newBucket(t), nil)
		push(t, m, "take", files)
		time.Sleep(time.Second)
		closeMirror(t, m)
		other := &elsewhere{newBucket(t)}
		m = newMirror(t, spool, other, nil)
		push(t, m, "take", files)
		time.Sleep(time.Second)
		if n := len(other.keys("take/")); n != 2 {
			t.Errorf("the other store has %d files, want 2", n)
		}
		closeMirror(t, m)
	})
}

// elsewhere is a bucket of another name.
type elsewhere struct{ *bucket }

func (elsewhere) URL() string { return "s3://elsewhere" }

func TestTheLastLookFindsWhatTheBucketHasLost(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		m := newMirror(t, spool, b, nil)
		tk := newTake(t, spool, "take")
		push(t, m, "take", tk.grow())
		push(t, m, "take", tk.grow())
		time.Sleep(time.Second)
		b.set(func() {
			delete(b.has, "take/replay/seg-00001.m4s")
			b.has["take/replay/seg-00002.m4s"] = []byte("short")
			b.has["take/replay/index.m3u8"] = make([]byte, len(b.has["take/replay/index.m3u8"])) // an old one, come late
		})
		done := seal(t, m, "take")
		time.Sleep(5 * time.Second)
		if done.Load() != 1 || len(b.content("take/replay/seg-00001.m4s")) != 1000 ||
			len(b.content("take/replay/seg-00002.m4s")) != 1000 || !strings.HasPrefix(b.content("take/replay/index.m3u8"), "#2") {
			t.Errorf("done %d times; the bucket has %q", done.Load(), b.keys(""))
		}
		closeMirror(t, m)
	})
}

func TestADeletionSurvivesARestart(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		m := newMirror(t, spool, b, nil)
		tk, other := newTake(t, spool, "take"), newTake(t, spool, "take2")
		push(t, m, "take", tk.grow())
		push(t, m, "take2", other.grow())
		time.Sleep(time.Second)
		b.set(func() { b.fails = func(string) error { return errDown } })
		sealed := seal(t, m, "take")
		if err := m.Delete("take", func() { t.Error("deleted, says a bucket that is down") }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		left, _ := os.ReadDir(tk.dir)
		if len(left) != 1 || left[0].Name() != ".deleted" {
			t.Errorf("the spool has %v; want the tombstone alone", left)
		}
		if err := m.Push("take", tk.segmentAgain()); !errors.Is(err, ErrDeleted) {
			t.Errorf("push of what is being deleted: %v", err)
		}
		closeMirror(t, m)

		m = newMirror(t, spool, b, nil)
		time.Sleep(time.Minute)
		if total := m.Totals(); total.Deleting != 1 || total.Up {
			t.Errorf("after the restart: %+v", total)
		}
		b.set(func() { b.fails = nil })
		time.Sleep(time.Minute)
		if got := b.keys("take/"); len(got) > 0 || len(b.keys("take2/")) != 2 {
			t.Errorf("the bucket has %q", b.keys(""))
		}
		if _, err := os.Stat(tk.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the spool still has the recording: %v", err)
		}
		if total := m.Totals(); total.Deleted != 1 || total.Deleting != 0 || sealed.Load() != 0 {
			t.Errorf("at the end: %+v, sealed %d times", total, sealed.Load())
		}
		closeMirror(t, m)
	})
}

// segmentAgain describes a file without writing it.
func (tk *take) segmentAgain() []File {
	return []File{{Name: tk.segments[0], Size: 0, SHA256: sha(nil)}}
}

func TestAnInterruptedUploadThatComesLateIsDeletedToo(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		b.hangs = func(key string) bool { return strings.HasSuffix(key, ".m4s") }
		b.late = func(key string, content []byte) {
			time.AfterFunc(20*time.Second, func() { b.set(func() { b.has[key] = content }) })
		}
		m := newMirror(t, spool, b, nil)
		tk := newTake(t, spool, "take")
		push(t, m, "take", tk.grow())
		time.Sleep(10 * time.Second)
		var done atomic.Int32
		if err := m.Delete("take", func() { done.Add(1) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if done.Load() != 1 {
			t.Errorf("done %d times: a hanging upload holds the deletion up", done.Load())
		}
		time.Sleep(11 * time.Second)
		if len(b.keys("take/")) != 1 {
			t.Error("the upload has not come late; the test shows nothing")
		}
		time.Sleep(time.Minute)
		if got := b.keys("take/"); len(got) > 0 || done.Load() != 1 || m.Totals().Recordings != 0 {
			t.Errorf("the bucket has %q, done %d times, %+v", got, done.Load(), m.Totals())
		}
		closeMirror(t, m)
	})
}

func TestDeletingTwiceTellsBoth(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := newMirror(t, spool, newBucket(t), nil)
		var done atomic.Int32
		for range 2 {
			if err := m.Delete("never-was", func() { done.Add(1) }); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if err := m.Delete("never-was", nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if left, _ := os.ReadDir(spool); done.Load() != 2 || len(left) > 0 {
			t.Errorf("done %d times, the spool has %v", done.Load(), left)
		}
		closeMirror(t, m)
	})
}

func TestARefusalIsSaidAtOnce(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		b.fails = func(string) error { return ErrDenied }
		m := newMirror(t, spool, b, nil)
		push(t, m, "take", newTake(t, spool, "take").grow())
		synctest.Wait()
		if total := m.Totals(); total.Up || !errors.Is(total.LastError, ErrDenied) {
			t.Errorf("totals %+v", total)
		}
		closeMirror(t, m)
	})
}

func TestAFullSpoolCostsNoGoroutines(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		b.hangs = func(string) bool { return true }
		m := newMirror(t, spool, b, nil)
		before := runtime.NumGoroutine()
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			tk := newTake(t, spool, name)
			for range 50 {
				push(t, m, name, tk.grow())
			}
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > parallelDefault || b.most > parallelDefault {
			t.Errorf("%d goroutines more, %d puts at once", n, b.most)
		}
		closeMirror(t, m)
	})
}

func TestWhatAMirrorRefuses(t *testing.T) {
	spool := t.TempDir()
	if _, err := NewMirror(MirrorConfig{Spool: filepath.Join(spool, "none"), Store: newBucket(t)}); err == nil {
		t.Error("a spool that is not there is accepted")
	}
	if _, err := NewMirror(MirrorConfig{Spool: spool}); err == nil {
		t.Error("no store is accepted")
	}
	m := newMirror(t, spool, newBucket(t), nil)
	good := File{Name: "x", SHA256: sha(nil)}
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".hidden", "/etc"} {
		if m.Push(name, []File{good}) == nil || m.Seal(name, func() {}) == nil || m.Delete(name, nil) == nil {
			t.Errorf("recording %q is accepted", name)
		}
	}
	for _, f := range []File{{}, {Name: "x"}, {Name: "../x", SHA256: good.SHA256}, {Name: ".deleted", SHA256: good.SHA256}} {
		if m.Push("take", []File{f}) == nil {
			t.Errorf("file %+v is accepted", f)
		}
	}
	closeMirror(t, m)
	if m.Push("take", []File{good}) == nil || m.Seal("take", func() {}) == nil || m.Delete("take", nil) == nil {
		t.Error("a closed mirror accepts work")
	}
}

func TestBackoffDoublesWithinItsLimits(t *testing.T) {
	var b backoff
	now := time.Unix(0, 0)
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		want *= time.Second
		b.fail(now, time.Second, time.Minute)
		b.fail(now, time.Second, time.Minute) // at the same time: counts once
		if wait := b.until.Sub(now); wait < want/2 || wait > want {
			t.Errorf("failure %d: wait %v, want %v to %v", b.failures, wait, want/2, want)
		}
		now = b.until
	}
	b.failures = 1 << 40
	b.fail(now, time.Second, time.Minute)
	if wait := b.until.Sub(now); wait < 30*time.Second || wait > time.Minute {
		t.Errorf("after very many failures: %v", wait)
	}
}

func TestAnUploadThatEndsWellInSpiteOfTheDeletionIsDeletedToo(t *testing.T) {
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		m := newMirror(t, spool, b, nil)
		push(t, m, "take", newTake(t, spool, "take").grow())
		time.Sleep(b.takes / 2)
		if err := m.Delete("take", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * settleDefault)
		if left := b.keys("take/"); len(left) > 0 || b.calls() == 0 {
			t.Errorf("left of it: %v, after %d uploads", left, b.calls())
		}
		closeMirror(t, m)
	})
}
