package cmaf

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func TestSegmentsStartOnExactMultiples(t *testing.T) {
	packets := tones(t)
	for _, seconds := range []int64{1, 4, 6, 10} {
		r := record(t, Options{Target: seconds * SampleRate}, at20(packets, nil), nil)
		want := (tonesLength + seconds - 1) / seconds
		got := r.playlist.Segments()
		if int64(len(got)) != want {
			t.Fatalf("%d s: %d segments, want %d", seconds, len(got), want)
		}
		for i, s := range got {
			if s.At != int64(i)*seconds*SampleRate || s.Discontinuity || int(s.Number) != i+1 ||
				s.Bytes != int64(len(r.files[s.URI])) {
				t.Errorf("%d s: segment %d is %+v", seconds, i, s)
			}
		}
		if d := r.playlist.Duration(); d != tonesLength*SampleRate {
			t.Errorf("%d s: the sum is %d samples", seconds, d)
		}
	}
}

func TestChunksComeEveryHalfSecond(t *testing.T) {
	s, err := NewSegmenter(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(400) {
		writes, err := s.Put(i*960, packet(toc20, 80))
		if err != nil {
			t.Fatal(err)
		}
		if due := (i+1)%25 == 0; due != (len(writes) == 1) {
			t.Fatalf("packet %d: %d writes", i, len(writes))
		}
		if (i+1)%200 == 0 && !writes[0].Done {
			t.Errorf("packet %d ends a segment, which is not finished", i)
		}
	}
	if w := s.Flush(); len(w) != 0 {
		t.Errorf("there is nothing to flush, and it gave %d writes", len(w))
	}
	if w := s.Close(); len(w) != 0 {
		t.Errorf("there is nothing to close, and it gave %d writes", len(w))
	}
}

func TestGapEndsTheSegment(t *testing.T) {
	gap := func(at int64) bool { return at < 100*960 || at >= 5*SampleRate+960 }
	r := record(t, Options{}, at20(tones(t), gap), nil)
	got := r.playlist.Segments()
	if len(got) != 5 || got[0].Duration != 100*960 || got[0].Discontinuity {
		t.Fatalf("%+v", got)
	}
	if s := got[1]; !s.Discontinuity || s.At != 5*SampleRate+960 || s.At+s.Duration != 8*SampleRate {
		t.Errorf("behind the gap: %+v", s)
	}
	if s := got[2]; s.Discontinuity || s.At != 8*SampleRate || s.Duration != 4*SampleRate {
		t.Errorf("after that: %+v", s)
	}
}

func TestSegmenterTakesNothingFromThePast(t *testing.T) {
	s, err := NewSegmenter(Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := packet(toc20, 80)
	if _, err := s.Put(960, p); err != nil {
		t.Fatal(err)
	}
	for at := range int64(1920) {
		if _, err := s.Put(at, p); !errors.Is(err, ErrPast) {
			t.Fatalf("a packet at %d: %v", at, err)
		}
	}
	if _, err := s.Put(1920, nil); !errors.Is(err, ErrSample) {
		t.Errorf("no packet at all: %v", err)
	}
	if _, err := s.Put(1920, p); err != nil || s.Next() != 2880 {
		t.Errorf("the next packet: %v, and then %d", err, s.Next())
	}
	if w := s.Close(); len(w) != 1 || w[0].Entry.Discontinuity || w[0].Entry.Duration != 1920 {
		t.Errorf("%+v", w)
	}
}

func TestResumedSegmenterGoesOn(t *testing.T) {
	s, err := NewSegmenter(Options{Segment: 5, Sequence: 33, Next: 4 * 4 * SampleRate})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(17*SampleRate, packet(toc20, 80)); err != nil {
		t.Fatal(err)
	}
	w := s.Close()
	if len(w) != 1 || w[0].Segment != 5 || !w[0].Entry.Discontinuity || w[0].Entry.URI != "seg-00005.m4s" {
		t.Fatalf("%+v", w)
	}
	chunks, _, err := Scan(bytes.NewReader(w[0].Data), int64(len(w[0].Data)))
	if err != nil || len(chunks) != 1 || chunks[0].Seq != 33 {
		t.Errorf("%+v, %v", chunks, err)
	}
}

func TestSegmenterRefusesOptionsOutOfRange(t *testing.T) {
	for _, o := range []Options{
		{Target: 1}, {Target: 11 * SampleRate}, {Target: SampleRate + 960}, {Target: -SampleRate}, {Chunk: 959},
		{Chunk: 5 * SampleRate}, {Next: -1},
	} {
		if _, err := NewSegmenter(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// Any packets come back as they were, whatever their durations, sizes and gaps.
func TestSegmenterAndReaderAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(8216, 7))
	for round := range 30 {
		var in []Packet
		at := int64(0)
		for range 2000 {
			toc, n := byte(toc20), int64(960)
			switch r.IntN(10) {
			case 0:
				toc, n = toc10, 480
			case 1:
				toc, n = 28<<3, 120
			}
			if r.IntN(200) == 0 {
				at += int64(1+r.IntN(4000)) * tick
			}
			size := 1 + r.IntN(200)
			if round%3 == 0 {
				size = 1 + r.IntN(1276)
			}
			in = append(in, Packet{at, n, packet(toc, size)})
			at += n
		}
		rec := record(t, Options{Target: int64(1+r.IntN(10)) * SampleRate, Chunk: int64(960 + r.IntN(47000))},
			func(yield func(Packet, error) bool) {
				for _, p := range in {
					if !yield(p, nil) {
						return
					}
				}
			}, nil)
		i := 0
		for p, err := range rec.packets() {
			if err != nil {
				t.Fatal(err)
			}
			if w := in[i]; p.At != w.At || p.Duration != w.Duration || !bytes.Equal(p.Payload, w.Payload) {
				t.Fatalf("round %d, packet %d: at %d, want %d", round, i, p.At, w.At)
			}
			i++
		}
		if i != len(in) {
			t.Fatalf("round %d: %d packets of %d", round, i, len(in))
		}
		if _, breaches := CheckPlaylist(rec.files[MediaName], rec.look); len(breaches) > 0 {
			t.Fatalf("round %d: %v", round, breaches)
		}
	}
}
