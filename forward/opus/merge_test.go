package opus

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomPacket writes frames in a random code, with padding now and then.
func randomPacket(r *rand.Rand, toc byte, frames [][]byte) []byte {
	for {
		d := drawing{r.IntN(4), r.IntN(2) == 0, -1, r.IntN(2) == 0}
		if d.code == 3 && r.IntN(3) == 0 {
			d.padding = []int{0, 253, 254, 255, 508, r.IntN(600)}[r.IntN(6)]
		}
		if b := draw(toc, d, frames); b != nil {
			return b
		}
	}
}

// A merged packet holds the frames of its packets in order, in the shortest form there is, and a further packet is
// taken exactly while 120 ms are not full: for every configuration, mono and stereo, and every code.
func TestMergedPacketsAreTheShortestOfAllFrames(t *testing.T) {
	r := rand.New(rand.NewPCG(6716, 2))
	var m Merger
	seen := map[byte]int{}
	for round := range 40 * 64 {
		toc := byte(round%64) << 2
		framesFit := MaxDuration / frameSamples[toc>>3]
		var want [][]byte
		for m.Reset(); ; {
			frames := randomFrames(r, 1+r.IntN(min(framesFit, 1+r.IntN(6))))
			ok := m.Add(randomPacket(r, toc, frames))
			if fits := len(want)+len(frames) <= framesFit; ok != fits {
				t.Fatalf("TOC %#x: %d frames and %d more: %v", toc, len(want), len(frames), ok)
			}
			if ok {
				want = append(want, frames...)
			}
			checkMerged(t, &m, toc, want)
			if got := m.AppendTo(nil); len(got) > 1 {
				seen[got[0]&3|got[1]&0x80]++
			}
			if !ok || r.IntN(4) == 0 {
				break
			}
		}
	}
	for _, code := range []byte{0, 1, 2, 3, 3 | 0x80} {
		if seen[code] < 40 {
			t.Errorf("code %d, VBR %v came up %d times: the test shows little", code&3, code&0x80 != 0, seen[code])
		}
	}
}

func checkMerged(t *testing.T, m *Merger, toc byte, want [][]byte) {
	t.Helper()
	head := []byte("before")
	got := m.AppendTo(head)
	if !bytes.HasPrefix(got, head) {
		t.Fatalf("TOC %#x: what stood before was overwritten", toc)
	}
	got = got[len(head):]
	if !bytes.Equal(got, drawShortest(toc, want)) {
		t.Fatalf("TOC %#x, %d frames: merged into %d octets, the shortest are %d", toc, len(want), len(got), len(drawShortest(toc, want)))
	}
	if !slices.EqualFunc(undraw(got), want, bytes.Equal) {
		t.Fatalf("TOC %#x: other frames came out of %d", toc, len(want))
	}
	if m.Size() != len(got) || m.Frames() != len(want) || m.Empty() || m.Samples() != len(want)*frameSamples[toc>>3] {
		t.Fatalf("TOC %#x: Size %d of %d, Frames %d of %d, Samples %d", toc, m.Size(), len(got), m.Frames(), len(want), m.Samples())
	}
}

func TestAMergerRefusesAndKeepsWhatItHas(t *testing.T) {
	const toc = 31 << 3
	for _, c := range []struct {
		name   string
		packet []byte
	}{
		{"other configuration", []byte{30 << 3, 1}},
		{"stereo", []byte{toc | 4, 1}},
		{"nothing", nil},
		{"malformed", []byte{toc | 1, 1}},
		{"sizes that promise too much", []byte{toc | 3, 0x83, 1, 200, 1}},
		{"too long", []byte{toc | 3, 5, 1, 2, 3, 4, 5}},
		{"too large", packet([]byte{toc}, 96)},
	} {
		m := Merger{SizeMax: 100}
		for _, p := range [][]byte{{toc, 7}, {toc, 8, 9}} {
			if !m.Add(p) {
				t.Fatalf("%s: % x is refused", c.name, p)
			}
		}
		if m.Add(c.packet) {
			t.Errorf("%s: added", c.name)
		}
		checkMerged(t, &m, toc, [][]byte{{7}, {8, 9}})
		if !m.Add([]byte{toc, 5}) {
			t.Errorf("%s: nothing is added any more", c.name)
		}
		checkMerged(t, &m, toc, [][]byte{{7}, {8, 9}, {5}})
	}
}

func TestSizeMaxIsReachedAndNotPassed(t *testing.T) {
	const toc = 31 << 3
	m := Merger{SizeMax: 300}
	for range 2 {
		if !m.Add(packet([]byte{toc}, 149)) {
			t.Fatal("299 octets are refused") // code 1: the TOC and twice 149
		}
	}
	m.Reset()
	if !m.Add(packet([]byte{toc}, 100)) || !m.Add(packet([]byte{toc}, 198)) || m.Size() != 300 {
		t.Fatalf("300 octets are refused, Size is %d", m.Size())
	}
	m.Reset()
	if !m.Add(packet([]byte{toc}, 100)) || m.Add(packet([]byte{toc}, 199)) {
		t.Error("301 octets are taken")
	}
	m.Reset()
	if m.Add(packet([]byte{toc}, 300)) || !m.Empty() {
		t.Error("a packet of 301 octets is taken")
	}
	for range 3 {
		m.Add([]byte{toc, 1, 2})
	}
	if m.Add(packet([]byte{toc}, 300)) {
		t.Error("309 octets are taken")
	}
	checkMerged(t, &m, toc, [][]byte{{1, 2}, {1, 2}, {1, 2}}) // still without sizes
}

func TestSilenceIsAFrameLikeAnyOther(t *testing.T) {
	voice := []byte{31 << 3, 1, 2, 3}
	var m Merger
	for _, p := range [][]byte{voice, Silence(voice), Silence(voice), voice} {
		if !m.Add(p) {
			t.Fatalf("% x is refused", p)
		}
	}
	checkMerged(t, &m, voice[0], [][]byte{{1, 2, 3}, {}, {}, {1, 2, 3}})
	m.Reset()
	m.Add(Silence(voice))
	m.Add(Silence(voice))
	if got := m.AppendTo(nil); !bytes.Equal(got, []byte{31<<3 | 1}) {
		t.Errorf("two silent frames are % x, want the TOC alone in code 1", got)
	}
}

func TestAnEmptyMergerWritesNothing(t *testing.T) {
	var m Merger
	for range 2 {
		dst := []byte{1, 2}
		if !m.Empty() || m.Frames() != 0 || m.Samples() != 0 || m.Size() != 0 || len(m.AppendTo(dst)) != 2 {
			t.Errorf("Empty %v, Frames %d, Samples %d, Size %d", m.Empty(), m.Frames(), m.Samples(), m.Size())
		}
		if b, ok := m.AppendPadded(dst, 10); ok || len(b) != 2 {
			t.Error("nothing was padded")
		}
		m.Add([]byte{31 << 3, 1})
		m.Reset()
	}
}

func TestAMergerTakesAnyConfigurationAfterReset(t *testing.T) {
	var m Merger
	for toc := 0; toc < 256; toc += 4 {
		m.Reset()
		if !m.Add([]byte{byte(toc), 42}) {
			t.Fatalf("TOC %#x is refused", toc)
		}
		checkMerged(t, &m, byte(toc), [][]byte{{42}})
	}
}
