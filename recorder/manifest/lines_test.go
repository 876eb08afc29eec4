package manifest

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

// evening is a timeline of 9 s with two people.
func evening() []Line {
	return []Line{
		{At: 0, Type: Start},
		{At: 0, Type: Joined, Person: "alice", AudioID: 4000000000},
		{At: 24000, Type: Speaking, Person: "alice"},
		{At: 24000, Type: Heard, Slots: []string{"alice", "", ""}},
		{At: 48000, Type: Levels, Levels: map[string]int{"alice": -23}},
		{At: 60000, Type: Joined, Person: "bob", AudioID: 8},
		{At: 70000, Type: Speaking, Person: "bob"},
		{At: 96000, Type: Levels, Levels: map[string]int{"alice": -20, "bob": -127}},
		{At: 100000, Type: Quiet, Person: "alice"},
		{At: 100000, Type: Muted, Person: "alice"},
		{At: 110000, Type: Dropped, Person: "bob", Count: 3, Why: "ring_full"},
		{At: 144000, Type: Missing, To: 192000, Why: "crash"},
		{At: 192000, Type: Unmuted, Person: "alice"},
		{At: 200000, Type: Speaking, Person: "bob"},
		{At: 240000, Type: Levels, Levels: map[string]int{"bob": -30}},
		{At: 300000, Type: Left, Person: "bob", Why: "left"},
		{At: 310000, Type: Joined, Person: "bob", AudioID: 9},
		{At: 432000, Type: Stop},
	}
}

