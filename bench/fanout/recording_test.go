//go:build linux

package fanout

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stentor/bench/report"
	"stentor/engine/control"
	"stentor/recorder"
)

// TestARecordedRoomIsRecordedToThePacket runs the whole bench with and without a recording, and reads what was recorded.
func TestARecordedRoomIsRecordedToThePacket(t *testing.T) {
	verified := 0
	load := Load{Listeners: 3, Speakers: 3, Talking: 2, Rendition: "live"}
	recorded := load
	recorded.Record = RecordOn
	cases, err := Run(t.Context(), Config{
		Loads: []Load{load, recorded}, Duration: time.Second, Runs: 1, Hasten: 10,
		VerifyRecording: func(files fs.FS) error {
			verified++
			found, err := recorder.Verify(files, nil)
			if err == nil && !found.OK() {
				t.Error(found.Problems)
			}
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 2 || cases[0].Recorded != "off" || cases[1].Recorded != "on" || verified != 1 {
		t.Fatalf("%d cases, %d recordings verified", len(cases), verified)
	}
	off, on := cases[0].Median, cases[1].Median
	if on.DeliveredPackets != on.ExpectedPackets || on.RecordingDropped != 0 || on.RecordingLost != 0 {
		t.Errorf("%g of %g packets came; %g are missing in the recording, %g were lost before it",
			on.DeliveredPackets, on.ExpectedPackets, on.RecordingDropped, on.RecordingLost)
	}
	// What three listeners heard of two who talk is in two tracks, but for a packet on the border that each may have.
	if said := on.ProbeFrames / 3 * 0.02; on.RecordingSpokenS < said-0.041 || on.RecordingSpokenS > said+0.001 {
		t.Errorf("%g s of %g s are in the tracks", on.RecordingSpokenS, said)
	}
	if on.RecordingSeconds < 1 || on.RecordingBytes < 1000 || off.RecordingSeconds != 0 {
		t.Errorf("the recording is of %g s and %g octets; that of the other run of %g s", on.RecordingSeconds, on.RecordingBytes, off.RecordingSeconds)
	}
	if costs := report.CompareRecording(cases); len(costs) != 1 || costs[0].PacketRatio.Median <= 0 {
		t.Errorf("%+v", costs)
	}
}

func TestABrokenRecordingFailsTheRun(t *testing.T) {
	_, err := Run(t.Context(), Config{
		Loads:    []Load{{Listeners: 1, Speakers: 1, Talking: 1, Rendition: "live", Record: RecordOn}},
		Duration: 200 * time.Millisecond, Runs: 1, Hasten: 20,
		VerifyRecording: func(fs.FS) error { return errors.New("a checksum is wrong") },
	})
	if err == nil || !strings.Contains(err.Error(), "a checksum is wrong") {
		t.Errorf("got %v", err)
	}
}

func TestWhatWasSaidMustBeInTheTracks(t *testing.T) {
	const frames = 100 // 2 s each
	person := func(spoken float64, lost uint64) control.RecordedPerson {
		return control.RecordedPerson{SpokenS: spoken, Lost: lost}
	}
	for name, c := range map[string]struct {
		people  []control.RecordedPerson
		dropped float64
		good    bool
	}{
		"all":               {[]control.RecordedPerson{person(2, 0), person(2, 0)}, 0, true},
		"without the last":  {[]control.RecordedPerson{person(1.98, 0), person(1.98, 0)}, 0, true},
		"lost, and told":    {[]control.RecordedPerson{person(1.8, 10), person(2, 0)}, 0, true},
		"dropped, and told": {[]control.RecordedPerson{person(1.8, 0), person(2, 0)}, 10, true},
		"missing":           {[]control.RecordedPerson{person(1.8, 0), person(2, 0)}, 0, false},
		"too much":          {[]control.RecordedPerson{person(2.1, 0), person(2, 0)}, 0, false},
		"one":               {[]control.RecordedPerson{person(4, 0)}, 0, false},
	} {
		r := &run{load: Load{Talking: 2}, talk: &talk{talkers: []*talker{{}, {}}}}
		for _, who := range r.talk.talkers {
			who.sent.Store(frames)
		}
		r.f.RecordingDropped = c.dropped
		if err := r.complete(&control.Recording{People: c.people}); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyStentorIsAskedToRecord(t *testing.T) {
	c := Config{Loads: []Load{{Listeners: 1, Rendition: "live", Record: RecordOff}, {Listeners: 1, Rendition: "live", Record: RecordOn}}}
	if got := c.loads("pion"); len(got) != 1 || got[0].recorded() {
		t.Errorf("pion: %v", got)
	}
	if got := c.loads("stentor"); !slices.Equal(got, c.Loads) {
		t.Errorf("stentor: %v", got)
	}
}

// TestADiskStandsStillUntilItIsThawed writes to one from a process of its own. Where nobody may make such a disk, it must be told what is needed.
func TestADiskStandsStillUntilItIsThawed(t *testing.T) {
	scratch := t.TempDir()
	if err := checkDisk(t.Context(), scratch); err != nil {
		if !errors.Is(err, errStall) {
			t.Error(err)
		}
		return
	}
	dir := filepath.Join(scratch, "spool")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	name, args, err := onDisk(t.Context(), filepath.Join(scratch, "image"), dir, "sh", "-c", `echo ready; read go; echo text > "$0/file"; echo written`, dir)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	said.Scan()
	thaw, err := freeze(inside(cmd.Process.Pid, dir))
	if err != nil {
		t.Error(err)
		thaw = func() error { return nil }
	}
	if _, err := io.WriteString(in, "go\n"); err != nil {
		t.Error(err)
	}
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for err == nil && !waitsForADisk(t, cmd.Process.Pid) {
		<-look.C
	}
	if err := thaw(); err != nil {
		t.Error(err)
	}
	if said.Scan(); said.Text() != "written" {
		t.Errorf("it said %q", said.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("the disk is to be seen outside: %v, %v", left, err)
	}
}

// waitsForADisk tells whether a process is in an uninterruptible sleep (proc(5), stat, field 3), and fails the test if it has ended.
func waitsForADisk(t *testing.T, pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	if rest[0] == 'Z' {
		t.Fatal("it did not wait for the disk")
	}
	return rest[0] == 'D'
}

// TestNobodyHearsThatADiskStandsStill runs the whole bench with a disk that stands still for all of each window.
func TestNobodyHearsThatADiskStandsStill(t *testing.T) {
	cases, err := Run(t.Context(), Config{
		Loads:    []Load{{Listeners: 3, Speakers: 3, Talking: 3, Rendition: "live", Record: RecordStalled}},
		Duration: time.Second, Runs: 1, Hasten: 20,
	})
	if errors.Is(err, errStall) {
		return // which it must say, and the test above has heard
	}
	if err != nil {
		t.Fatal(err)
	}
	f := cases[0].Median
	if cases[0].Recorded != "stalled" || f.DeliveredPackets != f.ExpectedPackets || f.RecordingDropped != 0 || f.RecordingSpokenS == 0 {
		t.Errorf("%s: %g of %g packets came, %g are missing in the recording of %g s", cases[0].Recorded, f.DeliveredPackets, f.ExpectedPackets,
			f.RecordingDropped, f.RecordingSpokenS)
	}
}
