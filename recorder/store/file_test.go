package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func openDir(t *testing.T) (Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "replays")
	s, err := Open("file://"+dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, dir
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func put(t *testing.T, s Store, key string, content []byte) {
	t.Helper()
	err := s.Put(t.Context(), key, bytes.NewReader(content), Properties{Size: int64(len(content)), SHA256: sha(content)})
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s Store, key string) []byte {
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

func keys(t *testing.T, s Store, prefix string) []string {
	t.Helper()
	found := []string{}
	for e, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, e.Key)
	}
	slices.Sort(found)
	return found
}

func TestADirectoryHoldsWhatAMapWouldHold(t *testing.T) {
	s, _ := openDir(t)
	random := rand.New(rand.NewPCG(4, 8))
	model := map[string][]byte{}
	all := []string{"a", "b.json", "take/manifest.json", "take/tracks/é.ogg", "take/tracks/x", "take2/x", "ta/ke/x"}
	for step := range 600 {
		key := all[random.IntN(len(all))]
		switch random.IntN(6) {
		case 0, 1:
			content := bytes.Repeat([]byte{byte(step)}, random.IntN(100_000))
			put(t, s, key, content)
			model[key] = content
		case 2:
			if err := s.Delete(t.Context(), key, "never/was"); err != nil {
				t.Fatal(err)
			}
			delete(model, key)
		case 3:
			prefix := []string{"take/", "take/tracks/", "take2/", "none/"}[random.IntN(4)]
			if err := s.DeletePrefix(t.Context(), prefix); err != nil {
				t.Fatal(err)
			}
			maps.DeleteFunc(model, func(k string, _ []byte) bool { return strings.HasPrefix(k, prefix) })
		case 4:
			prefix := []string{"", "take/", "ta/", "none/"}[random.IntN(4)]
			want := slices.Sorted(maps.Keys(model))
			want = slices.DeleteFunc(want, func(k string) bool { return !strings.HasPrefix(k, prefix) })
			if got := keys(t, s, prefix); !slices.Equal(got, want) {
				t.Fatalf("step %d: list %q: %q, want %q", step, prefix, got, want)
			}
		case 5:
			want, ok := model[key]
			e, err := s.Stat(t.Context(), key)
			if ok != (err == nil) || !ok && !errors.Is(err, ErrNotFound) || e.Size != int64(len(want)) {
				t.Fatalf("step %d: stat %s: %+v, %v; want %d bytes, there: %v", step, key, e, err, len(want), ok)
			}
			if ok && !bytes.Equal(get(t, s, key), want) {
				t.Fatalf("step %d: %s has other content", step, key)
			}
		}
	}
}

func TestNoKeyLeadsOutOfTheDirectory(t *testing.T) {
	s, dir := openDir(t)
	outside := filepath.Join(filepath.Dir(dir), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(dir), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"", ".", "..", "/", "../secret", "a/../../secret", "/etc/passwd", "a//b", "a/", "./a", "a/.", "a\\b", "a\x00b",
		"a\nb", "\xff", ".partial-x", "a/.partial-x/b", "link/secret", strings.Repeat("x", 300), strings.Repeat("x/", 600) + "x",
	} {
		ctx := t.Context()
		_, open := s.Open(ctx, key)
		_, stat := s.Stat(ctx, key)
		for call, err := range map[string]error{
			"put":    s.Put(ctx, key, bytes.NewReader(nil), Properties{SHA256: sha(nil)}),
			"delete": s.Delete(ctx, key), "prefix": s.DeletePrefix(ctx, key+"/"), "open": open, "stat": stat,
		} {
			if err == nil {
				t.Errorf("%s of %q is accepted", call, key)
			}
		}
	}
	if err := s.DeletePrefix(t.Context(), ""); err == nil {
		t.Error("everything may be deleted at once")
	}
	if err := s.DeletePrefix(t.Context(), "take"); err == nil {
		t.Error("take2 would go with take")
	}
	if b, err := os.ReadFile(outside); string(b) != "secret" {
		t.Errorf("the file outside: %q, %v", b, err)
	}
}

// killedReader ends like a process: in the middle, and with what it has written left behind.
type killedReader struct{ at int }

func (r *killedReader) ReadAt(b []byte, off int64) (int, error) {
	if int(off) >= r.at {
		panic("killed")
	}
	return min(len(b), r.at-int(off)), nil
}

func TestAKilledPutLeavesTheOldObject(t *testing.T) {
	s, dir := openDir(t)
	put(t, s, "take/list", []byte("old"))
	func() {
		defer func() { _ = recover() }()
		_ = s.Put(t.Context(), "take/list", &killedReader{100_000}, Properties{Size: 1 << 20, SHA256: sha(nil)})
		t.Error("the put was not killed")
	}()
	left, _ := filepath.Glob(filepath.Join(dir, "take", ".partial-*"))
	if len(left) != 1 {
		t.Fatalf("left behind: %q; the test wants to see what becomes of it", left)
	}
	if got := keys(t, s, ""); !slices.Equal(got, []string{"take/list"}) || string(get(t, s, "take/list")) != "old" {
		t.Errorf("after the kill there is %q", got)
	}
	put(t, s, "take/list", []byte("new"))
	if left, _ = filepath.Glob(filepath.Join(dir, "take", ".partial-*")); len(left) > 0 {
		t.Errorf("the next put leaves %q", left)
	}
}

