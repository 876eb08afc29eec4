package forward

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/pion/rtcp"
	"stentor/forward/cc"
	"stentor/forward/opus"
	"stentor/transport"
)

// This file fits what a leg is sent to its network. What is to be done is package cc's to decide; here it is told what
// came back, and obeyed:
//
//  1. reported, fedBack: what the listener says of what it got.
//  2. weigh: the ladder's decision, now and then.
//  3. obey: another rendition, the dominant speaker alone, redundancy, the transport-wide number on every packet.
//  4. hush, probe: the packets that this needs; what was lost, once more (resend.go), or everything twice (copies.go).

const (
	wireIPv4 = 20 + 8 // octets that IP and UDP add to a packet
	wireIPv6 = 40 + 8
	// packetOverhead is what a stamped packet carries besides Opus: header, CSRC, extensions, GCM tag.
	packetOverhead = headerStamped + 16
)

// control is the part of a leg that adapts. In the shard's turn.
type control struct {
	ladder *cc.Ladder
	said   cc.Decision
	seq    uint16 // transport-wide, last given; all lines share it
	hangs  bool   // stands in shard.doubted

	packets, gaps, nacked uint64    // of the leg at the last report that counted
	reported              time.Time // when that was

	wire int // octets of IP and UDP, by the path at the beginning: prices and what is measured must be of one kind
}

// newControl makes a leg's controller, nil if the daemon does not adapt.
func newControl(p *Peer, to netip.Addr, now time.Time) *control {
	plane := p.room.plane
	if !plane.adapt {
		return nil
	}
	wire := wireIPv6
	if to.Unmap().Is4() {
		wire = wireIPv4
	}
	c := cc.Config{Forbid: p.room.forbid, Probe: true, Resend: true, Overhead: uint16(wire + packetOverhead)}
	for _, ln := range p.config.Lines {
		c.Feedback = c.Feedback || ln.TWCCID != 0
		if ln.RedundancyPT != 0 {
			c.RED = depthMax
		}
	}
	c.Copies = c.RED == 0
	return &control{ladder: cc.New(c, now), wire: wire}
}

// heed takes the worst of what a receiver report says, and tells of what time it speaks; zero: it does not count.
func (l *leg) heed(loss uint8, jitter uint32, rtt time.Duration, now time.Time) (own uint8, span time.Duration) {
	c := l.control
	if c == nil {
		return 0, 0
	}
	packets, gaps, nacked := l.packets-c.packets, l.gaps-c.gaps, l.nacked-c.nacked
	own = cc.Missing(ownLoss(loss, packets, gaps), nacked, packets)
	if !c.ladder.Report(own, jitter, rtt, now) {
		return own, 0
	}
	span = reportFirst
	if !c.reported.IsZero() {
		span = now.Sub(c.reported)
	}
	c.packets, c.gaps, c.nacked, c.reported = l.packets, l.gaps, l.nacked, now // what comes until the next one that counts is one account
	return own, span
}

// reportFirst is the time that a listener's first report speaks of.
const reportFirst = time.Second

// ownLoss is what a listener's network has lost of the loss that it reports: without what was lost on the way in already,
// which it sees as gaps among the packets that it was sent.
func ownLoss(loss uint8, packets, gaps uint64) uint8 {
	if gaps == 0 || packets == 0 {
		return loss
	}
	missing := float64(loss) / 256 * float64(packets+gaps)
	return uint8(min(max(missing-float64(gaps), 0)*256/float64(packets), 255))
}

// weigh asks the ladder what the leg is to be sent, and obeys.
func (s *shard) weigh(l *leg, now time.Time) {
	c := l.control
	if c == nil || l.gone {
		s.relieve(l)
		return
	}
	c.ladder.Limit(s.limitOf(l))
	c.ladder.Follows(l.packing())
	d := c.ladder.Decide(now, l.peer.room.demand(l.asked == Mix, now))
	s.countMoves(c.ladder.Moves())
	for range d.Probe {
		s.probe(l, d.Padding, now)
	}
	if d.Probe > 0 {
		s.out.Flush() // now: it is measured from its own time
	}
	was := c.said
	c.said = d
	if d.Stamp && !c.hangs {
		c.hangs = true
		s.doubted = append(s.doubted, l)
	}
	l.stamp, l.one, l.copies = d.Stamp, d.One, d.Copies
	l.remember(now)
	if d.Rung != was.Rung {
		s.rungs[was.Rung].Add(-1)
		s.rungs[d.Rung].Add(1)
		s.choose(l)
	}
	if d.RED != was.RED || d.Spread != was.Spread {
		form := int(d.RED)
		if d.Spread {
			form = spread
		}
		s.protect(l, form)
	}
	first := l.peer.quality.Load() == nil
	tells := first || d.Rung != was.Rung || d.RED != was.RED || d.Copies != was.Copies || d.Why != was.Why
	if tells || d.Estimate != was.Estimate || d.Stamp != was.Stamp {
		said := d // d itself would be allocated each time
		l.peer.quality.Store(&said)
	}
	if tells { // of the rest only whoever asks is told
		s.plane.changes.peer(l.peer)
	}
}

