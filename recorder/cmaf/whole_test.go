package cmaf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// whole writes one file of a replay.
func whole(t *testing.T, packets iter.Seq2[Packet, error], o Whole) (string, []byte, Written) {
	t.Helper()
	var b bytes.Buffer
	o.Head = DefaultHead()
	out, err := WriteWhole(&b, packets, o)
	if err != nil {
		t.Fatal(err)
	}
	if out.Bytes != int64(b.Len()) {
		t.Errorf("%d octets are written, it says %d", b.Len(), out.Bytes)
	}
	name := filepath.Join(t.TempDir(), "replay.mp4")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name, b.Bytes(), out
}

func TestWholeFilePlaysAndSeeks(t *testing.T) {
	r := record(t, Options{}, at20(tones(t), nil), nil)
	name, file, out := whole(t, r.packets(), Whole{})
	if out.Duration != tonesLength*SampleRate || out.Packets != tonesLength*50 || out.Filled != 0 {
		t.Errorf("%+v", out)
	}
	if got := probe(t, file, "-show_entries", "stream=duration_ts,start_pts:format=duration", "-of", "csv=p=0"); got != "0,960000\n20.000000\n" {
		t.Errorf("ffprobe says %q", got)
	}
	pcm := decode(t, "-i", name)
	hears(t, pcm, 0, 0, tonesLength-1)
	// ffmpeg does not cut the end off a last packet that lasts longer than the edit list wants.
	if n := len(pcm) - tonesLength*SampleRate; n < 0 || n >= 960 {
		t.Errorf("%d samples, want %d", len(pcm), tonesLength*SampleRate)
	}
	for _, tenths := range []int{10, 75, 130, 181} {
		from := tenths * SampleRate / 10
		pcm := decode(t, "-ss", fmt.Sprintf("%d.%d", tenths/10, tenths%10), "-i", name)
		hears(t, pcm, from, (tenths+8)/10, tonesLength-1)
	}
	if moov, mdat := bytes.Index(file, []byte("moov")), bytes.Index(file, []byte("mdat")); moov < 0 || moov > mdat {
		t.Errorf("moov at %d, mdat at %d: no player could begin before it has all", moov, mdat)
	}
}

func TestWholeFileIsFoundByRangeRequests(t *testing.T) {
	_, file, _ := whole(t, at20(tones(t), nil), Whole{})
	url := serve(t, func(string) []byte { return file })
	hears(t, decode(t, "-ss", "15", "-i", url+"replay.mp4"), 15*SampleRate, 15, tonesLength-1)
}

func TestGapsInAWholeFileAreSilence(t *testing.T) {
	keep := func(at int64) bool {
		return at >= 2*SampleRate && (at < 6*SampleRate || at >= 9*SampleRate) && at < 18*SampleRate
	}
	name, _, out := whole(t, at20(tones(t), keep), Whole{End: tonesLength * SampleRate})
	if out.Duration != tonesLength*SampleRate || out.Filled != 7*SampleRate {
		t.Errorf("%+v", out)
	}
	pcm := decode(t, "-i", name)
	for _, part := range [][2]int{{2, 5}, {9, 17}} {
		hears(t, pcm, 0, part[0], part[1])
	}
	for _, part := range [][2]int{{0, 2}, {6, 9}, {18, 20}} {
		if loud(pcm[part[0]*SampleRate+480 : part[1]*SampleRate-480]) {
			t.Errorf("from %d to %d s there is no silence", part[0], part[1])
		}
	}
	name, _, out = whole(t, at20(tones(t), keep), Whole{Start: 3 * SampleRate / 2})
	if out.Duration != 33*SampleRate/2 {
		t.Errorf("from 1.5 s on: %+v", out)
	}
	hears(t, decode(t, "-i", name), 3*SampleRate/2, 2, 5)
}

func TestGapThatIsNoWholePacketIsFilledExactly(t *testing.T) {
	for _, gap := range []int64{120, 840, 960 + 360, 17, 960 + 1} {
		p := packet(toc20, 80)
		_, file, out := whole(t, func(yield func(Packet, error) bool) {
			_ = yield(Packet{0, 960, p}, nil) && yield(Packet{960 + gap, 960, p}, nil)
		}, Whole{})
		if out.Filled != gap || out.Duration != 1920+gap {
			t.Errorf("%d: %+v", gap, out)
		}
		got := probe(t, file, "-show_entries", "stream=duration_ts", "-of", "csv=p=0")
		if want := out.Duration; strings.TrimSpace(got) != strconv.FormatInt(want, 10) {
			t.Errorf("%d: ffprobe says %s, want %d", gap, got, want)
		}
	}
}

