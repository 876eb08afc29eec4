package recorder

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stentor/recorder/manifest"
)

func TestTwoPeopleAreHeardWhereTheySpoke(t *testing.T) {
	spool := t.TempDir()
	inStudio(t, spool, nil, func(s *studio) {
		ann, bob := s.joins("ann", 1, 400), s.joins("bob", 2, 1000)
		time.Sleep(3 * time.Second) // a room is older than its recording
		s.start("take")
		s.silence(time.Second, ann, bob)
		s.talk(2*time.Second, ann) // 1 … 3
		s.silence(time.Second, ann, bob)
		bob.slot = 1
		s.talk(3*time.Second, bob)      // 4 … 7
		s.talk(2*time.Second, ann, bob) // 7 … 9
		s.silence(time.Second, ann, bob)
		s.stop("take")
		if e := s.told(Ready); e.Recording != "take" || e.Room != "room" || e.Duration < 9.9 || e.Duration > 10.1 {
			t.Errorf("recording.ready: %+v", e)
		}
		if n := s.count(Started) + s.count(Stopped) + s.count(Ready); n != 3 || len(s.events) != 3 {
			t.Errorf("events %+v", s.events)
		}
	})
	dir := filepath.Join(spool, "take")
	m := verify(t, dir)
	if m.State != manifest.Ready || len(m.Tracks) != 2 || m.Tracks[0].Person != "ann" || m.Tracks[0].Lost != 0 {
		t.Errorf("manifest: %+v", m)
	}
	ann, bob, both := hear(t, filepath.Join(dir, "tracks/ann.ogg")), hear(t, filepath.Join(dir, "tracks/bob.ogg")), hear(t, filepath.Join(dir, wholeName))
	if a, b, c := len(ann), len(bob), len(both); a != b || a != c {
		t.Errorf("%d, %d and %d samples: they should lie on one timeline", a, b, c)
	}
	for what, pcm := range map[string][]float32{"ann": ann, "mix": both} {
		quiet(t, what, pcm, 400, 0, 0.95)
		loud(t, what, pcm, 400, 1.05, 2.95)
		quiet(t, what, pcm, 400, 3.2, 6.95)
		loud(t, what, pcm, 400, 7.05, 8.95)
		quiet(t, what, pcm, 400, 9.2, 9.9)
	}
	for what, pcm := range map[string][]float32{"bob": bob, "mix": both} {
		quiet(t, what, pcm, 1000, 0, 3.95)
		loud(t, what, pcm, 1000, 4.05, 8.95)
		quiet(t, what, pcm, 1000, 9.2, 9.9)
	}
	quiet(t, "ann", ann, 1000, 0, 10)
	quiet(t, "bob", bob, 400, 0, 10)
	loud(t, "playlist", hear(t, filepath.Join(dir, playlistName)), 1000, 4.05, 8.95)
}

// What others' tools say of the files, beside ffmpeg.
func TestToolsFindNothingWrong(t *testing.T) {
	spool := t.TempDir()
	inStudio(t, spool, nil, func(s *studio) {
		ann := s.joins("ann", 1, 400)
		s.start("take")
		s.talk(2*time.Second, ann)
		s.stop("take")
		s.told(Ready)
	})
	dir := filepath.Join(spool, "take")
	run(t, "opusinfo", filepath.Join(dir, "tracks/ann.ogg"))
	run(t, "opusdec", "--quiet", filepath.Join(dir, "tracks/ann.ogg"), filepath.Join(t.TempDir(), "out.wav"))
	for _, name := range []string{"tracks/ann.ogg", wholeName, playlistName} {
		if out := run(t, "ffprobe", "-v", "warning", "-show_entries", "stream=codec_name", "-of", "csv=p=0", filepath.Join(dir, name)); strings.Trim(out, "opus\n") != "" || !strings.Contains(out, "opus") {
			t.Errorf("ffprobe of %s: %q", name, out)
		}
	}
}

// run runs a program and returns what it says. Failing, or complaining, is an error.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
