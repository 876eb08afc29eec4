//go:build linux

package fanout

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"stentor/bench/client"
	"stentor/bench/report"
	"stentor/engine/control"
)

// siege is a crowd that grows until the server takes nobody any more, and then goes.
type siege struct {
	*crowd
	next int // who comes next, by number in ears.list; who is refused does not come again

	asked     atomic.Int64 // joins
	listening atomic.Int64 // connected listeners
	refused   atomic.Int64 // joins answered with busy
}

// grow lets n more come, joinsAtOnce at a time. It stops at the first that is refused, which is no error.
func (s *siege) grow(ctx context.Context, n int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n = min(n, len(s.ears.list)-s.next)
	first := s.next
	s.next += n
	var at atomic.Int64
	var workers sync.WaitGroup
	var full atomic.Bool
	for range min(joinsAtOnce, n) {
		workers.Go(func() {
			for !full.Load() && ctx.Err() == nil {
				i := int(at.Add(1)) - 1
				if i >= n {
					return
				}
				s.asked.Add(1)
				switch err := s.joinOne(ctx, first+i); {
				case control.ReasonOf(err) == control.ReasonBusy:
					s.refused.Add(1)
					full.Store(true)
				case err != nil:
					cancel(err)
				default:
					s.listening.Add(1)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// shrink lets the listeners that came last go, politely, but for so many. The probes are among the first.
func (s *siege) shrink(remain int) {
	var going []*client.Client
	s.ears.do(func() {
		excess := int(s.listening.Load()) - remain
		for i := len(s.ears.list) - 1; i >= 0 && len(going) < excess; i-- {
			e := s.ears.list[i].Load()
			if e != nil && e.listens && e.client != nil {
				going = append(going, e.client)
				e.client = nil
			}
		}
	})
	var leaving sync.WaitGroup
	turns := make(chan bool, joinsAtOnce)
	for _, c := range going {
		turns <- true
		leaving.Go(func() {
			_ = c.Close() // what an ear closes, it closes
			<-turns
		})
	}
	leaving.Wait()
	s.listening.Add(-int64(len(going)))
}

// missed is how many numbers have not come to listeners, so far.
func (s *siege) missed() (gaps uint64) {
	s.ears.do(func() {
		for i := range s.ears.list {
			if e := s.ears.list[i].Load(); e != nil && e.listens {
				gaps += e.tally.sum().gaps
			}
		}
	})
	return gaps
}

// latencies takes what the probes have kept since the last call.
func (s *siege) latencies() (p50, p99 float64) {
	var ms []float64
	s.mu.Lock()
	probes := slices.Clone(s.probes)
	s.mu.Unlock()
	for _, p := range probes {
		p.mu.Lock()
		ms = append(ms, p.ms...)
		p.ms = p.ms[:0]
		p.mu.Unlock()
	}
	slices.Sort(ms)
	return report.Percentile(ms, 50), report.Percentile(ms, 99)
}

// void is how many packets the generator itself has dropped.
func (s *siege) void() (float64, error) {
	drops, err := s.ears.drops()
	return float64(drops + s.ears.overflow.Load()), err
}
