package recorder

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stentor/recorder/align"
	"stentor/recorder/manifest"
	"stentor/recorder/mix"
)

// studio is a room whose people are played by a test, in virtual time, and a recorder on the real disk.
type studio struct {
	testing.TB
	spool    string
	config   Config
	disk     disk
	epoch    time.Time
	recorder *Recorder
	desk     *Desk
	mixed    int // packets of the mix that a follower got

	mu     sync.Mutex
	events []Event
}

// inStudio runs a story in virtual time. What needs other programs comes after it.
func inStudio(t *testing.T, spool string, configure func(*studio), story func(s *studio)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &studio{TB: t, spool: spool, disk: realDisk{}, epoch: time.Now()}
		s.config = Config{Spool: spool, Node: "studio", Tell: s.tell, FreeMin: 1, Log: slog.New(slog.DiscardHandler)}
		if configure != nil {
			configure(s)
		}
		s.open()
		defer s.close()
		story(s)
	})
}

func (s *studio) open() {
	var err error
	if s.recorder, err = newOn(s.config, s.disk); err != nil {
		s.Fatal(err)
	}
	s.desk = NewDesk(DeskConfig{Position: s.position, Mixed: func(int64, []byte) { s.mixed++ }})
}

func (s *studio) close() {
	if err := s.recorder.Close(); err != nil {
		s.Error(err)
	}
	s.desk.Close()
}

func (s *studio) position() int64 {
	return int64(time.Since(s.epoch)) / int64(time.Millisecond) * 48
}

func (s *studio) tell(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// told waits for an event.
func (s *studio) told(kind EventType) Event {
	s.Helper()
	for range 1000 {
		s.mu.Lock()
		i := slices.IndexFunc(s.events, func(e Event) bool { return e.Type == kind })
		var e Event
		if i >= 0 {
			e = s.events[i]
		}
		s.mu.Unlock()
		if i >= 0 {
			return e
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Fatalf("no event %d came: %+v", kind, s.events)
	return Event{}
}

func (s *studio) count(kind EventType) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Type == kind {
			n++
		}
	}
	return n
}

func (s *studio) start(name string) {
	s.Helper()
	if err := s.recorder.Start(s.desk, Start{Recording: name, Room: "room", Tracks: true, Replay: true}); err != nil {
		s.Fatal(err)
	}
}

func (s *studio) stop(name string) {
	s.Helper()
	if err := s.recorder.Stop(name, "stopped"); err != nil {
		s.Fatal(err)
	}
}

// mouth is somebody who sends a tone.
type mouth struct {
	s       *studio
	id      uint32
	packets [][]byte
	seq, ts uint64
	next    int
	restart bool
	slot    int8
}

func (s *studio) joins(name string, id uint32, hz float64) *mouth {
	s.desk.Join(id, name)
	return &mouth{s: s, id: id, packets: toneOf(hz), seq: 1000, ts: uint64(id) * 1_000_003, restart: true}
}

// says sends one packet of 20 ms.
func (m *mouth) says() {
	m.s.desk.Hear(&align.Packet{
		Source: m.id, Seq: m.seq, TS: m.ts, At: m.s.position(), Payload: m.packets[m.next%len(m.packets)], Samples: 960,
		Level: 30, Slot: m.slot, Restart: m.restart,
	})
	m.restart = false
	m.next++
	m.pauses()
}

// pauses lets 20 ms of the sender's clock pass.
func (m *mouth) pauses() { m.seq++; m.ts += 960 }

// talk has people talk in virtual time.
func (s *studio) talk(d time.Duration, mouths ...*mouth) {
	for range d / (20 * time.Millisecond) {
		for _, m := range mouths {
			m.says()
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *studio) silence(d time.Duration, mouths ...*mouth) {
	for range d / (20 * time.Millisecond) {
		for _, m := range mouths {
			m.ts += 960
		}
		time.Sleep(20 * time.Millisecond)
	}
}

var (
	tonesMu sync.Mutex
	tones   = map[float64][][]byte{}
)

// toneOf is a second of a tone in packets of 20 ms, which may be repeated: it has whole periods.
func toneOf(hz float64) [][]byte {
	tonesMu.Lock()
	defer tonesMu.Unlock()
	if tones[hz] == nil {
		enc, err := mix.Gopus{}.NewEncoder(48000, 5)
		if err != nil {
			panic(err)
		}
		pcm := make([]float32, 960)
		packet := make([]byte, mix.PacketMax)
		for i := range 100 { // the first half lets the encoder settle
			for j := range pcm {
				pcm[j] = float32(0.25 * math.Sin(2*math.Pi*hz*float64(i*960+j)/48000))
			}
			n, err := enc.Encode(pcm, packet)
			if err != nil {
				panic(err)
			}
			if i >= 50 {
				tones[hz] = append(tones[hz], bytes.Clone(packet[:n]))
			}
		}
	}
	return tones[hz]
}

// hear decodes a file by ffmpeg, which is not ours, to mono at 48 kHz.
func hear(t testing.TB, name string) []float32 {
	t.Helper()
	var out, log bytes.Buffer
	cmd := exec.Command("ffmpeg", "-v", "error", "-i", name, "-f", "f32le", "-ac", "1", "-ar", "48000", "-")
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

// toneDB is how loud a tone is in the time from…to, in seconds, against full scale (Goertzel).
func toneDB(pcm []float32, hz, from, to float64) float64 {
	a, b := int(from*48000), min(int(to*48000), len(pcm))
	if b <= a {
		return math.Inf(-1)
	}
	k := 2 * math.Cos(2*math.Pi*hz/48000)
	var s1, s2 float64
	for _, x := range pcm[a:b] {
		s1, s2 = float64(x)+k*s1-s2, s1
	}
	power := (s1*s1 + s2*s2 - k*s1*s2) / float64(b-a) / float64(b-a) * 4
	return 10*math.Log10(power/2+1e-20) + 3
}

// loud and quiet hold a tone in a time against what a person would hear.
func loud(t testing.TB, what string, pcm []float32, hz, from, to float64) {
	t.Helper()
	if db := toneDB(pcm, hz, from, to); db < -30 {
		t.Errorf("%s: %v Hz from %v to %v s has %.0f dB, should be heard", what, hz, from, to, db)
	}
}

func quiet(t testing.TB, what string, pcm []float32, hz, from, to float64) {
	t.Helper()
	if db := toneDB(pcm, hz, from, to); db > -60 {
		t.Errorf("%s: %v Hz from %v to %v s has %.0f dB, should not be heard", what, hz, from, to, db)
	}
}

// verify holds a finished recording against its manifest.
func verify(t testing.TB, dir string) *manifest.Manifest {
	t.Helper()
	report, err := Verify(os.DirFS(dir), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Errorf("%s: %v", dir, p)
	}
	return report.Manifest
}
