//go:build linux

package fanout

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"stentor/bench/client"
)

func TestSchedstatIsReadToTheNanosecond(t *testing.T) {
	run, wait, err := parseSchedstat("36502848 9783345 146\n")
	if err != nil || run != 36502848*time.Nanosecond || wait != 9783345*time.Nanosecond {
		t.Errorf("%v, %v, %v", run, wait, err)
	}
	if _, _, err := parseSchedstat(""); err == nil {
		t.Error("an empty file was taken")
	}
}

func TestStatIsReadBehindTheName(t *testing.T) {
	const line = "123 (a ) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0"
	d, err := parseStat(line)
	if err != nil || d != 3*time.Second {
		t.Errorf("%v, %v", d, err)
	}
	for _, bad := range []string{"", "1 (x) S 1 2", "1 (x S 1 2 3 4 5 6 7 8 9 10 11 12 13 14"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestRSSIsFound(t *testing.T) {
	v, err := parseRSS("559000-7ffc rollup\nRss:                4321 kB\nPss:  100 kB\n")
	if err != nil || v != 4321 {
		t.Errorf("%g, %v", v, err)
	}
	if _, err := parseRSS("Pss: 1 kB\n"); err == nil {
		t.Error("no Rss was taken for one")
	}
}

func TestOwnProcessHasUsedTime(t *testing.T) {
	c, err := cpuOf(os.Getpid())
	if err != nil || c.run <= 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if kb, err := rssOf(os.Getpid()); err != nil || kb <= 0 {
		t.Errorf("%g KB, %v", kb, err)
	}
	if _, err := cpuOf(1 << 30); err == nil {
		t.Error("a process that is not there has used time")
	}
}

func TestMetricsAreRead(t *testing.T) {
	m, err := parseMetrics(strings.NewReader("# HELP a b\na{shard=\"0\"} 3\na{shard=\"1\"} 4\nab 100\nb 1e-3\n"))
	if err != nil || sumOf(m, "a") != 7 || sumOf(m, "ab") != 100 || m["b"] != 0.001 {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := parseMetrics(strings.NewReader("a x\n")); err == nil {
		t.Error("a value that is no number was taken")
	}
}

func TestSpeechIsOpusAndNoFrameOccursTwice(t *testing.T) {
	s := newSpeech()
	if len(s.frames) < 500 || len(s.index) != len(s.frames) {
		t.Fatalf("%d frames, %d different ones", len(s.frames), len(s.index))
	}
	for i, f := range s.frames {
		n := 0
		if !client.Frames(f, func(toc byte, frame []byte) { n++ }) || n != 1 || f[0]>>3 != s.frames[0][0]>>3 {
			t.Fatalf("frame %d: %d frames, TOC %x", i, n, f[0])
		}
	}
	end := 0
	for i := range 3 {
		first, count := s.share(i, 3)
		if first != end || count < 100 {
			t.Errorf("share %d is %d from %d", i, count, first)
		}
		end = first + count
	}
}

func TestUnpackReadsEveryCode(t *testing.T) {
	const toc = 15 << 3
	for name, c := range map[string]struct {
		packet []byte
		frames []string
	}{
		"one":                {[]byte{toc, 'a', 'b'}, []string{"ab"}},
		"silence":            {[]byte{toc}, []string{""}},
		"two equal":          {[]byte{toc | 1, 'a', 'b', 'c', 'd'}, []string{"ab", "cd"}},
		"two":                {[]byte{toc | 2, 1, 'a', 'b', 'c'}, []string{"a", "bc"}},
		"three equal":        {[]byte{toc | 3, 3, 'a', 'b', 'c'}, []string{"a", "b", "c"}},
		"three":              {[]byte{toc | 3, 0x83, 2, 0, 'a', 'b', 'c', 'd'}, []string{"ab", "", "cd"}},
		"padded":             {[]byte{toc | 3, 0x42, 2, 'a', 'b', 0, 0}, []string{"a", "b"}},
		"three, padded":      {[]byte{toc | 3, 0xC3, 1, 1, 2, 'a', 'b', 'c', 'd', 0}, []string{"a", "bc", "d"}},
		"empty":              {nil, nil},
		"odd":                {[]byte{toc | 1, 'a'}, nil},
		"too short":          {[]byte{toc | 2, 9, 'a'}, nil},
		"no count":           {[]byte{toc | 3}, nil},
		"no frames":          {[]byte{toc | 3, 0}, nil},
		"not equal":          {[]byte{toc | 3, 2, 'a', 'b', 'c'}, nil},
		"padding of nothing": {[]byte{toc | 3, 0x41, 5, 'a'}, nil},
	} {
		var frames []string
		ok := client.Frames(c.packet, func(got byte, frame []byte) {
			if got != toc {
				t.Errorf("%s: TOC %x", name, got)
			}
			frames = append(frames, string(frame))
		})
		if ok != (c.frames != nil) || ok && !reflect.DeepEqual(frames, c.frames) {
			t.Errorf("%s: %v %q", name, ok, frames)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte{15<<3 | 3, 0xC3, 1, 1, 2, 'a', 'b', 'c', 'd', 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		sum := 0
		if client.Frames(p, func(_ byte, frame []byte) { sum += len(frame) }) && sum > len(p) {
			t.Errorf("%d octets of %d", sum, len(p))
		}
	})
}

func TestTheFloorsLoadSurvivesTheCommandLine(t *testing.T) {
	want := FloorLoad{Port: 4000, First: 3, Destinations: 500, BurstsPerS: 149.75, Size: 125, Batch: 128, Threads: 2}
	got, err := ParseFloorLoad(want.args())
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][]string{nil, {"1", "2"}, FloorLoad{Port: 1, Destinations: 1, BurstsPerS: 1, Size: 10, Batch: 1, Threads: 1}.args()} {
		if _, err := ParseFloorLoad(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestBusyTimeLeavesOutIdleAndSteal(t *testing.T) {
	busy, stolen, err := parseBusy("cpu  100 20 3 9999 888 7 5 50 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
	if err != nil || busy != 1350*time.Millisecond || stolen != 500*time.Millisecond {
		t.Errorf("%v, %v, %v", busy, stolen, err)
	}
	if _, _, err := parseBusy("intr 1"); err == nil {
		t.Error("another line was taken")
	}
}
