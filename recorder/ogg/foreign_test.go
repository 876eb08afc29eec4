package ogg

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// This file hands files to decoders that are not ours, and takes theirs.

// tool runs a program and gives back what it writes to both outputs. A program that fails fails the test.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// spoken is a file of ffmpeg's libopus: a tone that sweeps, of the given channels, and its packets, of 20 ms.
func spoken(t *testing.T, dir string, channels int) (name string, packets [][]byte) {
	t.Helper()
	name = filepath.Join(dir, fmt.Sprintf("spoken%d.opus", channels))
	tool(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "aevalsrc=0.4*sin(2*PI*(200+60*t)*t):s=48000:d=7.3",
		"-ac", strconv.Itoa(channels), "-c:a", "libopus", "-b:a", "32k", "-application", "voip", name)
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got, f := read(t, file)
	if len(f.Damage()) > 0 || !f.EOS() || f.Head().Channels != channels {
		t.Fatalf("what ffmpeg wrote has damage %v, its head is %+v", f.Damage(), f.Head())
	}
	for _, p := range got {
		packets = append(packets, p.Data)
	}
	return name, packets
}

// decoded are the 16-bit samples that a decoder gives out, of two channels.
func decoded(t *testing.T, dir, decoder, name string) []byte {
	t.Helper()
	out := filepath.Join(dir, "decoded.raw")
	switch decoder {
	case "ffmpeg":
		tool(t, "ffmpeg", "-v", "error", "-xerror", "-y", "-i", name, "-f", "s16le", "-ac", "2", out)
	case "opusdec":
		tool(t, "opusdec", "--quiet", "--no-dither", "--rate", "48000", "--force-stereo", name, out)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inspect has opusinfo and ffprobe look at a file, and gives back its duration in samples at 48 kHz.
func inspect(t *testing.T, name string) int64 {
	t.Helper()
	if out := tool(t, "opusinfo", name); strings.Contains(out, "WARNING") || strings.Contains(out, "ERROR") || strings.Contains(out, "Negative") {
		t.Errorf("opusinfo: %s", out)
	}
	out := tool(t, "ffprobe", "-v", "warning", "-show_entries", "stream=codec_name,channels,start_pts,duration_ts,time_base", "-of", "json", name)
	var found struct {
		Streams []struct {
			CodecName string `json:"codec_name"`
			TimeBase  string `json:"time_base"`
			StartPTS  int64  `json:"start_pts"`
			Duration  int64  `json:"duration_ts"`
		}
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found.Streams) != 1 {
		t.Fatalf("ffprobe: %v: %s", err, out)
	}
	s := found.Streams[0]
	if s.CodecName != "opus" || s.TimeBase != "1/48000" || s.StartPTS != 0 {
		t.Errorf("ffprobe: %s", out)
	}
	return s.Duration
}

func save(t *testing.T, dir string, file []byte) string {
	t.Helper()
	name := filepath.Join(dir, "ours.opus")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestForeignDecodersHearTheSame hands packets of libopus through our file to two decoders, which have to give out what
// they give out of libopus's own file, to the bit, and as many samples as we say.
func TestForeignDecodersHearTheSame(t *testing.T) {
	dir := t.TempDir()
	for _, channels := range []int{1, 2} {
		theirs, packets := spoken(t, dir, channels)
		for _, c := range []struct {
			name    string
			flush   int
			trimmed int64
		}{
			{"pages of a second", 0, 0},
			{"pages of half a second, the last one full, the end alone", 1, 0},
			{"trimmed to the sample", 25, 313},
		} {
			var b bytes.Buffer
			f, err := NewWriter(&b, Head{Serial: 1, Channels: channels, PreSkip: 312, Comments: []string{"TITLE=x"}})
			for i, p := range packets {
				if err == nil && c.flush > 0 && i%c.flush == 0 {
					err = f.Flush()
				}
				if err == nil {
					err = f.Append(p, 960)
				}
			}
			if err == nil && c.flush == 1 {
				err = f.Flush()
			}
			if err == nil {
				err = f.CloseAt(f.Samples() - c.trimmed)
			}
			if err != nil {
				t.Fatal(err)
			}
			ours := save(t, dir, b.Bytes())
			want := int64(len(packets))*960 - 312 - c.trimmed
			if played, err := Check(bytes.NewReader(b.Bytes()), int64(b.Len())); err != nil || played != want {
				t.Errorf("%s: plays %d samples of %d: %v", c.name, played, want, err)
			}
			if d := inspect(t, ours) - 312; d != want {
				t.Errorf("%s: ffprobe sees %d samples, want %d", c.name, d, want)
			}
			for _, decoder := range []string{"ffmpeg", "opusdec"} {
				got, model := decoded(t, dir, decoder, ours), decoded(t, dir, decoder, theirs)
				if int64(len(got)) != 4*want {
					t.Errorf("%s: %s gives out %d samples, want %d", c.name, decoder, len(got)/4, want)
				}
				n := min(len(got), len(model))
				if n < 4*48000*7 || !bytes.Equal(got[:n], model[:n]) {
					t.Errorf("%s: %s hears something else, in %d samples", c.name, decoder, n/4)
				}
			}
		}
	}
}

// TestAStereoSpeakerInATrackOfTwoChannels changes from mono to stereo packets and back within a stream, as a browser may.
func TestAStereoSpeakerInATrackOfTwoChannels(t *testing.T) {
	dir := t.TempDir()
	_, mono := spoken(t, dir, 1)
	_, stereo := spoken(t, dir, 2)
	var packets [][]byte
	for i := range mono {
		packets = append(packets, [][][]byte{mono, stereo}[i/50%2][i])
	}
	name := save(t, dir, written(t, Head{Serial: 9, PreSkip: 312}, packets, 25))
	inspect(t, name)
	for _, decoder := range []string{"ffmpeg", "opusdec"} {
		if got := decoded(t, dir, decoder, name); len(got) != 4*(960*len(packets)-312) {
			t.Errorf("%s gives out %d samples of %d", decoder, len(got)/4, 960*len(packets)-312)
		}
	}
}

func TestAFileCutOffInMidPageIsPlayedByOthers(t *testing.T) {
	dir := t.TempDir()
	_, packets := spoken(t, dir, 1)
	file := written(t, Head{Serial: 9, PreSkip: 312}, packets, 25)
	file = file[:len(file)/2]
	s, err := Scan(bytes.NewReader(file), int64(len(file)))
	if err != nil || s.EOS || s.Granule == 0 {
		t.Fatalf("%v, %+v", err, s)
	}
	file = file[:s.GoodBytes]
	b := bytes.NewBuffer(file)
	f, err := Resume(b, s.State)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	name := save(t, dir, b.Bytes())
	if d := inspect(t, name) - 312; d != s.Played() {
		t.Errorf("ffprobe sees %d samples, want %d", d, s.Played())
	}
	for _, decoder := range []string{"ffmpeg", "opusdec"} {
		if got := decoded(t, dir, decoder, name); int64(len(got)) != 4*s.Played() {
			t.Errorf("%s gives out %d samples, want %d", decoder, len(got)/4, s.Played())
		}
	}
}
