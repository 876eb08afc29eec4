package client

import (
	"sync/atomic"
	"time"
)

// counters count what the reader saw. Atomic.
type counters struct {
	decryptFailures, unknownSSRC, strangers, unknown, early atomic.Uint64
	rtcp, senderReports, receiverReports, twccFeedback      atomic.Uint64
	twccCame, twccLost                                      atomic.Uint64
	byes, nacked                                            atomic.Uint64
	closeNotify                                             atomic.Bool
}

// StreamStats are those of one received SSRC.
type StreamStats struct {
	SSRC       uint32
	Line       int    // -1: unknown
	Packets    uint64 // each counted once
	Bytes      uint64 // of payload
	Lost       uint64 // numbers between the first and the last packet that never came
	Duplicates uint64
	OutOfOrder uint64  // came after one with a higher number
	JitterMs   float64 // RFC 3550 §6.4.1
	Redundant  uint64  // of Packets, those with room for earlier ones (RFC 2198)
	Recovered  uint64  // frames that had not come when another packet brought them
}

// Stats tell what a client sent and received.
type Stats struct {
	StreamStats               // the sum of Streams; SSRC and Line are 0, JitterMs is the largest
	Streams     []StreamStats // in the order in which they came

	DecryptFailures uint64 // SRTP and SRTCP that did not authenticate
	UnknownSSRC     uint64 // RTP on an SSRC that the answer does not announce
	Strangers       uint64 // datagrams from addresses that the answer does not name
	Unknown         uint64 // neither STUN, DTLS, RTP nor RTCP, or malformed
	Early           uint64 // media dropped because there were no keys yet

	RTCP            uint64 // compound packets
	SenderReports   uint64
	ReceiverReports uint64
	TWCCFeedback    uint64
	TWCCCame        uint64 // packets of ours that feedback says have come
	TWCCLost        uint64 // have not
	Byes            uint64 // SSRCs that said goodbye
	Nacked          uint64 // numbers that were asked for, each time
	CloseNotify     bool   // the server ended the association

	Sent      uint64 // RTP packets
	SentBytes uint64 // of payload

	ChecksSent       uint64 // connectivity checks, repetitions included
	ConsentSent      uint64
	ConsentAnswered  uint64
	ConsentAt        time.Time // when the server last agreed to receive
	RequestsAnswered uint64    // the server's own checks
	RequestsRefused  uint64    // checks with a wrong name, password or fingerprint
}

// Stats may be called at any time, also after Close.
func (c *Client) Stats() Stats {
	s := Stats{
		DecryptFailures: c.count.decryptFailures.Load(), UnknownSSRC: c.count.unknownSSRC.Load(),
		Strangers: c.count.strangers.Load(), Unknown: c.count.unknown.Load(), Early: c.count.early.Load(),
		RTCP: c.count.rtcp.Load(), SenderReports: c.count.senderReports.Load(),
		ReceiverReports: c.count.receiverReports.Load(), TWCCFeedback: c.count.twccFeedback.Load(),
		TWCCCame: c.count.twccCame.Load(), TWCCLost: c.count.twccLost.Load(),
		Byes: c.count.byes.Load(), Nacked: c.count.nacked.Load(), CloseNotify: c.count.closeNotify.Load(),
	}
	ice, consentAt := c.ice.stats()
	s.ChecksSent, s.ConsentSent, s.ConsentAnswered, s.ConsentAt = ice.checksSent, ice.consentSent, ice.consentAnswered, consentAt
	s.RequestsAnswered, s.RequestsRefused = ice.requestsAnswered, ice.requestsRefused
	c.up.mu.Lock()
	s.Sent, s.SentBytes = c.up.packets, c.up.octets
	c.up.mu.Unlock()
	s.Streams = c.down.stats()
	for _, one := range s.Streams {
		s.Packets += one.Packets
		s.Bytes += one.Bytes
		s.Lost += one.Lost
		s.Duplicates += one.Duplicates
		s.OutOfOrder += one.OutOfOrder
		s.Redundant += one.Redundant
		s.Recovered += one.Recovered
		s.JitterMs = max(s.JitterMs, one.JitterMs)
	}
	return s
}

func (d *downlink) stats() []StreamStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]StreamStats, 0, len(d.order))
	for _, ssrc := range d.order {
		s := d.streams[ssrc]
		out = append(out, StreamStats{
			SSRC: ssrc, Line: s.line, Packets: s.unique, Bytes: s.bytes, Lost: s.lost(), Duplicates: s.duplicates,
			OutOfOrder: s.outOfOrder, JitterMs: s.jitter * 1000 / opusClock,
			Redundant: s.redundant, Recovered: s.recovered,
		})
	}
	return out
}
