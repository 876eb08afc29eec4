package replay

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stentor/recorder"
	"stentor/recorder/align"
	"stentor/recorder/manifest"
	"stentor/recorder/mix"
)

// tone is a second of a tone in packets of 20 ms, which may be repeated: it has whole periods.
func tone(t testing.TB, hz float64) (packets [][]byte) {
	t.Helper()
	enc, err := mix.Gopus{}.NewEncoder(48000, 5)
	if err != nil {
		t.Fatal(err)
	}
	pcm, packet := make([]float32, 960), make([]byte, mix.PacketMax)
	for i := range 100 { // the first half lets the encoder settle
		for j := range pcm {
			pcm[j] = float32(0.25 * math.Sin(2*math.Pi*hz*float64(i*960+j)/48000))
		}
		n, err := enc.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		if i >= 50 {
			packets = append(packets, bytes.Clone(packet[:n]))
		}
	}
	return packets
}

// take records 10 s in virtual time: ann sends 400 Hz from 1 to 5 s, bob 1000 Hz from 5 to 9 s. meanwhile is
// called at 7 s, and afterwards when the recording is ready.
func take(t *testing.T, spool string, meanwhile, afterwards func()) {
	t.Helper()
	voices := map[string][][]byte{"ann": tone(t, 400), "bob": tone(t, 1000)}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		position := func() int64 { return int64(time.Since(begin)) / int64(time.Millisecond) * 48 }
		ready := make(chan struct{})
		r, err := recorder.New(recorder.Config{Spool: spool, Node: "studio", FreeMin: 1, Segment: 4 * time.Second, Tell: func(e recorder.Event) {
			if e.Type == recorder.Ready {
				close(ready)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		desk := recorder.NewDesk(recorder.DeskConfig{Position: position})
		defer desk.Close()
		desk.Join(1, "ann")
		desk.Join(2, "bob")
		if err := r.Start(desk, recorder.Start{Recording: "take", Room: "room", Tracks: true, Replay: true}); err != nil {
			t.Fatal(err)
		}
		desk.Note(manifest.Line{Type: manifest.Joined, Person: "ann", AudioID: 1})
		for i := range 500 {
			id, name := uint32(1), "ann"
			if i >= 250 {
				id, name = 2, "bob"
			}
			if i == 50 || i == 250 {
				desk.Note(manifest.Line{Type: manifest.Speaking, Person: name})
			}
			if i == 350 {
				meanwhile()
			}
			if i >= 50 && i < 450 {
				desk.Hear(&align.Packet{
					Source: id, Seq: uint64(i) + 1, TS: uint64(i) * 960, At: position(), Payload: voices[name][i%50], Samples: 960,
					Level: 30, Restart: i == 50 || i == 250,
				})
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err := r.Stop("take", "stopped"); err != nil {
			t.Fatal(err)
		}
		<-ready
		afterwards()
	})
}

var finished struct {
	once sync.Once
	dir  string // a spool with one finished recording, not to be written to
}

func TestMain(m *testing.M) {
	code := m.Run()
	if finished.dir != "" {
		os.RemoveAll(finished.dir)
	}
	os.Exit(code)
}

// spoolOf makes a spool of the test's own, with the finished recording "take" in it.
func spoolOf(t *testing.T) string {
	t.Helper()
	finished.once.Do(func() {
		dir, err := os.MkdirTemp("", "replay-test-")
		if err != nil {
			t.Fatal(err)
		}
		finished.dir = dir
		take(t, dir, func() {}, func() {})
	})
	dir := filepath.Join(t.TempDir(), "spool")
	if err := os.CopyFS(dir, os.DirFS(finished.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve mounts the replays as an app server does.
func serve(t *testing.T, c Config) (url string) {
	t.Helper()
	s := httptest.NewServer(http.StripPrefix("/replays", New(c)))
	t.Cleanup(s.Close)
	return s.URL + "/replays/"
}

// answer is what a visitor sees.
type answer struct {
	status int
	http.Header
	body []byte
}

// ask requests a URL, with headers as "Name: value", without decompressing anything.
func ask(t *testing.T, method, url string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	res, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%s %s: %v", method, url, err)
	}
	return answer{res.StatusCode, res.Header, body}
}

func get(t *testing.T, url string, headers ...string) answer {
	t.Helper()
	return ask(t, http.MethodGet, url, headers...)
}

// content is a file of a spool.
func content(t *testing.T, spool, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(spool, "take", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// hear plays a URL by ffmpeg, as mono at 48 kHz.
func hear(t *testing.T, args ...string) []float32 {
	t.Helper()
	var out, log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append(append([]string{"-v", "error", "-nostdin"}, args...), "-f", "f32le", "-ac", "1", "-ar", "48000", "-")...)
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil || log.Len() > 0 {
		t.Fatalf("ffmpeg %v: %v\n%s", args, err, log.Bytes())
	}
	pcm := make([]float32, out.Len()/4)
	for i := range pcm {
		pcm[i] = math.Float32frombits(binary.LittleEndian.Uint32(out.Bytes()[4*i:]))
	}
	return pcm
}

// sounds holds a tone in the time from…to, in seconds, against what a person would hear (Goertzel).
func sounds(t *testing.T, pcm []float32, hz, from, to float64, want bool) {
	t.Helper()
	a, b := int(from*48000), min(int(to*48000), len(pcm))
	k := 2 * math.Cos(2*math.Pi*hz/48000)
	var s1, s2 float64
	for _, x := range pcm[min(a, b):b] {
		s1, s2 = float64(x)+k*s1-s2, s1
	}
	n := float64(max(b-a, 1))
	db := 10*math.Log10((s1*s1+s2*s2-k*s1*s2)/n/n*2+1e-20) + 3
	if want && db < -30 || !want && db > -60 {
		t.Errorf("%v Hz from %v to %v s has %.0f dB; should it be heard? %v", hz, from, to, db, want)
	}
}

// hearsBoth holds what was played against what was said.
func hearsBoth(t *testing.T, pcm []float32) {
	t.Helper()
	sounds(t, pcm, 400, 0, 0.9, false)
	sounds(t, pcm, 400, 1.1, 4.9, true)
	sounds(t, pcm, 1000, 1.1, 4.9, false)
	sounds(t, pcm, 1000, 5.1, 8.9, true)
	sounds(t, pcm, 400, 5.3, 8.9, false)
}