// packing is how the leg's packets are packed at least, and whether the ladder can change it.
func (l *leg) packing() (p cc.Packing, fixed bool) {
	if l.asked == Mix {
		return cc.AsItCame, true
	}
	return cc.Packing(l.asked), false
}

// limitOf is the best rung that the shard can afford for a leg. Those who only listen spare it, as many tenths of them as must.
func (s *shard) limitOf(l *leg) cc.Rung {
	if !l.peer.mayTalk.Load() && l.tenth < s.limit.Load() {
		return cc.Packed60
	}
	return cc.Live
}

// relieve packs for a leg that has no ladder, if the shard must and the room lets it: the node protects itself also where
// the daemon does not adapt.
func (s *shard) relieve(l *leg) {
	l.spares = s.limitOf(l) != cc.Live && l.peer.room.forbid&(1<<cc.Packed60) == 0
	s.choose(l)
}

// weighAll weighs all legs, after the limit has changed. It is some 0.1 µs a leg, and 2 µs for one that changes.
func (s *shard) weighAll(now time.Time) {
	for _, l := range s.legs {
		s.weigh(l, now)
	}
}

func (s *shard) countMoves(moves [cc.MovesN]uint32) {
	for m, n := range moves {
		if n > 0 {
			s.moves[m].Add(uint64(n))
		}
	}
}

// weighDoubted weighs the legs that are stamped, and lets those go that are not any more.
func (s *shard) weighDoubted(now time.Time) {
	kept := s.doubted[:0]
	for _, l := range s.doubted {
		s.weigh(l, now)
		if l.stamp && !l.gone {
			kept = append(kept, l)
		} else {
			l.control.hangs = false
		}
	}
	clear(s.doubted[len(kept):])
	s.doubted = kept
}

// effective is the rendition that a leg is to follow: what the control plane wants, or less if its network takes less.
func (l *leg) effective() Rendition {
	switch {
	case l.asked == Mix:
		return Mix
	case l.control == nil && l.spares:
		return max(l.asked, Packed60)
	case l.control == nil:
		return l.asked
	}
	return max(l.asked, Rendition(l.control.said.Packing))
}

// choose has a leg follow the rendition that it is to follow, from the room's next boundary on.
func (s *shard) choose(l *leg) {
	rend := l.effective()
	if rend == l.heading || l.gone {
		return
	}
	l.heading = rend
	// The Reader first: it must make the rendition before the leg can change to it.
	s.plane.reader.do(func(now time.Time) {
		s.plane.reader.want(l.peer.room, rend, 1, 1, now)
		s.do(func(time.Time) {
			if l.gone {
				s.counted(l.peer.room, rend, -1, -1)
				return
			}
			s.follow(l, rend)
		})
	})
}

// stampInto adds a transport-wide number to a header of n octets and returns its length.
func stampInto(b []byte, n int, id uint8, number uint16) int {
	if n == headerCSRC { // no extension yet: BEDE and one word
		b[0] |= 0x10
		binary.BigEndian.PutUint16(b[16:], 0xBEDE)
		binary.BigEndian.PutUint16(b[18:], 1)
		b[20] = id<<4 | 1 // length field 1: two octets
		binary.BigEndian.PutUint16(b[21:], number)
		b[23] = 0
		return headerSize
	}
	b[19] = 2 // words
	b[22] = id<<4 | 1
	binary.BigEndian.PutUint16(b[23:], number)
	b[25], b[26], b[27] = 0, 0, 0
	return headerStamped
}

// sentStamped tells the ladder of a packet that carries a number.
func (l *leg) sentStamped(n int) { l.control.ladder.Sent(l.control.seq, n+l.control.wire, l.shard.now) }

