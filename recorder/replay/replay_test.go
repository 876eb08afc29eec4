package replay

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stentor/recorder/manifest"
)

func TestFinishedReplayPlaysAndSeeks(t *testing.T) {
	url := serve(t, Config{Spool: spoolOf(t), Tracks: true})
	for _, name := range []string{"index.m3u8", "main.m3u8", "replay.mp4"} {
		pcm := hear(t, "-i", url+"take/"+name)
		hearsBoth(t, pcm)
		if s := float64(len(pcm)) / 48000; s < 9.9 || s > 10.1 {
			t.Errorf("%s lasts %v s of 10", name, s)
		}
	}
	sounds(t, hear(t, "-ss", "6", "-i", url+"take/replay.mp4"), 1000, 0.1, 2.9, true)
	sounds(t, hear(t, "-i", url+"take/tracks/ann.ogg"), 400, 1.1, 4.9, true)
}

func TestFilesAreWhatTheyAreCalled(t *testing.T) {
	spool := spoolOf(t)
	url := serve(t, Config{Spool: spool, Tracks: true}) + "take/"
	const forever, checked = "public, max-age=31536000, immutable", "no-cache"
	for name, want := range map[string][3]string{ // file, type, cache
		"index.m3u8":     {"replay/index.m3u8", "application/vnd.apple.mpegurl", checked},
		"main.m3u8":      {"replay/main.m3u8", "application/vnd.apple.mpegurl", checked},
		"init.mp4":       {"replay/init.mp4", "audio/mp4", forever},
		"seg-00001.m4s":  {"replay/seg-00001.m4s", "audio/mp4", forever},
		"replay.mp4":     {"replay/replay.mp4", "audio/mp4", forever},
		"tracks/ann.ogg": {"tracks/ann.ogg", "audio/ogg", manifest.ContentOf(".ogg").Cache},
	} {
		a := get(t, url+name)
		b := content(t, spool, want[0])
		if a.status != 200 || !bytes.Equal(a.body, b) {
			t.Errorf("%s: %d, %d octets of %d", name, a.status, len(a.body), len(b))
		}
		if a.Get("Content-Type") != want[1] || a.Get("Cache-Control") != want[2] || a.Get("Accept-Ranges") != "bytes" {
			t.Errorf("%s: %v", name, a.Header)
		}
		if h := ask(t, http.MethodHead, url+name); h.status != 200 || len(h.body) != 0 || h.Get("Content-Length") != fmt.Sprint(len(b)) {
			t.Errorf("HEAD of %s: %d, %d octets, %v", name, h.status, len(h.body), h.Header)
		}
		tag := a.Get("ETag")
		if len(tag) != 66 {
			t.Errorf("%s: ETag %s should be the checksum", name, tag)
		}
		if c := get(t, url+name, "If-None-Match: "+tag); c.status != 304 || len(c.body) != 0 || c.Get("Cache-Control") != want[2] {
			t.Errorf("%s, known: %d, %d octets, %v", name, c.status, len(c.body), c.Header)
		}
	}
}

