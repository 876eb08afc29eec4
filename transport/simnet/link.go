package simnet

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"time"

	"stentor/transport"
)

// A Link is the way from one host to another; the way back is a Link of its own. The zero Link is perfect.
type Link struct {
	Delay     time.Duration // of every datagram
	Jitter    time.Duration // added to Delay, uniform in [0, Jitter)
	Loss      float64       // share of datagrams lost, 0 … 1
	Duplicate float64       // share of datagrams delivered twice, 0 … 1; the second one draws its own jitter
	Reorder   bool          // jitter may let a datagram overtake another; otherwise a flow stays in order
	Down      bool          // nothing gets through
	MTU       int           // longest datagram carried, in octets; 0 means transport.DatagramSize
	Path      Path          // not nil: decides, instead of all the above but MTU
}

// A Path decides what becomes of a link's datagrams, whatever flow they belong to: a bottleneck for example, which they
// share. Its methods are called one at a time, in the order of sending.
type Path interface {
	// Send takes a datagram of size octets, UDP and IP headers not included, and tells when it arrives, if it does.
	Send(now time.Time, size int) (at time.Time, arrives bool)
}

// hosts name a Link: from one host to another, the zero Addr for any.
type hosts struct{ from, to netip.Addr }

// flowKey names a flow.
type flowKey struct{ from, to netip.AddrPort }

// flow is what the network remembers of the datagrams from one address to another.
type flow struct {
	random  *rand.Rand
	lastDue time.Time // of the latest datagram, so that the next one cannot overtake it
}

// fate is what a link does to one datagram.
type fate struct {
	lost   bool
	copies int // 1 or 2
	delays [2]time.Duration
}

// draw decides by the flow's generator. It always draws four numbers, so that changing one property of a link leaves
// the others' outcomes as they were.
func (f *flow) draw(l *Link) fate {
	loss, twice, first, second := f.random.Float64(), f.random.Float64(), f.random.Float64(), f.random.Float64()
	out := fate{lost: loss < l.Loss, copies: 1}
	if twice < l.Duplicate {
		out.copies = 2
	}
	out.delays[0] = l.Delay + time.Duration(first*float64(l.Jitter))
	out.delays[1] = l.Delay + time.Duration(second*float64(l.Jitter))
	return out
}

// due turns a delay into a time, in order with the flow's earlier datagrams unless the link reorders.
func (f *flow) due(now time.Time, delay time.Duration, reorder bool) time.Time {
	at := now.Add(delay)
	if !reorder && at.Before(f.lastDue) {
		return f.lastDue
	}
	if at.After(f.lastDue) {
		f.lastDue = at
	}
	return at
}

// newFlow seeds a flow's generator from the network's seed and the two addresses.
func newFlow(seed uint64, key flowKey) *flow {
	sum := func(salt byte) uint64 {
		h := fnv.New64a()
		var b [9]byte
		b[0] = salt
		binary.BigEndian.PutUint64(b[1:], seed)
		h.Write(b[:])
		for _, a := range [2]netip.AddrPort{key.from, key.to} {
			ip := a.Addr().As16()
			h.Write(ip[:])
			h.Write(binary.BigEndian.AppendUint16(nil, a.Port()))
		}
		return h.Sum64()
	}
	return &flow{random: rand.New(rand.NewPCG(sum(1), sum(2)))}
}

// linkBetween finds the link of two hosts: the most exact one that was set, the sender's before the receiver's.
func (n *Network) linkBetween(from, to netip.Addr) Link {
	for _, h := range [4]hosts{{from, to}, {from: from}, {to: to}, {}} {
		if l, ok := n.links[h]; ok {
			return l
		}
	}
	return Link{}
}

// limit is the longest datagram that the link carries.
func (l *Link) limit() int {
	if l.MTU == 0 {
		return transport.DatagramSize
	}
	return l.MTU
}
