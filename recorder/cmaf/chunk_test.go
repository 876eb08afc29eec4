package cmaf

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// packet is an Opus packet of that TOC and length.
func packet(toc byte, n int) []byte {
	b := bytes.Repeat([]byte{0x55}, n)
	b[0] = toc
	return b
}

const (
	toc20 = 31 << 3 // CELT fullband, 20 ms
	toc10 = 30 << 3
)

func TestChunkIsReadByAForeignReader(t *testing.T) {
	init, err := Init(DefaultHead())
	if err != nil {
		t.Fatal(err)
	}
	for name, samples := range map[string][]Sample{
		"one":                      {{packet(toc20, 80), 960}},
		"same size, same duration": {{packet(toc20, 80), 960}, {packet(toc20, 80), 960}},
		"sizes":                    {{packet(toc20, 80), 960}, {packet(toc20, 81), 960}, {packet(toc20, 1), 960}},
		"durations":                {{packet(toc20, 80), 960}, {packet(toc10, 80), 480}, {packet(toc20, 80), 960}},
		"both":                     {{packet(toc10, 50), 480}, {packet(toc20, 80), 960}, {packet(toc10, 80), 480}},
	} {
		const base = 123456789012
		b, err := AppendChunk(bytes.Clone(init), 7, base, samples)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want, pts := "", int64(base-DefaultPreSkip)
		for _, s := range samples {
			want += fmt.Sprintf("packet,%d,%d,MD5:%x\n", pts, len(s.Payload), md5.Sum(s.Payload))
			pts += int64(s.Duration)
		}
		if got := probe(t, b, "-show_data_hash", "md5", "-show_entries", "packet=pts,size,data_hash", "-of", "csv"); got != want {
			t.Errorf("%s: ffprobe reads\n%swant\n%s", name, got, want)
		}
		chunk := b[len(init):]
		whole, good, err := Scan(bytes.NewReader(chunk), int64(len(chunk)))
		if err != nil || good != int64(len(chunk)) || len(whole) != 1 || whole[0].Samples != len(samples) {
			t.Errorf("%s: our own reader sees %+v, %d octets, %v", name, whole, good, err)
		}
	}
}

// probe has ffprobe look at a file.
func probe(t *testing.T, file []byte, args ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "probed.mp4")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ffprobe", append(append([]string{"-v", "error"}, args...), name)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe: %v\n%s", err, out)
	}
	return string(out)
}

func TestInitSaysWhatTheStreamIs(t *testing.T) {
	for _, h := range []Head{{PreSkip: 1}, DefaultHead(), {Channels: 2, PreSkip: 120}} {
		b, err := Init(h)
		if err != nil {
			t.Fatal(err)
		}
		if b, err = AppendChunk(b, 1, 0, []Sample{{packet(toc20, 80), 960}}); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("opus,48000,%d,1/48000,%d\n", max(1, h.Channels), -int(h.PreSkip))
		if got := probe(t, b, "-show_entries", "stream=codec_name,sample_rate,channels,time_base,start_pts", "-of", "csv=p=0"); got != want {
			t.Errorf("%+v: ffprobe says %s, want %s", h, got, want)
		}
	}
	for _, h := range []Head{{Channels: 3}, {PreSkip: 960}} {
		if _, err := Init(h); err == nil {
			t.Errorf("%+v is taken", h)
		}
	}
}

func TestChunkRefusesWhatItsReaderWouldRefuse(t *testing.T) {
	ok := Sample{packet(toc20, 80), 960}
	for name, c := range map[string]struct {
		base    int64
		samples []Sample
	}{
		"nothing":            {0, nil},
		"before the start":   {-1, []Sample{ok}},
		"another duration":   {0, []Sample{ok, {ok.Payload, 480}}},
		"an empty packet":    {0, []Sample{{nil, 960}}},
		"an oversized frame": {0, []Sample{{packet(toc20, 1300), 960}}},
		"too many":           {0, make([]Sample, samplesMax+1)},
	} {
		if b, err := Chunk(1, c.base, c.samples); err == nil || len(b) > 0 {
			t.Errorf("%s: %d octets, %v", name, len(b), err)
		}
	}
	if _, err := Chunk(1, 0, []Sample{{ok.Payload, 1}}); !errors.Is(err, ErrSample) {
		t.Errorf("a false duration: %v", err)
	}
}

func TestContainerAtSpeechRateTakesLessThanATwelfth(t *testing.T) {
	payloads := int64(0)
	r := record(t, Options{}, at20(tones(t), nil), nil)
	for p, err := range r.packets() {
		if err != nil {
			t.Fatal(err)
		}
		payloads += int64(len(p.Payload))
	}
	// The tones' bitrate is not quite that of the encoder's setting: the container's own cost is counted, against 40 kb/s.
	_, average := r.playlist.Bitrates()
	container := float64(average) - float64(payloads*8)/tonesLength
	t.Logf("%.0f b/s of container, %.1f %% at 40 kb/s", container, container/400)
	if container > 40000/12 {
		t.Errorf("the container takes %.0f b/s", container)
	}
}

func TestChunkAllocatesNothingButItsOctets(t *testing.T) {
	samples := make([]Sample, 25)
	for i := range samples {
		samples[i] = Sample{packet(toc20, 90+i), 960}
	}
	dst := make([]byte, 0, 8192)
	if n := testing.AllocsPerRun(100, func() {
		if b, err := AppendChunk(dst, 1, 0, samples); err != nil || len(b) < 2500 {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSegmenter(b *testing.B) {
	s, err := NewSegmenter(Options{})
	if err != nil {
		b.Fatal(err)
	}
	p := packet(toc20, 100)
	b.ReportAllocs()
	at := int64(0)
	for b.Loop() {
		if _, err := s.Put(at, p); err != nil {
			b.Fatal(err)
		}
		at += 960
	}
}
