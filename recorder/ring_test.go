package recorder

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// carried has the shape of what the data plane pushes.
type carried struct {
	number  uint64
	payload []byte
	more    [5]uint64
}

// A queue is what a ring is; the model is a slice.
func TestARingIsABoundedQueue(t *testing.T) {
	for _, size := range []int{1, 2, 3, 8, 100} {
		r := NewRing[carried](size)
		rng := rand.New(rand.NewPCG(1, uint64(size)))
		var model []uint64
		next, refused := uint64(0), uint64(0)
		for range 20_000 {
			if rng.IntN(2) == 0 {
				v := carried{number: next, payload: []byte{byte(next)}}
				ok := r.Push(&v)
				if want := len(model) < r.Size(); ok != want {
					t.Fatalf("size %d: push says %v with %d of %d inside", size, ok, len(model), r.Size())
				}
				if ok {
					model = append(model, next)
				} else {
					refused++
				}
				next++
			} else {
				var v carried
				ok := r.Pop(&v)
				if ok != (len(model) > 0) {
					t.Fatalf("size %d: pop says %v with %d inside", size, ok, len(model))
				}
				if ok {
					if v.number != model[0] || v.payload[0] != byte(model[0]) {
						t.Fatalf("size %d: popped %d, the oldest is %d", size, v.number, model[0])
					}
					model = model[1:]
				}
			}
			if r.Len() != len(model) {
				t.Fatalf("size %d: Len is %d with %d inside", size, r.Len(), len(model))
			}
		}
		if r.Refused() != refused {
			t.Errorf("size %d: %d refused were counted, %d were", size, r.Refused(), refused)
		}
	}
}

// Under the race detector this also shows that a slot is never touched from both sides at once.
func TestWhatIsPushedIsPoppedOnceAndInOrderBetweenTwoGoroutines(t *testing.T) {
	const pushes = 200_000
	r := NewRing[carried](64)
	var wg sync.WaitGroup
	var taken, last, refused uint64
	done := make(chan struct{})
	wg.Go(func() {
		var v carried
		for {
			if r.Pop(&v) {
				if v.number < last || uint64(v.payload[0]) != v.number&0xff || v.more[4] != ^v.number {
					t.Errorf("popped %d with payload %d after %d", v.number, v.payload[0], last)
					return
				}
				last = v.number + 1
				taken++
				continue
			}
			select {
			case <-done:
				if r.Len() == 0 {
					return
				}
			default:
				runtime.Gosched()
			}
		}
	})
	for i := range uint64(pushes) {
		v := carried{number: i, payload: []byte{byte(i)}}
		v.more[4] = ^i
		if !r.Push(&v) {
			refused++
			runtime.Gosched()
		}
	}
	close(done)
	wg.Wait()
	if taken+refused != pushes || r.Refused() != refused {
		t.Errorf("%d popped and %d refused of %d; the ring counted %d", taken, refused, pushes, r.Refused())
	}
	if taken == 0 || refused == 0 {
		t.Errorf("%d popped and %d refused: this run has not tried both", taken, refused)
	}
}

func TestAPoppedValueIsNotKeptAlive(t *testing.T) {
	r := NewRing[carried](4)
	freed := make(chan struct{})
	func() {
		b := new([64]byte)
		runtime.SetFinalizer(b, func(*[64]byte) { close(freed) })
		r.Push(&carried{payload: b[:]})
		var v carried
		r.Pop(&v)
	}()
	for {
		runtime.GC()
		select {
		case <-freed:
			runtime.KeepAlive(r)
			return
		default:
			runtime.Gosched()
		}
	}
}

func TestPushingAllocatesNothing(t *testing.T) {
	r := NewRing[carried](64)
	v := carried{payload: []byte{1}}
	if n := testing.AllocsPerRun(1000, func() { r.Push(&v); r.Pop(&v) }); n != 0 {
		t.Errorf("%v allocations a push and pop", n)
	}
}

func BenchmarkRingPush(b *testing.B) {
	b.Run("alone", func(b *testing.B) {
		r := NewRing[carried](4096)
		v, out := carried{payload: make([]byte, 80)}, carried{}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if !r.Push(&v) {
				b.StopTimer()
				for r.Pop(&out) {
				}
				b.StartTimer()
			}
		}
	})
	b.Run("contended", func(b *testing.B) {
		r := NewRing[carried](4096)
		v := carried{payload: make([]byte, 80)}
		done, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			var out carried
			for {
				if !r.Pop(&out) {
					select {
					case <-done:
						return
					default:
					}
				}
			}
		}()
		b.ReportAllocs()
		for b.Loop() {
			r.Push(&v)
		}
		b.ReportMetric(float64(r.Refused())/float64(b.N), "refused/op")
		close(done)
		<-stopped
	})
}
