package ogg

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// ends are where the pages of a file that is whole end, and how many packets lie before each end.
func pageEnds(t testing.TB, file []byte) (ends []int64, packets []int) {
	t.Helper()
	n := 0
	for at := 0; at < len(file); {
		size := sizeOf(file[at:])
		if size == 0 {
			t.Fatalf("no page at %d", at)
		}
		for _, l := range file[at+headerSize : at+headerSize+int(file[at+26])] {
			if l < lacingMax {
				n++
			}
		}
		at += size
		ends, packets = append(ends, int64(at)), append(packets, max(0, n-2))
	}
	return ends, packets
}

// TestAFileTornAnywhereIsReadableUpToTheLastWholePage cuts a file off at every octet, reads it, repairs it, goes on.
func TestAFileTornAnywhereIsReadableUpToTheLastWholePage(t *testing.T) {
	packets := talk(60)
	file := written(t, Head{Serial: 5, PreSkip: 312, Comments: []string{"PERSON=alice"}}, packets, 25)
	ends, before := pageEnds(t, file)
	for size := range len(file) {
		last := -1
		for i, end := range ends {
			if end <= int64(size) {
				last = i
			}
		}
		torn := file[:size:size]
		s, err := Scan(bytes.NewReader(torn), int64(size))
		if last < 1 {
			if !errors.Is(err, ErrHead) || s.GoodBytes != 0 {
				t.Fatalf("cut at %d: %v, %d octets good", size, err, s.GoodBytes)
			}
			continue
		}
		if err != nil || s.GoodBytes != ends[last] || s.Packets != int64(before[last]) || s.Granule != 960*s.Packets || s.EOS || s.Beyond != 0 {
			t.Fatalf("cut at %d, last page ends at %d: %v, %+v", size, ends[last], err, s)
		}
		if whole := s.GoodBytes == int64(size); whole != (s.Damages == 0) || !whole && s.Damage[0] != (Damage{s.GoodBytes, int64(size) - s.GoodBytes, NoPage}) {
			t.Fatalf("cut at %d: damage %v", size, s.Damage)
		}
		got, _ := read(t, torn)
		same(t, got, packets[:before[last]], 0)
		repaired := bytes.NewBuffer(torn[:s.GoodBytes:s.GoodBytes])
		finish(t, repaired, s.State, packets)
		got, f := read(t, repaired.Bytes())
		same(t, got, packets, 0)
		if len(f.Damage()) > 0 || !f.EOS() {
			t.Fatalf("cut at %d, repaired: damage %v", size, f.Damage())
		}
	}
}

// finish appends those of packets that are missing.
func finish(t testing.TB, file *bytes.Buffer, s State, packets [][]byte) {
	t.Helper()
	f, err := Resume(file, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets[s.Packets:] {
		err = errors.Join(err, f.Append(p, 960))
	}
	if err = errors.Join(err, f.Close()); err != nil || f.Bytes() != int64(file.Len()) || f.Packets() != int64(len(packets)) {
		t.Fatalf("%v; %d octets of %d, %d packets", err, f.Bytes(), file.Len(), f.Packets())
	}
}

// TestDamageCostsThePageThatItIsIn changes octets in the middle of a file: the other pages are read, in their places.
func TestDamageCostsThePageThatItIsIn(t *testing.T) {
	packets := talk(200)
	file := written(t, Head{}, packets, 25)
	ends, before := pageEnds(t, file)
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		page := 2 + r.IntN(len(ends)-3)
		at := int(ends[page-1]) + r.IntN(int(ends[page]-ends[page-1]))
		bad := slices.Clone(file)
		bad[at] ^= byte(1 + r.IntN(255))
		got, f := read(t, bad)
		if len(got) != 200-25 || len(f.Damage()) != 1 || f.Damage()[0].Offset != ends[page-1] || f.Damage()[0].Bytes != ends[page]-ends[page-1] {
			t.Fatalf("octet %d of page %d: %d packets, damage %v", at, page, len(got), f.Damage())
		}
		same(t, got[:before[page-1]], packets[:before[page-1]], 0)
		same(t, got[before[page-1]:], packets[before[page]:], int64(before[page])*960)
		s, err := Scan(bytes.NewReader(bad), int64(len(bad)))
		if err != nil || s.GoodBytes != ends[page-1] || s.Beyond != int64(200-before[page]) {
			t.Fatalf("%v, %+v", err, s)
		}
		if _, err := Check(bytes.NewReader(bad), int64(len(bad))); !errors.Is(err, ErrDamaged) {
			t.Fatalf("the check says %v", err)
		}
	}
}

