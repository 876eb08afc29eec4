package opus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// This file holds the surgery against libopus, by way of ffmpeg: what libopus has encoded is merged and padded, and
// libopus must decode the very samples that it decodes from the packets as they were.

// encoding is one way of calling the encoder.
type encoding struct {
	application string
	channels    int
	cutoff      int    // in Hz, which chooses the bandwidth
	frame       string // the packet's duration, in ms
	bitrate     int
	more        string
}

func (e encoding) String() string {
	return fmt.Sprintf("%s, %d channels, %d Hz, %s ms, %d b/s %s", e.application, e.channels, e.cutoff, e.frame, e.bitrate, e.more)
}

// grid reaches every configuration (RFC 6716 §3.1, table 2), mono and stereo; and constant bit rates, frames whose
// size takes two octets, in-band FEC, and packets of many frames that libopus has put together itself.
func grid() (all []encoding) {
	for ch := 1; ch <= 2; ch++ {
		for _, cutoff := range []int{4000, 6000, 8000} {
			for _, frame := range []string{"10", "20", "40", "60"} { // SILK
				all = append(all, encoding{"voip", ch, cutoff, frame, 12000 * ch, ""})
			}
		}
		for _, cutoff := range []int{12000, 20000} {
			for _, frame := range []string{"10", "20"} { // hybrid
				all = append(all, encoding{"voip", ch, cutoff, frame, 24000 * ch, ""})
			}
		}
		for _, cutoff := range []int{4000, 8000, 12000, 20000} {
			for _, frame := range []string{"2.5", "5", "10", "20"} { // CELT
				all = append(all, encoding{"lowdelay", ch, cutoff, frame, 48000 * ch, ""})
			}
		}
		all = append(all,
			encoding{"voip", ch, 8000, "20", 20000 * ch, "-vbr off"},
			encoding{"lowdelay", ch, 20000, "20", 64000 * ch, "-vbr off"},
			encoding{"audio", ch, 20000, "20", 256000, "-vbr constrained"},
			encoding{"audio", ch, 20000, "10", 250000 * ch, "-vbr on"},
			encoding{"voip", ch, 8000, "20", 24000 * ch, "-fec 1 -packet_loss 20"},
			encoding{"voip", ch, 20000, "20", 40000 * ch, "-fec 1 -packet_loss 20"},
			encoding{"audio", ch, 20000, "40", 96000, "-vbr on"},
			encoding{"audio", ch, 20000, "60", 96000, "-vbr off"},
			encoding{"voip", ch, 8000, "80", 20000 * ch, "-vbr on"},
			encoding{"lowdelay", ch, 12000, "100", 48000, "-vbr on"},
			encoding{"voip", ch, 20000, "120", 32000, "-vbr on"},
		)
	}
	return all
}

// source is a sweep to 10 kHz and noise, another on each side.
const source = "aevalsrc=s=48000:d=0.4:exprs=" +
	"0.3*sin(2*PI*(100*t+8000*t*t))+0.05*(random(0)-0.5)|0.3*sin(2*PI*(300*t+4000*t*t))+0.05*(random(1)-0.5)"

// sampleOctets are two channels of 32 bits.
const sampleOctets = 8

func ffmpeg(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatalf("this test needs ffmpeg with libopus (Debian: apt-get install ffmpeg): %v", err)
	}
	out, err := exec.Command(path, append([]string{"-v", "error", "-nostdin", "-y"}, args...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
}

// encoded are the packets of every encoding.
func encoded(t *testing.T, all []encoding) [][][]byte {
	t.Helper()
	dir := t.TempDir()
	name := func(i int) string { return filepath.Join(dir, fmt.Sprint(i, ".ogg")) }
	args := []string{"-f", "lavfi", "-i", source}
	for i, e := range all {
		args = append(args, "-c:a", "libopus", "-application", e.application, "-ac", fmt.Sprint(e.channels),
			"-cutoff", fmt.Sprint(e.cutoff), "-frame_duration", e.frame, "-b:a", fmt.Sprint(e.bitrate))
		args = append(append(args, strings.Fields(e.more)...), name(i))
	}
	ffmpeg(t, args...)
	streams := make([][][]byte, len(all))
	for i, e := range all {
		b, err := os.ReadFile(name(i))
		if err != nil {
			t.Fatal(err)
		}
		packets, err := readOgg(b)
		if err != nil || len(packets) < 5 {
			t.Fatalf("%v: %d packets: %v", e, len(packets), err)
		}
		streams[i] = packets[2:]
	}
	return streams
}

// decoded is what libopus makes of packets: samples of two channels, in floating point. For integers libopus bends back
// what clips, within the bounds of a packet, so that loud frames after lost ones do depend on how they are packed.
func decoded(t *testing.T, packets [][]byte) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.ogg"), filepath.Join(dir, "out.pcm")
	if err := os.WriteFile(in, writeOgg(packets), 0o600); err != nil {
		t.Fatal(err)
	}
	ffmpeg(t, "-c:a", "libopus", "-request_sample_fmt", "flt", "-i", in, "-f", "f32le", out)
	pcm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, p := range packets {
		samples, ok := Duration(p)
		if !ok {
			t.Fatalf("% x is no packet", p)
		}
		want += samples
	}
	if len(pcm) != sampleOctets*want {
		t.Fatalf("%d samples were decoded, the packets have %d", len(pcm)/sampleOctets, want)
	}
	return pcm
}

