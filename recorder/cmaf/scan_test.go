package cmaf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// segmentFile is a segment of 2 s in four chunks, and where they end.
func segmentFile(t testing.TB) (file []byte, ends []int64) {
	t.Helper()
	for i := range 4 {
		samples := make([]Sample, 25)
		for j := range samples {
			samples[j] = Sample{packet(toc20, 30+j), 960}
		}
		var err error
		if file, err = AppendChunk(file, uint32(i+1), int64(i)*24000, samples); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, int64(len(file)))
	}
	return file, ends
}

func TestTornSegmentKeepsItsWholeChunks(t *testing.T) {
	file, ends := segmentFile(t)
	for n := range int64(len(file)) + 1 {
		want, good := 0, int64(0)
		for _, e := range ends {
			if e <= n {
				want, good = want+1, e
			}
		}
		chunks, got, err := Scan(bytes.NewReader(file[:n]), n)
		if err != nil || got != good || len(chunks) != want {
			t.Fatalf("torn at %d: %d chunks, %d octets, %v; want %d, %d", n, len(chunks), got, err, want, good)
		}
		packets, torn := 0, false
		for p, err := range Packets(bytes.NewReader(file[:n]), n) {
			if torn = errors.Is(err, ErrTorn); err != nil && !torn {
				t.Fatal(err)
			} else if err == nil {
				if p.At != int64(packets)*960 {
					t.Fatalf("torn at %d: packet %d lies at %d", n, packets, p.At)
				}
				packets++
			}
		}
		if packets != want*25 || torn != (good != n) {
			t.Fatalf("torn at %d: %d packets, torn: %v", n, packets, torn)
		}
	}
}

func TestBlockThatNeverReachedTheDiskIsNotAudio(t *testing.T) {
	file, ends := segmentFile(t)
	// Blocks of 512 octets of which the file's length is known, and the content is not.
	for from := 0; from+512 <= len(file); from += 512 {
		b := bytes.Clone(file)
		clear(b[from : from+512])
		chunks, good, err := Scan(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if good > int64(from) {
			t.Errorf("zeros from %d on, and %d octets in %d chunks are good", from, good, len(chunks))
		}
	}
	chunks, good, err := Scan(bytes.NewReader(append(file, make([]byte, 4096)...)), int64(len(file)+4096))
	if err != nil || good != ends[3] || len(chunks) != 4 {
		t.Errorf("zeros behind the end: %d chunks, %d octets, %v", len(chunks), good, err)
	}
}

func TestChunkOfAnotherPlaceDoesNotContinue(t *testing.T) {
	file, ends := segmentFile(t)
	for name, b := range map[string][]byte{
		"twice the same": append(bytes.Clone(file[:ends[0]]), file[:ends[0]]...),
		"one left out":   append(bytes.Clone(file[:ends[0]]), file[ends[1]:]...),
	} {
		if chunks, good, _ := Scan(bytes.NewReader(b), int64(len(b))); len(chunks) != 1 || good != ends[0] {
			t.Errorf("%s: %d chunks, %d octets", name, len(chunks), good)
		}
	}
}

func TestScanTellsOfReadErrors(t *testing.T) {
	file, _ := segmentFile(t)
	if _, good, err := Scan(bytes.NewReader(file), int64(len(file))+100); !errors.Is(err, io.EOF) || good != int64(len(file)) {
		t.Errorf("a file shorter than said: %d, %v", good, err)
	}
	bad := errors.New("bad sector")
	for _, err := range Joined(2, func(int) (io.ReaderAt, int64, error) { return nil, 0, bad }) {
		if !errors.Is(err, bad) {
			t.Errorf("a segment that cannot be opened: %v", err)
		}
	}
}

func TestSegmentsAreClosedHoweverTheLoopEnds(t *testing.T) {
	file, _ := segmentFile(t)
	for _, stop := range []int{1, 100, 101, 1000} {
		opened, closed, n := 0, 0, 0
		for range Joined(2, func(int) (io.ReaderAt, int64, error) {
			opened++
			return closing{bytes.NewReader(file), &closed}, int64(len(file)), nil
		}) {
			if n++; n == stop {
				break
			}
		}
		if opened != closed || opened == 0 {
			t.Errorf("stopped after %d: %d opened, %d closed", stop, opened, closed)
		}
	}
}

type closing struct {
	*bytes.Reader
	closed *int
}

func (c closing) Close() error { *c.closed++; return nil }

func FuzzScan(f *testing.F) {
	file, ends := segmentFile(f)
	f.Add(file[:ends[0]])
	f.Add(file)
	one, err := Chunk(1, 0, []Sample{{packet(toc20, 3), 960}, {packet(toc10, 9), 480}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(one)
	huge := bytes.Clone(one)
	binary.BigEndian.PutUint32(huge, 0xffffffff)
	f.Add(huge)
	f.Fuzz(func(t *testing.T, b []byte) {
		chunks, good, err := Scan(bytes.NewReader(b), int64(len(b)))
		if err != nil || good < 0 || good > int64(len(b)) {
			t.Fatalf("%d of %d octets, %v", good, len(b), err)
		}
		var end, next int64
		packets := 0
		for i, c := range chunks {
			if c.Offset != end || c.Size <= 0 || c.Duration <= 0 || c.Samples <= 0 || i > 0 && c.Base != next {
				t.Fatalf("chunk %d: %+v after %d", i, c, end)
			}
			end, next, packets = c.Offset+c.Size, c.Base+c.Duration, packets+c.Samples
		}
		if end != good {
			t.Fatalf("the chunks end at %d, %d octets are good", end, good)
		}
		// What is good reads the same on its own, and gives its packets.
		again, same, err := Scan(bytes.NewReader(b[:good]), good)
		if err != nil || same != good || len(again) != len(chunks) {
			t.Fatalf("again: %d chunks, %d octets, %v", len(again), same, err)
		}
		for p, err := range Packets(bytes.NewReader(b[:good]), good) {
			if err != nil || len(p.Payload) == 0 || p.Duration <= 0 {
				t.Fatalf("%+v, %v", p, err)
			}
			packets--
		}
		if packets != 0 {
			t.Fatalf("%d packets are missing", packets)
		}
	})
}
