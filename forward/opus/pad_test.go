package opus

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// From the shortest form on every length can be made, and nothing below; the frames stay. Past 2 * 255 octets of
// padding its length takes three octets, so 600 octets more see each kind of step.
func TestEveryLengthFromTheShortestOnCanBeMade(t *testing.T) {
	r := rand.New(rand.NewPCG(6716, 3))
	var p Packet
	for round := range 64 {
		toc := byte(round) << 2
		frames := randomFrames(r, 1+r.IntN(min(6, MaxDuration/frameSamples[toc>>3])))
		in := randomPacket(r, toc, frames)
		shortest := drawShortest(toc, frames)
		var m Merger
		m.Add(in)
		for n := len(shortest) - 3; n < len(shortest)+600; n++ {
			dirty := bytes.Repeat([]byte{0xaa}, n+8)
			got, ok := AppendPadded(dirty[:1], in, n)
			merged, okMerged := m.AppendPadded(nil, n)
			if ok != (n >= len(shortest)) || okMerged != ok {
				t.Fatalf("TOC %#x, %d octets, the shortest being %d: %v, merged %v", toc, n, len(shortest), ok, okMerged)
			}
			if !ok {
				if len(got) != 1 || merged != nil {
					t.Fatal("refused, and yet written")
				}
				continue
			}
			got = got[1:]
			want := shortest
			if n > len(shortest) {
				want = drawLong(toc, n, frames)
			}
			if !bytes.Equal(merged, want) {
				t.Fatalf("TOC %#x, %d octets: merged into\n% x, want\n% x", toc, n, merged, want)
			}
			if n == len(in) {
				want = in
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("TOC %#x, %d octets:\n% x, want\n% x", toc, n, got, want)
			}
			if err := p.Parse(got); err != nil || !slices.EqualFunc(framesOf(&p), frames, bytes.Equal) {
				t.Fatalf("TOC %#x, %d octets: other frames came out: %v", toc, n, err)
			}
		}
	}
}

func TestWhatIsNoPacketIsNotPadded(t *testing.T) {
	for _, p := range [][]byte{nil, {31<<3 | 1, 1}, {31<<3 | 3, 0}} {
		if got, ok := AppendPadded([]byte{1}, p, 100); ok || len(got) != 1 {
			t.Errorf("% x was padded to % x", p, got)
		}
	}
}
