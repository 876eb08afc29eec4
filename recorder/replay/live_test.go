package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stentor/recorder/manifest"
)

// TestWhileItRuns looks in on a running recording at its seventh second, through the daemon's own files.
func TestWhileItRuns(t *testing.T) {
	spool := t.TempDir()
	h := New(Config{Spool: spool, Tracks: true})
	ask := func(name string) (int, http.Header, []byte) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/take/"+name, nil))
		return w.Code, w.Header(), w.Body.Bytes()
	}
	take(t, spool, func() {
		code, header, list := ask("index.m3u8")
		if code != 200 || header.Get("Cache-Control") != "no-cache" || bytes.Contains(list, []byte("ENDLIST")) || !bytes.Contains(list, []byte("seg-00001.m4s")) {
			t.Errorf("playlist: %d, %v\n%s", code, header, list)
		}
		if code, header, b := ask("seg-00001.m4s"); code != 200 || len(b) == 0 || !strings.Contains(header.Get("Cache-Control"), "immutable") {
			t.Errorf("a finished segment: %d, %v", code, header)
		}
		if _, err := os.Stat(filepath.Join(spool, "take/replay/seg-00002.m4s")); err != nil {
			t.Errorf("there should be a segment that grows: %v", err)
		}
		if code, header, _ := ask("seg-00002.m4s"); code != 404 || header.Get("Cache-Control") != "no-store" {
			t.Errorf("the segment that grows: %d, %v", code, header)
		}
		if code, header, b := ask("tracks/ann.ogg"); code != 200 || !bytes.HasPrefix(b, []byte("OggS")) || header.Get("Cache-Control") != "no-cache" {
			t.Errorf("a track that grows: %d, %v", code, header)
		}
		if code, _, _ := ask("replay.mp4"); code != 404 {
			t.Errorf("the whole file, which is not there: %d", code)
		}
		var told Summary
		if _, _, b := ask("recording.json"); json.Unmarshal(b, &told) != nil || told.State != manifest.Recording || told.Duration.Seconds() < 1 {
			t.Errorf("%s", b)
		}
		var speech manifest.Summary
		if _, _, b := ask("timeline.json"); json.Unmarshal(b, &speech) != nil || len(speech.People) < 2 || speech.Duration.Seconds() < 5 {
			t.Errorf("who speaks: %s", b)
		}
	}, func() {
		time.Sleep(fresh)
		for name, want := range map[string]string{"index.m3u8": "#EXT-X-ENDLIST", "recording.json": `"ready"`, "timeline.json": `"bob"`} {
			if code, _, b := ask(name); code != 200 || !strings.Contains(string(b), want) {
				t.Errorf("afterwards %s: %d %s", name, code, b)
			}
		}
	})
}

// growing takes the replay back to the state of a running recording, in which the next segment is finished each time that
// the playlist is asked for.
func growing(t *testing.T, spool string) http.Handler {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(content(t, spool, manifest.Name), &m); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"files", "tracks", "timeline", "stopped_at"} {
		delete(m, k)
	}
	m["state"], m["ready_told"] = "recording", false
	for _, k := range []string{"bytes", "sha256"} {
		delete(m["replay"].(map[string]any), k)
	}
	b, err := json.Marshal(m)
	if err := errors.Join(err, os.WriteFile(filepath.Join(spool, "take", manifest.Name), b, 0o600)); err != nil {
		t.Fatal(err)
	}
	closed := string(content(t, spool, playlistName))
	ends := []int{}
	for i := range len(closed) {
		if strings.HasSuffix(closed[:i], ".m4s\n") {
			ends = append(ends, i)
		}
	}
	h, n := New(Config{Spool: spool}), 0
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasSuffix(r.URL.Path, ".m3u8") {
			text := closed
			if n++; n < len(ends) {
				text = strings.Replace(closed[:ends[n-1]], "VOD", "EVENT", 1)
			}
			name := filepath.Join(spool, "take", playlistName)
			if err := errors.Join(os.WriteFile(name+".tmp", []byte(text), 0o600), os.Rename(name+".tmp", name)); err != nil {
				t.Error(err)
			}
			for i := n; i < len(ends) && n == 1; i++ { // what is not finished cannot be played
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, fmt.Sprintf("/take/seg-%05d.m4s", i+1), nil))
				if w.Code != 404 {
					t.Errorf("segment %d before its time: %d", i+1, w.Code)
				}
			}
		}
		h.ServeHTTP(w, r)
	})
}

func TestLiveReplayPlaysFromItsStartWhileItGrows(t *testing.T) {
	s := httptest.NewServer(growing(t, spoolOf(t)))
	t.Cleanup(s.Close)
	hearsBoth(t, hear(t, "-live_start_index", "0", "-i", s.URL+"/take/index.m3u8"))
}