// hushed is how a line is closed whose speaker is not sent any more, though he goes on: silence, and its sign (docs/adr/0003).
var hushed = [2]*Packet{
	{payload: opus.Quiet, level: silent, samples: 960},
	{payload: opus.Silence(opus.Quiet), level: silent, samples: 960},
}

// hush closes a line behind what was last sent on it.
func (l *leg) hush(ln *outLine, csrc uint32, out transport.Sender) {
	defer func() { ln.sounding, ln.resync = false, true }() // what is left out is no loss
	if !ln.sounding {
		return
	}
	for i := range hushed {
		pk := hush(i, ln.end, csrc)
		pk.seq = ln.seq + ln.off + 1
		var h [headerSize]byte
		header(&h, &pk)
		l.sendOn(ln, &pk, &h, out)
	}
}

// hush makes one of the packets that are in no program.
func hush(which int, ts, csrc uint32) Packet {
	pk := *hushed[which]
	pk.hush, pk.ts, pk.csrc = uint8(which+1), ts, csrc
	return pk
}

// probe sends a packet of nothing but padding, to see whether the network takes more. It takes a number of the first line's
// stream; what is media follows without a gap.
func (s *shard) probe(l *leg, padding int, now time.Time) {
	ln := &l.lines[0]
	if ln.packets == 0 || ln.twccID == 0 || padding < 1 || padding > 255 {
		return
	}
	b := s.out.Reserve()
	b[0] = 0x80 | 0x20 | 0x10 // no CSRC; padding, extension
	b[1] = ln.pt
	seq := ln.seq + 1
	binary.BigEndian.PutUint16(b[2:], uint16(seq))
	binary.BigEndian.PutUint32(b[4:], ln.ts)
	binary.BigEndian.PutUint32(b[8:], ln.ssrc)
	l.control.seq++
	binary.BigEndian.PutUint16(b[12:], 0xBEDE)
	binary.BigEndian.PutUint16(b[14:], 1)
	b[16] = ln.twccID<<4 | 1
	binary.BigEndian.PutUint16(b[17:], l.control.seq)
	b[19] = 0
	fill := s.rtcp[:padding] // scratch; the last octet says how many there are (RFC 3550 §5.1)
	clear(fill)
	fill[padding-1] = byte(padding)
	n := l.egress.SealRTP(b, 20, fill, seq)
	if n == 0 {
		return
	}
	s.out.Commit(n, &l.dest)
	l.control.ladder.SentProbe(l.control.seq, n+l.control.wire, now)
	l.notePadding(ln, seq, now)
	ln.seq = seq
	ln.off-- // what follows has a number more
	l.packets++
	l.bytes += uint64(n)
}

// fedBack takes transport-wide feedback (RTCP, the whole packet). For the Reader.
func (rd *Reader) fedBack(p *Peer, packet []byte, now time.Time) {
	if l := p.attached.Load(); l != nil && l.control != nil {
		rd.hand(l, &l.feedbackWaits, packet, now, (*shard).takeFeedback)
	}
}

// takeFeedback has a leg learn from feedback. In the shard's turn.
func (s *shard) takeFeedback(l *leg, packet []byte, now time.Time) {
	known := l.control.ladder.Feedback(packet, now)
	s.weigh(l, now)
	if known {
		s.mend(l, now)
	}
}

// reported takes what a receiver report says to the leg's ladder, and what counts to the room's account of losses.
func (rd *Reader) reported(p *Peer, loss uint8, jitter uint32, rtt time.Duration, now time.Time) {
	l := p.attached.Load()
	if l == nil {
		return
	}
	s := l.shard
	if s.tryTurn() {
		own, span := l.heed(loss, jitter, rtt, now)
		if span > 0 {
			s.weigh(l, now)
		}
		s.endTurn()
		p.room.losses.Add(own, span, now)
		return
	}
	if l.reportWaits.Swap(true) {
		rd.plane.rtcpDropped.Add(1) // the next one says the same, and more
		return
	}
	s.do(func(now time.Time) {
		l.reportWaits.Store(false)
		if own, span := l.heed(loss, jitter, rtt, now); span > 0 {
			s.weigh(l, now)
			rd.do(func(now time.Time) { p.room.losses.Add(own, span, now) })
		}
	})
}

// isFeedback tells transport-wide feedback from other RTCP (RFC 4585 §6.1: transport layer feedback, format 15).
func isFeedback(packet []byte) bool {
	return len(packet) >= 4 && packet[1] == byte(rtcp.TypeTransportSpecificFeedback) && packet[0]&0x1f == rtcp.FormatTCC
}
