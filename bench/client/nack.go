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
	for _, m := range c.down.nacks.wanted(now) {
		c.count.nacked.Add(uint64(len(m.seqs)))
		_ = c.SendRTCP(&rtcp.TransportLayerNack{ // what cannot be sent is asked for again
			SenderSSRC: c.ssrc, MediaSSRC: m.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(m.seqs)})
	}
}

// wish is what is asked for of one stream.
type wish struct {
	ssrc uint32
	seqs []uint16
}

// wanted is what is to be asked for now. It gives up what is too old.
func (n *nacks) wanted(now time.Time) (out []wish) {
	if len(n.list) == 0 {
		return nil
	}
	n.list = slices.DeleteFunc(n.list, func(m missing) bool { return now.Sub(m.since) >= nackFor })
	for i := range n.list {
		m := &n.list[i]
		if m.ask.After(now) {
			continue
		}
		m.ask = now.Add(nackAgain)
		at := slices.IndexFunc(out, func(w wish) bool { return w.ssrc == m.ssrc })
		if at < 0 {
			at, out = len(out), append(out, wish{ssrc: m.ssrc})
		}
		out[at].seqs = append(out[at].seqs, m.seq)
	}
	return out
}
