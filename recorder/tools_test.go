package recorder

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stentor/recorder/manifest"
)

// conversation records 6 s: ann sends 400 Hz from 1 to 3 s, bob 1000 Hz from 3 to 5 s.
func conversation(t *testing.T, tracks, replay bool) (dir string) {
	spool := t.TempDir()
	inStudio(t, spool, nil, func(s *studio) {
		ann, bob := s.joins("ann", 1, 400), s.joins("bob", 2, 1000)
		if err := s.recorder.Start(s.desk, Start{Recording: "take", Room: "room", Tracks: tracks, Replay: replay}); err != nil {
			t.Fatal(err)
		}
		s.silence(time.Second, ann, bob)
		s.desk.Note(manifest.Line{Type: manifest.Speaking, Person: "ann"})
		s.talk(2*time.Second, ann)
		s.desk.Note(manifest.Line{Type: manifest.Quiet, Person: "ann"})
		s.desk.Note(manifest.Line{Type: manifest.Speaking, Person: "bob"})
		s.talk(2*time.Second, bob)
		s.desk.Note(manifest.Line{Type: manifest.Quiet, Person: "bob"})
		s.silence(time.Second, ann, bob)
		s.stop("take")
		s.told(Ready)
	})
	return filepath.Join(spool, "take")
}

func hearsConversation(t *testing.T, name string) {
	t.Helper()
	pcm := hear(t, name)
	quiet(t, name, pcm, 400, 0, 0.9)
	loud(t, name, pcm, 400, 1.1, 2.9)
	quiet(t, name, pcm, 1000, 1.1, 2.8)
	loud(t, name, pcm, 1000, 3.1, 4.9)
	quiet(t, name, pcm, 400, 3.3, 5.9)
	if s := float64(len(pcm)) / 48000; s < 5.95 || s > 6.05 {
		t.Errorf("%s lasts %v s of 6", name, s)
	}
}

func TestTheMixCanBeMadeAnew(t *testing.T) {
	dir, out := conversation(t, true, false), t.TempDir() // which was not asked for when it was recorded
	for _, name := range []string{"new.mp4", "new.ogg"} {
		var steps []string
		o := Output{Name: filepath.Join(out, name), Bitrate: 64000, Progress: func(step string, done, total int64) {
			if done < 0 || done > total {
				t.Errorf("%s: %d of %d", step, done, total)
			}
			if len(steps) == 0 || steps[len(steps)-1] != step {
				steps = append(steps, step)
			}
		}}
		if err := Remix(t.Context(), dir, o); err != nil {
			t.Fatal(err)
		}
		hearsConversation(t, o.Name)
		if len(steps) != 2 || steps[0] != "mix" || steps[1] != "write" {
			t.Errorf("steps %v", steps)
		}
	}
	onlyThese(t, out, "new.mp4", "new.ogg")
	if err := ExportMix(t.Context(), dir, Output{Name: filepath.Join(out, "x.mp4")}); !errors.Is(err, ErrNothing) {
		t.Errorf("export of a replay that there is not: %v", err)
	}
	verify(t, dir)
}

func TestWhosNameBeginsWithADotIsKeptToo(t *testing.T) {
	spool := t.TempDir()
	inStudio(t, spool, nil, func(s *studio) {
		dot := s.joins("..", 1, 400)
		s.start("take")
		s.talk(time.Second, dot)
		s.stop("take")
		s.told(Ready)
	})
	if m := verify(t, filepath.Join(spool, "take")); len(m.Tracks) != 1 || m.Tracks[0].Person != ".." || m.Tracks[0].SHA256 == "" {
		t.Errorf("tracks %+v", m.Tracks)
	}
}