func TestRanges(t *testing.T) {
	spool := spoolOf(t)
	url := serve(t, Config{Spool: spool}) + "take/replay.mp4"
	b := content(t, spool, wholeName)
	n := len(b)
	tag := get(t, url).Get("ETag")
	for _, c := range []struct {
		headers []string
		status  int
		body    []byte
		where   string
	}{
		{[]string{"Range: bytes=0-99"}, 206, b[:100], fmt.Sprintf("bytes 0-99/%d", n)},
		{[]string{"Range: bytes=100-"}, 206, b[100:], fmt.Sprintf("bytes 100-%d/%d", n-1, n)},
		{[]string{"Range: bytes=-7"}, 206, b[n-7:], fmt.Sprintf("bytes %d-%d/%d", n-7, n-1, n)},
		{[]string{"Range: bytes=5-99999999"}, 206, b[5:], fmt.Sprintf("bytes 5-%d/%d", n-1, n)},
		{[]string{"Range: bytes=5-9", "If-Range: " + tag}, 206, b[5:10], fmt.Sprintf("bytes 5-9/%d", n)},
		{[]string{"Range: bytes=5-9", `If-Range: "another"`}, 200, b, ""},
		{[]string{"Range: bytes=5-9", "If-Range: Sun, 22 Nov 2026 12:00:00 GMT"}, 200, b, ""},
		{[]string{"Range: seconds=5-9"}, 416, nil, ""},
		{[]string{fmt.Sprintf("Range: bytes=%d-", n)}, 416, nil, fmt.Sprintf("bytes */%d", n)},
		{[]string{`If-Match: "another"`}, 412, nil, ""},
	} {
		a := get(t, url, c.headers...)
		if a.status != c.status || a.Get("Content-Range") != c.where || c.body != nil && !bytes.Equal(a.body, c.body) {
			t.Errorf("%q: %d, %q, %d octets; want %d, %q, %d", c.headers, a.status, a.Get("Content-Range"), len(a.body), c.status, c.where, len(c.body))
		}
	}
	a := get(t, url, "Range: bytes=0-9,20-29")
	_, params, err := mime.ParseMediaType(a.Get("Content-Type"))
	if a.status != 206 || err != nil {
		t.Fatalf("two ranges: %d, %v, %v", a.status, a.Header, err)
	}
	parts := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for _, want := range [][]byte{b[:10], b[20:30]} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(p); !bytes.Equal(got, want) {
			t.Errorf("a part is %x, want %x", got, want)
		}
	}
}

func TestTextsAreCompressedForWhoTakesThat(t *testing.T) {
	spool := spoolOf(t)
	name := filepath.Join(spool, "take", playlistName)
	long := append(content(t, spool, playlistName), bytes.Repeat([]byte("# a comment that makes it long\n"), 100)...)
	if err := os.WriteFile(name, long, 0o600); err != nil {
		t.Fatal(err)
	}
	url := serve(t, Config{Spool: spool}) + "take/index.m3u8"
	plain := get(t, url)
	a := get(t, url, "Accept-Encoding: br, gzip;q=0.5")
	z, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil || a.Get("Content-Encoding") != "gzip" || a.Get("Content-Length") != fmt.Sprint(len(a.body)) || len(a.body) > len(long)/5 {
		t.Fatalf("%v, %d octets, %v", a.Header, len(a.body), err)
	}
	if b, err := io.ReadAll(z); err != nil || !bytes.Equal(b, long) || !bytes.Equal(plain.body, long) {
		t.Errorf("unpacked: %d octets, %v; plain %d; want %d", len(b), err, len(plain.body), len(long))
	}
	if a.Get("ETag") == plain.Get("ETag") || a.Get("Vary") != "Accept-Encoding" || plain.Get("Vary") != "Accept-Encoding" {
		t.Errorf("two codings: %v, %v", a.Header, plain.Header)
	}
	if c := get(t, url, "Accept-Encoding: gzip", "If-None-Match: "+a.Get("ETag")); c.status != 304 {
		t.Errorf("known: %d", c.status)
	}
	for _, h := range []string{"Accept-Encoding: gzip;q=0, *", "Accept-Encoding: identity"} {
		if c := get(t, url, h); c.Get("Content-Encoding") != "" {
			t.Errorf("%s: %v", h, c.Header)
		}
	}
	if c := get(t, url, "Accept-Encoding: gzip", "Range: bytes=0-6"); c.status != 206 || string(c.body) != "#EXTM3U" {
		t.Errorf("range: %d, %q", c.status, c.body)
	}
	if c := get(t, url, "Accept-Encoding: *"); c.Get("Content-Encoding") != "gzip" {
		t.Errorf("anything: %v", c.Header)
	}
}

