package forward

import (
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"stentor/forward/cc"
	"stentor/transport"
)

// Downlink is what went to a peer, and what it has reported back. Atomic. All but Saved and what
// reports say are brought up to date once a second.
type Downlink struct {
	Packets atomic.Uint64
	Bytes   atomic.Uint64
	Lost    atomic.Uint64 // the shard was late
	Nacked  atomic.Uint64 // packets that the peer has asked for again, once each
	Resent  atomic.Uint64 // packets that it was sent again
	Saved   atomic.Uint64 // of those, that came, as far as feedback tells

	Loss   atomic.Uint32 // of the last receiver report, in 1/256 (RFC 3550 §6.4.1), the worst line
	Jitter atomic.Uint32 // of the last receiver report, in samples at 48 kHz, the worst line
	RTT    atomic.Int64  // nanoseconds; 0: not known
}

// RTCP takes one compound packet (transport.Receiver).
func (rd *Reader) RTCP(s *transport.Session, packet []byte, now time.Time) {
	p, ok := s.User().(*Peer)
	if !ok || p.src.gone {
		return
	}
	plain, ok := s.OpenRTCP(rd.rtcp[:], packet, now)
	if !ok {
		return
	}
	rd.compound(p, plain, now)
}

// messagesMost is how many NACKs and feedback messages one compound packet may hold: a NACK for each line that an offer may have.
const messagesMost = 32

// compound takes one apart that is decrypted.
func (rd *Reader) compound(p *Peer, plain []byte, now time.Time) {
	messages := 0
	for len(plain) > 0 {
		n := rtcpLength(plain)
		if n == 0 {
			rd.plane.rtcpMalformed.Add(1)
			return
		}
		one := plain[:n]
		plain = plain[n:]
		feedback, nack := isFeedback(one), cc.IsNack(one)
		if feedback || nack {
			if messages++; messages > messagesMost {
				rd.plane.rtcpDropped.Add(1)
				continue
			}
		}
		switch {
		case feedback:
			rd.fedBack(p, one, now)
		case nack:
			rd.nacked(p, one, now)
		default:
			rd.control(p, one, now)
		}
	}
}

// rtcpLength is the length of the first packet of a compound one (RFC 3550 §6.4.1), 0 if there is none.
func rtcpLength(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	if n := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1); n <= len(b) {
		return n
	}
	return 0
}

// control takes one RTCP packet that is no feedback.
func (rd *Reader) control(p *Peer, packet []byte, now time.Time) {
	packets, err := rtcp.Unmarshal(packet)
	if err != nil {
		rd.plane.rtcpMalformed.Add(1)
		return
	}
	for _, pk := range packets {
		switch pk := pk.(type) {
		case *rtcp.SenderReport:
			p.src.rec.report(pk, now)
			rd.reports(p, pk.Reports, now)
		case *rtcp.ReceiverReport:
			rd.reports(p, pk.Reports, now)
		case *rtcp.Goodbye:
			if slices.Contains(pk.Sources, p.src.rec.ssrc) {
				rd.drain(&p.src, now)
				rd.endSpurt(&p.src, now)
			}
		}
	}
}

// report keeps what a receiver report must repeat of a sender report (LSR and DLSR, RFC 3550 §6.4.1).
func (r *reception) report(sr *rtcp.SenderReport, now time.Time) {
	if sr.SSRC == r.ssrc {
		r.sr, r.srAt = uint32(sr.NTPTime>>16), now
	}
}

// reports takes what a peer says of the streams that it gets.
func (rd *Reader) reports(p *Peer, blocks []rtcp.ReceptionReport, now time.Time) {
	var loss, jitter uint32
	var trip time.Duration
	known := false
	for _, b := range blocks {
		if !slices.Contains(p.room.ssrcs, b.SSRC) {
			continue
		}
		known = true
		loss, jitter = max(loss, uint32(b.FractionLost)), max(jitter, b.Jitter)
		if rtt, ok := cc.RTT(uint32(ntp(now)>>16), b.LastSenderReport, b.Delay); ok {
			trip = rtt
			p.Down.RTT.Store(int64(trip))
		}
	}
	if known {
		p.Down.Loss.Store(loss)
		p.Down.Jitter.Store(jitter)
		rd.reported(p, uint8(loss), jitter, trip, now)
	}
}

