package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

var (
	sum   = strings.Repeat("0123456789abcdef", 4)
	start = time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)
)

// running is a recording of 90 s so far, with a replay.
func running() *Manifest {
	return &Manifest{
		Version: Version, Recording: "abend-1", Room: "abend", Node: "n1", State: Recording, StartedAt: start,
		Duration: 90 * SampleRate, RecoveryPoint: SampleRate, Safe: 89*SampleRate + 1, TracksWanted: true, ReplayWanted: true,
		Tracks: []Track{{
			File: File{Path: "tracks/alice.ogg", Bytes: 4000}, Person: "alice", AudioIDs: []uint32{7, 4000000000},
			Starts: 4801, Samples: 89*SampleRate + 1, Packets: 4400, Lost: 3, Recovered: 2, Dropped: 1,
			Corrections: Corrections{960, 0}, DriftPPM: -12.5,
		}},
		Replay:   &Replay{Playlist: "replay/index.m3u8", Init: "replay/init.mp4", Segments: 1, Target: 2 * SampleRate, Bitrate: 48000},
		Timeline: &Timeline{File: File{Path: TimelineName, Bytes: 100}, Lines: 3},
		Files:    []File{{"replay/init.mp4", 600, sum}, {"replay/seg-00001.m4s", 9000, sum}},
		Drops:    []Drop{{At: 480, Count: 2, Person: "alice", Why: "ring_full"}},
		Gaps:     []Gap{{From: 10 * SampleRate, To: 11 * SampleRate, Why: "crash"}},
	}
}

// ready is the same when everything is done.
func ready() *Manifest {
	m := running()
	m.State, m.StoppedAt, m.Safe = Ready, start.Add(90*time.Second), m.Duration
	m.Tracks[0].SHA256, m.Tracks[0].Samples = sum, int64(m.Duration)
	m.Replay.File, m.Replay.Duration = File{"replay/replay.mp4", 9700, sum}, m.Duration
	m.Timeline.SHA256 = sum
	m.Files = append(m.Files, File{"replay/index.m3u8", 300, sum}, m.Tracks[0].File, m.Timeline.File)
	m.Stored = &Stored{URL: "s3://bucket/abend-1/", At: start.Add(time.Hour)}
	m.ReadyTold = true
	return m
}

func TestWhatWasSavedIsLoaded(t *testing.T) {
	dir := t.TempDir()
	for _, m := range []*Manifest{running(), ready()} {
		if err := Save(dir, m); err != nil {
			t.Fatal(err)
		}
		got, err := Load(os.DirFS(dir))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%v: loaded %+v, saved %+v", err, got, m)
		}
	}
}

func TestTheManifestNamesItsFieldsAsDocumented(t *testing.T) {
	b, err := json.Marshal(ready())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"version":1`, `"state":"ready"`, `"duration_s":90`, `"starts_s":0.100021`, `"recovery_point_s":1`, `"file":"tracks/alice.ogg","bytes":4000,"sha256":"0123`,
		`"corrections":{"inserted":960,"removed":0}`, `"drift_ppm":-12.5`, `"audio_ids":[7,4000000000]`, `"target_s":2`, `"at_s":0.01`, `"ready_told":true`,
	} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("no %s in %s", want, b)
		}
	}
}

func TestAManifestThatCannotBeTrueIsNotSaved(t *testing.T) {
	for name, change := range map[string]func(m *Manifest){
		"another version":             func(m *Manifest) { m.Version = 2 },
		"no room":                     func(m *Manifest) { m.Room = "" },
		"no such state":               func(m *Manifest) { m.State = "done" },
		"failed for no reason":        func(m *Manifest) { m.State = Failed },
		"safe beyond its end":         func(m *Manifest) { m.Safe = m.Duration + 1 },
		"ready, not safe to the end":  func(m *Manifest) { m.Safe-- },
		"ready, still running":        func(m *Manifest) { m.StoppedAt = time.Time{} },
		"stopped before it started":   func(m *Manifest) { m.StoppedAt = start.Add(-1) },
		"ready, a track unfinished":   func(m *Manifest) { m.Tracks[0].SHA256 = "" },
		"ready without a replay":      func(m *Manifest) { m.Replay = nil },
		"ready without the playlist":  func(m *Manifest) { m.Replay.Playlist = "replay/other.m3u8" },
		"ready without a timeline":    func(m *Manifest) { m.Timeline = nil },
		"running, with a sum":         func(m *Manifest) { m.State, m.StoppedAt, m.Stored, m.ReadyTold = Recording, time.Time{}, nil, false },
		"a file outside":              func(m *Manifest) { m.Tracks[0].Path = "../alice.ogg" },
		"a file at the root":          func(m *Manifest) { m.Files[0].Path = "/etc/passwd" },
		"the manifest itself":         func(m *Manifest) { m.Files[0].Path = Name },
		"a file below nothing":        func(m *Manifest) { m.Files[1].Bytes = -1 },
		"a sum too short":             func(m *Manifest) { m.Files[1].SHA256 = "00" },
		"a sum in capitals":           func(m *Manifest) { m.Files[1].SHA256 = strings.ToUpper(sum) },
		"a listed file without a sum": func(m *Manifest) { m.Files[1].SHA256 = "" },
		"two sizes of a file":         func(m *Manifest) { m.Tracks[0].Bytes++ },
		"two tracks of a person":      func(m *Manifest) { m.Tracks = append(m.Tracks, m.Tracks[0]) },
		"a gap backwards":             func(m *Manifest) { m.Gaps[0].To = 0 },
		"a drop of nothing known":     func(m *Manifest) { m.Drops[0].Why = "" },
		"a position below nothing":    func(m *Manifest) { m.Tracks[0].Starts = -1 },
		"packets below nothing":       func(m *Manifest) { m.Tracks[0].Lost = -1 },
	} {
		dir := t.TempDir()
		m := ready()
		change(m)
		if err := Save(dir, m); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("%s: %s was written", name, files[0].Name())
		}
	}
}
