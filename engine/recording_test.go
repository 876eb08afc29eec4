package engine

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stentor/bench/client"
	"stentor/engine/control"
	"stentor/forward/opus"
	"stentor/recorder"
	"stentor/recorder/mix"
	"stentor/recorder/ogg"
)

// toneOf is a second of a tone in packets of 20 ms that can be repeated.
func toneOf(t testing.TB, hz float64) (packets [][]byte) {
	t.Helper()
	enc, err := mix.Gopus{}.NewEncoder(48_000, 5)
	if err != nil {
		t.Fatal(err)
	}
	pcm, packet := make([]float32, 960), make([]byte, mix.PacketMax)
	for i := range 100 { // the first second lets the encoder settle
		for j := range pcm {
			pcm[j] = float32(0.25 * math.Sin(2*math.Pi*hz*float64(i*960+j)/48_000))
		}
		n, err := enc.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		if i >= 50 {
			packets = append(packets, bytes.Clone(packet[:n]))
		}
	}
	return packets
}

// sings sends tones in real time, each person its own.
func (s *stage) sings(d time.Duration, tones map[*person][][]byte) {
	s.Helper()
	for range d / frameTime {
		for _, p := range s.people {
			if packets, ok := tones[p]; ok {
				s.must(p.client.Send(client.Frame{
					Payload: packets[int(p.frame)%len(packets)], Timestamp: p.frame * 960, LevelDBov: -20,
				}))
			}
			p.frame++
		}
		time.Sleep(frameTime)
	}
}

// decoded is what ffmpeg, which is not ours, makes of a file: mono, 48 kHz.
func decoded(t *testing.T, name string) (pcm []int16) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command("ffmpeg", "-v", "error", "-i", name, "-f", "s16le", "-ac", "1", "-ar", "48000", "-")
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil || log.Len() > 0 {
		t.Fatalf("ffmpeg of %s: %v\n%s", name, err, log.Bytes())
	}
	for i := 0; i+1 < len(out); i += 2 {
		pcm = append(pcm, int16(out[i])|int16(out[i+1])<<8)
	}
	return pcm
}

// toneDB is how loud a tone is from…to, in seconds, against full scale (Goertzel).
func toneDB(pcm []int16, hz, from, to float64) float64 {
	a, b := min(int(from*48_000), len(pcm)), min(int(to*48_000), len(pcm))
	k := 2 * math.Cos(2*math.Pi*hz/48_000)
	var s1, s2 float64
	for _, x := range pcm[a:b] {
		s1, s2 = float64(x)/32768+k*s1-s2, s1
	}
	n := float64(max(b-a, 1))
	return 10 * math.Log10((s1*s1+s2*s2-k*s1*s2)*4/n/n+1e-12)
}

func heardTone(t *testing.T, what string, pcm []int16, hz, from, to float64, want bool) {
	t.Helper()
	if db := toneDB(pcm, hz, from, to); want && db < -30 || !want && db > -55 {
		t.Errorf("%s: %v Hz from %v to %v s has %.0f dB; heard should be %v", what, hz, from, to, db, want)
	}
}

