package opus

import (
	"math/rand/v2"
	"testing"
)

// speech are packets of 20 ms at about 32 kb/s.
func speech(n int) (packets [][]byte) {
	r := rand.New(rand.NewPCG(6716, 4))
	for range n {
		packets = append(packets, packet([]byte{15 << 3}, 70+r.IntN(20)))
	}
	return packets
}

func TestSurgeryAllocatesNothing(t *testing.T) {
	packets := speech(6)
	dst := make([]byte, 0, 2048)
	var m Merger
	var p Packet
	for name, f := range map[string]func() bool{
		"parse":  func() bool { return p.Parse(packets[0]) == nil },
		"refuse": func() bool { return p.Parse(packets[0][:0]) != nil && !m.Add(nil) },
		"merge": func() bool {
			m.Reset()
			for _, b := range packets {
				if !m.Add(b) {
					return false
				}
			}
			return len(m.AppendTo(dst)) == m.Size()
		},
		"merge and pad": func() bool {
			m.Reset()
			added := m.Add(packets[0])
			b, ok := m.AppendPadded(dst, 1000)
			return added && ok && len(b) == 1000
		},
		"pad": func() bool {
			b, ok := AppendPadded(dst, packets[0], 1000)
			return ok && len(b) == 1000
		},
	} {
		ok := true
		if n := testing.AllocsPerRun(100, func() { ok = f() && ok }); n != 0 || !ok {
			t.Errorf("%s: %v allocations, worked: %v", name, n, ok)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct {
		name   string
		packet []byte
	}{
		{"20ms", speech(1)[0]},
		{"120ms", mergedSpeech(6)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var p Packet
			for b.Loop() {
				if p.Parse(c.packet) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}

func mergedSpeech(n int) []byte {
	var m Merger
	for _, p := range speech(n) {
		m.Add(p)
	}
	return m.AppendTo(nil)
}

func BenchmarkMerge3x20ms(b *testing.B) {
	packets := speech(3)
	dst := make([]byte, 0, 2048)
	var m Merger
	b.ReportAllocs()
	for b.Loop() {
		m.Reset()
		for _, p := range packets {
			m.Add(p)
		}
		if len(m.AppendTo(dst)) < 200 {
			b.Fatal("frames are missing")
		}
	}
}

func BenchmarkPad(b *testing.B) {
	in := mergedSpeech(3)
	dst := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := AppendPadded(dst, in, len(in)+40); !ok {
			b.Fatal("refused")
		}
	}
}