func TestTheReplayIsRepackedAndNotEncodedAgain(t *testing.T) {
	dir, out := conversation(t, false, true), t.TempDir()
	whole, err := os.ReadFile(filepath.Join(dir, wholeName))
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(out, "copy.mp4")
	if err := ExportMix(t.Context(), dir, Output{Name: copied}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(copied); err != nil || !bytes.Equal(b, whole) {
		t.Errorf("the copy has %d octets of %d, %v", len(b), len(whole), err)
	}
	if err := ExportMix(t.Context(), dir, Output{Name: filepath.Join(out, "mix.ogg")}); err != nil {
		t.Fatal(err)
	}
	hearsConversation(t, filepath.Join(out, "mix.ogg"))
	if err := Remix(t.Context(), dir, Output{Name: filepath.Join(out, "x.mp4")}); !errors.Is(err, ErrNothing) {
		t.Errorf("remix without tracks: %v", err)
	}
	// What is damaged is said to be, and does not become a file.
	whole[len(whole)/2] ^= 1
	if err := os.WriteFile(filepath.Join(dir, wholeName), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ExportMix(t.Context(), dir, Output{Name: filepath.Join(out, "damaged.mp4")}); err == nil {
		t.Error("a damaged file was exported")
	}
	onlyThese(t, out, "copy.mp4", "mix.ogg")
}

func TestTheReplayOfARunningRecordingCanBeExported(t *testing.T) {
	spool, out := t.TempDir(), filepath.Join(t.TempDir(), "mix.mp4")
	inStudio(t, spool, nil, func(s *studio) {
		ann := s.joins("ann", 1, 400)
		s.start("take")
		s.talk(7*time.Second, ann)
		if err := ExportMix(t.Context(), filepath.Join(spool, "take"), Output{Name: out}); err != nil {
			t.Error(err)
		}
	})
	pcm := hear(t, out)
	loud(t, out, pcm, 400, 0.3, 6)
	if s := float64(len(pcm)) / 48000; s < 6 || s > 7 {
		t.Errorf("%v s of 7", s)
	}
}

func TestPartsForASoundEditor(t *testing.T) {
	dir, out := conversation(t, true, true), filepath.Join(t.TempDir(), "parts")
	if err := ExportParts(t.Context(), dir, out, nil); err != nil {
		t.Fatal(err)
	}
	onlyThese(t, out, "labels.txt", "manifest.json", "mix.ogg", "timeline.jsonl", "tracks")
	onlyThese(t, filepath.Join(out, "tracks"), "ann.ogg", "bob.ogg")
	hearsConversation(t, filepath.Join(out, "mix.ogg"))
	loud(t, "bob", hear(t, filepath.Join(out, "tracks/bob.ogg")), 1000, 3.1, 4.9)
	labels, err := os.ReadFile(filepath.Join(out, "labels.txt"))
	if want := "1.000000\t3.000000\tann\n3.000000\t5.000000\tbob\n"; err != nil || string(labels) != want {
		t.Errorf("labels:\n%s\nwant\n%s, %v", labels, want, err)
	}
	if err := ExportParts(t.Context(), dir, out, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("into a directory that is there: %v", err)
	}
}

func TestAToolThatIsInterruptedLeavesNothing(t *testing.T) {
	dir, out := conversation(t, true, true), t.TempDir()
	for _, name := range []string{"mix.mp4", "mix.ogg"} {
		ctx, stop := context.WithCancel(t.Context())
		o := Output{Name: filepath.Join(out, name), Progress: func(string, int64, int64) { stop() }}
		if err := Remix(ctx, dir, o); !errors.Is(err, context.Canceled) {
			t.Errorf("remix: %v", err)
		}
		if err := ExportMix(ctx, dir, o); !errors.Is(err, context.Canceled) {
			t.Errorf("export: %v", err)
		}
	}
	onlyThese(t, out)
}

// onlyThese holds a directory against what should be in it.
func onlyThese(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if len(got) != len(want) {
		t.Fatalf("%s holds %v, want %v", dir, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s holds %v, want %v", dir, got, want)
		}
	}
}
