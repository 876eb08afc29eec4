package ear

import (
	"bytes"
	"encoding/binary"
	"math"
	"os/exec"
	"testing"

	"stentor/recorder/ogg"
)

// This file holds what gopus decodes against libopus and ffmpeg's own decoder, so that it is not gopus that judges gopus.

// scribe is a decoder that writes down what it is given.
type scribe struct{ packets [][]byte }

func (s *scribe) Decode(packet []byte, pcm []float32) (int, error) {
	if packet != nil {
		s.packets = append(s.packets, packet)
	}
	return frameSamples, nil
}

// reader is one that reads out what another has made of the same packets. It conceals nothing.
type reader struct{ pcm []float32 }

func (r *reader) Decode(packet []byte, pcm []float32) (int, error) {
	clear(pcm[:frameSamples])
	if packet != nil {
		r.pcm = r.pcm[copy(pcm[:frameSamples], r.pcm):]
	}
	return frameSamples, nil
}

// ffmpeg decodes packets, as of an Ogg file.
func ffmpeg(t *testing.T, decoder string, packets [][]byte) (pcm []float32) {
	t.Helper()
	var file, out, complaints bytes.Buffer
	w, err := ogg.NewWriter(&file, ogg.Head{Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		if err := w.Append(p, frameSamples); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ffmpeg", "-v", "error", "-c:a", decoder, "-i", "pipe:", "-ac", "1", "-ar", "48000", "-f", "f32le", "pipe:")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &file, &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("this test needs ffmpeg (Debian: apt-get install ffmpeg): %v\n%s", err, &complaints)
	}
	for b := out.Bytes(); len(b) >= 4; b = b[4:] {
		pcm = append(pcm, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return pcm
}

func TestOtherDecodersHearTheSame(t *testing.T) {
	for _, decoder := range []string{"libopus", "opus"} {
		s := newStage(t, 2, 1000)
		s.plays(1, lossy(0.2, 2))
		_, listened, sounds := s.hears(t, Gopus)
		between(t, "what gopus makes sound", listened.Sounded, 80, 95)

		var scribes []*scribe
		s.hears(t, func() (Decoder, error) {
			scribes = append(scribes, &scribe{})
			return scribes[len(scribes)-1], nil
		})
		line := 0
		_, _, foreign := s.hears(t, func() (Decoder, error) {
			r := &reader{ffmpeg(t, decoder, scribes[line].packets)}
			if want := len(scribes[line].packets) * frameSamples; len(r.pcm) != want {
				t.Errorf("%s makes %d samples of %d", decoder, len(r.pcm), want)
			}
			line++
			return r, nil
		})
		differ := 0
		for i := range sounds.Cells {
			if (sounds.Cells[i] == Sounded) != (foreign.Cells[i] == Sounded) {
				differ++
			}
		}
		if differ*500 > len(sounds.Cells) {
			t.Errorf("of %d frames %d sound by one of gopus and %s alone", len(sounds.Cells), differ, decoder)
		}
	}
}
