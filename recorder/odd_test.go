package recorder

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stentor/recorder/align"
	"stentor/recorder/manifest"
)

// story is a recording named take of a room, and what is to be found in it afterwards.
func story(t *testing.T, tell func(s *studio)) (dir string, m *manifest.Manifest) {
	t.Helper()
	spool := t.TempDir()
	inStudio(t, spool, nil, func(s *studio) {
		tell(s)
		s.ended("take")
		s.once("take", Ready, "stopped")
		s.once("take", Started, "")
		s.once("take", Stopped, "stopped")
	})
	dir = filepath.Join(spool, "take")
	m = verify(t, dir)
	if m.State != manifest.Ready || m.StoppedAt.Sub(m.StartedAt) != length(int64(m.Duration)) {
		t.Errorf("state %q, from %v to %v, %v s", m.State, m.StartedAt, m.StoppedAt, m.Duration.Seconds())
	}
	return dir, m
}

func lasts(t *testing.T, m *manifest.Manifest, seconds float64) {
	t.Helper()
	if d := m.Duration.Seconds(); d < seconds || d > seconds+0.02 {
		t.Errorf("%v s long, should be %v", d, seconds)
	}
}

func TestARoomInWhichNobodySpeaks(t *testing.T) {
	dir, m := story(t, func(s *studio) {
		s.joins("ann", 1, 400)
		s.start("take")
		time.Sleep(time.Minute)
		s.stop("take")
	})
	lasts(t, m, 60)
	if len(m.Tracks) > 0 || m.Replay.Segments != 20 {
		t.Errorf("%d tracks, %d segments", len(m.Tracks), m.Replay.Segments)
	}
	pcm := hear(t, filepath.Join(dir, wholeName))
	if len(pcm) != 60*48000 {
		t.Errorf("%d samples", len(pcm))
	}
	quiet(t, "mix", pcm, 400, 0, 60)
}

func TestRecordingsOfAMomentAndOfASecond(t *testing.T) {
	for _, d := range []time.Duration{0, 20 * time.Millisecond, time.Second} {
		dir, m := story(t, func(s *studio) {
			ann := s.joins("ann", 1, 400)
			s.start("take")
			s.talk(d, ann)
			s.stop("take")
		})
		lasts(t, m, max(d, 20*time.Millisecond).Seconds())
		pcm := hear(t, filepath.Join(dir, wholeName))
		if int64(len(pcm)) != int64(m.Duration) {
			t.Errorf("%v: the mix has %d samples", d, len(pcm))
		}
		if d == time.Second {
			loud(t, "mix", pcm, 400, 0.1, 0.9)
		}
	}
}

func TestASpeakerWhoOnlyEverSendsSignsOfSilence(t *testing.T) {
	for _, dtx := range [][]byte{{0x78}, {0x78, 0xff, 0xfe}, {0xf8}} { // a table of contents alone, and with a frame of two octets
		dir, m := story(t, func(s *studio) {
			ann := s.joins("ann", 1, 400)
			ann.packets = [][]byte{dtx}
			s.start("take")
			for range 20 {
				ann.says()
				s.silence(400*time.Millisecond, ann)
			}
			s.stop("take")
		})
		lasts(t, m, 8)
		for _, tr := range m.Tracks {
			if pcm := hear(t, filepath.Join(dir, tr.Path)); int64(len(pcm)) != int64(m.Duration) {
				t.Errorf("% x: the track has %d samples", dtx, len(pcm))
			}
		}
		quiet(t, "mix", hear(t, filepath.Join(dir, wholeName)), 400, 0, 8)
	}
}

// Names are whatever the control protocol allows, and nobody is to get out of the directory, or lost, by theirs.
func TestThirtySpeakersInTurnWithOddNames(t *testing.T) {
	names := []string{".", "..", "...", ".hidden", "-rf", "a@b.example", "a:b", "=", "+", "manifest.json", ".deleted", "x.tmp", ".x.tmp", "seg-00001.m4s", strings.Repeat("n", 128)}
	for i := len(names); i < 30; i++ {
		names = append(names, fmt.Sprintf("speaker-%d", i))
	}
	dir, m := story(t, func(s *studio) {
		var mouths []*mouth
		for i, name := range names {
			mouths = append(mouths, s.joins(name, uint32(i)+1, []float64{400, 1000, 2000}[i%3]))
		}
		s.start("take")
		for i := range mouths {
			s.talk(500*time.Millisecond, mouths[i])
		}
		s.stop("take")
	})
	lasts(t, m, 15)
	if len(m.Tracks) != 30 {
		t.Fatalf("%d tracks", len(m.Tracks))
	}
	mix := hear(t, filepath.Join(dir, wholeName))
	for i, name := range names {
		from := float64(i) / 2
		hz := []float64{400, 1000, 2000}[i%3]
		loud(t, "mix", mix, hz, from+0.05, from+0.45)
		if i%5 != 0 {
			continue
		}
		pcm := hear(t, filepath.Join(dir, trackName(name)))
		loud(t, name, pcm, hz, from+0.05, from+0.45)
		quiet(t, name, pcm, hz, from+0.7, 15)
	}
}

