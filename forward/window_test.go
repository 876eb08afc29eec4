package forward

import (
	"math/rand/v2"
	"testing"
	"time"
)

// arrival is a frame on its way, and when it comes.
type arrival struct {
	seq uint64
	at  time.Duration
}

// journey sends n frames, 20 ms apart, through a network that loses, reorders and doubles. It returns them in the
// order of their arrival.
func journey(rng *rand.Rand, n int, loss, reorder, double float64) (out []arrival) {
	for i := range n {
		a := arrival{1<<32 + uint64(i), time.Duration(i) * frameTime}
		if i%500 == 499 && rng.Float64() < 0.5 { // a break, longer than what fits
			a.at += 200 * time.Millisecond
		} else if rng.Float64() < loss || (i%700 > 650 && loss > 0) {
			continue
		}
		if rng.Float64() < reorder {
			a.at += time.Duration(rng.IntN(90)) * time.Millisecond
		}
		out = append(out, a)
		if rng.Float64() < double {
			out = append(out, arrival{a.seq, a.at + time.Duration(rng.IntN(100))*time.Millisecond})
		}
	}
	for i := range out { // insertion sort: arrivals are nearly in order
		for j := i; j > 0 && out[j].at < out[j-1].at; j-- {
			out[j], out[j-1] = out[j-1], out[j]
		}
	}
	return out
}

// windowModel is the contract of window in the simplest words: a map, and the number that is due.
type windowModel struct {
	t      *testing.T
	held   map[uint64]time.Time
	other  map[uint64]bool // of those, by others' packets
	next   uint64
	popped map[uint64]bool
	taken  map[uint64]bool
	total  int
	lost   int
	skip   int // of those that come next, lost already
}

func (m *windowModel) pop(seq uint64, lost int, now time.Time, forced bool) {
	came, ok := m.held[seq]
	if !ok || m.popped[seq] {
		m.t.Fatalf("frame %d comes out, which is not in", seq)
	}
	if seq < m.next {
		m.t.Fatalf("frame %d comes behind %d", seq, m.next-1)
	}
	for s := range m.held {
		if s < seq {
			m.t.Fatalf("frame %d overtakes %d", seq, s)
		}
	}
	if seq != m.next+uint64(lost) {
		m.t.Fatalf("frame %d with %d lost, %d was due", seq, lost, m.next)
	}
	if !forced && lost > m.skip && m.arrived() < windowHeld && now.Sub(came) < windowWait {
		m.t.Fatalf("frame %d given up for after %v", seq, now.Sub(came))
	}
	delete(m.held, seq)
	delete(m.other, seq)
	m.popped[seq], m.next, m.total, m.lost, m.skip = true, seq+1, m.total+1, m.lost+lost, 0
}

// arrived is how many have come themselves.
func (m *windowModel) arrived() int { return len(m.held) - len(m.other) }

// rests checks what is left behind when nothing more comes out.
func (m *windowModel) rests(now time.Time) {
	if m.arrived() >= windowHeld {
		m.t.Fatalf("%d frames wait", len(m.held))
	}
	first := uint64(1<<64 - 1)
	for seq := range m.held {
		first = min(first, seq)
	}
	if came, ok := m.held[first]; ok && (first == m.next || now.Sub(came) >= windowWait) {
		m.t.Fatalf("frame %d has waited %v, %d is due", first, now.Sub(came), m.next)
	}
}

func TestWindowKeepsItsContract(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var w window
		depth := uint64(seed % 3) // of redundancy
		loss, reorder, double := rng.Float64()*0.2, rng.Float64()*0.4, rng.Float64()*0.1
		start := time.Unix(1e9, 0)
		m := &windowModel{t: t, held: map[uint64]time.Time{}, other: map[uint64]bool{}, popped: map[uint64]bool{}, taken: map[uint64]bool{}}
		pop := func(now time.Time, force bool) {
			for {
				f, lost, ok := w.pop(now, force)
				if !ok {
					return
				}
				m.pop(f.seq, lost, now, force)
			}
		}
		arrivals := journey(rng, 2000, loss, reorder, double)
		m.next = arrivals[0].seq
		clock := time.Duration(0)
		for _, a := range arrivals {
			for ; clock < a.at; clock += time.Millisecond { // popped on time
				pop(start.Add(clock), false)
				m.rests(start.Add(clock))
			}
			now := start.Add(clock)
			if !w.fits(a.seq) {
				pop(now, true)
				if !w.fits(a.seq) {
					if len(m.held) != 0 {
						t.Fatalf("drained, %d frames are left", len(m.held))
					}
					m.skip = int(a.seq - m.next)
					w.skip(a.seq)
				}
			}
			for seq := a.seq - depth; seq < a.seq; seq++ {
				_, held := m.held[seq]
				want := w.started && seq >= m.next+uint64(m.skip) && !held
				if got := w.lacks(seq, seq*frameSamples, frameSamples); got != want {
					t.Fatalf("seed %d: frame %d lacking: %v, want %v (due: %d)", seed, seq, got, want, m.next)
				}
				if want {
					w.put(frame{seq: seq, ts: seq * frameSamples, samples: frameSamples, restored: true}, now)
					m.held[seq], m.other[seq], m.taken[seq] = now, true, true
				}
			}
			_, held := m.held[a.seq]
			want := a.seq >= m.next && !held
			if got := w.put(frame{seq: a.seq, ts: a.seq * frameSamples, samples: frameSamples}, now); got != want {
				t.Fatalf("seed %d: frame %d taken: %v, want %v (due: %d)", seed, a.seq, got, want, m.next)
			}
			if want {
				m.held[a.seq], m.taken[a.seq] = now, true
			}
			pop(now, false)
			m.rests(now)
		}
		pop(start.Add(clock), true)
		if m.total != len(m.taken) {
			t.Fatalf("seed %d: %d frames came out of %d", seed, m.total, len(m.taken))
		}
		if span := int(m.next - arrivals[0].seq); m.lost != span-m.total {
			t.Fatalf("seed %d: %d counted as lost of %d, %d came out", seed, m.lost, span, m.total)
		}
	}
}

func TestAHeldFrameWaitsFromItsOwnArrival(t *testing.T) {
	var w window
	at := func(ms int) time.Time { return time.Unix(1e9, 0).Add(time.Duration(ms) * time.Millisecond) }
	w.put(frame{seq: 10}, at(0))
	w.pop(at(0), false)
	w.put(frame{seq: 14}, at(0)) // overtakes four others
	w.put(frame{seq: 12}, at(39))
	if f, lost, ok := w.pop(at(39), false); !ok || f.seq != 12 || lost != 1 {
		t.Fatalf("%d, %d lost, %v", f.seq, lost, ok)
	}
	if _, _, ok := w.pop(at(39), false); ok {
		t.Error("13 may still come")
	}
	if f, lost, ok := w.pop(at(40), false); !ok || f.seq != 14 || lost != 1 {
		t.Errorf("14 has waited 40 ms: %d, %d lost, %v", f.seq, lost, ok)
	}
}
