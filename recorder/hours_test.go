//go:build !race

// Three hours of three voices are an hour of a codec in pure Go under the race detector, which finds nothing in them that the shorter
// stories do not show.

package recorder

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"stentor/recorder/align"
	"stentor/recorder/manifest"
	"stentor/recorder/mix"
)

// quickDisk does not wait for the disk, which hours of virtual time would do thousands of times. What is saved only to be
// found after a crash is not saved.
type quickDisk struct {
	realDisk
	saved bool
}

func (quickDisk) SyncDir(string) error { return nil }

func (d *quickDisk) Save(dir string, m *manifest.Manifest) error {
	if m.State == manifest.Recording && d.saved {
		return nil
	}
	d.saved = true
	return d.realDisk.Save(dir, m)
}

func (d *quickDisk) Append(name string) (file, error) {
	f, err := d.realDisk.Append(name)
	return quickFile{f}, err
}

type quickFile struct{ file }

func (quickFile) Sync() error { return nil }

const (
	hours      = 3
	pathDelay  = 0.02 // seconds, everybody's at least
	callFrames = 40   // of 20 ms each minute
	callMark   = 20   // the frame with which the tone begins
)

// caller is somebody who calls out once a minute, and whose clock is not the room's: 0.4 s quietly, and then a tone.
type caller struct {
	name    string
	id      uint32
	hz, ppm float64
	marks   []float64 // when the tone began, in seconds of the room
}

// arrival is a packet that arrives at some time.
type arrival struct {
	at     float64
	packet align.Packet
}

// calls are a caller's packets of all hours: words, signs of silence for a while after them, jitter, two of a hundred lost.
func (c *caller) calls(rng *rand.Rand) (list []arrival) {
	rate := 50 * (1 + c.ppm/1e6) // packets in a second of the room
	words, seq, last := callOf(c.hz), uint64(0), 0.0
	send := func(k float64, payload []byte, level uint8, mayLose bool) {
		seq++
		if mayLose && rng.IntN(50) == 0 {
			return
		}
		at := max(k/rate+pathDelay+min(rng.ExpFloat64()*0.006, 0.05), last)
		last = at
		list = append(list, arrival{at, align.Packet{
			Source: c.id, Seq: seq, TS: uint64(c.id)*1_000_003 + uint64(k)*960, Payload: payload, Samples: 960,
			Level: level, Slot: int8(c.id) - 1, Restart: seq == 1,
		}})
	}
	for minute := range hours * 60 {
		k := math.Ceil((float64(minute)*60 + 10 + 1.5*float64(c.id)) * rate)
		for i := range callFrames {
			send(k+float64(i), words[i], 25, i != callMark && i != callMark+1)
		}
		for i := 0.0; i < 400; i += 20 {
			send(k+callFrames+i, []byte{0xf8}, 127, true)
		}
		c.marks = append(c.marks, (k+callMark)/rate)
	}
	return list
}

// callOf is what a caller says each minute.
func callOf(hz float64) (packets [][]byte) {
	enc, err := mix.Gopus{}.NewEncoder(48000, 5)
	if err != nil {
		panic(err)
	}
	pcm, packet := make([]float32, 960), make([]byte, mix.PacketMax)
	for i := range callFrames {
		gain := 0.004
		if i >= callMark && i < callMark+10 {
			gain = 0.3
		}
		for j := range pcm {
			pcm[j] = float32(gain * math.Sin(2*math.Pi*hz*float64(i*960+j)/48000))
		}
		n, err := enc.Encode(pcm, packet)
		if err != nil {
			panic(err)
		}
		packets = append(packets, bytes.Clone(packet[:n]))
	}
	return packets
}

