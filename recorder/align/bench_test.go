package align

import "testing"

// steady is Put in steady state: speech with jitter and loss, on a clock that drifts.
func steady() func() {
	p := newPerson(5, 100)
	p.jitter, p.loss = 60*ms, 0.02
	ring := make([]Packet, 0, 50_000)
	for len(ring) < cap(ring) {
		if q := p.packet(true); q != nil {
			ring = append(ring, *q)
		}
	}
	last, first := ring[len(ring)-1], ring[0]
	track, emit, i := New(0), func(Piece) {}, 0
	return func() {
		q := &ring[i]
		track.Put(q, emit)
		// The next round goes on where this one ends.
		q.Restart = false
		q.Seq += last.Seq - first.Seq + 1
		q.TS += last.TS - first.TS + 960
		q.At += last.At - first.At + 960
		i = (i + 1) % len(ring)
	}
}

func TestPutAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100_000, steady()); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkPut(b *testing.B) {
	put := steady()
	b.ReportAllocs()
	for b.Loop() {
		put()
	}
}