func TestWhatDiffersFromItsChecksumIsNotStored(t *testing.T) {
	s, dir := openDir(t)
	good := []byte("good")
	for _, p := range []Properties{
		{Size: 4, SHA256: sha([]byte("goof"))}, {Size: 5, SHA256: sha(good)}, {Size: 3, SHA256: sha(good)},
	} {
		if err := s.Put(t.Context(), "x", bytes.NewReader(good), p); !errors.Is(err, ErrChanged) {
			t.Errorf("put of %d bytes: %v, want ErrChanged", p.Size, err)
		}
	}
	for _, p := range []Properties{{Size: 4}, {Size: -1, SHA256: sha(good)}, {Size: 4, SHA256: strings.ToUpper(sha(good))}} {
		if err := s.Put(t.Context(), "x", bytes.NewReader(good), p); err == nil {
			t.Errorf("put with %+v is accepted", p)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("the directory has %v (%v)", names, err)
	}
	grown := bytes.NewReader([]byte("good and more since"))
	if err := s.Put(t.Context(), "x", grown, Properties{Size: 4, SHA256: sha(good)}); err != nil {
		t.Errorf("put of a file that grows: %v", err)
	}
}

func TestACancelledPutIsNotThere(t *testing.T) {
	s, dir := openDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Put(ctx, "x", bytes.NewReader([]byte("x")), Properties{Size: 1, SHA256: sha([]byte("x"))})
	if names, _ := os.ReadDir(dir); !errors.Is(err, context.Canceled) || len(names) > 0 {
		t.Errorf("put: %v, the directory has %v", err, names)
	}
}

func TestAnOpenObjectIsServedWithRangesAndOutlivesItsReplacement(t *testing.T) {
	s, _ := openDir(t)
	put(t, s, "take/replay/index.m3u8", []byte("0123456789"))
	o, err := s.Open(t.Context(), "take/replay/index.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	put(t, s, "take/replay/index.m3u8", []byte("replaced!!!"))
	e := o.Entry()
	if e.ContentType != "application/vnd.apple.mpegurl" || e.Size != 10 || time.Since(e.Modified) > time.Hour {
		t.Errorf("entry %+v", e)
	}
	now, err := s.Stat(t.Context(), "take/replay/index.m3u8")
	if err != nil || now.ETag == e.ETag {
		t.Errorf("replaced, the ETag is still %q (%v)", now.ETag, err)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Range", "bytes=3-5")
	http.ServeContent(w, r, "", e.Modified, o)
	if w.Code != http.StatusPartialContent || w.Body.String() != "345" {
		t.Errorf("range: %d %q", w.Code, w.Body)
	}
}

func TestAListingEndsWhenNobodyWantsMore(t *testing.T) {
	s, _ := openDir(t)
	for i := range 5 {
		put(t, s, fmt.Sprintf("a/%d", i), nil)
	}
	for range s.List(t.Context(), "a/") {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.List(ctx, "a/") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled listing: %v", err)
		}
	}
	for _, err := range s.List(t.Context(), "a") {
		if err == nil {
			t.Error("a prefix without a slash is accepted")
		}
	}
}

func TestURLsThatNameNoStoreAreRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ url, says string }{
		{"", "want file:///dir or s3://"},
		{"/srv/replays", "want file:///dir or s3://"},
		{"gs://bucket", "want file:///dir or s3://"},
		{"file://srv/replays", "three slashes"},
		{"file:srv", "want file:///dir"},
		{"file:///srv?x=1", "no query"},
		{"file://" + file, "not a directory"},
		{"s3://", "want s3://bucket/prefix"},
		{"s3://bucket:9000/x", "want s3://bucket/prefix"},
		{"s3://key:secret@bucket", "credentials do not belong"},
		{"s3://bucket/../x", "not a clean relative path"},
		{"s3://bucket?endpint=x", "endpint is none of"},
		{"s3://bucket?region=", "want one value for region"},
		{"s3://bucket?insecure=perhaps", "insecure is true or false"},
		{"s3://bucket?endpoint=http://x", "want host or host:port"},
		{"s3://bucket?x=%zz", "invalid URL escape"},
		{"://", "missing protocol scheme"},
	} {
		s, err := Open(tt.url, Options{})
		if err == nil {
			s.Close()
			t.Errorf("%q is opened", tt.url)
		} else if !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v; want %q", tt.url, err, tt.says)
		}
	}
	s, err := Open("s3://bucket/pre/fix/?endpoint=127.0.0.1:1&insecure=true&region=eu-central-1", Options{AccessKey: "a", SecretKey: "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.HasPrefix(s.URL(), "s3://bucket/pre/fix") {
		t.Errorf("URL %s", s.URL())
	}
	if _, err := s.Stat(t.Context(), "x"); err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrDenied) {
		t.Errorf("stat where nobody listens: %v", err)
	}
}

func TestMissingCredentialsAreSaid(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/") // no role, and no look for one elsewhere
	s, err := Open("s3://bucket?endpoint=127.0.0.1:1&insecure=true&region=x", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Stat(t.Context(), "x")
	if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("stat: %v", err)
	}
}

func TestCredentialsComeFromTheSharedFile(t *testing.T) {
	signed := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		signed <- r.Header.Get("Authorization")
	}))
	defer srv.Close()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = from-file\naws_secret_access_key = x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	s, err := Open("s3://bucket?insecure=true&region=x&endpoint="+srv.Listener.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, _ = s.Stat(t.Context(), "x") // what the server answers makes no sense
	if got := <-signed; !strings.Contains(got, "from-file/") {
		t.Errorf("signed by %q", got)
	}
}
