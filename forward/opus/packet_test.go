package opus

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func octets(n int) []byte { return bytes.Repeat([]byte{0x55}, n) }

func packet(head []byte, frames int) []byte { return append(head, octets(frames)...) }

func TestParseNamesTheBrokenRule(t *testing.T) {
	const fb20, nb60, fb2 = 31 << 3, 3 << 3, 28 << 3 // fullband 20 ms, narrowband 60 ms, fullband 2.5 ms
	chain := func(n int) []byte { return bytes.Repeat([]byte{255}, n) }
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"R1: nothing", nil, ErrEmpty},
		{"R2: code 0, at the limit", packet([]byte{fb20}, 1275), nil},
		{"R2: code 0, beyond", packet([]byte{fb20}, 1276), ErrFrameSize},
		{"R2: code 1, at the limit", packet([]byte{fb20 | 1}, 2550), nil},
		{"R2: code 1, beyond", packet([]byte{fb20 | 1}, 2552), ErrFrameSize},
		{"R2: code 2, last at the limit", packet([]byte{fb20 | 2, 1}, 1276), nil},
		{"R2: code 2, last beyond", packet([]byte{fb20 | 2, 1}, 1277), ErrFrameSize},
		{"R2: code 3 CBR, at the limit", packet([]byte{fb20 | 3, 3}, 3825), nil},
		{"R2: code 3 CBR, beyond", packet([]byte{fb20 | 3, 3}, 3828), ErrFrameSize},
		{"R2: code 3 VBR, last beyond", packet([]byte{fb20 | 3, 0x82, 0}, 1276), ErrFrameSize},
		{"code 0, one frame of no octets", []byte{fb20}, nil},
		{"R3: code 1, no octets", []byte{fb20 | 1}, nil},
		{"R3: code 1, odd", packet([]byte{fb20 | 1}, 7), ErrUneven},
		{"R4: code 2, no size", []byte{fb20 | 2}, ErrTruncated},
		{"R4: code 2, half a size", []byte{fb20 | 2, 252}, ErrTruncated},
		{"R4: code 2, size beyond", []byte{fb20 | 2, 1}, ErrTruncated},
		{"R4: code 2, second of no octets", []byte{fb20 | 2, 1, 9}, nil},
		{"R4: code 2, largest size", packet([]byte{fb20 | 2, 255, 255}, 1275), nil},
		{"R5: no frames", []byte{fb20 | 3, 0}, ErrCount},
		{"R5: 6 of 20 ms", []byte{fb20 | 3, 6}, nil},
		{"R5: 7 of 20 ms", []byte{fb20 | 3, 7}, ErrCount},
		{"R5: 2 of 60 ms", []byte{nb60 | 3, 2}, nil},
		{"R5: 3 of 60 ms", []byte{nb60 | 3, 3}, ErrCount},
		{"R5: 48 of 2.5 ms", []byte{fb2 | 3, 48}, nil},
		{"R5: 49 of 2.5 ms", []byte{fb2 | 3, 49}, ErrCount},
		{"R6, R7: no count", []byte{fb20 | 3}, ErrTruncated},
		{"R6: does not divide", packet([]byte{fb20 | 3, 3}, 4), ErrUneven},
		{"R6: no length of padding", []byte{fb20 | 3, 0x41}, ErrPadding},
		{"R6: length of padding goes on for ever", append([]byte{fb20 | 3, 0x41}, chain(9)...), ErrPadding},
		{"R6: padding of no octets", []byte{fb20 | 3, 0x41, 0}, nil},
		{"R6: padding and no more", []byte{fb20 | 3, 0x41, 3, 0, 0, 0}, nil},
		{"R6: padding longer", []byte{fb20 | 3, 0x41, 4, 0, 0, 0}, ErrPadding},
		{"R6: padding of 254 and none", packet([]byte{fb20 | 3, 0x41, 255, 0}, 254), nil},
		{"R6: padding of 254 and one", packet([]byte{fb20 | 3, 0x41, 255, 1}, 254), ErrPadding},
		{"R7: sizes cut off", []byte{fb20 | 3, 0x83, 0}, ErrTruncated},
		{"R7: frames cut off", packet([]byte{fb20 | 3, 0x83, 3, 3}, 5), ErrTruncated},
		{"R7: last of no octets", packet([]byte{fb20 | 3, 0x83, 3, 3}, 6), nil},
		{"R7: padding eats a frame", []byte{fb20 | 3, 0xc2, 2, 1, 0, 0}, ErrTruncated},
	} {
		var p Packet
		if err := p.Parse(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		} else if err != nil && p.N != 0 {
			t.Errorf("%s: %d frames beside an error", c.name, p.N)
		}
		if _, ok := Duration(c.b); ok != (c.want == nil) {
			t.Errorf("%s: Duration says %v", c.name, ok)
		}
	}
}