func TestThePageLearnsWhoSpokeWhen(t *testing.T) {
	spool := spoolOf(t)
	url := serve(t, Config{Spool: spool}) + "take/"
	var speech manifest.Summary
	a := get(t, url+"timeline.json")
	if err := json.Unmarshal(a.body, &speech); err != nil || a.Get("Content-Type") != "application/json" || a.Get("Cache-Control") != "no-cache" {
		t.Fatalf("%v, %v", err, a.Header)
	}
	if len(speech.People) != 2 || speech.People[0].Person != "ann" || speech.Duration.Seconds() < 9.9 {
		t.Fatalf("%s", a.body)
	}
	if at := speech.People[0].Speaking[0].From.Seconds(); at < 0.9 || at > 1.1 {
		t.Errorf("ann speaks from %v s, should be 1", at)
	}
	var told Summary
	d := json.NewDecoder(bytes.NewReader(get(t, url+"recording.json").body))
	d.DisallowUnknownFields()
	if err := d.Decode(&told); err != nil {
		t.Fatal(err)
	}
	if told.Recording != "take" || told.Room != "room" || told.State != manifest.Ready || !told.Replay || told.Duration.Seconds() < 9.9 ||
		told.StartedAt.IsZero() || told.StoppedAt.IsZero() || told.WholeBytes != int64(len(content(t, spool, wholeName))) || told.Tracks != nil {
		t.Errorf("%+v", told)
	}
	a = get(t, serve(t, Config{Spool: spool, Tracks: true})+"take/recording.json")
	if !strings.Contains(string(a.body), `"tracks":["ann","bob"]`) {
		t.Errorf("with tracks: %s", a.body)
	}
}

