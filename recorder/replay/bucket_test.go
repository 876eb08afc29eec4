package replay

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"stentor/recorder/store"
)

// fileStore is a bucket with everything that is in a spool.
func fileStore(t *testing.T, spool string) store.Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bucket")
	if err := os.CopyFS(dir, os.DirFS(spool)); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open("file://"+dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestTheReplayMovesToTheBucketUnderItsVisitors(t *testing.T) {
	spool := spoolOf(t)
	url := serve(t, Config{Spool: spool, Store: fileStore(t, spool), Tracks: true}) + "take/"
	names := []string{"index.m3u8", "main.m3u8", "init.mp4", "seg-00002.m4s", "replay.mp4", "tracks/ann.ogg", "timeline.json", "recording.json"}
	before := map[string]answer{}
	same := func(where string) {
		t.Helper()
		for _, name := range names {
			a, b := before[name], get(t, url+name)
			if b.status != 200 || !bytes.Equal(a.body, b.body) || a.Get("ETag") != b.Get("ETag") || a.Get("Cache-Control") != b.Get("Cache-Control") {
				t.Errorf("%s: %s was %d %v, is %d %v", where, name, a.status, a.Header, b.status, b.Header)
			}
		}
		// A download that was broken off goes on where it was.
		whole := before["replay.mp4"]
		a := get(t, url+"replay.mp4", "Range: bytes=1000-", "If-Range: "+whole.Get("ETag"))
		if a.status != 206 || !bytes.Equal(a.body, whole.body[1000:]) {
			t.Errorf("%s: the rest of a download: %d, %d octets", where, a.status, len(a.body))
		}
	}
	for _, name := range names {
		before[name] = get(t, url+name)
	}
	for _, dir := range []string{"tracks", "replay"} {
		if err := os.RemoveAll(filepath.Join(spool, "take", dir)); err != nil {
			t.Fatal(err)
		}
	}
	same("media in the bucket")
	if err := os.RemoveAll(filepath.Join(spool, "take")); err != nil {
		t.Fatal(err)
	}
	same("all in the bucket")
	hearsBoth(t, hear(t, "-i", url+"index.m3u8"))
	if a := get(t, url+"seg-00099.m4s"); a.status != 404 {
		t.Errorf("what nobody has: %d", a.status)
	}
}

// down is a bucket that cannot be reached.
type down struct{ store.Store }

func (down) Open(context.Context, string) (store.Object, error) {
	return nil, errors.New("connection refused by secret.example")
}

func TestABucketThatIsDownIsSaidToBe(t *testing.T) {
	spool := spoolOf(t)
	if err := os.RemoveAll(filepath.Join(spool, "take/replay")); err != nil {
		t.Fatal(err)
	}
	url := serve(t, Config{Spool: spool, Store: down{}}) + "take/"
	for _, name := range []string{"index.m3u8", "seg-00001.m4s", "replay.mp4"} {
		a := get(t, url+name)
		if a.status != http.StatusServiceUnavailable || a.Get("Retry-After") == "" || a.Get("Cache-Control") != "no-store" || bytes.Contains(a.body, []byte("secret")) {
			t.Errorf("%s: %d %v %s", name, a.status, a.Header, a.body)
		}
	}
	if a := get(t, url+"timeline.json"); a.status != 200 {
		t.Errorf("what the spool has: %d", a.status)
	}
}