// merged joins packets as long as they can be, up to n at a time.
func merged(t *testing.T, packets [][]byte, n int) (out [][]byte) {
	t.Helper()
	var m Merger
	count := 0
	flush := func() {
		if count > 0 {
			out = append(out, m.AppendTo(nil))
		}
		m.Reset()
		count = 0
	}
	for _, p := range packets {
		if count == n || !m.Add(p) {
			flush()
			if !m.Add(p) {
				t.Fatalf("a packet of %d octets cannot be added", len(p))
			}
		}
		count++
	}
	flush()
	return out
}

// withSilence has every seventh packet replaced by one of a frame of no octets, as if libopus had had nothing to say.
func withSilence(packets [][]byte) (out [][]byte) {
	for i, p := range packets {
		if i%7 == 5 {
			p = Silence(p)
		}
		out = append(out, p)
	}
	return out
}

func TestLibopusDecodesTheSameSamples(t *testing.T) {
	all := grid()
	streams := encoded(t, all)
	checkGrid(t, streams)
	var packets [][]byte // all encodings behind each other: a receiver's decoder, too, goes on when the speaker changes
	for _, s := range streams {
		packets = append(packets, s...)
	}
	r := rand.New(rand.NewPCG(6716, 5))
	padded := func(packets [][]byte) (out [][]byte) {
		for i, p := range packets {
			b, ok := AppendPadded(nil, p, len(p)+1+i%3*253+r.IntN(20))
			if !ok {
				t.Fatalf("a packet of %d octets cannot be padded", len(p))
			}
			out = append(out, b)
		}
		return out
	}
	silenced := withSilence(packets)
	plain, silent := decoded(t, packets), decoded(t, silenced)
	checkSound(t, plain)
	if bytes.Equal(plain, silent) {
		t.Fatal("frames of no octets sound like the others")
	}
	for _, c := range []struct {
		name          string
		packets, base [][]byte
		want          []byte
	}{
		{"2 at a time", merged(t, packets, 2), packets, plain},
		{"3 at a time", merged(t, packets, 3), packets, plain},
		{"6 at a time", merged(t, packets, 6), packets, plain},
		{"120 ms at a time", merged(t, packets, 48), packets, plain},
		{"padded", padded(packets), packets, plain},
		{"3 at a time and padded", padded(merged(t, packets, 3)), packets, plain},
		{"padded, then 3 at a time", merged(t, padded(packets), 3), packets, plain},
		{"3 at a time with frames of no octets", merged(t, silenced, 3), silenced, silent},
	} {
		if got := decoded(t, c.packets); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %s", c.name, difference(got, c.want, c.base))
		}
	}
	checkCodes(t, merged(t, packets, 6))
}

// checkGrid tells whether the encoder made what the grid is there for.
func checkGrid(t *testing.T, streams [][][]byte) {
	t.Helper()
	var configs [64]bool
	many, large := false, false
	for _, s := range streams {
		for _, b := range s {
			var p Packet
			if err := p.Parse(b); err != nil {
				t.Fatalf("libopus made % x: %v", b, err)
			}
			configs[p.TOC>>2] = true
			many = many || p.N > 2
			large = large || len(p.Frame(0)) >= 252
		}
	}
	for i, seen := range configs {
		if !seen {
			t.Errorf("configuration %d, stereo %v, was not encoded", i/2, i%2 == 1)
		}
	}
	if !many || !large {
		t.Errorf("packets of many frames %v, frames of 252 octets and more %v", many, large)
	}
}

// checkCodes tells whether merging came to every code.
func checkCodes(t *testing.T, packets [][]byte) {
	t.Helper()
	seen := map[[2]any]int{}
	for _, b := range packets {
		var p Packet
		if err := p.Parse(b); err != nil {
			t.Fatal(err)
		}
		seen[[2]any{p.TOC & 3, p.VBR}]++
	}
	for _, c := range [][2]any{{byte(0), false}, {byte(1), false}, {byte(2), true}, {byte(3), false}, {byte(3), true}} {
		if seen[c] == 0 {
			t.Errorf("no packet of code %d, VBR %v was decoded: %v", c[0], c[1], seen)
		}
	}
}

// checkSound tells whether decoding gave enough for a comparison to show something: sound, finer than integers.
func checkSound(t *testing.T, pcm []byte) {
	t.Helper()
	loud, fine := 0, 0
	for i := 0; i < len(pcm); i += 4 {
		x := float64(sampleAt(pcm, i))
		if math.Abs(x) > 0.1 {
			loud++
		}
		if x *= 1 << 15; x != math.Trunc(x) {
			fine++
		}
	}
	if all := len(pcm) / 4; loud < all/4 || fine < all/4 {
		t.Fatalf("of %d samples %d are loud, %d finer than 16 bits", all, loud, fine)
	}
}

func sampleAt(pcm []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(pcm[i:]))
}

// difference says in which packet of the original the first other sample is.
func difference(got, want []byte, packets [][]byte) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d samples instead of %d", len(got)/sampleOctets, len(want)/sampleOctets)
	}
	i := 0
	for got[i] == want[i] {
		i++
	}
	i &^= 3
	at := 0
	for n, p := range packets {
		samples, _ := Duration(p)
		if at += samples; at > i/sampleOctets {
			return fmt.Sprintf("%v instead of %v at sample %d, in packet %d, TOC %#x, %d octets",
				sampleAt(got, i), sampleAt(want, i), i/sampleOctets, n, p[0], len(p))
		}
	}
	return "behind the last packet"
}
