package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stentor/forward/opus"
	"stentor/recorder"
	"stentor/recorder/align"
	"stentor/recorder/manifest"
)

func TestRecordingTables(t *testing.T) {
	path := socket(t)
	serveFake(t, newFake(), path)
	for name, args := range map[string][]string{
		"record_ls": {"ls"}, "record_ls_none": {"ls", "--room", "lounge"}, "record_show": {"show", "take-1"}, "record_stop": {"stop", "take-1"},
		"record_start": {"start", "town-hall", "take-2"}, "record_start_tracks": {"start", "town-hall", "take-2", "--no-replay"},
	} {
		for file, args := range map[string][]string{name + ".txt": args, name + ".jsonl": append(args, "--json")} {
			code, stdout, stderr := ask(path, append([]string{"record"}, args...)...)
			if code != exitDone || stderr != "" {
				t.Errorf("%v: exit %d, stderr %q", args, code, stderr)
			}
			golden(t, file, stdout)
		}
	}
}

func TestRecordingsAreDeletedByName(t *testing.T) {
	path, f := socket(t), newFake()
	serveFake(t, f, path)
	code, stdout, stderr := ask(path, "record", "delete", "take-1", "take-0")
	if code != exitDone || stdout != "" || stderr != "" || !slices.Equal(f.deleted, []string{"take-1", "take-0"}) {
		t.Errorf("exit %d, %q, %q; deleted %v", code, stdout, stderr, f.deleted)
	}
}

func TestRecordingRefusals(t *testing.T) {
	path := socket(t)
	serveFake(t, newFake(), path)
	none := t.TempDir()
	for _, tc := range []struct {
		args  []string
		code  int
		words []string
	}{
		{[]string{"show", "none"}, exitFailed, []string{"recording_not_found", "\nhint: "}},
		{[]string{"start", "town-hall", "take-1"}, exitFailed, []string{"recording_conflict", "\nhint: "}},
		{[]string{"verify", "none"}, exitFailed, []string{"recording_not_found"}},
		{[]string{"verify", none}, exitFailed, []string{none, "no manifest.json"}},
		{[]string{"verify", none + "/none"}, exitFailed, []string{none, "no manifest.json"}},
		{[]string{"export", "file://" + none}, exitFailed, []string{none, "no manifest.json"}},
		{[]string{"remix", none, "-o", none + "/x.wav"}, exitUsage, []string{".mp4 or .ogg"}},
		{[]string{"remix", none, "-o", none}, exitUsage, []string{".mp4 or .ogg"}},
		{[]string{"remix", none, "--bitrate", "5"}, exitUsage, []string{"6000"}},
		{[]string{"export", none, "-o", none + "/"}, exitFailed, []string{"is there already"}},
		{[]string{"show"}, exitUsage, []string{"usage: stentor record show RECORDING"}},
		{[]string{"sing"}, exitUsage, []string{"usage: stentor record"}},
		{[]string{"verify"}, exitUsage, nil},
	} {
		code, stdout, stderr := ask(path, append([]string{"record"}, tc.args...)...)
		if code != tc.code || stdout != "" {
			t.Errorf("%v: exit %d, stdout %q", tc.args, code, stdout)
		}
		for _, w := range tc.words {
			if !strings.Contains(stderr, w) {
				t.Errorf("%v: stderr does not say %q: %s", tc.args, w, stderr)
			}
		}
	}
}