func TestWhoIsMutedAndWhoComesAgainStaysOnTheTimeline(t *testing.T) {
	dir, m := story(t, func(s *studio) {
		ann, bob := s.joins("ann", 1, 400), s.joins("bob", 2, 1000)
		bob.slot = 1
		s.start("take")
		s.talk(2*time.Second, ann, bob)
		s.talk(3*time.Second, bob) // ann is muted, and her clock stands still
		s.talk(2*time.Second, ann, bob)
		s.desk.Leave(2)
		s.talk(2*time.Second, ann)
		again := s.joins("bob", 7, 1000) // another audio id, sequence and clock
		again.slot = 1
		s.talk(time.Second, ann)
		s.talk(2*time.Second, ann, again)
		s.stop("take")
	})
	lasts(t, m, 12)
	if len(m.Tracks) != 2 {
		t.Fatalf("%d tracks of two people", len(m.Tracks))
	}
	ann, bob, mix := hear(t, filepath.Join(dir, trackName("ann"))), hear(t, filepath.Join(dir, trackName("bob"))), hear(t, filepath.Join(dir, wholeName))
	for what, pcm := range map[string][]float32{"ann": ann, "mix": mix} {
		loud(t, what, pcm, 400, 0.1, 1.9)
		quiet(t, what, pcm, 400, 2.2, 4.9)
		loud(t, what, pcm, 400, 5.1, 11.9)
	}
	for what, pcm := range map[string][]float32{"bob": bob, "mix": mix} {
		loud(t, what, pcm, 1000, 0.1, 6.9)
		quiet(t, what, pcm, 1000, 7.2, 9.9)
		loud(t, what, pcm, 1000, 10.1, 11.9)
	}
}

func TestOneRecordingAfterTheOther(t *testing.T) {
	spool := t.TempDir()
	inStudio(t, spool, nil, func(s *studio) {
		ann := s.joins("ann", 1, 400)
		s.start("first")
		s.talk(2*time.Second, ann)
		s.stop("first")
		s.start("second") // in the same moment
		s.talk(2*time.Second, ann)
		s.stop("second")
		s.talk(100*time.Millisecond, ann)
		s.start("third")
		s.talk(2*time.Second, ann)
		s.stop("third")
		for _, name := range []string{"first", "second", "third"} {
			s.ended(name)
			s.once(name, Ready, "stopped")
			s.once(name, Stopped, "stopped")
		}
	})
	for _, name := range []string{"first", "second", "third"} {
		dir := filepath.Join(spool, name)
		lasts(t, verify(t, dir), 2)
		loud(t, name, hear(t, filepath.Join(dir, wholeName)), 400, 0.1, 1.8)
		loud(t, name, hear(t, filepath.Join(dir, trackName("ann"))), 400, 0.1, 1.9)
	}
}

func TestTracksAloneAndAReplayAlone(t *testing.T) {
	for _, tracks := range []bool{true, false} {
		dir, m := story(t, func(s *studio) {
			ann := s.joins("ann", 1, 400)
			if err := s.recorder.Start(s.desk, Start{Recording: "take", Room: "room", Tracks: tracks, Replay: !tracks}); err != nil {
				s.Fatal(err)
			}
			s.talk(5*time.Second, ann)
			s.stop("take")
		})
		lasts(t, m, 5)
		name := wholeName
		if tracks {
			name = trackName("ann")
		}
		loud(t, name, hear(t, filepath.Join(dir, name)), 400, 0.1, 4.9)
		if there(filepath.Join(dir, wholeName)) == tracks || (len(m.Tracks) == 0) == tracks {
			t.Errorf("tracks wanted: %v; manifest %+v", tracks, m)
		}
	}
}

// What is asked for twice, at once, or too late.
func TestAskingTwice(t *testing.T) {
	story(t, func(s *studio) {
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() {
				errs[i] = s.recorder.Start(s.desk, Start{Recording: "take", Room: "room", Tracks: true, Replay: true})
			})
		}
		wg.Wait()
		began := 0
		for _, err := range errs {
			if err == nil {
				began++
			} else if !errors.Is(err, ErrConflict) {
				s.Errorf("a name that is taken: %v", err)
			}
		}
		if began != 1 {
			s.Errorf("%d of %d began", began, len(errs))
		}
		if err := s.recorder.Start(s.desk, Start{Recording: "other", Room: "room", Tracks: true}); !errors.Is(err, ErrConflict) || there(filepath.Join(s.spool, "other")) {
			s.Errorf("a room that is being recorded: %v", err)
		}
		for _, name := range []string{"", ".", "..", "../take", "a/b", ".hidden"} {
			if err := s.recorder.Start(s.desk, Start{Recording: name, Room: "room", Tracks: true}); err == nil {
				s.Errorf("%q was recorded", name)
			}
		}
		ann := s.joins("ann", 1, 400)
		s.talk(time.Second, ann)
		s.stop("take")
		s.stop("take")
		s.ended("take")
		s.stop("take")
		if err := s.recorder.Stop("nobody", "stopped"); !errors.Is(err, ErrNotFound) {
			s.Errorf("stop what is not there: %v", err)
		}
		if err := s.recorder.Start(s.desk, Start{Recording: "take", Room: "room"}); !errors.Is(err, ErrConflict) {
			s.Errorf("a name that is used: %v", err)
		}
	})
}

