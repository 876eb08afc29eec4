package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stentor/recorder/store"
)

func random(seed uint64, size int) []byte {
	b := make([]byte, size)
	var key [32]byte
	key[0] = byte(seed)
	_, _ = rand.NewChaCha8(key).Read(b) // always fills
	return b
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func put(ctx context.Context, s store.Store, key string, content []byte) error {
	return s.Put(ctx, key, bytes.NewReader(content), store.Properties{
		Size: int64(len(content)), SHA256: sha(content), CacheControl: "max-age=5",
	})
}

func get(t *testing.T, s store.Store, key string) []byte {
	t.Helper()
	o, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestObjectsComeBackAsTheyWent(t *testing.T) {
	srv := startServer(t)
	s := srv.open(t, srv.address, store.Options{PartSize: 5 << 20})
	for key, content := range map[string][]byte{
		"take/replay/empty.m4s": {}, "take/replay/seg-00001.m4s": random(1, 70_000), "take/replay/replay.mp4": random(2, 20<<20),
		"take/tracks/ünï cöde+%41&?.ogg": random(3, 1000), "take/whole-parts.mp4": random(4, 10<<20),
	} {
		if err := put(t.Context(), s, key, content); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(get(t, s, key), content) {
			t.Errorf("%s comes back changed", key)
		}
		plain, err := os.ReadFile(filepath.Join(srv.bucket, "node-1", key))
		if err != nil || !bytes.Equal(plain, content) {
			t.Errorf("%s lies changed in the bucket (%v)", key, err)
		}
		e, err := s.Stat(t.Context(), key)
		if err != nil || e.Key != key || e.Size != int64(len(content)) || e.SHA256 != sha(content) || e.CacheControl != "max-age=5" ||
			!strings.HasPrefix(e.ContentType, "audio/") || time.Since(e.Modified).Abs() > time.Hour {
			t.Errorf("stat: %+v, %v", e, err)
		}
	}
}

func TestAnObjectOfTheBucketIsServedWithRanges(t *testing.T) {
	srv := startServer(t)
	s := srv.open(t, srv.address, store.Options{PartSize: 5 << 20})
	content := random(5, 6<<20)
	if err := put(t.Context(), s, "take/replay.mp4", content); err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string][]byte{
		"bytes=0-0": content[:1], "bytes=5000000-5999999": content[5_000_000:6_000_000], "bytes=-7": content[len(content)-7:], "": content,
	} {
		o, err := s.Open(t.Context(), "take/replay.mp4")
		if err != nil {
			t.Fatal(err)
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		if header != "" {
			r.Header.Set("Range", header)
		}
		http.ServeContent(w, r, "replay.mp4", o.Entry().Modified, o)
		if !bytes.Equal(w.Body.Bytes(), want) {
			t.Errorf("range %q: %d with %d bytes, want %d", header, w.Code, w.Body.Len(), len(want))
		}
		o.Close()
	}
}

func TestAReplacedObjectIsNotMixedWithItsSuccessor(t *testing.T) {
	srv := startServer(t)
	s := srv.open(t, srv.address, store.Options{})
	if err := put(t.Context(), s, "take/list", []byte("old old old")); err != nil {
		t.Fatal(err)
	}
	o, err := s.Open(t.Context(), "take/list")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := put(t.Context(), s, "take/list", []byte("new new new")); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(o); err == nil && string(b) != "old old old" {
		t.Errorf("reads %q without an error", b)
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	srv := startServer(t)
	s := srv.open(t, srv.address, store.Options{})
	if _, err := s.Stat(t.Context(), "take/none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("stat: %v", err)
	}
	if _, err := s.Open(t.Context(), "take/none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("open: %v", err)
	}
	if err := s.Delete(t.Context(), "take/none", "take/nor-this"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := s.DeletePrefix(t.Context(), "none/"); err != nil {
		t.Errorf("delete a prefix: %v", err)
	}
}

func TestListAndDelete(t *testing.T) {
	srv := startServer(t)
	s := srv.open(t, srv.address, store.Options{})
	var all []string
	for i := range 30 {
		all = append(all, fmt.Sprintf("take/replay/seg-%05d.m4s", i))
	}
	all = append(all, "take2/manifest.json")
	for _, key := range all {
		if err := put(t.Context(), s, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	list := func(prefix string) (keys []string) {
		for e, err := range s.List(t.Context(), prefix) {
			if err != nil || e.Size != int64(len(e.Key)) {
				t.Fatalf("list: %+v, %v", e, err)
			}
			keys = append(keys, e.Key)
		}
		slices.Sort(keys)
		return keys
	}
	if got := list(""); !slices.Equal(got, all) {
		t.Errorf("list: %q", got)
	}
	if err := s.Delete(t.Context(), all[:10]...); err != nil {
		t.Fatal(err)
	}
	if got := list("take/"); !slices.Equal(got, all[10:30]) {
		t.Errorf("after a delete: %q", got)
	}
	if err := s.DeletePrefix(t.Context(), "take/"); err != nil {
		t.Fatal(err)
	}
	if got := list(""); !slices.Equal(got, all[30:]) {
		t.Errorf("after the deletion of take/: %q", got)
	}
}

func TestABitTurnedUnderwayIsRefused(t *testing.T) {
	srv := startServer(t)
	w := newWire(t, srv.address)
	s := srv.open(t, w.address(), store.Options{PartSize: 5 << 20})
	for size, flip := range map[int]int64{1 << 20: 500_000, 12 << 20: 9_000_000} {
		w.flip.Store(w.up.Load() + flip)
		content := random(6, size)
		if err := put(t.Context(), s, "take/x", content); !errors.Is(err, store.ErrChanged) {
			t.Errorf("put of %d bytes, one of them turned: %v", size, err)
		}
		if _, err := s.Stat(t.Context(), "take/x"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it is there: %v", err)
		}
	}
}

func TestAHalfUploadOfOtherContentDoesNotSpoilTheNext(t *testing.T) {
	srv := startServer(t)
	w := newWire(t, srv.address)
	s := srv.open(t, w.address(), store.Options{PartSize: 5 << 20})
	old, content := random(7, 15<<20), random(7, 15<<20)
	content[14<<20] ^= 1 // the first two parts are the same
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	w.stop.Store(11 << 20)
	go func() { failed <- put(ctx, s, "take/x", old) }()
	wait(t, "the wire to stop", func() bool { return w.up.Load() > 11<<20 })
	cancel()
	if err := <-failed; err == nil {
		t.Fatal("the interrupted put says that it is done")
	}
	w.stop.Store(0)
	err := put(t.Context(), s, "take/x", content)
	if err == nil {
		t.Error("the resumed upload has the old checksum in its metadata, and yet is confirmed")
	} else if err := put(t.Context(), s, "take/x", content); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(get(t, s, "take/x"), content) {
		t.Error("the object is not what was put last")
	}
}
