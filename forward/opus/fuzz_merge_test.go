package opus

import (
	"bytes"
	"slices"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte{0xf8, 1, 2, 3}, 20)
	f.Add([]byte{0xf9, 1, 2}, 300)
	f.Add([]byte{0xfa, 1, 2, 3}, 5)
	f.Add([]byte{0xfb, 0xc3, 2, 1, 1, 7, 8, 9, 0, 0}, 1000)
	f.Add([]byte{0xe3, 48}, 48)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		var p Packet
		err := p.Parse(b)
		want := undraw(b)
		samples, ok := Duration(b)
		if (err == nil) != (want != nil) || ok != (err == nil) {
			t.Fatalf("Parse: %v, the model: %v, Duration: %v", err, want != nil, ok)
		}
		if !slices.EqualFunc(framesOf(&p), want, bytes.Equal) {
			t.Fatal("the model has other frames")
		}
		n %= 4096
		got, ok := AppendPadded(nil, b, n)
		if err != nil {
			if ok || p.N != 0 {
				t.Fatalf("padded, or %d frames, for all of %v", p.N, err)
			}
			return
		}
		if p.Samples() != samples || samples > MaxDuration || p.Padding > len(b) {
			t.Fatalf("%d samples, Duration says %d; padding of %d octets", p.Samples(), samples, p.Padding)
		}
		if ok != (n >= len(drawShortest(b[0]&^3, want))) {
			t.Fatalf("padded to %d: %v", n, ok)
		}
		if ok && (len(got) != n || !slices.EqualFunc(undraw(got), want, bytes.Equal)) {
			t.Fatalf("padded to %d octets instead of %d, or other frames", len(got), n)
		}
	})
}

// FuzzMerge cuts its input into packets, an octet of length before each, and merges them, at most so many octets at a
// time.
func FuzzMerge(f *testing.F) {
	f.Add([]byte{2, 0xf8, 1, 2, 0xf8, 2, 1, 0xf8, 3, 0xf9, 7, 7, 5, 0xfa, 1, 2, 3, 3, 2, 0xd8, 1}, 0)
	f.Add([]byte{2, 0xe3, 48, 2, 0xe3, 40, 2, 0xe3, 8, 1, 0xe0}, 0)
	f.Add([]byte{4, 0xfb, 0x41, 1, 0, 4, 0xfb, 2, 9, 9, 3, 0xfb, 0x82, 0}, 9)
	f.Fuzz(func(t *testing.T, b []byte, sizeMax int) {
		m := Merger{SizeMax: sizeMax}
		var want, got [][]byte // frames, from the first packet to the last
		flush := func() {
			merged := m.AppendTo(nil)
			if len(merged) != m.Size() || sizeMax > 0 && len(merged) > sizeMax {
				t.Fatalf("%d octets, Size %d, SizeMax %d", len(merged), m.Size(), sizeMax)
			}
			samples, ok := Duration(merged)
			if ok == m.Empty() || samples != m.Samples() {
				t.Fatalf("% x is no packet, or not of %d samples", merged, m.Samples())
			}
			frames := undraw(merged)
			if ok && len(merged) != len(drawShortest(merged[0]&^3, frames)) {
				t.Fatalf("% x is not the shortest", merged)
			}
			got = append(got, frames...)
			m.Reset()
		}
		for len(b) > 0 {
			n := min(int(b[0]), len(b)-1)
			p := b[1 : 1+n]
			b = b[1+n:]
			frames := undraw(p)
			if !m.Add(p) {
				flush()
				legal := frames != nil && (sizeMax <= 0 || len(drawShortest(p[0]&^3, frames)) <= sizeMax)
				if m.Add(p) != legal {
					t.Fatalf("% x, the model has %d frames: added %v", p, len(frames), !legal)
				}
				if !legal {
					continue
				}
			}
			want = append(want, frames...)
		}
		flush()
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("%d frames went in, %d came out, or others", len(want), len(got))
		}
	})
}
