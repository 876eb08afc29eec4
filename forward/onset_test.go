//go:build !race

// Two foreign decoders and a page of arithmetic, in one goroutine: nothing for the race detector.

package forward

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"stentor/forward/opus"
	"stentor/recorder/ogg"
)

// This file listens to how spurts end and begin, by libopus and opusdec: what a decoder keeps from the packets that close
// one spurt is what the next one is decoded from.

// tongue is a way of encoding that one mode of Opus comes of.
type tongue struct {
	name     string
	args     []string
	from, to int // configurations (RFC 6716 §3.1, table 2)
}

var tongues = []tongue{
	{"silk mono", []string{"-application", "voip", "-b:a", "12k", "-ac", "1"}, 0, 12},
	{"silk stereo", []string{"-application", "voip", "-b:a", "24k", "-cutoff", "8000", "-ac", "2"}, 0, 12},
	{"hybrid mono", []string{"-application", "voip", "-b:a", "32k", "-ac", "1"}, 12, 16},
	{"hybrid stereo", []string{"-application", "voip", "-b:a", "48k", "-ac", "2"}, 12, 16},
	{"celt mono", []string{"-application", "lowdelay", "-b:a", "64k", "-ac", "1"}, 16, 32},
	{"celt stereo", []string{"-application", "lowdelay", "-b:a", "96k", "-ac", "2"}, 16, 32},
}

// aside is what an onset may differ by from the same packets decoded without a pause, in decibels, by packets of 20 ms.
// CELT codes loudness as half of what it was 20 ms before and a difference. The encoder comes from the room's noise and the
// decoder from zeros, so the first packets are too quiet, but none is too loud.
var aside = []struct{ low, high float64 }{{-8, 2}, {-4, 1}, {-2, 1}, {-1, 1}, {-1, 1}}

// asideAll is the same for all onsets together from 20 ms on, which is what somebody hears who listens for long.
const asideAll = 1.0

// nothing is what silence may be, in dBov. The stories in real browsers take the same for it.
const nothing = -60

func TestASpurtEndsInSilenceAndTheNextOneBeginsWhole(t *testing.T) {
	for _, room := range []struct {
		name    string
		noise   float64
		tongues []tongue
	}{{"a quiet room", -70, tongues}, {"zeros", math.Inf(-1), tongues[4:]}} {
		pcm := conversation(t, room.noise)
		for _, tg := range room.tongues {
			frames := encodes(t, pcm, tg)
			heard := listens(t, pcm, frames)
			for _, decoder := range []string{"libopus", "opusdec"} {
				t.Run(fmt.Sprintf("%s from %s by %s", tg.name, room.name, decoder), func(t *testing.T) {
					t.Parallel()
					heard.judge(t, decodes(t, decoder, frames), decodes(t, decoder, heard.packets))
				})
			}
		}
	}
}

// conversation is speech as it begins and ends by itself, a pause of 1 or of 10 s before each phrase, and noise beneath.
func conversation(t *testing.T, noise float64) (pcm []float64) {
	t.Helper()
	raw := pipe(t, nil, "ffmpeg", "-v", "error", "-nostdin", "-i", "../recorder/mix/testdata/rms.ogg", "-ac", "1", "-ar", "48000", "-f", "f32le", "-")
	rng := rand.New(rand.NewPCG(1, 12))
	low, phrases := 0, 0
	for ; len(raw) >= 4*frameSamples; raw = raw[4*frameSamples:] {
		frame := floats(raw[:4*frameSamples])
		if rms(frame) < -48 {
			low++
			clear(frame) // the recording's own noise
		} else if low >= 3 {
			pcm = append(pcm, make([]float64, []int{1, 10}[phrases%2]*opus.SampleRate)...)
			phrases++
			low = 0
		} else {
			low = 0
		}
		pcm = append(pcm, frame...)
	}
	if phrases < 4 {
		t.Fatalf("%d phrases", phrases)
	}
	for i := range pcm {
		pcm[i] += math.Pow(10, noise/20) * rng.NormFloat64()
	}
	return pcm
}

// encodes encodes mono samples in packets of 20 ms.
func encodes(t *testing.T, pcm []float64, tg tongue) (frames [][]byte) {
	t.Helper()
	var raw []byte
	for _, x := range pcm {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(x)))
	}
	args := append([]string{"-v", "error", "-f", "f32le", "-ar", "48000", "-ac", "1", "-i", "-", "-c:a", "libopus", "-frame_duration", "20"}, tg.args...)
	file, err := ogg.NewReader(bytes.NewReader(pipe(t, raw, "ffmpeg", append(args, "-f", "ogg", "-")...)))
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	for {
		p, err := file.Next()
		if err == io.EOF {
			break
		}
		if err != nil || p.Samples != frameSamples {
			t.Fatalf("a packet of %d samples: %v", p.Samples, err)
		}
		if config := int(p.Data[0] >> 3); config >= tg.from && config < tg.to {
			right++
		}
		frames = append(frames, bytes.Clone(p.Data))
	}
	if right < len(frames)*9/10 {
		t.Fatalf("%s: %d of %d packets are in that mode", tg.name, right, len(frames))
	}
	return frames
}

// hearing is what a listener got of a speaker.
type hearing struct {
	packets [][]byte    // 20 ms each, by timestamp; where none came, the decoder is told so
	places  map[int]int // of the speaker's packets, by number
	onsets  []int       // numbers of the speaker's packets
	closed  []int       // places of the packets that end a spurt
	first   uint32      // timestamp
}