// Three hours, three clocks: who calls out at the same time as another is heard at the same time, in every track, in the mix,
// in the beginning and at the end.
func TestAfterThreeHoursTheTracksAndTheMixStillLieTogether(t *testing.T) {
	spool := t.TempDir()
	callers := []*caller{{name: "slow", id: 1, hz: 1000, ppm: -100}, {name: "true", id: 2, hz: 1500}, {name: "fast", id: 3, hz: 2000, ppm: 100}}
	var all []arrival
	for _, c := range callers {
		all = append(all, c.calls(rand.New(rand.NewPCG(7, uint64(c.id))))...)
	}
	slices.SortStableFunc(all, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	var start float64
	inStudio(t, spool, func(s *studio) { s.disk, s.config.Segment = &quickDisk{}, 10*time.Second }, func(s *studio) {
		for _, c := range callers {
			s.desk.Join(c.id, c.name)
		}
		s.start("take")
		start = float64(s.recorder.recordings["take"].take.start) / 48000
		for i := range all {
			time.Sleep(time.Until(s.epoch.Add(time.Duration(all[i].at * 1e9))))
			all[i].packet.At = int64(all[i].at * 48000)
			s.desk.Hear(&all[i].packet)
		}
		s.stop("take")
		s.ended("take")
	})
	dir := filepath.Join(spool, "take")
	m := verify(t, dir)
	if d := m.Duration.Seconds(); d < hours*3600-60 {
		t.Errorf("%v s long", d)
	}
	worst, off := 0.0, 0.0
	for _, minute := range []int{5, 45, 90, hours*60 - 1} {
		from := float64(minute)*60 + 9
		mixed := listen(t, filepath.Join(dir, wholeName), from)
		var errs []float64 // of each onset against the truth
		for _, c := range callers {
			mark := c.marks[minute] - start
			track := listen(t, filepath.Join(dir, trackName(c.name)), from)
			errs = append(errs, onset(t, track, c.hz, from, mark)-mark, onset(t, mixed, c.hz, from, mark)-mark)
		}
		worst = max(worst, slices.Max(errs)-slices.Min(errs))
		off = max(off, math.Abs(slices.Max(errs)-pathDelay), math.Abs(slices.Min(errs)-pathDelay))
		t.Logf("minute %d: track and mix of each lie %s ms behind the call", minute, millis(errs))
	}
	if worst > 0.02 || off > 0.02 {
		t.Errorf("the tracks and the mix are up to %.1f ms apart, and %.1f ms from their place", worst*1000, off*1000)
	}
	for _, tr := range m.Tracks {
		t.Logf("%s: %d packets, %d lost, %d inserted, %d removed, %.1f ppm", tr.Person, tr.Packets, tr.Lost, tr.Corrections.Inserted, tr.Corrections.Removed, tr.DriftPPM)
	}
}

func millis(seconds []float64) (s string) {
	for _, x := range seconds {
		s += fmt.Sprintf("%.1f ", x*1000)
	}
	return s
}

// listen has ffmpeg decode eight seconds of a file.
func listen(t *testing.T, name string, from float64) []float32 {
	t.Helper()
	var out, log bytes.Buffer
	cmd := exec.Command("ffmpeg", "-v", "error", "-ss", fmt.Sprint(from), "-i", name, "-t", "8", "-f", "f32le", "-ac", "1", "-ar", "48000", "-")
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil || log.Len() > 0 {
		t.Fatalf("ffmpeg of %s: %v\n%s", name, err, log.Bytes())
	}
	pcm := make([]float32, out.Len()/4)
	for i := range pcm {
		pcm[i] = math.Float32frombits(binary.LittleEndian.Uint32(out.Bytes()[4*i:]))
	}
	return pcm
}

// onset is when a tone begins within 0.3 s of where it should, in seconds: where 4 ms first have half its full strength.
func onset(t *testing.T, pcm []float32, hz, from, near float64) float64 {
	t.Helper()
	const window = 0.004
	lo, full := near-from-0.3, -200.0
	for at := lo; at < lo+0.6; at += 0.001 {
		full = max(full, toneDB(pcm, hz, at, at+window))
	}
	if full < -40 {
		t.Fatalf("no tone of %v Hz at %.1f s: %.0f dB", hz, near, full)
	}
	for at := lo; ; at += 0.00025 {
		if toneDB(pcm, hz, at, at+window) > full-6 {
			return from + at + window/2
		}
	}
}
