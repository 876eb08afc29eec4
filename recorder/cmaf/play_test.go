package cmaf

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve gives a replay's files to a player.
func serve(t *testing.T, file func(name string) []byte) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := file(strings.TrimPrefix(r.URL.Path, "/"))
		if b == nil {
			http.NotFound(w, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, ".m3u8") {
			w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/"
}

func TestClosedReplayPlaysWithEveryToneAtItsSecond(t *testing.T) {
	r := record(t, Options{}, at20(tones(t), nil), nil)
	url := serve(t, func(name string) []byte { return r.files[name] })
	for _, name := range []string{MediaName, MasterName} {
		pcm := decode(t, "-i", url+name)
		hears(t, pcm, 0, 0, tonesLength-1)
		if n := len(pcm); n < tonesLength*SampleRate-480 || n > tonesLength*SampleRate+480 {
			t.Errorf("%s: %d samples of %d s", name, n, tonesLength)
		}
	}
	hears(t, decode(t, "-ss", "9", "-i", url+MediaName), 9*SampleRate, 9, tonesLength-1)
}

func TestLiveReplayPlaysFromItsStartWhileItGrows(t *testing.T) {
	var states []map[string][]byte
	record(t, Options{Target: SampleRate}, at20(tones(t)[:12*50], nil), func(r *replay) {
		files := map[string][]byte{}
		for name, b := range r.files {
			files[name] = bytes.Clone(b)
		}
		states = append(states, files)
	})
	last := states[len(states)-1]
	last[MediaName] = []byte(strings.Replace(string(last[MediaName]), "EVENT", "VOD", 1) + "#EXT-X-ENDLIST\n")
	var mu sync.Mutex
	at, asked := 2, 0
	url := serve(t, func(name string) []byte {
		mu.Lock()
		defer mu.Unlock()
		if name == MediaName {
			// The player asks again, and finds some seconds more.
			asked++
			at = min(at+3, len(states)-1)
		}
		return states[at][name]
	})
	pcm := decode(t, "-live_start_index", "0", "-i", url+MediaName)
	hears(t, pcm, 0, 0, 11)
	if asked < 3 {
		t.Errorf("the player has asked %d times: the playlist has not grown under it", asked)
	}
}

func TestReplayWithAGapPlaysOn(t *testing.T) {
	gap := func(at int64) bool { return at < 6*SampleRate || at >= 9*SampleRate }
	r := record(t, Options{}, at20(tones(t), gap), nil)
	url := serve(t, func(name string) []byte { return r.files[name] })
	pcm := decode(t, "-i", url+MediaName)
	hears(t, pcm, 0, 0, 5)
	hears(t, pcm[9*SampleRate:], 9*SampleRate, 9, tonesLength-1)
}

// A player's own tables are compared with the playlist, segment by segment.
func TestSegmentsLastAsLongAsThePlaylistSays(t *testing.T) {
	r := record(t, Options{Target: 6 * SampleRate}, at20(tones(t)[:tonesLength*50-7], nil), nil)
	for _, s := range r.playlist.Segments() {
		out := probe(t, append(bytes.Clone(r.files[InitName]), r.files[s.URI]...), "-show_entries", "packet=pts", "-of", "csv=p=0")
		lines := strings.Fields(out)
		first, last := int64(0), int64(0)
		if _, err := fmt.Sscan(lines[0]+" "+lines[len(lines)-1], &first, &last); err != nil {
			t.Fatal(err)
		}
		if first != s.At-DefaultPreSkip || last+960-first != s.Duration {
			t.Errorf("%s: from %d to %d, the playlist says %d for %d", s.URI, first, last+960, s.At, s.Duration)
		}
	}
}

// After a crash, what is whole of the last segment is finished like any other.
func TestReplayCutInMidChunkPlaysToItsLastWholeChunk(t *testing.T) {
	r := record(t, Options{}, at20(tones(t), nil), nil)
	const name = "seg-00003.m4s"
	torn := r.files[name][:len(r.files[name])*2/3]
	chunks, good, err := Scan(bytes.NewReader(torn), int64(len(torn)))
	if err != nil {
		t.Fatal(err)
	}
	span := SpanOf(chunks, good, good)
	r.files[name] = torn[:good]
	p := NewPlaylist(4*SampleRate, start)
	for _, s := range r.playlist.Segments()[:2] {
		if err := p.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Add(Segment{Number: 3, URI: name, At: span.At, Duration: span.Duration}); err != nil {
		t.Fatal(err)
	}
	p.End()
	r.files[MediaName] = p.Text()
	if _, breaches := CheckPlaylist(p.Text(), r.look); len(breaches) > 0 {
		t.Error(breaches)
	}
	pcm := decode(t, "-i", filepath.Join(r.store(t), MediaName))
	if span.Duration < 2*SampleRate || span.Duration > 3*SampleRate {
		t.Fatalf("%d samples are left of the last segment", span.Duration)
	}
	hears(t, pcm, 0, 0, 9)
}
