package align

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"stentor/forward/opus"
)

// This file holds tracks against decoders that are not ours: ffmpeg's own, libopus by way of ffmpeg, and opusdec.

// run runs a program, which must be there.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s (Debian: apt-get install ffmpeg opus-tools): %v", name, err)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// decoders turn an Ogg Opus file into mono samples of 16 bits, little endian, at 48 kHz.
var decoders = map[string]func(t *testing.T, in, out string){
	"ffmpeg":  func(t *testing.T, in, out string) { run(t, "ffmpeg", ffmpegArgs("opus", in, out)...) },
	"libopus": func(t *testing.T, in, out string) { run(t, "ffmpeg", ffmpegArgs("libopus", in, out)...) },
	"opusdec": func(t *testing.T, in, out string) {
		run(t, "opusdec", "--quiet", "--no-dither", "--rate", "48000", "--force-stereo", in, out+".wav")
		run(t, "ffmpeg", "-v", "error", "-y", "-i", out+".wav", "-ac", "1", "-f", "s16le", out)
	},
}

func ffmpegArgs(decoder, in, out string) []string {
	return []string{"-v", "error", "-y", "-c:a", decoder, "-i", in, "-ac", "1", "-ar", "48000", "-f", "s16le", out}
}

// decode writes pieces to an Ogg file and reads what a decoder makes of it.
func decode(t *testing.T, decoder string, payloads [][]byte) []int16 {
	t.Helper()
	in, out := filepath.Join(t.TempDir(), "track.ogg"), filepath.Join(t.TempDir(), "track.pcm")
	if err := os.WriteFile(in, writeOgg(payloads), 0o600); err != nil {
		t.Fatal(err)
	}
	decoders[decoder](t, in, out)
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, len(b)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return pcm
}

// encode is sound made by ffmpeg, in packets of 20 ms by libopus.
func encode(t *testing.T, source string, args ...string) (packets [][]byte) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "sound.ogg")
	args = append([]string{"-v", "error", "-y", "-f", "lavfi", "-i", source, "-c:a", "libopus", "-frame_duration", "20"}, args...)
	run(t, "ffmpeg", append(args, out)...)
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return readOgg(t, b)[2:]
}

// loudness is the root mean square of samples, of 32768.
func loudness(pcm []int16) float64 {
	sum := 0.0
	for _, s := range pcm {
		sum += float64(s) * float64(s)
	}
	return math.Sqrt(sum / float64(len(pcm)))
}

// Bursts of a tone, in each mode of Opus, with loss and a drifting clock: every decoder finds each burst in its second, and
// zeros between, and the file exactly as long as the recording.
func TestDecodersHearTheBurstsInTheirPlaces(t *testing.T) {
	for mode, args := range map[string][]string{
		"silk":   {"-application", "voip", "-b:a", "12k", "-ac", "1"},
		"hybrid": {"-application", "voip", "-b:a", "28k", "-ac", "1"},
		"celt":   {"-application", "lowdelay", "-b:a", "64k", "-ac", "2"},
	} {
		tone := encode(t, "sine=frequency=1000:sample_rate=48000:duration=1,volume=4", args...)[:50]
		const bursts, length = 5, 20 * SampleRate
		p := newPerson(9, 100)
		p.at, p.delay = SampleRate, 0
		track, payloads := New(0), [][]byte(nil)
		emit := func(piece Piece) { payloads = append(payloads, piece.Payload) }
		var starts []float64
		for range bursts {
			starts = append(starts, p.at+960)
			for i, payload := range tone {
				p.loss = min(0.05, float64(i)) // an onset that is lost would look like a late one
				if q := p.packet(true); q != nil {
					q.Payload = payload
					track.Put(q, emit)
				}
			}
			p.pause(2500 * ms)
			track.Advance(int64(p.at), emit)
		}
		track.Close(length, emit)
		for decoder := range decoders {
			t.Run(mode+" by "+decoder, func(t *testing.T) { checkBursts(t, decode(t, decoder, payloads), starts, length) })
		}
	}
}

func checkBursts(t *testing.T, pcm []int16, starts []float64, length int) {
	if len(pcm) != length {
		t.Errorf("%d samples, %d too many", len(pcm), len(pcm)-length)
	}
	for i, start := range starts {
		at := int(start)
		const s = SampleRate
		if in := loudness(pcm[at+s/5 : at+s*4/5]); in < 3000 {
			t.Errorf("burst %d: loudness %.0f", i, in)
		}
		{
			if before := loudness(pcm[at-s/2 : at-s/50]); before > 1 {
				t.Errorf("before burst %d: loudness %.1f", i, before)
			}
		}
		if after := loudness(pcm[at+s*11/10 : at+s*2]); after > 1 {
			t.Errorf("after burst %d: loudness %.1f", i, after)
		}
		if onset := firstLoud(pcm[at-s/10:at+s/5]) - s/10; onset < -8*ms || onset > 20*ms {
			t.Errorf("burst %d begins %.1f ms late", i, float64(onset)/ms)
		}
	}
}

// firstLoud is where a sound sets in.
func firstLoud(pcm []int16) int {
	for i, s := range pcm {
		if s > 2000 || s < -2000 {
			return i
		}
	}
	return len(pcm)
}

