package mix

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	"stentor/forward/opus"
)

// This file is the way to libopus and back, by ffmpeg: what the sources say is encoded by it, what the mix says is
// decoded by it, and as much of Ogg (RFC 3533, RFC 7845) as that takes.

// encode makes packets of pcm by libopus, with options such as "-application voip". Their samples lag by lookahead.
func encode(t testing.TB, pcm []float32, channels int, options string) [][]byte {
	t.Helper()
	args := fmt.Sprintf("-f f32le -ar 48000 -ac %d -i pipe: -c:a libopus -b:a 48k %s -f ogg pipe:", channels, options)
	return readOgg(t, ffmpeg(t, floatsToBytes(pcm), args))
}

// lookahead is libopus' in its default application, in samples, and what packets of an Ogg file have as pre-skip.
const lookahead = 312

// decode are the samples that libopus makes of packets, at a rate in Hz.
func decode(t testing.TB, packets [][]byte, rate int) []float32 {
	t.Helper()
	b := ffmpeg(t, writeOgg(packets), fmt.Sprintf("-c:a libopus -i pipe: -ar %d -ac 1 -c:a pcm_f32le -f f32le pipe:", rate))
	return bytesToFloats(b)
}

func ffmpeg(t testing.TB, in []byte, args string) []byte {
	t.Helper()
	cmd := exec.Command("ffmpeg", append([]string{"-hide_banner", "-loglevel", "error"}, strings.Fields(args)...)...)
	var out, complaints bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", args, err, &complaints)
	}
	if complaints.Len() > 0 {
		t.Errorf("ffmpeg %s: %s", args, &complaints)
	}
	return out.Bytes()
}

func floatsToBytes(pcm []float32) (b []byte) {
	for _, x := range pcm {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func bytesToFloats(b []byte) (pcm []float32) {
	for ; len(b) >= 4; b = b[4:] {
		pcm = append(pcm, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return pcm
}

// speech are the packets of a person, 9 s of 20 ms: one of slt, rms and awb, voices of flite that read the Rainbow
// Passage, made by
//
//	ffmpeg -f lavfi -i "flite=text='…':voice=slt" -af aresample=48000,atrim=0:9 -ac 1 -c:a libopus -application voip -b:a 32k slt.ogg
func speech(t testing.TB, who string) [][]byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + who + ".ogg")
	if err != nil {
		t.Fatal(err)
	}
	return readOgg(t, b)
}

// readOgg are the audio packets of an Ogg file of one stream.
func readOgg(t testing.TB, b []byte) (packets [][]byte) {
	t.Helper()
	var cur []byte
	for len(b) > 0 {
		if len(b) < 27 || string(b[:4]) != "OggS" || len(b) < 27+int(b[26]) {
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
	return packets[2:]
}

// writeOgg makes an Ogg file of mono packets, with the mix's pre-skip.
func writeOgg(packets [][]byte) []byte {
	head := append([]byte("OpusHead\x01\x01"), make([]byte, 9)...)
	binary.LittleEndian.PutUint16(head[10:], PreSkip)
	binary.LittleEndian.PutUint32(head[12:], opus.SampleRate)
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
	binary.LittleEndian.PutUint32(page[22:], oggCRC(page))
	b.Write(page)
}

// oggCRC is the CRC of RFC 3533 §6.
func oggCRC(b []byte) (crc uint32) {
	for _, c := range b {
		crc ^= uint32(c) << 24
		for range 8 {
			crc = crc<<1 ^ crc>>31*0x04c11db7
		}
	}
	return crc
}