// reportTo sends a receiver report for what the peer sends (RFC 3550 §6.4.2).
func (rd *Reader) reportTo(src *source, now time.Time) {
	p, r := src.peer, &src.rec
	p.Up.Lost.Store(r.lost())
	p.Up.Jitter.Store(uint32(r.jitter))
	if !r.started {
		return
	}
	block := rtcp.ReceptionReport{
		SSRC: r.ssrc, FractionLost: bothLost(r.fraction(), p.room.losses.At(lossPercentile, now)), TotalLost: uint32(min(r.lost(), 1<<23-1)),
		LastSequenceNumber: uint32(r.seq), Jitter: uint32(r.jitter), LastSenderReport: r.sr,
	}
	if r.sr != 0 {
		block.Delay = uint32(now.Sub(r.srAt) * 65536 / time.Second)
	}
	room := p.room
	rd.sendTo(p, []rtcp.Packet{
		&rtcp.ReceiverReport{SSRC: room.ssrcs[0], Reports: []rtcp.ReceptionReport{block}},
		sdes(room.ssrcs[:1]),
	})
}

// lossPercentile of the listeners' reports a speaker's encoder is told to brace for. The worst of thousands would make all pay
// for what only he needs; redundancy is made for him here.
const lossPercentile = 90

// bothLost is the loss over two ways, one after the other, in 1/256: what comes from the speaker, and goes to a listener.
func bothLost(in, out uint8) uint8 { return uint8(int(in) + int(out) - int(in)*int(out)/256) }

// sdes names streams. All are the daemon's (RFC 3550 §6.5.1), as the answers say.
func sdes(ssrcs []uint32) *rtcp.SourceDescription {
	d := &rtcp.SourceDescription{}
	for _, s := range ssrcs {
		d.Chunks = append(d.Chunks, rtcp.SourceDescriptionChunk{
			Source: s, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: CNAME}},
		})
	}
	return d
}

// ntp is a time in the format of sender reports: seconds since 1900 in 32.32 fixed point (RFC 3550 §4).
func ntp(t time.Time) uint64 {
	const since1900 = 2208988800
	s := uint64(t.Unix()) + since1900
	return s<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// senderReports writes the compound packet of a leg: a sender report for each line that has sent, and SDES.
// bye adds a BYE for all of them. Empty when nothing was ever sent and nobody says goodbye.
func (l *leg) senderReports(b []byte, now time.Time, bye bool) []byte {
	var packets []rtcp.Packet
	var ssrcs []uint32
	room := l.peer.room
	for i := range l.lines {
		ln := &l.lines[i]
		if ln.packets == 0 {
			continue
		}
		ssrcs = append(ssrcs, ln.ssrc)
		packets = append(packets, &rtcp.SenderReport{
			SSRC: ln.ssrc, NTPTime: ntp(now), RTPTime: uint32(room.clock(now)),
			PacketCount: ln.packets, OctetCount: ln.octets,
		})
	}
	if len(packets) == 0 && !bye {
		return b[:0]
	}
	if len(packets) == 0 { // a compound packet begins with a report (RFC 3550 §6.1)
		ssrcs = room.ssrcs[:1]
		packets = append(packets, &rtcp.ReceiverReport{SSRC: ssrcs[0]})
	}
	packets = append(packets, sdes(ssrcs))
	if bye {
		packets = append(packets, &rtcp.Goodbye{Sources: ssrcs, Reason: "left"})
	}
	out, err := rtcp.Marshal(packets)
	if err != nil || len(out) > len(b) {
		return b[:0]
	}
	return b[:copy(b, out)]
}
