package client

import (
	"slices"
	"time"

	"github.com/pion/rtcp"
)

const (
	// feedbackInterval is Chromium's for a stream of audio: between 50 and 250 ms by bandwidth.
	feedbackInterval = 100 * time.Millisecond

	// feedbackGapMax is the longest run of missing numbers that is reported as lost: beyond it the server has stopped
	// to stamp for a while, or begun anew. 256 packets are over a second of five speakers.
	feedbackGapMax = 256

	// A feedback's times (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): reference in 64 ms, deltas in 250 µs.
	referenceUnit = 64 * time.Millisecond
	deltaUnit     = 250 * time.Microsecond
)

// arrival is a packet with a transport-wide sequence number.
type arrival struct {
	seq uint16
	at  time.Time
}

// feedback collects arrivals for the server's congestion controller. Owned by the reader.
type feedback struct {
	arrivals []arrival
	due      time.Time // zero: nothing to report
	next     uint16    // the number after the last one reported
	started  bool
	count    uint8
	ssrc     uint32 // of the last stamped packet: the media source that the feedback names
}

// note adds a packet that OnPacket gets.
func (f *feedback) note(p *Packet) {
	if len(f.arrivals) == 0 {
		f.due = p.At.Add(feedbackInterval)
	}
	f.ssrc = p.SSRC
	f.arrivals = append(f.arrivals, arrival{p.TWCC, p.At})
}

// feedBackIfDue sends what was collected.
func (c *Client) feedBackIfDue(now time.Time) {
	f := &c.down.feedback
	if f.due.IsZero() || now.Before(f.due) {
		return
	}
	_ = c.SendRTCP(f.build(c.ssrc)...) // what is lost is a gap in the next one's count
	f.due = time.Time{}
}

// late tells whether a number lies before what was reported already.
func (f *feedback) late(seq uint16) bool {
	behind := int16(f.next - seq)
	return f.started && behind > 0 && behind <= feedbackGapMax
}

// build makes the messages for what was collected, and forgets it. A jump of the numbers begins another message, and so
// does a late packet whose successor was reported already: a gap behind it would call that one lost.
func (f *feedback) build(sender uint32) (out []rtcp.Packet) {
	first := f.arrivals[0].seq
	slices.SortStableFunc(f.arrivals, func(x, y arrival) int { return int(int16(x.seq-first)) - int(int16(y.seq-first)) })
	for rest := f.arrivals; len(rest) > 0; {
		n := 1
		for n < len(rest) {
			gap := rest[n].seq - rest[n-1].seq
			if gap > feedbackGapMax || gap > 1 && f.late(rest[n-1].seq) {
				break
			}
			n++
		}
		out = append(out, f.message(sender, rest[:n]))
		rest = rest[n:]
	}
	f.arrivals = f.arrivals[:0]
	return out
}

// message reports arrivals in order of their numbers, and the numbers missing before and between them.
func (f *feedback) message(sender uint32, arrivals []arrival) *rtcp.TransportLayerCC {
	base := arrivals[0].seq
	if f.started && base-f.next <= feedbackGapMax {
		base = f.next
	}
	last := arrivals[len(arrivals)-1].seq
	reference := arrivals[0].at.UnixNano() / int64(referenceUnit)
	m := &rtcp.TransportLayerCC{
		SenderSSRC: sender, MediaSSRC: f.ssrc, BaseSequenceNumber: base, PacketStatusCount: last - base + 1,
		ReferenceTime: uint32(reference) & 0xFFFFFF, FbPktCount: f.count,
	}
	f.count++
	if !f.late(last + 1) {
		f.next, f.started = last+1, true
	}
	symbols := make([]uint16, int(m.PacketStatusCount)+6)
	size := 20 // octets of header and fixed part
	before := reference * int64(referenceUnit/deltaUnit)
	for i, a := range arrivals {
		if i > 0 && a.seq == arrivals[i-1].seq {
			continue
		}
		now := a.at.UnixNano() / int64(deltaUnit)
		delta := &rtcp.RecvDelta{Type: rtcp.TypeTCCPacketReceivedSmallDelta, Delta: (now - before) * deltaUnit.Microseconds()}
		size++
		if now < before || now-before > 255 {
			delta.Type = rtcp.TypeTCCPacketReceivedLargeDelta
			size++
		}
		before = now
		symbols[a.seq-base] = delta.Type
		m.RecvDeltas = append(m.RecvDeltas, delta)
	}
	for i := 0; i < int(m.PacketStatusCount); i += 7 { // seven two-bit symbols a chunk
		m.PacketChunks = append(m.PacketChunks, &rtcp.StatusVectorChunk{
			SymbolSize: rtcp.TypeTCCSymbolSizeTwoBit, Type: rtcp.TypeTCCStatusVectorChunk, SymbolList: symbols[i : i+7]})
		size += 2
	}
	m.Header = rtcp.Header{
		Padding: size%4 != 0, Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: uint16((size+3)/4 - 1)}
	return m
}