func TestEmptyReplayIsAFileOfNoLength(t *testing.T) {
	_, file, out := whole(t, at20(nil, nil), Whole{})
	if out.Duration != 0 || out.Packets != 0 {
		t.Errorf("%+v", out)
	}
	if got := probe(t, file, "-show_entries", "stream=codec_name", "-of", "csv=p=0"); got != "opus\n" {
		t.Errorf("ffprobe says %q", got)
	}
	// Without a delay to hide there is not even the packet at the end.
	if out, err := WriteWhole(io.Discard, at20(nil, nil), Whole{}); err != nil || out.Duration != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestWholeFileTellsHowFarItIs(t *testing.T) {
	var last, total int64
	calls := 0
	whole(t, at20(tones(t), nil), Whole{End: tonesLength * SampleRate, Progress: func(done, of int64) {
		if done < last || done > of || total != 0 && of != total {
			t.Errorf("%d of %d after %d of %d", done, of, last, total)
		}
		last, total, calls = done, of, calls+1
	}})
	if last != total || total != 2*tonesLength*SampleRate || calls < 2*tonesLength {
		t.Errorf("%d of %d in %d calls", last, total, calls)
	}
}

func TestWholeFileRefuses(t *testing.T) {
	p := packet(toc20, 80)
	bad := errors.New("bad sector")
	passes := 0
	for name, c := range map[string]struct {
		packets iter.Seq2[Packet, error]
		want    error
	}{
		"out of order": {func(yield func(Packet, error) bool) {
			_ = yield(Packet{960, 960, p}, nil) && yield(Packet{0, 960, p}, nil)
		}, ErrPast},
		"no audio":   {func(yield func(Packet, error) bool) { yield(Packet{0, 960, nil}, nil) }, ErrSample},
		"read error": {func(yield func(Packet, error) bool) { yield(Packet{}, bad) }, bad},
		"changed": {func(yield func(Packet, error) bool) {
			passes++
			yield(Packet{0, 960, p[:len(p)-passes]}, nil)
		}, ErrChanged},
		"shorter": {func(yield func(Packet, error) bool) {
			if yield(Packet{0, 960, p}, nil) && passes == 0 {
				yield(Packet{960, 960, p}, nil)
			}
			passes++
		}, ErrChanged},
	} {
		passes = 0
		if _, err := WriteWhole(io.Discard, c.packets, Whole{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	far := func(yield func(Packet, error) bool) { yield(Packet{1 << 62, 960, p}, nil) }
	if _, err := WriteWhole(io.Discard, far, Whole{}); err == nil {
		t.Error("a packet in a million years is taken")
	}
}

// Beyond 4 GB offsets take 64 bits; the tables alone show it.
func TestOffsetsBeyond4GBTake64Bits(t *testing.T) {
	for _, octets := range []int64{1 << 31, 1 << 33} {
		var tb tables
		for range 50 {
			if err := tb.add(100, 960); err != nil {
				t.Fatal(err)
			}
		}
		tb.octets = octets
		head := tb.head(DefaultHead(), 48000-960)
		wide := octets > 1<<32
		if bytes.Contains(head, []byte("co64")) != wide || bytes.Contains(head, []byte("stco")) == wide {
			t.Errorf("%d octets: %q", octets, head[len(head)-120:])
		}
		if !wide {
			continue
		}
		// Such a file reads like any other, here with little in it.
		file := append(head, bytes.Repeat(packet(toc20, 100), 50)...)
		got := probe(t, file, "-show_entries", "packet=pos", "-of", "csv=p=0")
		if first := strconv.Itoa(len(head)); !strings.HasPrefix(got, first+"\n") && !strings.HasPrefix(got, first+",") {
			t.Errorf("the first packet lies at %s, want %s", strings.SplitN(got, "\n", 2)[0], first)
		}
	}
}

func BenchmarkWholeOfThreeHours(b *testing.B) {
	p := packet(toc20, 100)
	packets := func(yield func(Packet, error) bool) {
		for at := int64(0); at < 3*3600*SampleRate && yield(Packet{at, 960, p}, nil); at += 960 {
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := WriteWhole(io.Discard, packets, Whole{Head: DefaultHead()}); err != nil {
			b.Fatal(err)
		}
	}
}
