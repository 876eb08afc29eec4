package cmaf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// The tests' audio: in every second a tone of its own, from 200 to 700 ms, encoded by libopus, so that whoever decodes
// it can tell which second he hears and where it begins.

const tonesLength = 20 // seconds

func toneHz(second int) float64 { return 400 + 60*float64(second) }

var tonePackets = sync.OnceValues(func() ([][]byte, error) {
	pcm := make([]byte, 0, tonesLength*SampleRate*2)
	for i := range tonesLength * SampleRate {
		v := 0.0
		if in := i % SampleRate; in >= SampleRate/5 && in < SampleRate*7/10 {
			v = 12000 * math.Sin(2*math.Pi*toneHz(i/SampleRate)*float64(i)/SampleRate)
		}
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(int16(v)))
	}
	cmd := exec.Command("ffmpeg", "-v", "error", "-f", "s16le", "-ar", "48000", "-ac", "1", "-i", "-",
		"-c:a", "libopus", "-b:a", "40k", "-f", "ogg", "-")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(pcm), os.Stderr
	ogg, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	packets := oggPackets(ogg)
	if len(packets) < 2+tonesLength*50 {
		return nil, fmt.Errorf("ffmpeg has made %d packets", len(packets))
	}
	return packets[2 : 2+tonesLength*50], nil // without the two headers, and what flushes the encoder
})

// oggPackets takes the packets out of a stream's pages (RFC 3533 §6).
func oggPackets(b []byte) (packets [][]byte) {
	var packet []byte
	for len(b) >= 27 {
		lacing := b[27 : 27+int(b[26])]
		b = b[27+len(lacing):]
		for _, n := range lacing {
			packet = append(packet, b[:n]...)
			b = b[n:]
			if n < 255 {
				packets = append(packets, packet)
				packet = nil
			}
		}
	}
	return packets
}

func tones(t testing.TB) [][]byte {
	t.Helper()
	p, err := tonePackets()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// at20 gives packets the positions 0, 960, …; keep says which are there, nil means all.
func at20(packets [][]byte, keep func(at int64) bool) iter.Seq2[Packet, error] {
	return func(yield func(Packet, error) bool) {
		for i, p := range packets {
			at := int64(i) * 960
			if (keep == nil || keep(at)) && !yield(Packet{at, 960, p}, nil) {
				return
			}
		}
	}
}

// decode has ffmpeg decode its input to mono at 48 kHz, silence where timestamps leave room.
func decode(t *testing.T, args ...string) []int16 {
	t.Helper()
	args = append([]string{"-v", "error", "-nostdin"}, args...)
	cmd := exec.Command("ffmpeg", append(args, "-af", "aresample=async=1:min_hard_comp=0.001:first_pts=0",
		"-f", "s16le", "-ac", "1", "-ar", "48000", "-")...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("ffmpeg: %v\n%s", err, complaints.String())
	}
	pcm := make([]int16, len(out)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(out[2*i:]))
	}
	return pcm
}

// hears checks that pcm holds the tones of the seconds first to last, and that position from of the replay is pcm's
// beginning. 5 ms either way are allowed.
func hears(t *testing.T, pcm []int16, from, first, last int) {
	t.Helper()
	for s := first; s <= last; s++ {
		onset := s*SampleRate + SampleRate/5 - from
		if onset < 0 || onset+SampleRate/2 > len(pcm) {
			t.Errorf("second %d is not in %d samples from %d on", s, len(pcm), from)
			continue
		}
		const slack = SampleRate * 5 / 1000
		if loud(pcm[max(0, onset-SampleRate/10):onset-slack]) || !loud(pcm[onset+slack:onset+slack+480]) {
			t.Errorf("second %d: the tone does not begin within 5 ms of where it should", s)
		}
		if end := onset + SampleRate/2; loud(pcm[end+2*slack : min(len(pcm), end+SampleRate/10)]) {
			t.Errorf("second %d: the tone goes on", s)
		}
		if hz := pitch(pcm[onset+4800 : onset+19200]); math.Abs(hz-toneHz(s)) > 15 {
			t.Errorf("second %d: %.0f Hz, want %.0f", s, hz, toneHz(s))
		}
	}
}

func loud(pcm []int16) bool {
	for _, v := range pcm {
		if v > 3000 || v < -3000 {
			return true
		}
	}
	return false
}

// pitch counts how often the tone rises through zero.
func pitch(pcm []int16) float64 {
	n := 0
	for i := 1; i < len(pcm); i++ {
		if pcm[i-1] < 0 && pcm[i] >= 0 {
			n++
		}
	}
	return float64(n) * SampleRate / float64(len(pcm))
}

// replay is a directory in memory, written as the recorder writes one.
type replay struct {
	files    map[string][]byte
	playlist *Playlist
}

// record runs packets through a Segmenter, and shows after every segment what a player would find.
func record(t testing.TB, o Options, packets iter.Seq2[Packet, error], grown func(*replay)) *replay {
	t.Helper()
	init, err := Init(DefaultHead())
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSegmenter(o)
	if err != nil {
		t.Fatal(err)
	}
	target := o.Target
	if target == 0 {
		target = 4 * SampleRate
	}
	r := &replay{files: map[string][]byte{InitName: init}, playlist: NewPlaylist(target, start)}
	r.files[MasterName] = AppendMaster(nil, 64000, 0)
	take := func(writes []Write) {
		for _, w := range writes {
			name := SegmentName(w.Segment)
			r.files[name] = append(r.files[name], w.Data...)
			if !w.Done {
				continue
			}
			if err := r.playlist.Add(w.Entry); err != nil {
				t.Fatal(err)
			}
			r.files[MediaName] = r.playlist.Text()
			if grown != nil {
				grown(r)
			}
		}
	}
	for p, err := range packets {
		if err != nil {
			t.Fatal(err)
		}
		writes, err := s.Put(p.At, p.Payload)
		if err != nil {
			t.Fatal(err)
		}
		take(writes)
	}
	take(s.Close())
	r.playlist.End()
	r.files[MediaName] = r.playlist.Text()
	return r
}

// look is what CheckPlaylist wants.
func (r *replay) look(uri string) (Span, error) {
	b, ok := r.files[uri]
	if !ok {
		return Span{}, os.ErrNotExist
	}
	chunks, good, err := Scan(bytes.NewReader(b), int64(len(b)))
	return SpanOf(chunks, good, int64(len(b))), err
}

// packets are those of all segments.
func (r *replay) packets() iter.Seq2[Packet, error] {
	segments := r.playlist.Segments()
	return Joined(len(segments), func(i int) (io.ReaderAt, int64, error) {
		b := r.files[segments[i].URI]
		return bytes.NewReader(b), int64(len(b)), nil
	})
}

// store writes the files into a directory.
func (r *replay) store(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range r.files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
