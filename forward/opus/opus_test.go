package opus

import (
	"bytes"
	"testing"
	"time"
)

// TestTOC holds Duration against RFC 6716 §3.1, table 2, as milliseconds.
func TestTOC(t *testing.T) {
	const ms = SampleRate / 1000
	want := func(config int) int {
		switch {
		case config < 12: // SILK
			return []int{10, 20, 40, 60}[config%4] * ms
		case config < 16: // hybrid
			return []int{10, 20}[config%2] * ms
		}
		return []int{5, 10, 20, 40}[config%4] * ms / 2 // CELT
	}
	for config := range 32 {
		toc := byte(config) << 3
		for _, stereo := range []byte{0, 4} {
			for name, c := range map[string]struct {
				packet []byte
				frames int
			}{
				"code 0":              {[]byte{toc | stereo, 9, 9, 9}, 1},
				"code 0, no octets":   {[]byte{toc | stereo}, 1},
				"code 1":              {[]byte{toc | stereo | 1, 9, 9}, 2},
				"code 2":              {[]byte{toc | stereo | 2, 1, 9, 8, 8}, 2},
				"code 3, one":         {[]byte{toc | stereo | 3, 1, 9}, 1},
				"code 3, two, padded": {[]byte{toc | stereo | 3, 0x42, 1, 9, 8, 0}, 2},
				"code 3, two, VBR":    {[]byte{toc | stereo | 3, 0x82, 1, 9, 8, 8}, 2},
			} {
				got, ok := Duration(c.packet)
				if !ok || got != c.frames*want(config) {
					t.Errorf("configuration %d, %s: %d, %v, want %d", config, name, got, ok, c.frames*want(config))
				}
			}
		}
	}
	if got := time.Duration(MaxDuration) * time.Second / SampleRate; got != 120*time.Millisecond {
		t.Errorf("longest packet %v", got)
	}
}

func TestMalformedPacketsHaveNoDuration(t *testing.T) {
	const ms20, ms60, ms2 = 31 << 3, 3 << 3, 28 << 3
	frame := func(n int) []byte { return bytes.Repeat([]byte{7}, n) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, p := range map[string][]byte{
		"empty":                           {},
		"R2: code 0 above 1275 octets":    join([]byte{ms20}, frame(1276)),
		"R3: code 1 with odd octets":      {ms20 | 1, 1, 2, 3},
		"R4: code 2 without a size":       {ms20 | 2},
		"R4: code 2 with half a size":     {ms20 | 2, 252},
		"R4: code 2, first frame too big": {ms20 | 2, 4, 1, 2, 3},
		"R5: code 3 of no frames":         {ms20 | 3, 0},
		"R5: code 3 of 140 ms":            join([]byte{ms20 | 3, 7}, frame(7)),
		"R5: code 3 of 180 ms":            join([]byte{ms60 | 3, 3}, frame(3)),
		"R5: code 3 of 49 frames":         join([]byte{ms2 | 3, 49}, frame(49)),
		"code 3 without a count":          {ms20 | 3},
		"R6: CBR not divisible":           join([]byte{ms20 | 3, 3}, frame(7)),
		"R6: padding longer than packet":  {ms20 | 3, 0x41, 9, 1, 1},
		"R6: padding's length cut off":    {ms20 | 3, 0x41, 255, 255},
		"R7: VBR sizes cut off":           {ms20 | 3, 0x83, 1},
		"R7: VBR frames cut off":          {ms20 | 3, 0x83, 5, 5, 1, 2, 3},
	} {
		if n, ok := Duration(p); ok {
			t.Errorf("%s: has a duration of %d", name, n)
		}
	}
	for name, p := range map[string][]byte{
		"code 0 of 1275 octets":   join([]byte{ms20}, frame(1275)),
		"code 1 of two times 60":  {ms60 | 1, 1, 1},
		"code 2 of size 252+4·1":  join([]byte{ms20 | 2, 252, 1}, frame(256)),
		"code 3 of 48 frames":     join([]byte{ms2 | 3, 48}, frame(48)),
		"padding of 254+3 octets": join([]byte{ms20 | 3, 0x41, 255, 3}, frame(258)),
	} {
		if _, ok := Duration(p); !ok {
			t.Errorf("%s: refused", name)
		}
	}
}

func TestSignsOfSilence(t *testing.T) {
	for n, want := range map[int]bool{1: true, 2: true, 3: false, 60: false} {
		if IsDTX(make([]byte, n)) != want {
			t.Errorf("%d octets: IsDTX is %v", n, !want)
		}
	}
	for toc := range 256 {
		s := Silence([]byte{byte(toc), 1, 2, 3})
		if len(s) != 1 || s[0] != byte(toc)&0xfc || !IsDTX(s) {
			t.Fatalf("TOC %#x ends with %x, want the same configuration and channels in code 0", toc, s)
		}
		if n, ok := Duration(s); !ok || n != frameSamples[toc>>3] {
			t.Fatalf("TOC %#x: the sign of silence lasts %d, %v", toc, n, ok)
		}
	}
	p := []byte{0xF8}
	if n := testing.AllocsPerRun(100, func() { _ = Silence(p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDuration(f *testing.F) {
	for _, p := range [][]byte{{}, {0xF8}, {0xF9, 1, 2}, {0xFA, 1, 2, 3}, {0xFB, 0x42, 1, 9, 8, 0}, {0xFB, 0x83, 1, 1, 9, 8, 7}} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		n, ok := Duration(p)
		if !ok {
			return
		}
		if n < 120 || n > MaxDuration || n%120 != 0 {
			t.Fatalf("%x lasts %d samples", p, n)
		}
		if s, ok := Duration(Silence(p)); !ok || s > n {
			t.Fatalf("%x lasts %d, its sign of silence %d", p, n, s)
		}
		IsDTX(p)
	})
}
