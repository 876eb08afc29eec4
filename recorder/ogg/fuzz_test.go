package ogg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"stentor/forward/opus"
)

// signed is b with the CRC put right of all that looks like a page, or no change would ever get past it.
func signed(b []byte) []byte {
	b = slices.Clone(b)
	for at := 0; at < len(b); {
		size := sizeOf(b[at:])
		if size == 0 || size > len(b)-at {
			at++
			continue
		}
		binary.LittleEndian.PutUint32(b[at+22:], 0)
		binary.LittleEndian.PutUint32(b[at+22:], updateCRC(0, b[at:at+size]))
		at += size
	}
	return b
}

func seeds(f *testing.F) {
	packets := talk(6)
	file := written(f, Head{Serial: 1, PreSkip: 312, Comments: []string{"A=b"}}, packets, 2)
	f.Add(file)
	f.Add(file[:len(file)-3])
	f.Add(written(f, Head{}, nil, 0))
	f.Add(append(file, written(f, Head{Serial: 2}, packets[:1], 0)...))
}

// FuzzReader holds the reader to it that it ends, that it gives out Opus packets only, of which the places fit, and that
// it takes no longer piece of memory than its own.
func FuzzReader(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, file := range [][]byte{b, signed(b)} {
			r, err := NewReader(bytes.NewReader(file))
			if err != nil {
				if !errors.Is(err, ErrHead) {
					t.Fatal(err)
				}
				continue
			}
			octets, end := 0, int64(0)
			for {
				p, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				octets += len(p.Data)
				if n, ok := opus.Duration(p.Data); !ok || n != p.Samples || p.At < 0 || p.Granule < p.At || p.Granule > p.At+int64(n) {
					t.Fatalf("%+v", p)
				}
				if len(r.Damage()) == 0 && end > 0 && p.At != end {
					t.Fatalf("a packet at %d, the one before ends at %d, and no damage", p.At, end)
				}
				end = p.At + int64(p.Samples)
			}
			if octets > len(file) || cap(r.partial) > 3*pageMax || len(r.Damage()) > damageMax {
				t.Fatalf("%d octets out of %d, %d held, %d damages", octets, len(file), cap(r.partial), len(r.Damage()))
			}
			if _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Fatalf("behind the end: %v", err)
			}
		}
	})
}

// FuzzScan holds to it that whatever a file is, cutting it off at GoodBytes and closing it makes a whole one of it.
func FuzzScan(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, file := range [][]byte{b, signed(b)} {
			s, err := Scan(bytes.NewReader(file), int64(len(file)))
			if err != nil {
				if !errors.Is(err, ErrHead) || s.GoodBytes != 0 {
					t.Fatal(err)
				}
				continue
			}
			if s.GoodBytes > int64(len(file)) || s.Beyond < 0 || int64(len(s.Damage)) > s.Damages {
				t.Fatalf("%+v", s)
			}
			if s.Damages == 0 && s.GoodBytes != int64(len(file)) && !slices.Contains(file[s.GoodBytes:], 255) {
				t.Fatalf("no damage, and good up to %d of %d only", s.GoodBytes, len(file))
			}
			whole := bytes.NewBuffer(slices.Clone(file[:s.GoodBytes]))
			if !s.EOS {
				w, err := Resume(whole, s.State)
				if err = errors.Join(err, w.Append([]byte{0xf8, 0xff, 0xfe}, 960), w.Close()); err != nil {
					t.Fatal(err)
				}
				s.Granule += 960
				if s.Packets == 0 {
					s.Start = 0
				}
			}
			if played, err := Check(bytes.NewReader(whole.Bytes()), int64(whole.Len())); err != nil || played != s.Played() {
				t.Fatalf("repaired, it plays %d samples of %d: %v", played, s.Played(), err)
			}
		}
	})
}
