package client

import (
	"slices"
	"time"

	"github.com/pion/rtcp"
)

const (
	// nackWait lets what was overtaken come by itself.
	nackWait = 10 * time.Millisecond
	// nackAgain is how long a listener waits for what it has asked for: libwebrtc's round trip where none is known.
	nackAgain = 100 * time.Millisecond
	// nackFor is how long it asks.
	nackFor = 500 * time.Millisecond
	// nackGapMax is the longest gap that is asked for: longer ones are breaks.
	nackGapMax = 64
)

// missing is a number that has not come.
type missing struct {
	ssrc  uint32
	seq   uint16
	since time.Time
	ask   time.Time // when to ask, next
}

// nacks are what a listener misses and asks for (RFC 4585 §6.2.1), as libwebrtc's NackTracker does. Owned by the reader.
type nacks struct {
	list []missing // in order of time
}

// book compares a new packet with the highest number before it.
func (n *nacks) book(p *Packet, highest int64, started bool) {
	if !started {
		return
	}
	gap := int(int16(p.Seq-uint16(highest))) - 1
	if gap < 0 {
		n.list = slices.DeleteFunc(n.list, func(m missing) bool { return m.ssrc == p.SSRC && m.seq == p.Seq })
		return
	}
	for i := range min(gap, nackGapMax+1) {
		if gap <= nackGapMax {
			n.list = append(n.list, missing{p.SSRC, uint16(highest) + 1 + uint16(i), p.At, p.At.Add(nackWait)})
		}
	}
}

// due is when something is to be asked for; zero: nothing is missing.
func (n *nacks) due() (at time.Time) {
	for i := range n.list {
		at = earlier(at, n.list[i].ask)
	}
	return at
}

// askIfDue asks for what is missing, a message a stream.
func (c *Client) askIfDue(now time.Time) {
	n := &c.down.nacks
	if len(n.list) == 0 {
		return
	}
	n.list = slices.DeleteFunc(n.list, func(m missing) bool { return now.Sub(m.since) >= nackFor })
	wanted := map[uint32][]uint16{}
	var order []uint32
	for i := range n.list {
		m := &n.list[i]
		if m.ask.After(now) {
			continue
		}
		m.ask = now.Add(nackAgain)
		if wanted[m.ssrc] == nil {
			order = append(order, m.ssrc)
		}
		wanted[m.ssrc] = append(wanted[m.ssrc], m.seq)
	}
	for _, ssrc := range order {
		c.count.nacked.Add(uint64(len(wanted[ssrc])))
		_ = c.SendRTCP(&rtcp.TransportLayerNack{ // what cannot be sent is asked for again
			SenderSSRC: c.ssrc, MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(wanted[ssrc])})
	}
}