// Every filler is as long as it says, in each decoder, after each mode; and the silent ones are zeros.
func TestFillersDecodeToTheirDuration(t *testing.T) {
	for mode, args := range map[string][]string{"silk": {"-b:a", "12k", "-ac", "1"}, "celt": {"-b:a", "64k", "-ac", "2"}} {
		tone := encode(t, "sine=frequency=440:sample_rate=48000:duration=0.5,volume=4", append(args, "-application", "voip")...)[:20]
		payloads, length := append([][]byte(nil), tone...), 20*960
		for _, room := range []int64{960, 480} {
			p, n := missing(tone[0], room)
			payloads, length = append(payloads, p), length+n
		}
		payloads, length = append(payloads, opus.Quiet), length+960
		zeros := length
		for _, q := range quiets {
			payloads, length = append(payloads, q.payload), length+q.samples
		}
		for decoder := range decoders {
			t.Run(fmt.Sprintf("%s by %s", mode, decoder), func(t *testing.T) {
				pcm := decode(t, decoder, payloads)
				if len(pcm) != length {
					t.Fatalf("%d samples instead of %d", len(pcm), length)
				}
				if l := loudness(pcm[zeros:]); l > 1 {
					t.Errorf("silence of loudness %.1f", l)
				}
			})
		}
	}
}

// Zeros within a stream of CELT do not swallow what comes after them: the first 20 ms are as loud as where a
// listener joins in the midst of a stream.
func TestMusicIsHeardAtOnceAfterSilence(t *testing.T) {
	tone := encode(t, "sine=frequency=1000:sample_rate=48000:duration=2,volume=4", "-application", "audio", "-b:a", "64k", "-ac", "2")
	p := newPerson(4, 0)
	p.delay = 0
	track, payloads := New(0), [][]byte(nil)
	emit := func(piece Piece) { payloads = append(payloads, piece.Payload) }
	for i := range 80 {
		if i == 50 {
			p.pause(3 * SampleRate)
		}
		q := p.packet(true)
		q.Payload = tone[i]
		track.Put(q, emit)
	}
	back := 960 + 50*960 + 3*SampleRate
	for decoder := range decoders {
		t.Run(decoder, func(t *testing.T) {
			joined := loudness(decode(t, decoder, tone[50:80])[:960])
			pcm := decode(t, decoder, payloads)
			if got := loudness(pcm[back : back+960]); got < joined/2 {
				t.Errorf("loudness %.0f after silence, %.0f for who joins", got, joined)
			}
			if got := loudness(pcm[back-SampleRate : back]); got > 1 {
				t.Errorf("silence of loudness %.1f", got)
			}
		})
	}
}

// Who falls silent and begins again by himself is not woken: his encoder comes from silence too.
func TestAnOnsetFromSilenceIsNotWoken(t *testing.T) {
	tone := encode(t, "sine=frequency=1000:sample_rate=48000:duration=1", "-application", "audio", "-b:a", "64k", "-ac", "2")
	p := newPerson(4, 0)
	p.delay = 0
	track := New(0)
	for i := range 30 {
		if i == 20 {
			p.pause(3 * SampleRate)
		}
		q := p.packet(i > 0 && i < 19 || i > 20) // the first, the last before the pause, and the first after it are quiet
		q.Payload = tone[i]
		track.Put(q, func(piece Piece) {
			if bytes.Equal(piece.Payload, waker) {
				t.Errorf("a waker at %d", piece.At)
			}
		})
	}
}

// The rest is as much of Ogg (RFC 3533) and of Opus in it (RFC 7845) as it takes.

// readOgg are the packets of an Ogg file of one stream, the two of the header first.
func readOgg(t *testing.T, b []byte) (packets [][]byte) {
	var cur []byte
	for len(b) > 0 {
		if len(b) < 27 || string(b[:4]) != "OggS" {
			t.Fatal("no Ogg page")
		}
		laces, rest := b[27:27+int(b[26])], b[27+int(b[26]):]
		for _, l := range laces {
			cur, rest = append(cur, rest[:l]...), rest[l:]
			if l < 255 {
				packets, cur = append(packets, cur), nil
			}
		}
		b = rest
	}
	return packets
}

// writeOgg makes an Ogg file of stereo Opus packets, each on a page of its own, no samples left out at either end.
func writeOgg(packets [][]byte) []byte {
	head := append([]byte("OpusHead\x01\x02"), make([]byte, 9)...) // version 1, two channels, no pre-skip, no gain
	binary.LittleEndian.PutUint32(head[12:], SampleRate)
	var b bytes.Buffer
	writePage(&b, head, 2, 0, 0)
	writePage(&b, append([]byte("OpusTags"), make([]byte, 8)...), 0, 0, 1)
	granule := 0
	for i, p := range packets {
		samples, _ := opus.Duration(p)
		granule += samples
		flags := byte(0)
		if i == len(packets)-1 {
			flags = 4 // the stream's end
		}
		writePage(&b, p, flags, uint64(granule), uint32(2+i))
	}
	return b.Bytes()
}

func writePage(b *bytes.Buffer, packet []byte, flags byte, granule uint64, number uint32) {
	page := append([]byte("OggS\x00"), flags)
	page = binary.LittleEndian.AppendUint64(page, granule)
	page = binary.LittleEndian.AppendUint32(page, 1) // the stream's serial number
	page = binary.LittleEndian.AppendUint32(page, number)
	page = append(page, 0, 0, 0, 0, byte(len(packet)/255+1))
	page = append(page, bytes.Repeat([]byte{255}, len(packet)/255)...)
	page = append(append(page, byte(len(packet)%255)), packet...)
	crc := uint32(0) // RFC 3533 §6: polynomial 0x04c11db7, not reflected, from 0
	for _, c := range page {
		crc ^= uint32(c) << 24
		for range 8 {
			crc = crc<<1 ^ crc>>31*0x04c11db7
		}
	}
	binary.LittleEndian.PutUint32(page[22:], crc)
	b.Write(page)
}
