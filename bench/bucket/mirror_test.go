package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"stentor/recorder/store"
)

// impatient shortens what takes minutes in earnest.
var impatient = store.Options{PartSize: 5 << 20, Stall: time.Second}

func newMirror(t *testing.T, spool string, s store.Store) *store.Mirror {
	t.Helper()
	m, err := store.NewMirror(store.MirrorConfig{
		Spool: spool, Store: s, BackoffMin: 50 * time.Millisecond, BackoffMax: 500 * time.Millisecond,
		Patience: 10 * time.Second, Settle: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// take is a recording that grows in the spool.
type take struct {
	name, dir string
	segments  []string
}

func newTake(t *testing.T, spool, name string) *take {
	t.Helper()
	tk := &take{name: name, dir: filepath.Join(spool, name)}
	if err := os.MkdirAll(filepath.Join(tk.dir, "replay"), 0o755); err != nil {
		t.Fatal(err)
	}
	return tk
}

func (tk *take) write(t *testing.T, name string, content []byte, mutable bool) store.File {
	t.Helper()
	file := filepath.Join(tk.dir, name)
	if err := os.WriteFile(file+"~", content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
	return store.File{Name: name, Size: int64(len(content)), SHA256: sha(content), Mutable: mutable}
}

// grow pushes a segment and the playlist that names it.
func (tk *take) grow(t *testing.T, m *store.Mirror) {
	t.Helper()
	name := fmt.Sprintf("seg-%05d.m4s", len(tk.segments)+1)
	tk.segments = append(tk.segments, name)
	list := fmt.Sprintf("#%d\n%s\n", len(tk.segments), strings.Join(tk.segments, "\n"))
	tk.push(t, m,
		tk.write(t, "replay/"+name, random(uint64(len(tk.segments)), 30_000), false),
		tk.write(t, "replay/index.m3u8", []byte(list), true))
}

func (tk *take) push(t *testing.T, m *store.Mirror, files ...store.File) {
	t.Helper()
	if err := m.Push(tk.name, files); err != nil {
		t.Fatal(err)
	}
}

// seal returns a channel that is closed when everything is confirmed.
func (tk *take) seal(t *testing.T, m *store.Mirror) <-chan struct{} {
	t.Helper()
	done := make(chan struct{})
	if err := m.Seal(tk.name, func() { close(done) }); err != nil {
		t.Fatal(err)
	}
	return done
}

// same compares the spool with what lies in the bucket.
func (tk *take) same(t *testing.T, srv *server) {
	t.Helper()
	err := filepath.WalkDir(tk.dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		want, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(tk.dir, file)
		got, err := os.ReadFile(filepath.Join(srv.bucket, "node-1", tk.name, rel))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s in the bucket differs from the spool's (%v)", rel, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ordered says whether the bucket has, whole, what the playlist in it names. It may be called at any time.
func (tk *take) ordered(srv *server) error {
	replay := filepath.Join(srv.bucket, "node-1", tk.name, "replay")
	list, err := os.ReadFile(filepath.Join(replay, "index.m3u8"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(list))[1:] {
		if st, err := os.Stat(filepath.Join(replay, name)); err != nil || st.Size() != 30_000 {
			return fmt.Errorf("the playlist names %s, which is not there whole (%v)", name, err)
		}
	}
	return nil
}

// watch looks at the order again and again until stopped; stop returns how often it looked, and what it saw.
func (tk *take) watch(srv *server) (stop func() (int, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	var looks int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for ; err == nil && ctx.Err() == nil; looks++ {
			err = tk.ordered(srv)
			<-tick.C
		}
	}()
	return func() (int, error) {
		cancel()
		<-done
		return looks, err
	}
}

func TestAServerThatDiesAndComesBackCostsNothing(t *testing.T) {
	srv, spool := startServer(t), t.TempDir()
	m := newMirror(t, spool, srv.open(t, srv.address, impatient))
	defer m.Close()
	tk := newTake(t, spool, "take")
	stop := tk.watch(srv)
	for segment := range 60 {
		switch segment {
		case 10, 35:
			wait(t, "the first playlist", func() bool { return len(srv.files(t)) > segment/2 })
			srv.kill()
			retries := m.Totals().Retries
			tk.grow(t, m)
			wait(t, "the outage to be noticed", func() bool { s := m.Totals(); return !s.Up && s.Retries > retries+3 })
		case 30, 50:
			srv.start(t)
		}
		tk.grow(t, m)
	}
	tk.push(t, m, tk.write(t, "manifest.json", []byte("ready"), true))
	awaited(t, "the recording to be confirmed", tk.seal(t, m))
	if looks, err := stop(); err != nil || looks < 50 {
		t.Errorf("looked %d times: %v", looks, err)
	}
	tk.same(t, srv)
	if s := m.Totals(); !s.Up || s.Pending > 0 || s.Recordings > 0 {
		t.Errorf("at the end: %+v", s)
	}
}

func TestAServerThatHangsIsGivenUpAndTriedAgain(t *testing.T) {
	srv, other, spool := startServer(t), startServer(t), t.TempDir()
	s := srv.open(t, srv.address, impatient)
	m := newMirror(t, spool, s)
	defer m.Close()
	elsewhere := newMirror(t, spool, other.open(t, other.address, impatient))
	defer elsewhere.Close()
	tk, next, free := newTake(t, spool, "take"), newTake(t, spool, "next"), newTake(t, spool, "free")
	tk.grow(t, m)
	wait(t, "the first segment", func() bool { s, _ := m.Status("take"); return s.Stored == 2 })

	srv.signal(t, syscall.SIGSTOP)
	tk.grow(t, m)
	next.grow(t, m)
	free.grow(t, elsewhere)
	awaited(t, "a recording with a bucket of its own", free.seal(t, elsewhere))
	wait(t, "both to be given up", func() bool {
		a, _ := m.Status("take")
		b, _ := m.Status("next")
		return a.LastError != nil && b.LastError != nil && !m.Totals().Up
	})
	if _, err := s.Open(t.Context(), "take/replay/index.m3u8"); err == nil {
		t.Error("a stopped server answers")
	}

	srv.signal(t, syscall.SIGCONT)
	awaited(t, "the first recording", tk.seal(t, m))
	awaited(t, "the second recording", next.seal(t, m))
	tk.same(t, srv)
	next.same(t, srv)
}

func TestARefusalIsNamed(t *testing.T) {
	srv, spool := startServer(t), t.TempDir()
	for says, o := range map[string]store.Options{
		"SignatureDoesNotMatch":                       {AccessKey: accessKey, SecretKey: "wrong"},
		"No user exists with the provided access key": {AccessKey: "nobody", SecretKey: secretKey},
	} {
		m := newMirror(t, spool, srv.open(t, srv.address, o))
		tk := newTake(t, spool, "take")
		tk.grow(t, m)
		wait(t, "the refusal", func() bool { return !m.Totals().Up })
		s, _ := m.Status("take")
		if !errors.Is(s.LastError, store.ErrDenied) || !strings.Contains(s.LastError.Error(), says) {
			t.Errorf("status says %v, want %s", s.LastError, says)
		}
		m.Close()
	}
	missing := srv.open(t, srv.address, store.Options{})
	if err := os.RemoveAll(srv.bucket); err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), missing, "take/x", nil); !errors.Is(err, store.ErrDenied) || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("put where there is no bucket: %v", err)
	}
}

func TestCredentialsComeFromTheEnvironment(t *testing.T) {
	srv := startServer(t)
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	s, err := store.Open("s3://"+bucketName+"?region=us-east-1&insecure=true&endpoint="+srv.address, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := put(t.Context(), s, "x", []byte("x")); err != nil {
		t.Error(err)
	}
}

// halfUpload leaves an upload behind as a daemon does that was killed.
func halfUpload(t *testing.T, srv *server, key string) {
	t.Helper()
	c, err := minio.NewCore(srv.address, &minio.Options{Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.NewMultipartUpload(t.Context(), bucketName, key, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	part := random(9, 5<<20)
	_, err = c.PutObjectPart(t.Context(), bucketName, key, id, 1, bytes.NewReader(part), int64(len(part)), minio.PutObjectPartOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func TestADeletionLeavesTheBucketEmpty(t *testing.T) {
	srv, spool := startServer(t), t.TempDir()
	m := newMirror(t, spool, srv.open(t, srv.address, impatient))
	tk, kept := newTake(t, spool, "take"), newTake(t, spool, "take2")
	for range 20 {
		tk.grow(t, m)
	}
	kept.grow(t, m)
	awaited(t, "the other recording", kept.seal(t, m))
	wait(t, "the playlist", func() bool { s, _ := m.Status("take"); return s.Pending == 0 })
	halfUpload(t, srv, "node-1/take/replay/replay.mp4")
	halfUpload(t, srv, "node-1/take/replay/replay.mp4")
	halfUpload(t, srv, "node-1/take2/replay/replay.mp4")
	before := srv.files(t)

	srv.kill() // The wish must survive both the server's absence and ours.
	if err := m.Delete("take", nil); err != nil {
		t.Fatal(err)
	}
	m.Close()
	m = newMirror(t, spool, srv.open(t, srv.address, impatient))
	defer m.Close()
	wait(t, "an attempt in vain", func() bool { return m.Totals().Retries > 0 })
	srv.start(t)
	wait(t, "the deletion", func() bool { s := m.Totals(); return s.Deleted == 1 && s.Recordings == 0 })

	objects, uploads := []string{}, 0
	for _, f := range srv.files(t) {
		if strings.HasPrefix(f, "node-1/") {
			objects = append(objects, f)
		} else {
			uploads++
		}
	}
	if want := []string{"node-1/take2/replay/index.m3u8", "node-1/take2/replay/seg-00001.m4s"}; !slices.Equal(objects, want) {
		t.Errorf("objects left: %q", objects)
	}
	if was := len(before) - 23; was < 3 || uploads*3 != was {
		t.Errorf("of three uploads' %d files %d are left, want a third", was, uploads)
	}
	if _, err := os.Stat(tk.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the spool still has it: %v", err)
	}
}

func TestADeletionEndsAnUploadUnderWay(t *testing.T) {
	srv, spool := startServer(t), t.TempDir()
	w := newWire(t, srv.address)
	o := impatient
	o.Stall = patience // so that the upload is under way until it is cancelled
	m := newMirror(t, spool, srv.open(t, w.address(), o))
	defer m.Close()
	tk := newTake(t, spool, "take")
	w.stop.Store(7 << 20)
	tk.push(t, m, tk.write(t, "replay.mp4", random(8, 20<<20), false))
	wait(t, "the upload to be under way", func() bool { return w.up.Load() > 7<<20 })
	w.stop.Store(0)
	done := make(chan struct{})
	if err := m.Delete("take", func() { close(done) }); err != nil {
		t.Fatal(err)
	}
	awaited(t, "the deletion", done)
	if left := srv.files(t); len(left) > 0 {
		t.Errorf("the bucket has %q", left)
	}
	wait(t, "the second look", func() bool { return m.Totals().Recordings == 0 })
}

func TestARestartGoesOnWithinALargeFile(t *testing.T) {
	srv, spool := startServer(t), t.TempDir()
	w := newWire(t, srv.address)
	o := impatient
	o.Stall = patience
	m := newMirror(t, spool, srv.open(t, w.address(), o))
	tk := newTake(t, spool, "take")
	whole := tk.write(t, "replay.mp4", random(8, 20<<20), false)
	w.stop.Store(16 << 20) // three of four parts
	tk.push(t, m, whole)
	wait(t, "the wire to stop", func() bool { return w.up.Load() > 16<<20 })
	m.Close()
	w.stop.Store(0)
	before := w.up.Load()

	m = newMirror(t, spool, srv.open(t, w.address(), o))
	defer m.Close()
	tk.push(t, m, whole)
	awaited(t, "the file", tk.seal(t, m))
	if sent := w.up.Load() - before; sent > 6<<20 {
		t.Errorf("after the restart %d bytes of %d were sent again", sent, whole.Size)
	}
	tk.same(t, srv)
	for _, f := range srv.files(t) {
		if !strings.HasPrefix(f, "node-1/") {
			t.Errorf("left of the upload: %s", f)
		}
	}
}
