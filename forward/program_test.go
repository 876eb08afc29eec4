package forward

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestProgramIsFollowedInOrder lets followers of different speeds run after one publisher. What they do not see they
// must have counted.
func TestProgramIsFollowedInOrder(t *testing.T) {
	const packets = 100_000
	p := newProgram(1)
	var done atomic.Bool
	var wg sync.WaitGroup
	for id := range uint64(4) {
		rng := rand.New(rand.NewPCG(id, 3))
		wg.Go(func() {
			var cursor, seen, lost uint64
			for !done.Load() || cursor < p.head.Load() {
				head := p.head.Load()
				if behind := head - cursor; behind > programLeast {
					lost += behind - programLeast
					cursor = head - programLeast
				}
				for ; cursor < head; cursor++ {
					pk := p.at(cursor)
					if pk == nil {
						lost++
						continue
					}
					if pk.index != cursor || pk.seq != cursor*3 || pk.ts != uint32(cursor*960) {
						t.Errorf("at %d: packet %d with sequence %d", cursor, pk.index, pk.seq)
						return
					}
					seen++
				}
				for range rng.IntN(int(id)*20 + 1) {
					runtime.Gosched()
				}
			}
			if seen+lost != packets || seen == 0 {
				t.Errorf("follower %d: saw %d, lost %d, of %d", id, seen, lost, packets)
			}
		})
	}
	rng := rand.New(rand.NewPCG(9, 3))
	for i := range uint64(packets) {
		p.publish(&Packet{seq: i * 3, ts: uint32(i * 960)})
		if rng.IntN(50) == 0 {
			runtime.Gosched()
		}
	}
	done.Store(true)
	wg.Wait()
}

func TestProgramForgetsWhatIsOvertaken(t *testing.T) {
	p := newProgram(1)
	for range programLeast + 10 {
		p.publish(new(Packet))
	}
	for i := range uint64(10) {
		if p.at(i) != nil || p.at(i+programLeast) == nil {
			t.Errorf("packet %d is there, or its successor is not", i)
		}
	}
	if p.at(programLeast+10) != nil {
		t.Error("what was not published yet is there")
	}
}

func BenchmarkProgramPublishFollow(b *testing.B) {
	p := newProgram(1)
	pk := make([]Packet, b.N)
	cursor := uint64(0)
	for i := range b.N {
		p.publish(&pk[i])
		for head := p.head.Load(); cursor < head; cursor++ {
			if p.at(cursor) == nil {
				b.Fatal("lost")
			}
		}
	}
}