func TestNothingElseIsThere(t *testing.T) {
	spool := spoolOf(t)
	for name, text := range map[string]string{"secret": "s", "take/.stored.jsonl": "s", "take/replay/notes.txt": "s", ".hidden/manifest.json": "{}"} {
		file := filepath.Join(spool, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o750), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	// A link out of the recording leads nowhere.
	if err := os.Symlink(filepath.Join(spool, "secret"), filepath.Join(spool, "take/replay/seg-00099.m4s")); err != nil {
		t.Fatal(err)
	}
	h := New(Config{Spool: spool})
	for _, path := range []string{
		"", "/", "/take", "/take/", "/take/replay/index.m3u8", "/take/manifest.json", "/take/timeline.jsonl", "/take/.stored.jsonl",
		"/take/notes.txt", "/take/../secret", "/../spool/secret", "/take/tracks/ann.ogg", "/take/seg-1.m4s", "/take/seg-00100.m4s",
		"/take/seg-00001.m4s/", "/.hidden/recording.json", "/none/index.m3u8", "//etc/passwd", "/take/seg-00001.m4s\x00", "/secret/index.m3u8",
		"/take/tracks/../../secret", "/" + strings.Repeat("x", 129) + "/index.m3u8",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = path
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 404 || w.Header().Get("Cache-Control") != "no-store" || strings.Contains(w.Body.String(), spool) {
			t.Errorf("%q: %d, %v, %s", path, w.Code, w.Header(), w.Body)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/take/seg-00099.m4s", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code == 200 || w.Body.String() == "s" {
		t.Errorf("through the link: %d %s", w.Code, w.Body)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/take/index.m3u8", nil))
		if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%s: %d, %v", method, w.Code, w.Header())
		}
	}
}

func TestADeletedRecordingIsGoneAtOnce(t *testing.T) {
	spool := spoolOf(t)
	url := serve(t, Config{Spool: spool, Store: fileStore(t, spool)}) + "take/"
	names := []string{"index.m3u8", "seg-00001.m4s", "replay.mp4", "timeline.json", "recording.json"}
	for _, name := range names {
		if a := get(t, url+name); a.status != 200 {
			t.Fatalf("%s: %d before", name, a.status)
		}
	}
	if err := os.WriteFile(filepath.Join(spool, "take/.deleted"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if a := get(t, url+name); a.status != 404 {
			t.Errorf("%s: %d after", name, a.status)
		}
	}
}

func TestWhoMayNotHearHearsNothing(t *testing.T) {
	url := serve(t, Config{Spool: spoolOf(t), Allow: func(r *http.Request, recording string) error {
		switch {
		case recording != "take":
			return fmt.Errorf("%s: %w", recording, fs.ErrNotExist)
		case r.Header.Get("Authorization") != "Bearer ann":
			return errors.New("not for you")
		}
		return nil
	}}) + "take/"
	if a := get(t, url+"index.m3u8"); a.status != 403 || strings.Contains(string(a.body), "not for you") {
		t.Errorf("a stranger: %d %s", a.status, a.body)
	}
	if a := get(t, strings.Replace(url, "take", "other", 1)+"index.m3u8"); a.status != 404 {
		t.Errorf("another recording: %d", a.status)
	}
	for name, cache := range map[string]string{"seg-00001.m4s": "private, max-age=31536000, immutable", "index.m3u8": "private, no-cache"} {
		if a := get(t, url+name, "Authorization: Bearer ann"); a.status != 200 || a.Get("Cache-Control") != cache {
			t.Errorf("%s for ann: %d, %q", name, a.status, a.Get("Cache-Control"))
		}
	}
}

func TestPagesElsewhere(t *testing.T) {
	spool := spoolOf(t)
	preflight := []string{"Access-Control-Request-Method: GET", "Access-Control-Request-Headers: range,if-none-match"}
	const ours = "https://spaces.example"
	for _, c := range []struct {
		origins      []string
		origin       string
		allow, creds string
	}{
		{nil, ours, "", ""},
		{[]string{ours}, ours, ours, "true"},
		{[]string{ours}, "https://elsewhere.example", "", ""},
		{[]string{ours}, "null", "", ""},
		{[]string{"*"}, "https://elsewhere.example", "*", ""},
	} {
		url := serve(t, Config{Spool: spool, Origins: c.origins}) + "take/"
		for _, name := range []string{"index.m3u8", "none.m3u8"} { // a page may see that something is not there
			a := get(t, url+name, "Origin: "+c.origin)
			if a.Get("Access-Control-Allow-Origin") != c.allow || a.Get("Access-Control-Allow-Credentials") != c.creds {
				t.Errorf("%v, from %s: %v", c.origins, c.origin, a.Header)
			}
			if c.allow == ours && !strings.Contains(strings.Join(a.Values("Vary"), ","), "Origin") {
				t.Errorf("a cache would give the answer to others: %v", a.Header)
			}
		}
		a := ask(t, http.MethodOptions, url+"seg-00001.m4s", append(preflight, "Origin: "+c.origin)...)
		asked := a.Get("Access-Control-Allow-Headers")
		if may := strings.Contains(asked, "Range") && strings.Contains(asked, "If-None-Match"); a.status != 204 || may != (c.allow != "") {
			t.Errorf("preflight from %s to %v: %d %v", c.origin, c.origins, a.status, a.Header)
		}
	}
}

func TestAFileCanBeSaved(t *testing.T) {
	url := serve(t, Config{Spool: spoolOf(t), Tracks: true}) + "take/"
	for name, want := range map[string]string{
		"replay.mp4?download=1": `attachment; filename="take.mp4"`, "tracks/bob.ogg?download=1": `attachment; filename="take.bob.ogg"`,
		"timeline.json?download=1": `attachment; filename="take.timeline.json"`, "replay.mp4": "", "replay.mp4?download=0": "",
	} {
		if a := get(t, url+name); a.status != 200 || a.Get("Content-Disposition") != want {
			t.Errorf("%s: %d, %q", name, a.status, a.Get("Content-Disposition"))
		}
	}
}
