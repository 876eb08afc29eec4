package ogg

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"stentor/forward/opus"
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

func TestAPageHoldsASecondOr255Segments(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, c := range []struct{ size, samples, packets int }{
		{80, 960, 50},       // a second
		{254, 120, 255},     // one segment each
		{255, 120, 127},     // two segments each
		{1276, 480, 42},     // six segments each
		{1000, 960, 50},     // four segments each: a second comes first
		{65024, 960, 1},     // 255 segments
		{1, 240, 200},       // a second of packets without contents
		{509, 960, 50},      // two segments
		{510, 960, 50},      // three segments
		{32000, 960, 2},     // 126 segments
		{32640, 960, 1},     // 129 segments
		{10000, 960, 6},     // 40 segments
		{60000, 960, 1},     // 236 segments
		{65023, 120, 1},     // 255 segments
		{64769, 120, 1},     // 254 segments
		{2, 120, 255},       // one segment each
		{21 * 255, 120, 11}, // 22 segments
	} {
		var file bytes.Buffer
		f, err := NewWriter(&file, Head{})
		if err != nil {
			t.Fatal(err)
		}
		p := packet(r, min(c.size, 60), c.samples)
		if c.size > len(p) { // by padding, which lets a packet be of any length
			var ok bool
			if p, ok = opus.AppendPadded(nil, p, c.size); !ok {
				t.Fatalf("no packet of %d octets", c.size)
			}
		}
		n := 0
		for ; f.Written() == 0; n++ {
			if err := f.Append(p, c.samples); err != nil {
				t.Fatal(err)
			}
		}
		if n-1 != c.packets {
			t.Errorf("%d packets of %d octets and %d samples on a page, want %d", n-1, c.size, c.samples, c.packets)
		}
	}
}

// TestWhatAPageCosts is what pages are for.
func TestWhatAPageCosts(t *testing.T) {
	packets := talk(50 * 60)
	octets := 0
	for _, p := range packets {
		octets += len(p)
	}
	for flush, most := range map[int]float64{1: 40, 25: 3, 50: 2.1} {
		file := written(t, Head{}, packets, flush)
		if cost := 100 * float64(len(file)-octets) / float64(octets); cost > most {
			t.Errorf("%d packets a page cost %.1f %%, want at most %v", flush, cost, most)
		}
	}
}

