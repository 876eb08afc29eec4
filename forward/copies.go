package forward

import "stentor/transport"

// This file is redundancy for who takes no RED (docs/adr/0019): each datagram twice.
//
//  1. weigh: the ladder wants copies. The leg is in doubt, so it has a history.
//  2. sendOn: a packet is sent, and noted.
//  3. copyBefore: the one before it on its line is sealed a second time, from what was noted of it, as resend.go does.
//
// It is the same datagram, octet by octet, with the same numbers: the listener's SRTP drops whichever comes second (RFC 3711
// §3.3.2), before anything counts it. So nothing of the leg changes but what counts datagrams: octets, and what sender reports
// say was sent (RFC 3550 §6.4.1: "RTP data packets transmitted").

// copyBefore sends a second time what was sent on a line before its last packet.
func (l *leg) copyBefore(ln *outLine, out transport.Sender) {
	s := l.shard
	again, ok := l.history.Copy(int(ln.at), s.now)
	if !ok || !again.Stamped || again.Form >= formHush { // silence is not missed
		return
	}
	pk := l.noted(&again)
	if pk == nil {
		return
	}
	f := formOf(&again)
	var h [headerSize]byte
	header(&h, pk)
	n, size := l.seal(out.Reserve(), ln, pk, &h, &f)
	if n == 0 {
		return
	}
	out.Commit(n, &l.dest)
	l.control.ladder.Copied(f.twcc, s.now)
	ln.packets++
	ln.octets += uint32(size)
	l.bytes += uint64(n)
	s.copies.Add(1)
}