// Every configuration, mono and stereo, in every code that its number of frames allows, padded and not.
func TestParseTakesApartWhatTheFiguresDraw(t *testing.T) {
	r := rand.New(rand.NewPCG(6716, 1))
	var p Packet
	for toc := 0; toc < 256; toc += 4 {
		for n := 1; n*frameSamples[toc>>3] <= MaxDuration; n++ {
			frames := randomFrames(r, n)
			ways := append(slices.Clone(plain), drawing{code: 3}, drawing{code: 3, vbr: true, padding: 254},
				drawing{code: 3, padding: 508, chain: true}, drawing{code: 3, vbr: r.IntN(2) == 0, padding: r.IntN(1200)})
			for _, d := range ways {
				b := draw(byte(toc), d, frames)
				if b == nil {
					continue
				}
				name := fmt.Sprintf("TOC %#x, %d frames, %+v", toc, n, d)
				if err := p.Parse(b); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if !slices.EqualFunc(framesOf(&p), frames, bytes.Equal) {
					t.Fatalf("%s: other frames came out", name)
				}
				wantVBR := d.code == 2 || d.vbr
				if p.N != n || p.VBR != wantVBR || p.Config() != toc>>3 || p.Stereo() != (toc&4 != 0) || p.TOC != byte(toc+d.code) {
					t.Fatalf("%s: parsed as %d frames, VBR %v, configuration %d, stereo %v", name, p.N, p.VBR, p.Config(), p.Stereo())
				}
				if p.Samples() != n*frameSamples[toc>>3] || p.FrameSamples() != frameSamples[toc>>3] {
					t.Fatalf("%s: %d samples of %d", name, p.Samples(), p.FrameSamples())
				}
				bare := draw(byte(toc), drawing{code: d.code, vbr: d.vbr, padding: -1}, frames)
				if p.Padding != len(b)-len(bare) {
					t.Fatalf("%s: padding of %d octets, want %d", name, p.Padding, len(b)-len(bare))
				}
			}
		}
	}
}

func TestSameConfigIgnoresTheCode(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			if got, want := SameConfig(byte(a), byte(b)), a/4 == b/4; got != want {
				t.Fatalf("SameConfig(%#x, %#x) = %v", a, b, got)
			}
		}
	}
}

func TestParsingAgainForgetsTheLastPacket(t *testing.T) {
	var p Packet
	if err := p.Parse(draw(0xf8, drawing{code: 3, vbr: true, padding: 40}, randomFrames(rand.New(rand.NewPCG(1, 1)), 6))); err != nil {
		t.Fatal(err)
	}
	if err := p.Parse([]byte{0xfc, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if p.N != 1 || p.Padding != 0 || p.VBR || !bytes.Equal(p.Frame(0), []byte{1, 2, 3}) {
		t.Errorf("parsed as %d frames, padding %d, VBR %v", p.N, p.Padding, p.VBR)
	}
}

func TestAFrameEndsWhereTheNextBegins(t *testing.T) {
	var p Packet
	b := []byte{31<<3 | 1, 1, 2, 3, 4}
	if err := p.Parse(b); err != nil {
		t.Fatal(err)
	}
	if _ = append(p.Frame(0), 9); b[3] != 3 {
		t.Error("what was appended to the first frame is in the second")
	}
}
