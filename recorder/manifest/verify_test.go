package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stentor/recorder/ogg"
)

var oggs = Checks{".ogg": ogg.Check}

// put writes a file of a recording.
func put(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// track is an Ogg Opus file of silence that plays so many samples.
func track(t testing.TB, samples int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := ogg.NewWriter(&b, ogg.Head{Serial: 1, PreSkip: 312})
	for err == nil && w.Samples() < samples+312 {
		err = w.Append([]byte{0xf8, 0xff, 0xfe}, 960)
	}
	if err = errors.Join(err, w.CloseAt(samples+312)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// recorded lays down a whole recording of 9 s and gives back its manifest, saved.
func recorded(t testing.TB, dir string) *Manifest {
	t.Helper()
	m := ready()
	m.Duration, m.Safe, m.Gaps = 432000, 432000, nil
	m.Tracks = append(m.Tracks, m.Tracks[0])
	m.Tracks[1].Person, m.Tracks[1].Path = "bob", "tracks/bob.ogg"
	put(t, dir, "tracks/alice.ogg", track(t, 432000))
	put(t, dir, "tracks/bob.ogg", track(t, 432000-100))
	put(t, dir, "replay/init.mp4", []byte("init"))
	put(t, dir, "replay/replay.mp4", []byte("all of it"))
	list := "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n"
	for i := range 3 {
		name := fmt.Sprintf("seg-%05d.m4s", i+1)
		put(t, dir, "replay/"+name, []byte(name))
		list += "#EXTINF:3,\n" + name + "\n"
	}
	put(t, dir, "replay/index.m3u8", []byte(list+"#EXT-X-ENDLIST\n"))
	put(t, dir, TimelineName, timelineOf(t, evening()))
	m.Timeline.Lines, m.Replay.Segments, m.Replay.Duration = int64(len(evening())), 3, m.Duration
	sums(t, dir, m)
	return m
}

// sums brings all sums up to date with the files, and saves.
func sums(t testing.TB, dir string, m *Manifest) {
	t.Helper()
	of := func(name string) File {
		f, err := Sum(os.DirFS(dir), name)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	m.Files = nil
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && name != Name {
			m.Files = append(m.Files, of(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Tracks {
		m.Tracks[i].File = of(m.Tracks[i].Path)
		if file, err := os.ReadFile(filepath.Join(dir, m.Tracks[i].Path)); err == nil {
			m.Tracks[i].Samples, _ = ogg.Check(bytes.NewReader(file), int64(len(file)))
		}
	}
	m.Replay.File, m.Timeline.File = of(m.Replay.Path), of(TimelineName)
	if err := Save(dir, m); err != nil {
		t.Fatal(err)
	}
}

func TestAWholeRecordingIsVerified(t *testing.T) {
	dir := t.TempDir()
	m := recorded(t, dir)
	var last, total int64
	calls := 0
	r, err := Verify(os.DirFS(dir), oggs, func(done, of int64) {
		if done < last || done > of || of <= 0 || total > 0 && of != total {
			t.Errorf("progress from %d to %d of %d", last, done, of)
		}
		last, total = done, of
		calls++
	})
	if err != nil || !r.OK() || len(r.Unknown) > 0 {
		t.Fatalf("%v: %v, unknown %v", err, r.Problems, r.Unknown)
	}
	if last != total || calls < len(m.Files) {
		t.Errorf("%d of %d done after %d calls", last, total, calls)
	}
	if r.Files != len(m.Files) || r.Files != 9 || r.Bytes < 3000 || r.Manifest.Recording != m.Recording {
		t.Errorf("%d files of %d, %d octets", r.Files, len(m.Files), r.Bytes)
	}
	if r, err := Verify(os.DirFS(dir), nil, nil); err != nil || !r.OK() {
		t.Errorf("without checks: %v", err)
	}
}

// TestALieIsFound changes one thing at a time. Those that change files anew are found although all sums are right.
func TestALieIsFound(t *testing.T) {
	change := func(t *testing.T, dir, name, from, to string) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Contains(b, []byte(from)) {
			t.Fatalf("%v: no %q in %s", err, from, name)
		}
		put(t, dir, name, bytes.Replace(b, []byte(from), []byte(to), 1))
	}
	for name, c := range map[string]struct {
		do   func(t *testing.T, dir string, m *Manifest)
		file string
		what string
	}{
		"a file is missing": {func(t *testing.T, dir string, _ *Manifest) {
			if err := os.Remove(filepath.Join(dir, "replay/seg-00002.m4s")); err != nil {
				t.Fatal(err)
			}
		}, "replay/seg-00002.m4s", "no such file"},
		"a file is shorter": {func(t *testing.T, dir string, _ *Manifest) {
			put(t, dir, "replay/init.mp4", []byte("ini"))
		}, "replay/init.mp4", "3 octets of the 4"},
		"a file is longer": {func(t *testing.T, dir string, _ *Manifest) {
			put(t, dir, "replay/init.mp4", []byte("init4"))
		}, "replay/init.mp4", "5 octets instead of 4"},
		"a file is another": {func(t *testing.T, dir string, _ *Manifest) {
			put(t, dir, "replay/replay.mp4", []byte("all of me"))
		}, "replay/replay.mp4", "checksum"},
		"a directory": {func(t *testing.T, dir string, _ *Manifest) {
			path := filepath.Join(dir, "replay/init.mp4")
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o755)); err != nil {
				t.Fatal(err)
			}
		}, "replay/init.mp4", "no regular file"},
		"a track was torn before its sum was taken": {func(t *testing.T, dir string, m *Manifest) {
			put(t, dir, "tracks/bob.ogg", track(t, 432000)[:900])
			sums(t, dir, m)
		}, "tracks/bob.ogg", "not whole"},
		"a track is shorter than the recording": {func(t *testing.T, dir string, m *Manifest) {
			put(t, dir, "tracks/bob.ogg", track(t, 432000-961))
			sums(t, dir, m)
		}, "tracks/bob.ogg", "is 8.980 s long, the recording 9.000 s"},
		"a track is not as long as said": {func(t *testing.T, dir string, m *Manifest) {
			m.Tracks[0].Samples--
			if err := Save(dir, m); err != nil {
				t.Fatal(err)
			}
		}, "tracks/alice.ogg", "the manifest says 431999"},
		"a track starts behind its end": {func(t *testing.T, dir string, m *Manifest) {
			m.Tracks[0].Starts = 432001
			sums(t, dir, m)
		}, "tracks/alice.ogg", "behind its end"},
		"the timeline goes back": {func(t *testing.T, dir string, m *Manifest) {
			change(t, dir, TimelineName, `{"at":100000,"type":"muted"`, `{"at":1,"type":"muted"`)
			sums(t, dir, m)
		}, TimelineName, "1 are out of order"},
		"the timeline has a line that is none": {func(t *testing.T, dir string, m *Manifest) {
			change(t, dir, TimelineName, `"muted"`, `"mooted"`)
			sums(t, dir, m)
		}, TimelineName, "1 lines are none"},
		"the timeline has a line less": {func(t *testing.T, dir string, m *Manifest) {
			change(t, dir, TimelineName, `{"at":432000,"type":"stop"}`+"\n", "")
			sums(t, dir, m)
		}, TimelineName, "17 lines of the 18"},
		"the timeline does not stop": {func(t *testing.T, dir string, m *Manifest) {
			change(t, dir, TimelineName, `{"at":432000,"type":"stop"}`, `{"at":432000,"type":"left","person":"bob"}`)
			sums(t, dir, m)
		}, TimelineName, "not from start to stop"},
		"the timeline goes on too long": {func(t *testing.T, dir string, m *Manifest) {
			change(t, dir, TimelineName, `432000`, `432001`)
			sums(t, dir, m)
		}, TimelineName, "goes on to"},
		"the playlist names what isn't there": {func(t *testing.T, dir string, m *Manifest) {
			change(t, dir, "replay/index.m3u8", "seg-00003", "seg-00004")
			sums(t, dir, m)
		}, "replay/index.m3u8", `names "seg-00004.m4s"`},
		"the playlist is still open": {func(t *testing.T, dir string, m *Manifest) {
			change(t, dir, "replay/index.m3u8", "#EXT-X-ENDLIST\n", "")
			sums(t, dir, m)
		}, "replay/index.m3u8", "has an end: false"},
		"the replay is too short": {func(t *testing.T, dir string, m *Manifest) {
			m.Replay.Duration -= 9601
			sums(t, dir, m)
		}, "replay/index.m3u8", "is 8.800 s long"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.do(t, dir, recorded(t, dir))
			r, err := Verify(os.DirFS(dir), oggs, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.OK() || r.Problems[0].File != c.file || !strings.Contains(r.Problems[0].String(), c.what) {
				t.Errorf("want %s: %s; found %v", c.file, c.what, r.Problems)
			}
		})
	}
}

// TestAGrowingRecordingIsVerifiedAsFarAsItClaims has files that are longer than the manifest says, torn too.
func TestAGrowingRecordingIsVerifiedAsFarAsItClaims(t *testing.T) {
	dir := t.TempDir()
	m := running()
	m.Files, m.Replay.Init = nil, ""
	m.Timeline.Lines, m.Timeline.Bytes = 3, 100
	put(t, dir, TimelineName, append(timelineOf(t, evening()), `{"at":4`...))
	put(t, dir, "tracks/alice.ogg", bytes.Repeat([]byte("x"), 4001))
	put(t, dir, "tracks/eve.ogg", nil)
	if err := Save(dir, m); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(os.DirFS(dir), oggs, nil)
	if err != nil || !r.OK() || len(r.Unknown) != 1 || r.Unknown[0] != "tracks/eve.ogg" {
		t.Fatalf("%v: %+v", err, r)
	}
	put(t, dir, "tracks/alice.ogg", bytes.Repeat([]byte("x"), 3999))
	if r, err = Verify(os.DirFS(dir), oggs, nil); err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].What, "3999 octets of the 4000 claimed") {
		t.Fatalf("%v: %+v", err, r)
	}
}

func TestWithoutAManifestNothingIsVerified(t *testing.T) {
	dir := t.TempDir()
	if _, err := Verify(os.DirFS(dir), nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	put(t, dir, Name, []byte("{}"))
	if _, err := Verify(os.DirFS(dir), nil, nil); !errors.Is(err, ErrManifest) {
		t.Error(err)
	}
}

func TestACheckSeesTheWholeFile(t *testing.T) {
	dir := t.TempDir()
	recorded(t, dir)
	saw := map[string]bool{}
	r, err := Verify(os.DirFS(dir), Checks{".m4s": func(f io.ReaderAt, size int64) (int64, error) {
		b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
		saw[string(b)] = true
		return 0, err
	}}, nil)
	if err != nil || !r.OK() || len(saw) != 3 || !saw["seg-00002.m4s"] {
		t.Errorf("%v: %v, saw %v", err, r.Problems, saw)
	}
}
