package ogg

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// celt are the TOCs of CELT full-band packets of one frame (RFC 6716 §3.1), mono, and their durations at 48 kHz.
var celt = map[int]byte{120: 28 << 3, 240: 29 << 3, 480: 30 << 3, 960: 31 << 3}

// packet is one of n octets and so many samples, with random contents.
func packet(r *rand.Rand, n, samples int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	b[0] = celt[samples]
	return b
}

// talk are n packets of 20 ms at about 32 kb/s.
func talk(n int) (packets [][]byte) {
	r := rand.New(rand.NewPCG(7845, 1))
	for range n {
		packets = append(packets, packet(r, 70+r.IntN(20), 960))
	}
	return packets
}

// written is the file of packets of 20 ms, flushed after every so many of them.
func written(t testing.TB, h Head, packets [][]byte, flush int) []byte {
	t.Helper()
	var file bytes.Buffer
	f, err := NewWriter(&file, h)
	for i, p := range packets {
		if err == nil {
			err = f.Append(p, 960)
		}
		if err == nil && flush > 0 && i%flush == flush-1 {
			err = f.Flush()
		}
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if f.Bytes() != int64(file.Len()) || f.Samples() != int64(960*len(packets)) || f.Written() != f.Samples() {
		t.Fatalf("%d octets, %d samples, %d written; the file has %d", f.Bytes(), f.Samples(), f.Written(), file.Len())
	}
	return file.Bytes()
}

// read are all packets of a file, copied.
func read(t testing.TB, file []byte) (packets []Packet, f *Reader) {
	t.Helper()
	f, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, err := f.Next()
		if errors.Is(err, io.EOF) {
			return packets, f
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Data = slices.Clone(p.Data)
		packets = append(packets, p)
	}
}

// same fails unless got are the packets, each of 20 ms and right behind the one before, from a place on.
func same(t testing.TB, got []Packet, want [][]byte, at int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d packets of %d", len(got), len(want))
	}
	for i, p := range got {
		if !bytes.Equal(p.Data, want[i]) || p.At != at || p.Samples != 960 || p.Granule != at+960 {
			t.Fatalf("packet %d: at %d to %d, %d samples, want %d; its octets are right: %v", i, p.At, p.Granule, p.Samples, at, bytes.Equal(p.Data, want[i]))
		}
		at += 960
	}
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	packets := talk(500)
	for _, flush := range []int{0, 1, 7, 25} {
		h := Head{Serial: 77, Channels: 2, PreSkip: 312, Comments: []string{"TITLE=Ein Abend", "PERSON=alice"}, Vendor: "stentor"}
		file := written(t, h, packets, flush)
		got, f := read(t, file)
		same(t, got, packets, 0)
		if head := f.Head(); head.Serial != 77 || head.PreSkip != 312 || head.Vendor != "stentor" || !slices.Equal(head.Comments, h.Comments) {
			t.Errorf("head: %+v", head)
		}
		if len(f.Damage()) > 0 || !f.EOS() {
			t.Errorf("damage %v, ended: %v", f.Damage(), f.EOS())
		}
		if played, err := Check(bytes.NewReader(file), int64(len(file))); err != nil || played != 500*960-312 {
			t.Errorf("plays %d samples, %v", played, err)
		}
	}
}