func TestARoomIsRecordedAsItWasHeard(t *testing.T) {
	spool := t.TempDir()
	onStageWith(t, func(c *Config) { c.Spool = spool }, func(s *stage) {
		cursor := s.engine.Events().Cursor()
		room, err := s.engine.RoomOpen(s.Context(), &control.RoomOpenParams{Room: "r", Record: true})
		s.must(err)
		if !strings.HasPrefix(room.Recording, "r.2") {
			t.Fatalf("the recording is named %q", room.Recording)
		}
		name := room.Recording
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		tones := map[*person][][]byte{ann: toneOf(t, 400), bob: toneOf(t, 1000)}
		s.wait(time.Until(room.OpenedAt.Add(2 * time.Second)))
		s.sings(2*time.Second, tones) // 2 … 4: ann; bob may not speak
		bob.update(control.PeerUpdateParams{MaySpeak: ptr(true)})
		s.sings(2*time.Second, tones) // 4 … 6: both
		ann.update(control.PeerUpdateParams{Muted: ptr(true)})
		s.sings(2*time.Second, tones) // 6 … 8: bob
		s.wait(time.Second)
		rec, err := s.engine.RecordingStop(s.Context(), &control.RecordingParams{Recording: name})
		s.must(err)
		if rec.State != control.RecordingFinishing || math.Abs(rec.DurationS-9) > 0.1 {
			t.Errorf("stopped: %+v", rec)
		}
		s.wait(2 * time.Second)
		rec, err = s.engine.RecordingGet(s.Context(), &control.RecordingParams{Recording: name})
		s.must(err)
		if rec.State != control.RecordingReady || len(rec.People) != 2 || rec.People[1].Peer != "bob" || math.Abs(rec.People[1].SpokenS-4) > 0.1 {
			t.Errorf("afterwards: %+v", rec)
		}
		var told []string
		for _, ev := range s.eventsAfter(cursor) {
			if strings.HasPrefix(ev, "recording.") {
				told = append(told, ev)
			}
		}
		if want := []string{"recording.started r", "recording.stopped r stopped", "recording.ready r stopped"}; !slices.Equal(told, want) {
			t.Errorf("events %q, want %q", told, want)
		}
		_, err = s.engine.RecordingStart(s.Context(), &control.RecordingStartParams{Room: "r", Recording: name})
		s.refused(err, control.ReasonRecordingConflict)
		_, err = s.engine.RecordingStart(s.Context(), &control.RecordingStartParams{Room: "r", Recording: "again"})
		s.must(err)
		_, err = s.engine.RecordingStart(s.Context(), &control.RecordingStartParams{Room: "r", Recording: "again"})
		s.must(err)
		_, err = s.engine.RecordingStart(s.Context(), &control.RecordingStartParams{Room: "r", Recording: "other"})
		s.refused(err, control.ReasonRecordingConflict)
		s.wait(time.Second)
		_, err = s.engine.RoomClose(s.Context(), &control.RoomParams{Room: "r"})
		s.must(err)
		s.wait(2 * time.Second)
		list, err := s.engine.RecordingList(s.Context(), &control.RecordingListParams{Room: "r"})
		s.must(err)
		if len(list.Recordings) != 2 || list.Recordings[1].Reason != control.RecordingRoomClosed || list.Recordings[1].State != control.RecordingReady {
			t.Errorf("listed: %+v", list)
		}
		_, err = s.engine.RecordingDelete(s.Context(), &control.RecordingParams{Recording: "again"})
		s.must(err)
		_, err = s.engine.RecordingGet(s.Context(), &control.RecordingParams{Recording: "again"})
		s.refused(err, control.ReasonRecordingNotFound)
	})
	dirs, err := filepath.Glob(filepath.Join(spool, "r.*"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("in the spool: %v %v", dirs, err)
	}
	report, err := recorder.Verify(os.DirFS(dirs[0]), nil)
	if err != nil || !report.OK() {
		t.Fatalf("verify: %v %v", err, report.Problems)
	}
	ann, bob := decoded(t, filepath.Join(dirs[0], "tracks/ann.ogg")), decoded(t, filepath.Join(dirs[0], "tracks/bob.ogg"))
	whole := decoded(t, filepath.Join(dirs[0], "replay/replay.mp4"))
	for _, c := range []struct {
		from, to float64
		ann, bob bool
	}{{0, 1.9, false, false}, {2.2, 3.9, true, false}, {4.2, 5.9, true, true}, {6.3, 7.9, false, true}, {8.3, 8.9, false, false}} {
		heardTone(t, "ann", ann, 400, c.from, c.to, c.ann)
		heardTone(t, "bob", bob, 1000, c.from, c.to, c.bob)
		heardTone(t, "mix", whole, 400, c.from, c.to, c.ann)
		heardTone(t, "mix", whole, 1000, c.from, c.to, c.bob)
	}
	heardTone(t, "ann", ann, 1000, 0, 9, false)
	heardTone(t, "bob", bob, 400, 0, 9, false)
}

// A client with a single line, a radio, hears everyone by the mix, and goes back and forth without a gap.
func TestTheMixIsHeardOnOneLine(t *testing.T) {
	var packets []heard
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann, bob := s.joins("r", "ann", speaker), s.joins("r", "bob", speaker)
		radio := s.joinsWith("r", "radio", listener, func(c *client.Config) { c.Lines = 1 })
		tones := map[*person][][]byte{ann: toneOf(t, 400), bob: toneOf(t, 1000)}
		s.sings(time.Second, map[*person][][]byte{ann: tones[ann]})
		radio.update(control.PeerUpdateParams{Rendition: str("mix")})
		s.sings(3*time.Second, tones)
		radio.update(control.PeerUpdateParams{Rendition: str("live")})
		s.sings(time.Second, map[*person][][]byte{ann: tones[ann]})
		radio.update(control.PeerUpdateParams{Rendition: str("mix")})
		s.sings(2*time.Second, tones)
		bob.update(control.PeerUpdateParams{Rendition: str("mix")})
		if got := bob.state().Rendition; got != "live" {
			t.Errorf("a speaker is sent %s, and so hears himself", got)
		}
		packets = radio.heard()
		if n := s.gapless(packets); n != 1 {
			t.Errorf("%d lines were used", n)
		}
		s.wait(time.Second)
		radio.update(control.PeerUpdateParams{Rendition: str("default")})
		s.wait(time.Second)
		if s.engine.rooms["r"].desk != nil {
			t.Error("the desk stays when nobody follows the mix")
		}
	})
	// What the radio plays: packets at their timestamps.
	name := filepath.Join(t.TempDir(), "radio.ogg")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w, err := ogg.NewWriter(file, ogg.Head{Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range packets {
		n, _ := opus.Duration(h.Payload)
		for gap := int64(h.Timestamp-packets[0].Timestamp) - w.Samples(); i > 0 && gap >= 960; gap -= 960 {
			if err := w.Append(opus.Silence(h.Payload), 960); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Append(h.Payload, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	pcm := decoded(t, name)
	heardTone(t, "radio", pcm, 400, 0.1, 0.9, true)
	heardTone(t, "radio", pcm, 400, 2, 3.8, true)
	heardTone(t, "radio", pcm, 1000, 2, 3.8, true)
	heardTone(t, "radio", pcm, 1000, 6, 6.8, true)
}