func TestWhatAFileMustNotHoldIsTold(t *testing.T) {
	packets := talk(75)
	file := written(t, Head{Serial: 3}, packets, 25)
	ends, _ := pageEnds(t, file)
	cut := func(from, to int) []byte { return file[ends[from]:ends[to]] }
	other := written(t, Head{Serial: 4}, packets, 25)
	granule := slices.Clone(file)
	page := granule[ends[2]:ends[3]]
	putHeader(page, 0, 1, 3, 3, int(page[26]))
	silent := slices.Clone(file)
	page = silent[ends[2]:ends[3]]
	page[headerSize+int(page[26])] = 0xff // code 3, whose count is a random octet, 49 frames or more
	page[headerSize+int(page[26])+1] = 63
	putHeader(page, 0, 960*50, 3, 3, int(page[26]))
	for name, c := range map[string]struct {
		file []byte
		why  string
		lost int
	}{
		"a page twice":         {slices.Concat(file[:ends[3]], cut(2, 3), file[ends[3]:]), PagesLost, 0},
		"a page less":          {slices.Concat(file[:ends[2]], file[ends[3]:]), PagesLost, 25},
		"another stream's":     {slices.Concat(file[:ends[2]], other[ends[1]:ends[2]], file[ends[2]:]), Foreign, 0},
		"octets in between":    {slices.Concat(file[:ends[2]], []byte("OggSOggS"), file[ends[2]:]), NoPage, 0},
		"octets behind":        {append(slices.Clone(file), 0), BehindEnd, 0},
		"a granule too small":  {granule, WrongPlace, 0},
		"a packet that's none": {silent, NoPacket, 1},
	} {
		got, f := read(t, c.file)
		if d := f.Damage(); len(d) == 0 || d[0].Why != c.why || len(got) != 75-c.lost {
			t.Errorf("%s: %d packets, damage %v", name, len(got), d)
		}
	}
}

// TestWhatIsNoOggOpusIsRefused has files that other programs make, and none.
func TestWhatIsNoOggOpusIsRefused(t *testing.T) {
	good := written(t, Head{}, talk(1), 0)
	second := slices.Clone(good)
	second[9] = 1 // of the granule: the CRC no longer fits
	surround := Head{Channels: 2}
	head := surround.appendHead(nil)
	head[18] = 1
	for name, file := range map[string][]byte{
		"empty":          nil,
		"half a header":  good[:30],
		"without tags":   good[:47],
		"without a head": good[47:],
		"changed":        second,
		"surround":       onePacket(head, begins, 1, 0),
		"vorbis":         onePacket([]byte("\x01vorbis0123456789012345"), begins, 1, 0),
	} {
		if _, err := Scan(bytes.NewReader(file), int64(len(file))); !errors.Is(err, ErrHead) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAPacketOfSeveralPagesIsReadInOnePiece is for files that other programs have made.
func TestAPacketOfSeveralPagesIsReadInOnePiece(t *testing.T) {
	h := Head{Serial: 1, Channels: 2}
	file := onePacket(h.appendHead(nil), begins, 1, 0)
	file = append(file, onePacket(h.appendTags(nil), 0, 1, 1)...)
	r := rand.New(rand.NewPCG(2, 2))
	a, b := packet(r, 600, 960), packet(r, 400, 960)
	add := func(flags byte, granule int64, number uint32, lacing []byte, body []byte) {
		at := len(file)
		file = append(append(append(file, make([]byte, headerSize)...), lacing...), body...)
		putHeader(file[at:], flags, granule, 1, number, len(lacing))
	}
	// a is cut into 255, 255 and 90; b, on the last two of these pages, into 255 and 145.
	add(0, noGranule, 2, []byte{255}, a[:255])
	add(continued, noGranule, 3, []byte{255}, a[255:510])
	add(continued, 960, 4, []byte{90, 255}, slices.Concat(a[510:], b[:255]))
	add(continued|ends, 1920, 5, []byte{145}, b[255:])
	got, f := read(t, file)
	same(t, got, [][]byte{a, b}, 0)
	if len(f.Damage()) > 0 || f.State().GoodBytes != int64(len(file)) {
		t.Errorf("damage %v, good up to %d of %d", f.Damage(), f.State().GoodBytes, len(file))
	}
	s, err := Scan(bytes.NewReader(file[:len(file)-1]), int64(len(file)-1))
	if ends, _ := pageEnds(t, file); err != nil || s.GoodBytes != ends[1] || s.Beyond != 1 {
		t.Errorf("%v: a file is cut off before a packet that has no end: %+v", err, s)
	}
}

// failing is a reader that has an error of its own after so many octets.
type failing struct {
	r io.Reader
	n int
}

var errDisk = errors.New("the disk is gone")

func (f *failing) Read(b []byte) (int, error) {
	if f.n == 0 {
		return 0, errDisk
	}
	n, err := f.r.Read(b[:min(len(b), f.n, 100)])
	f.n -= n
	return n, err
}

func TestAnErrorOfTheFileIsNotItsEnd(t *testing.T) {
	file := written(t, Head{}, talk(100), 25)
	for n := range len(file) {
		f, err := NewReader(&failing{bytes.NewReader(file), n})
		for err == nil {
			_, err = f.Next()
		}
		if !errors.Is(err, errDisk) {
			t.Fatalf("after %d octets: %v", n, err)
		}
	}
}