// take records five seconds of a room in virtual time, in which ann sends something.
func take(t *testing.T) (dir string) {
	t.Helper()
	spool := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		position := func() int64 { return int64(time.Since(begin)) / int64(time.Millisecond) * 48 }
		ready := make(chan struct{})
		r, err := recorder.New(recorder.Config{Spool: spool, Node: "herald", FreeMin: 1, Tell: func(e recorder.Event) {
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
		desk.Join(7, "ann")
		if err := r.Start(desk, recorder.Start{Recording: "take-1", Room: "town-hall", Tracks: true, Replay: true}); err != nil {
			t.Fatal(err)
		}
		desk.Note(manifest.Line{Type: manifest.Speaking, Person: "ann"})
		for i := range 250 {
			desk.Hear(&align.Packet{
				Source: 7, Seq: uint64(i) + 1, TS: uint64(i) * 960, At: position(), Payload: opus.Quiet, Samples: 960, Level: 30, Restart: i == 0,
			})
			time.Sleep(20 * time.Millisecond)
		}
		if err := r.Stop("take-1", "stopped"); err != nil {
			t.Fatal(err)
		}
		<-ready
	})
	return filepath.Join(spool, "take-1")
}

// duration is how long ffprobe takes a file to be.
func duration(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", name).CombinedOutput()
	if err != nil {
		t.Errorf("ffprobe %s: %v %s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestVerifyTellsTheTruth(t *testing.T) {
	dir, path := take(t), socket(t)
	f := newFake()
	f.location = "file://" + dir
	serveFake(t, f, path)
	for _, named := range []string{dir, f.location, "take-1"} {
		code, stdout, stderr := ask(path, "record", "verify", named)
		if code != exitDone || stderr != "" || !strings.Contains(stdout, "all is well") {
			t.Errorf("%s: exit %d, %q, %q", named, code, stdout, stderr)
		}
	}
	track := filepath.Join(dir, "tracks/ann.ogg")
	b, err := os.ReadFile(track)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(track, b, 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := ask("/nowhere", "record", "verify", dir)
	if code != exitFailed || !strings.Contains(stdout, "tracks/ann.ogg: ") || strings.Contains(stdout, "well") || stderr != "stentor: 1 of 1 recordings are not what they say\n" {
		t.Errorf("damaged: exit %d, %q, %q", code, stdout, stderr)
	}
	code, stdout, _ = ask("/nowhere", "record", "verify", "--json", dir)
	var v verdict
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != exitFailed || v.Recording != "take-1" || len(v.Problems) == 0 || v.Problems[0].File != "tracks/ann.ogg" {
		t.Errorf("damaged: exit %d, %s, %v", code, stdout, err)
	}
}

func TestRemixAndExportWriteFiles(t *testing.T) {
	dir, out := take(t), t.TempDir()
	t.Chdir(out)
	for _, tc := range []struct {
		args []string
		made string
	}{
		{[]string{"remix", dir}, "take-1-remix.mp4"},
		{[]string{"remix", dir, "-o", "new.ogg", "--bitrate", "32000"}, "new.ogg"},
		{[]string{"export", dir}, "take-1.mp4"},
		{[]string{"export", "file://" + dir, "-o", "mix.ogg"}, "mix.ogg"},
		{[]string{"export", dir, "-o", "mix.ogg", "--force"}, "mix.ogg"},
		{[]string{"export", dir, "-o", "parts/"}, "parts/"},
	} {
		code, stdout, stderr := ask("/nowhere", append([]string{"record"}, tc.args...)...)
		if code != exitDone || stdout != tc.made+"\n" || stderr != "" {
			t.Fatalf("%v: exit %d, %q, %q", tc.args, code, stdout, stderr)
		}
		if strings.HasSuffix(tc.made, "/") {
			tc.made += "tracks/ann.ogg"
		}
		if d := duration(t, tc.made); !strings.HasPrefix(d, "5.0") {
			t.Errorf("%v: %s lasts %s s of 5", tc.args, tc.made, d)
		}
	}
	labels, err := os.ReadFile("parts/labels.txt")
	if err != nil || !strings.HasSuffix(string(labels), "\tann\n") {
		t.Errorf("labels %q, %v", labels, err)
	}
	before, err := os.ReadFile("mix.ogg")
	if err != nil {
		t.Fatal(err)
	}
	code, _, stderr := ask("/nowhere", "record", "remix", dir, "-o", "mix.ogg")
	if after, err := os.ReadFile("mix.ogg"); code != exitFailed || !strings.Contains(stderr, "is there already") || err != nil || !bytes.Equal(before, after) {
		t.Errorf("over another file: exit %d, %q, %v", code, stderr, err)
	}
	code, _, stderr = ask("/nowhere", "record", "export", dir, "-o", "none/mix.ogg")
	if want := "none/mix.ogg.part: no such file or directory"; code != exitFailed || !strings.Contains(stderr, want) || strings.Contains(stderr, "stentord") {
		t.Errorf("into no directory: exit %d, %q", code, stderr)
	}
}

// TestTheHelpSaysWhatThereIs holds the list of commands against what an operator looks for.
func TestTheHelpSaysWhatThereIs(t *testing.T) {
	code, stdout, _ := ask("/nowhere", "record")
	if code != exitDone {
		t.Errorf("exit %d", code)
	}
	for _, c := range []string{"ls", "show", "start", "stop", "delete", "verify", "remix", "export"} {
		if !strings.Contains(stdout, fmt.Sprintf("\n  %s ", c)) {
			t.Errorf("help does not list %s:\n%s", c, stdout)
		}
	}
}

func TestWhatIsElsewhereIsFetchedWhole(t *testing.T) {
	dir, to := take(t), t.TempDir()
	tool := &tool{out: t.Output(), err: t.Output()}
	if err := tool.download(t.Context(), "file://"+dir, to); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := ask("/nowhere", "record", "verify", to); code != exitDone {
		t.Errorf("what was fetched: exit %d, %q, %q", code, stdout, stderr)
	}
}