// A room that closes takes its desk with it, be it just before a recording begins on it or in the middle of one.
func TestARoomThatClosesEndsItsRecording(t *testing.T) {
	story(t, func(s *studio) {
		o := s.another()
		o.desk.Close()
		if err := s.recorder.Start(o.desk, Start{Recording: "late", Room: "room", Tracks: true, Replay: true}); !errors.Is(err, ErrUnavailable) {
			s.Errorf("a closed room: %v", err)
		}
		if _, err := s.recorder.Get("late"); !errors.Is(err, ErrNotFound) || there(filepath.Join(s.spool, "late")) {
			s.Errorf("what never began is there: %v", err)
		}
		o = s.another()
		ann := o.joins("ann", 1, 400)
		o.start("take")
		o.talk(2*time.Second, ann)
		o.stop("take")
		o.desk.Close()
	})
}

// People who come and go cost nothing any more when they are gone, unless they were heard in the recording that runs.
func TestPeopleWhoLeftAreForgotten(t *testing.T) {
	_, m := story(t, func(s *studio) {
		ann := s.joins("ann", 1, 400)
		s.start("take")
		for i := range uint32(500) {
			name := fmt.Sprint("listener-", i)
			s.joins(name, 1000+i, 400)
			s.talk(20*time.Millisecond, ann)
			s.desk.Leave(1000 + i)
		}
		bob := s.joins("bob", 2, 1000)
		s.talk(time.Second, bob)
		s.desk.Leave(2)
		s.silence(2*time.Second, ann)
		if n := s.people(); n != 2 {
			s.Errorf("%d people are kept of ann and bob", n)
		}
		s.stop("take")
		s.silence(2*time.Second, ann)
		if n := s.people(); n != 1 {
			s.Errorf("%d people are kept of ann", n)
		}
	})
	if len(m.Tracks) != 2 {
		t.Errorf("%d tracks of the two who spoke", len(m.Tracks))
	}
}

func (s *studio) people() (n int) {
	s.desk.call(func(int64) { n = len(s.desk.people) })
	return n
}

// A hundred people who have spoken once and are silent now are no load for the disk's queue: a disk that stands still for ten
// seconds loses nothing of who speaks.
func TestAHundredSilentPeopleLeaveRoomForWhoSpeaks(t *testing.T) {
	spool := t.TempDir()
	d := &moodyDisk{}
	inStudio(t, spool, func(s *studio) { s.disk = d }, func(s *studio) {
		ann := s.joins("ann", 1000, 400)
		s.start("take")
		for i := range uint32(100) {
			s.talk(40*time.Millisecond, s.joins(fmt.Sprint("p", i), i+1, 1000))
		}
		d.stall(15 * time.Second)
		s.talk(16*time.Second, ann)
		d.set(nil)
		s.stop("take")
		s.ended("take")
	})
	if m := verify(t, filepath.Join(spool, "take")); len(m.Drops) > 0 || len(m.Tracks) != 101 {
		t.Errorf("drops %v, %d tracks", m.Drops, len(m.Tracks))
	}
}

func TestHearingAllocatesNothing(t *testing.T) {
	d := &Desk{ring: NewRing[align.Packet](ringSize)}
	p := &align.Packet{Source: 1, Payload: []byte{0xf8}, Samples: 960}
	if n := testing.AllocsPerRun(3*ringSize, func() { d.Hear(p) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// What the desk did not come to in time is told once, and of the recording in which it happened.
func TestAFullRingIsToldOfTheRecordingInWhichItHappened(t *testing.T) {
	spool := t.TempDir()
	inStudio(t, spool, nil, func(s *studio) {
		ann := s.joins("ann", 1, 400)
		s.desk.Follow(true)
		flood := func() {
			time.Sleep(5 * time.Millisecond) // a moment in which the desk does nothing
			for range ringSize + 100 {
				ann.says()
			}
			time.Sleep(time.Second)
		}
		flood() // nobody records
		s.start("before")
		s.talk(time.Second, ann)
		s.stop("before")
		s.ended("before")
		s.start("take")
		s.talk(time.Second, ann)
		flood()
		s.stop("take")
		s.ended("take")
		if len(s.of("before", Gap)) > 0 {
			s.Error("a gap was told of a recording that had none")
		}
		if gaps := s.of("take", Gap); len(gaps) != 1 || gaps[0].Reason != whyRingFull || gaps[0].Dropped != 100 {
			s.Errorf("gaps %+v", gaps)
		}
	})
	if m := verify(t, filepath.Join(spool, "take")); len(m.Drops) != 1 || m.Drops[0].Count != 100 {
		t.Errorf("drops %+v", m.Drops)
	}
}
