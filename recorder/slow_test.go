package recorder

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stentor/recorder/manifest"
)

// Ten seconds in which the disk does not move are nothing to anybody: neither to who talks, nor to what is recorded.
func TestADiskThatStandsStillForTenSecondsCostsNothing(t *testing.T) {
	spool := t.TempDir()
	d := &moodyDisk{}
	inStudio(t, spool, func(s *studio) { s.disk = d }, func(s *studio) {
		ann, bob, cay := s.joins("ann", 1, 400), s.joins("bob", 2, 1000), s.joins("cay", 3, 2000)
		bob.slot, cay.slot = 1, 2
		s.start("take")
		s.talk(3*time.Second, ann, bob, cay)
		d.stall(10 * time.Second)
		before := time.Now()
		s.talk(10*time.Second, ann, bob, cay)
		if took := time.Since(before); took != 10*time.Second {
			s.Errorf("10 s of speech took %v", took)
		}
		if st, err := s.recorder.Get("take"); err != nil || st.Manifest.Safe > 4*48000 || st.Manifest.Duration < 12*48000 {
			s.Errorf("while the disk stands still: safe up to %v of %v, %v", st.Manifest.Safe.Seconds(), st.Manifest.Duration.Seconds(), err)
		}
		d.set(nil)
		s.talk(3*time.Second, ann, bob, cay)
		s.stop("take")
		s.ended("take")
		s.once("take", Ready, "stopped")
		if n := s.count(Gap); n != 0 {
			s.Errorf("%d gaps were told", n)
		}
	})
	dir := filepath.Join(spool, "take")
	if m := verify(t, dir); len(m.Drops) > 0 || m.Tracks[0].Packets != 800 {
		t.Errorf("drops %v, %d packets of 800", m.Drops, m.Tracks[0].Packets)
	}
	loud(t, "mix", hear(t, filepath.Join(dir, wholeName)), 2000, 0.1, 15.9)
}

// A minute is more than the queue holds. What it did not hold is missing, is said to be, and nothing is in another place for it.
func TestADiskThatStandsStillForAMinuteLeavesAHoleThatIsTold(t *testing.T) {
	spool := t.TempDir()
	d := &moodyDisk{}
	inStudio(t, spool, func(s *studio) { s.disk = d }, func(s *studio) {
		ann, bob, cay := s.joins("ann", 1, 400), s.joins("bob", 2, 1000), s.joins("cay", 3, 2000)
		bob.slot, cay.slot = 1, 2
		s.start("take")
		s.talk(5*time.Second, ann, bob, cay)
		d.stall(60 * time.Second)
		s.talk(55*time.Second, ann, bob, cay)
		s.desk.Note(manifest.Line{Type: manifest.Muted, Person: "ann"})
		s.talk(5*time.Second, bob, cay) // 60 … 65
		d.set(nil)
		ann.ts += 5 * 48000
		s.silence(time.Second, ann, bob, cay)
		s.talk(4*time.Second, ann) // 66 … 70
		s.stop("take")
		s.ended("take")
		s.once("take", Ready, "stopped")
		gaps := s.of("take", Gap)
		if len(gaps) == 0 || len(gaps) > 2 || gaps[0].Reason != whyDiskSlow || gaps[0].Dropped < 1000 {
			s.Errorf("gaps were told as %+v", gaps)
		}
		if st, err := s.recorder.Get("take"); err != nil || st.Dropped < 1000 {
			s.Errorf("dropped: %+v, %v", st, err)
		}
	})
	dir := filepath.Join(spool, "take")
	m := verify(t, dir)
	if len(m.Drops) == 0 || m.Drops[0].Why != whyDiskSlow || m.Drops[0].At.Seconds() < 30 || m.Drops[0].At.Seconds() > 60 {
		t.Errorf("drops %+v", m.Drops)
	}
	lines, err := os.ReadFile(filepath.Join(dir, manifest.TimelineName))
	if err != nil || !strings.Contains(string(lines), `"type":"drop"`) || !strings.Contains(string(lines), `"type":"muted"`) {
		t.Errorf("the timeline: %s, %v", lines, err)
	}
	hole := m.Drops[0].At.Seconds()
	ann, mix := hear(t, filepath.Join(dir, trackName("ann"))), hear(t, filepath.Join(dir, wholeName))
	for what, pcm := range map[string][]float32{"ann": ann, "mix": mix} {
		loud(t, what, pcm, 400, 0.1, hole-1)
		quiet(t, what, pcm, 400, hole+1, 65.9)
		loud(t, what, pcm, 400, 66.1, 69.9)
	}
}

// A disk that answers with errors ends the recording, which says so.
func TestABrokenDiskEndsARecording(t *testing.T) {
	spool := t.TempDir()
	d := &moodyDisk{}
	inStudio(t, spool, func(s *studio) { s.disk = d }, func(s *studio) {
		ann := s.joins("ann", 1, 400)
		s.start("take")
		s.talk(4*time.Second, ann)
		d.set(func(op, name string) error {
			if op == opSync {
				return syscall.EIO
			}
			return nil
		})
		s.talk(2*time.Second, ann)
		s.once("take", Stopped, whyDiskError)
		s.stop("take") // too late, and no error
		d.set(nil)
		s.ended("take")
		s.once("take", Failed, whyDiskError)
	})
	dir := filepath.Join(spool, "take")
	if m := verify(t, dir); m.State != manifest.Failed || m.Reason != whyDiskError {
		t.Errorf("%q by %q", m.State, m.Reason)
	}
	loud(t, "ann", hear(t, filepath.Join(dir, trackName("ann"))), 400, 0.1, 3.4)
}
