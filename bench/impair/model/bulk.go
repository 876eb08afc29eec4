package model

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// A bulk flow is a download that never ends, after TCP Reno (RFC 5681): slow start, one packet more each round trip,
// half the window after a loss, which is noticed a round trip later. What a flow's packets meet is the bottleneck's queue;
// its acknowledgements are never lost.
const (
	bulkSize = 1500                  // octets on the wire, Ethernet's MTU
	bulkBack = 20 * time.Millisecond // from the bottleneck's other end to the receiver and back to the sender

	// bulkSpread is by how much a sender's own work delays a packet: without it flows fall into step with the queue, and
	// one of them gets everything (Floyd, Jacobson: On Traffic Phase Effects, 1992).
	bulkSpread = time.Millisecond

	windowFirst = 10  // RFC 6928
	windowMost  = 700 // a megabyte
)

// bulk is all flows of a path.
type bulk struct {
	random *rand.Rand
	flows  []*flow
	events events
	nth    uint64
	octets uint64
}

type flow struct {
	window, threshold float64 // packets
	inflight          int
	cut               time.Duration // losses of what was sent before are one and the same
	ended             bool
}

// event is something that a sender learns.
type event struct {
	at   time.Duration
	nth  uint64
	flow *flow
	kind kind
	sent time.Duration // of the packet
}

type kind uint8

const (
	begin kind = iota // may send
	acked
	lost
)

// resize begins or ends flows.
func (b *bulk) resize(n int, now time.Duration) {
	for len(b.flows) < n {
		f := &flow{window: windowFirst, threshold: windowMost}
		b.flows = append(b.flows, f)
		b.push(event{at: now, flow: f, kind: begin})
	}
	for _, f := range b.flows[n:] {
		f.ended = true
	}
	b.flows = b.flows[:n]
}

func (b *bulk) push(e event) {
	b.nth++
	e.nth = b.nth
	e.at += time.Duration(b.random.Float64() * float64(bulkSpread))
	heap.Push(&b.events, e)
}

// run lets the flows send until a time.
func (b *bulk) run(p *Path, until time.Duration) {
	for len(b.events) > 0 && b.events[0].at <= until {
		e := heap.Pop(&b.events).(event)
		p.now = max(p.now, e.at)
		if !e.flow.ended {
			b.learn(p, e)
		}
	}
}

// learn tells a flow's sender, who sends what he may.
func (b *bulk) learn(p *Path, e event) {
	f := e.flow
	switch e.kind {
	case acked:
		f.inflight--
		if f.window < f.threshold {
			f.window++
		} else {
			f.window += 1 / f.window
		}
		f.window = min(f.window, windowMost)
	case lost:
		f.inflight--
		if e.sent >= f.cut {
			f.threshold = max(2, f.window/2)
			f.window, f.cut = f.threshold, p.now
		}
	}
	for f.inflight < int(f.window) {
		f.inflight++
		b.send(p, f)
	}
}

// send sends a packet. Nobody tells of a lost one: the acknowledgements of those behind it do, a round trip later.
func (b *bulk) send(p *Path, f *flow) {
	c := &p.steps[p.step].Conditions
	trip := bulkBack + 2*c.Delay
	if !c.Down {
		if leaves, ok := p.line.enter(p, bulkSize); ok {
			b.octets += bulkSize
			b.push(event{at: leaves + trip, flow: f, kind: acked, sent: p.now})
			return
		}
	}
	b.push(event{at: max(p.now, p.line.free) + trip, flow: f, kind: lost, sent: p.now})
}

// events is a heap, the earliest first. It is a heap.Interface.
type events []event

func (e events) Len() int      { return len(e) }
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e events) Less(i, j int) bool {
	if e[i].at != e[j].at {
		return e[i].at < e[j].at
	}
	return e[i].nth < e[j].nth
}
func (e *events) Push(x any) { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	out := (*e)[last]
	*e = (*e)[:last]
	return out
}
