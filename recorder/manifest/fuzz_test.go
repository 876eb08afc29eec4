package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// FuzzDecode holds to it that what is read passes Check and comes back the same when it is written and read again.
func FuzzDecode(f *testing.F) {
	for _, m := range []*Manifest{running(), ready()} {
		b, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"version":1,"recording":"r","room":"r","node":"n","state":"failed","reason":"disk_full","started_at":"2026-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrManifest) {
				t.Fatal(err)
			}
			return
		}
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(bytes.NewReader(again))
		if err != nil {
			t.Fatalf("%v: %s", err, again)
		}
		third, err := json.Marshal(got)
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("%v: %s\n%s", err, again, third)
		}
	})
}

// FuzzLines holds the reader to it that it ends, that what is good is good when it is cut off and read again, and that a
// summary's intervals are in order and within its duration.
func FuzzLines(f *testing.F) {
	file := timelineOf(f, evening())
	f.Add(file)
	f.Add(file[:len(file)-4])
	f.Add([]byte("{\"at\":5,\"type\":\"speaking\",\"person\":\"a\"}\nx\n{\"at\":3,\"type\":\"levels\",\"levels\":{\"a\":-3}}\n{\"at\""))
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := ScanLines(bytes.NewReader(b))
		if err != nil || found.GoodBytes > int64(len(b)) {
			t.Fatalf("%v, %+v", err, found)
		}
		lines, again := linesOf(t, b[:found.GoodBytes])
		if again.Lines != found.Lines || again.Torn || again.Bad+again.Back > 0 || again.Last != found.Last {
			t.Fatalf("%+v, cut off %+v", found, again)
		}
		var copied bytes.Buffer
		w := NewLineWriter(&copied)
		for _, l := range lines {
			if err := w.Add(l); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		same, _ := linesOf(t, copied.Bytes())
		got, err1 := json.Marshal(same)
		want, err2 := json.Marshal(lines)
		if err1 != nil || err2 != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s, written again: %s", want, got)
		}
		s, err := Speech(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.People {
			for _, all := range [][]Interval{p.Present, p.Speaking, p.Muted} {
				end := Position(-1)
				for _, i := range all {
					if i.From <= end || i.To <= i.From || i.To > s.Duration {
						t.Fatalf("%s: %v of %d", p.Person, all, s.Duration)
					}
					end = i.To
				}
			}
		}
		if _, err := json.Marshal(s); err != nil {
			t.Fatal(err)
		}
	})
}