// listens sends a speaker's packets through a room, where he is muted in the midst of a loud word at the end.
func listens(t *testing.T, pcm []float64, frames [][]byte) *hearing {
	t.Helper()
	levels, last := make([]uint8, len(frames)), 0
	for i := range frames {
		levels[i] = silent
		if end := (i + 1) * frameSamples; end <= len(pcm) {
			levels[i] = uint8(min(silent, -rms(pcm[i*frameSamples:end])))
		}
		if levels[i] < 25 {
			last = i
		}
	}
	s := newStudio(t, 1, 1)
	p := s.speaker()
	m := s.mouth(p, 1, 0)
	h := &hearing{places: map[int]int{}}
	for i := range last + 1 {
		m.says(levels[i], frames[i])
		s.passes(frameTime)
		h.take(t, s.published(), i, frames[i])
	}
	p.Set(true, true, false)
	s.rd.runCommands(s.now)
	h.take(t, s.published(), -1, nil)
	h.misses(len(h.packets) + 100)
	if len(h.onsets) < 4 || len(h.closed) != len(h.onsets) {
		t.Fatalf("%d spurts of which %d were closed", len(h.onsets), len(h.closed))
	}
	return h
}

// take takes what was published when the speaker sent his packet i.
func (h *hearing) take(t *testing.T, pks []*Packet, i int, frame []byte) {
	for _, pk := range pks {
		if len(h.packets) == 0 {
			h.first = pk.ts
		}
		h.misses(int((pk.ts - h.first + frameSamples/2) / frameSamples))
		if opus.IsDTX(pk.payload) { // never the speaker's: his encoder sends none
			h.closed = append(h.closed, len(h.packets)-1)
		} else if bytes.Equal(pk.payload, frame) {
			h.places[i] = len(h.packets)
		}
		if pk.marker {
			h.onsets = append(h.onsets, i)
		}
		h.packets = append(h.packets, pk.payload)
	}
}

// misses tells the decoder of every 20 ms up to a place that nothing has come. It conceals them (libopus treats a packet
// of one octet as a lost one), as browsers have it do where they play comfort noise.
func (h *hearing) misses(place int) {
	for len(h.packets) < place {
		h.packets = append(h.packets, opus.Silence(opus.Quiet))
	}
}

// judge holds what is heard against all of the speaker's packets decoded without a pause.
func (h *hearing) judge(t *testing.T, said, heard []float64) {
	at := func(pcm []float64, i int) []float64 { return pcm[i*2*frameSamples : (i+1)*2*frameSamples] }
	for i, closed := range h.closed {
		end := len(h.packets)
		if i+1 < len(h.onsets) {
			end = h.places[h.onsets[i+1]]
		}
		for place := closed + 1; place < end; place++ { // within the first one what was said may fade out
			if db := rms(at(heard, place)); db > nothing {
				t.Fatalf("%d ms behind spurt %d: %.1f dBov", 20*(place-closed), i, db)
			}
		}
	}
	for k, bounds := range aside {
		want, got := 0.0, 0.0
		low, high := math.Inf(1), math.Inf(-1)
		for _, i := range h.onsets[1:] { // the first one finds a decoder that is new
			a, b := max(nothing, rms(at(said, i+k))), max(nothing, rms(at(heard, h.places[i+k])))
			low, high = min(low, b-a), max(high, b-a)
			want, got = want+math.Pow(10, a/10), got+math.Pow(10, b/10)
			if d := b - a; d < bounds.low || d > bounds.high {
				t.Errorf("%d ms into a spurt: %.1f dBov instead of %.1f", 20*k, b, a)
			}
		}
		all := 10 * math.Log10(got/want)
		if k > 0 && math.Abs(all) > asideAll {
			t.Errorf("%d ms into the spurts: %.1f dB off", 20*k, all)
		}
		t.Logf("%d ms into the spurts: %.1f dB off, each from %.1f to %.1f", 20*k, all, low, high)
	}
}

// decodes is what a decoder makes of packets of 20 ms: samples of two channels, one after the other.
func decodes(t *testing.T, decoder string, packets [][]byte) []float64 {
	t.Helper()
	var b bytes.Buffer
	w, err := ogg.NewWriter(&b, ogg.Head{Channels: 2})
	for _, p := range packets {
		if err == nil {
			err = w.Append(p, frameSamples)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	in := filepath.Join(t.TempDir(), "heard.ogg")
	if err := os.WriteFile(in, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var raw []byte
	if decoder == "opusdec" {
		raw = pipe(t, nil, "opusdec", "--quiet", "--no-dither", "--float", "--rate", "48000", "--force-stereo", in, "-")
	} else {
		raw = pipe(t, nil, "ffmpeg", "-v", "error", "-nostdin", "-c:a", decoder, "-request_sample_fmt", "flt", "-i", in, "-f", "f32le", "-")
	}
	if len(raw) != 8*frameSamples*len(packets) {
		t.Fatalf("%d samples of %d packets", len(raw)/8, len(packets))
	}
	return floats(raw)
}

// pipe runs a program, which must be there, and returns what it writes.
func pipe(t *testing.T, in []byte, name string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s (Debian: apt-get install ffmpeg opus-tools): %v", name, err)
	}
	var out, said bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, said.Bytes())
	}
	return out.Bytes()
}

func floats(raw []byte) []float64 {
	out := make([]float64, len(raw)/4)
	for i := range out {
		out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
	}
	return out
}

// rms is the level of samples in dBov: their root mean square against 1.
func rms(pcm []float64) float64 {
	sum := 1e-13 * float64(len(pcm))
	for _, x := range pcm {
		sum += x * x
	}
	return 10 * math.Log10(sum/float64(len(pcm)))
}