func TestAnEndIsTrimmedToTheSample(t *testing.T) {
	packets := talk(10)
	for _, end := range []int64{10 * 960, 10*960 - 1, 9*960 + 1, 9 * 960, 8*960 + 5, 5*960 + 1, 5 * 960} {
		var file bytes.Buffer
		f, _ := NewWriter(&file, Head{PreSkip: 312})
		for i, p := range packets {
			if i == 5 {
				if err := f.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Append(p, 960); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(f.CloseAt(10*960+1), f.CloseAt(5*960-1)); !errors.Is(err, ErrTrim) {
			t.Fatal("it ends where it has not been:", err)
		}
		if err := errors.Join(f.CloseAt(end), f.Close()); err != nil {
			t.Fatal(err)
		}
		played, err := Check(bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil || played != end-312 || f.Samples() != end || f.Written() != end {
			t.Errorf("end at %d: plays %d: %v; %d samples", end, played, err, f.Samples())
		}
		got, _ := read(t, file.Bytes())
		if want := int(end+959) / 960; len(got) != want || int64(want) != f.Packets() || got[want-1].Granule != end || got[want-1].Samples != 960 {
			t.Errorf("end at %d: %d packets, the last %+v", end, len(got), got[len(got)-1])
		}
		if err := f.Append(packets[0], 960); !errors.Is(err, ErrClosed) {
			t.Errorf("appended behind the end: %v", err)
		}
		s := f.State()
		if _, err := Resume(&file, s); !errors.Is(err, ErrClosed) || !s.EOS {
			t.Errorf("resumed behind the end: %v", err)
		}
	}
}

// TestAStreamShorterThanItsPreSkipPlaysNothing has one of which nothing would be left, and one of which just nothing is.
func TestAStreamShorterThanItsPreSkipPlaysNothing(t *testing.T) {
	for end, packets := range map[int64]int64{311: 0, 312: 1} {
		var file bytes.Buffer
		f, err := NewWriter(&file, Head{Serial: 1, PreSkip: 312})
		if err = errors.Join(err, f.Append(talk(1)[0], 960), f.CloseAt(end)); err != nil {
			t.Fatal(err)
		}
		s, err := Scan(bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil || s.Damages > 0 || !s.EOS || s.Packets != packets || s.Played() != 0 || f.Packets() != packets {
			t.Errorf("end at %d: %v, %+v", end, err, s)
		}
		if packets > 0 { // opusinfo calls a stream without packets what it is: empty
			inspect(t, save(t, t.TempDir(), file.Bytes()))
		}
	}
	bad := written(t, Head{PreSkip: 961}, nil, 0)
	bad = bad[:len(bad)-headerSize]
	bad = append(bad, onePacket(talk(1)[0], ends, 0, 2)...)
	putHeader(bad[len(bad)-headerSize-1-len(talk(1)[0]):], ends, 960, 0, 2, 1)
	if _, err := Check(bytes.NewReader(bad), int64(len(bad))); !errors.Is(err, ErrDamaged) {
		t.Errorf("a file that skips more than it has: %v", err)
	}
}

// TestARecordingOfMoreThanADay passes 2^32 samples, which are 24 h 51 min.
func TestARecordingOfMoreThanADay(t *testing.T) {
	var file bytes.Buffer
	f, err := NewWriter(&file, Head{Serial: 1, PreSkip: 312})
	if err != nil {
		t.Fatal(err)
	}
	quiet := []byte{31<<3 | 3, 6} // six frames of 20 ms without contents
	const n = 1<<32/5760 + 1000
	for range n {
		if err := f.Append(quiet, 5760); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if played, err := Check(bytes.NewReader(file.Bytes()), int64(file.Len())); err != nil || played != n*5760-312 || played < 1<<32 {
		t.Errorf("plays %d samples of %d: %v", played, n*5760-312, err)
	}
	if d := inspect(t, save(t, t.TempDir(), file.Bytes())); d != n*5760 {
		t.Errorf("ffprobe sees %d samples of %d", d, n*5760)
	}
}

func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	for _, c := range []struct {
		h    Head
		want error
	}{
		{Head{Channels: 3}, ErrChannels},
		{Head{PreSkip: 1 << 16}, ErrPreSkip},
		{Head{PreSkip: -1}, ErrPreSkip},
		{Head{Comments: []string{"no value"}}, ErrComment},
		{Head{Comments: []string{"=x"}}, ErrComment},
		{Head{Comments: []string{"ü=x"}}, ErrComment},
		{Head{Comments: []string{"A=\xff"}}, ErrComment},
		{Head{Comments: []string{"A=" + string(make([]byte, 60<<10))}}, ErrComment},
	} {
		if _, err := NewWriter(io.Discard, c.h); !errors.Is(err, c.want) {
			t.Errorf("%.40v: %v, want %v", c.h, err, c.want)
		}
	}
	var file bytes.Buffer
	f, _ := NewWriter(&file, Head{})
	for _, p := range [][]byte{nil, {31<<3 | 3}, make([]byte, 2000), talk(1)[0][:0]} {
		if err := f.Append(p, 960); !errors.Is(err, ErrPacket) {
			t.Errorf("%d octets: %v", len(p), err)
		}
	}
	if err := f.Append(talk(1)[0], 480); !errors.Is(err, ErrPacket) {
		t.Errorf("20 ms as 10: %v", err)
	}
	if err := f.Append(talk(1)[0], 960); err != nil || f.Packets() != 1 {
		t.Errorf("a refused packet left its mark: %v", err)
	}
}

// full is a disk with so much room.
type full struct {
	bytes.Buffer
	room int
}

var errFull = errors.New("disk full")

func (f *full) Write(b []byte) (int, error) {
	if n := f.room - f.Len(); n < len(b) {
		f.Buffer.Write(b[:n])
		return n, errFull
	}
	return f.Buffer.Write(b)
}

// TestADiskThatWasFullIsGoneOnWith has a page torn by it, cut off, and the recording go on when there is room again.
func TestADiskThatWasFullIsGoneOnWith(t *testing.T) {
	packets := talk(200)
	disk := &full{room: 9000}
	f, err := NewWriter(disk, Head{Serial: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil; i++ {
		err = f.Append(packets[i], 960)
	}
	if !errors.Is(err, errFull) || f.Append(packets[0], 960) != err || f.Flush() != err || f.Close() != err {
		t.Fatalf("the error does not stay: %v", err)
	}
	s := f.State()
	if s.GoodBytes >= 9000 || s.GoodBytes != f.Bytes() || s.Granule != f.Written() || s.Granule == 0 {
		t.Fatalf("%+v", s)
	}
	scanned, err := Scan(bytes.NewReader(disk.Bytes()), 9000)
	if err != nil || scanned.GoodBytes != s.GoodBytes || scanned.Packets != s.Packets || scanned.LastPage != s.LastPage {
		t.Fatalf("scanned %+v, the writer says %+v: %v", scanned, s, err)
	}
	disk.Truncate(int(s.GoodBytes))
	finish(t, &disk.Buffer, s, packets)
	got, r := read(t, disk.Bytes())
	same(t, got, packets, 0)
	if len(r.Damage()) > 0 {
		t.Errorf("damage %v", r.Damage())
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	packets := talk(200)
	f, err := NewWriter(io.Discard, Head{})
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		err = errors.Join(err, f.Append(packets[i%len(packets)], 960))
		if i++; i%25 == 0 {
			err = errors.Join(err, f.Flush())
		}
	}); n != 0 || err != nil {
		t.Errorf("%v allocations a packet, %v", n, err)
	}
}

func BenchmarkAppend(b *testing.B) {
	packets := talk(200)
	f, err := NewWriter(io.Discard, Head{})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		err = errors.Join(err, f.Append(packets[i%len(packets)], 960))
		i++
	}
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkScan(b *testing.B) {
	file := written(b, Head{}, talk(50*600), 25)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if s, err := Scan(bytes.NewReader(file), int64(len(file))); err != nil || s.Damages > 0 {
			b.Fatal(err)
		}
	}
}