func timelineOf(t testing.TB, lines []Line) []byte {
	t.Helper()
	var file bytes.Buffer
	w := NewLineWriter(&file)
	for _, l := range lines {
		if err := w.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil || w.Bytes() != int64(file.Len()) || w.Lines() != int64(len(lines)) {
		t.Fatalf("%v: %d octets, %d lines", err, w.Bytes(), w.Lines())
	}
	return file.Bytes()
}

// linesOf reads all, and fails on a bad one.
func linesOf(t testing.TB, file []byte) (lines []Line, found Lines) {
	t.Helper()
	r := NewLineReader(bytes.NewReader(file))
	for {
		l, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines, r.Found()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
}

func TestLinesComeBack(t *testing.T) {
	file := timelineOf(t, evening())
	got, found := linesOf(t, file)
	if !reflect.DeepEqual(got, evening()) {
		t.Errorf("%+v", got)
	}
	if want := (Lines{int64(len(file)), 18, Start, Stop, 432000, 0, 0, false}); found != want {
		t.Errorf("%+v, want %+v", found, want)
	}
	first := strings.Split(string(file), "\n")[4]
	if first != `{"at":48000,"type":"levels","levels":{"alice":-23}}` {
		t.Errorf("a line stands as %s", first)
	}
}

// TestATimelineTornAnywhereLosesItsLastLine cuts it off at every octet, repairs it, goes on.
func TestATimelineTornAnywhereLosesItsLastLine(t *testing.T) {
	file := timelineOf(t, evening())
	for size := range len(file) {
		torn := file[:size:size]
		whole := bytes.LastIndexByte(torn, '\n') + 1
		lines := bytes.Count(torn, []byte("\n"))
		got, found := linesOf(t, torn)
		if len(got) != lines || found.GoodBytes != int64(whole) || found.Lines != int64(lines) || found.Torn != (whole < size) {
			t.Fatalf("cut at %d: %d lines, %+v", size, len(got), found)
		}
		if scanned, err := ScanLines(bytes.NewReader(torn)); err != nil || scanned != found {
			t.Fatalf("cut at %d: %v, %+v", size, err, scanned)
		}
		repaired := bytes.NewBuffer(torn[:found.GoodBytes:found.GoodBytes])
		w := ResumeLines(repaired, found)
		for _, l := range evening()[lines:] {
			if err := w.Add(l); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil || !bytes.Equal(repaired.Bytes(), file) || w.Bytes() != int64(len(file)) || w.Lines() != 18 {
			t.Fatalf("cut at %d, gone on with: %v\n%s", size, err, repaired)
		}
	}
}

func TestALateLineStandsWhereTheOneBeforeDoes(t *testing.T) {
	got, found := linesOf(t, timelineOf(t, []Line{
		{At: 0, Type: Start}, {At: 500, Type: Joined, Person: "a"}, {At: 300, Type: Speaking, Person: "a"}, {At: 200, To: 300, Type: Missing, Why: "crash"},
	}))
	if got[2].At != 500 || got[3].At != 500 || got[3].To != 500 || found.Back != 0 {
		t.Errorf("%+v", got)
	}
}

func TestALineThatLacksSomethingIsRefused(t *testing.T) {
	for _, l := range []Line{
		{},
		{Type: "sang", Person: "a"},
		{Type: Start, At: 1},
		{Type: Joined},
		{Type: Speaking, Person: strings.Repeat("x", 129)},
		{Type: Speaking, Person: "a", At: positionMax + 1},
		{Type: Levels, Levels: map[string]int{"a": 1}},
		{Type: Levels, Levels: map[string]int{"a": -128}},
		{Type: Levels, Levels: map[string]int{"": -20}},
		{Type: Heard, Slots: []string{strings.Repeat("x", 129)}},
		{Type: Heard, Slots: make([]string, lineMax)},
		{Type: Dropped, Count: 1},
		{Type: Dropped, Count: -1, Why: "x"},
		{Type: Missing, To: 1},
	} {
		var file bytes.Buffer
		w := NewLineWriter(&file)
		if err := w.Add(l); !errors.Is(err, ErrLine) {
			t.Errorf("%.60v: %v", l, err)
		}
		if err := w.Flush(); err != nil || file.Len() > 0 {
			t.Errorf("%.60v was written: %v", l, err)
		}
	}
}

func TestABadLineIsPassedOver(t *testing.T) {
	good := `{"at":10,"type":"joined","person":"a"}` + "\n"
	for name, bad := range map[string]string{
		"nothing":          "",
		"no JSON":          "\x00\x00\x00",
		"a list":           "[]",
		"null":             "null",
		"an unknown field": `{"at":10,"type":"stop","x":1}`,
		"two":              `{"at":10,"type":"stop"}{}`,
		"half a sample":    `{"at":10.5,"type":"stop"}`,
		"too long":         `{"at":10,"type":"stop","why":"` + strings.Repeat("x", 3*lineMax) + `"}`,
		"no person":        `{"at":10,"type":"left"}`,
	} {
		r := NewLineReader(strings.NewReader(good + bad + "\n" + good))
		_, first := r.Next()
		_, second := r.Next()
		l, third := r.Next()
		_, end := r.Next()
		if first != nil || !errors.Is(second, ErrLine) || third != nil || l.Person != "a" || !errors.Is(end, io.EOF) {
			t.Errorf("%s: %v, %v, %v, %v", name, first, second, third, end)
		}
		if f := r.Found(); f.GoodBytes != int64(len(good)) || f.Lines != 1 || f.Bad != 1 || f.Torn {
			t.Errorf("%s: %+v", name, f)
		}
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

func TestATimelineGoesOnBehindAFullDisk(t *testing.T) {
	disk := &full{room: 150}
	w := NewLineWriter(disk)
	var err error
	for _, l := range evening() {
		if err = errors.Join(w.Add(l), w.Flush()); err != nil {
			break
		}
	}
	if !errors.Is(err, errFull) || w.Add(Line{Type: Stop}) == nil || w.Flush() == nil {
		t.Fatalf("the error does not stay: %v", err)
	}
	found, err := ScanLines(bytes.NewReader(disk.Bytes()))
	if err != nil || found.GoodBytes != w.Bytes() || found.Lines != w.Lines() || !found.Torn {
		t.Errorf("%v: %+v, written %d octets, %d lines", err, found, w.Bytes(), w.Lines())
	}
}

func TestLinesGoOutInPieces(t *testing.T) {
	var writes int
	w := NewLineWriter(writerFunc(func(b []byte) (int, error) {
		writes++
		if b[len(b)-1] != '\n' || len(b) > bufferMax+lineMax {
			t.Errorf("%d octets in one piece, or half a line", len(b))
		}
		return len(b), nil
	}))
	for i := range 10_000 {
		if err := w.Add(Line{At: int64(i), Type: Speaking, Person: "alice"}); err != nil {
			t.Fatal(err)
		}
	}
	if writes < 5 || writes > 20 {
		t.Errorf("%d writes for 10,000 lines", writes)
	}
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
