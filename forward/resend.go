package forward

import (
	"sync/atomic"
	"time"

	"stentor/forward/cc"
)

// This file sends again what a listener has lost. Which, and when, is package cc's to decide; the packet is taken from the
// program once more:
//
//  1. remember: a leg that may need it has a history: who asks for what it misses (RFC 4585) always, others while they are
//     watched.
//  2. note: each packet goes into it as it is sent: where it stands in the program, and in which form.
//  3. nacked, mend: a number is asked for, or feedback tells that it is lost.
//  4. cc.History: young enough? not just now, not too often? is there room?
//  5. resend: the program's packet in the same form, sealed under the same number.
//
// The second datagram is the first one, octet by octet. Under AES-GCM two that differ under one number would give the
// authentication key away (RFC 5116 §5.1.1). So whatever goes into one comes from what cannot change: the program's packet, the
// line's constants and the form that was noted (leg.seal). What cannot be made again is not sent again.

// remember begins or ends a leg's history.
func (l *leg) remember(now time.Time) {
	switch wants := l.stamp || l.mayAsk(); {
	case wants && l.history == nil:
		l.history = cc.NewHistory(len(l.lines), now)
	case !wants:
		l.history = nil
	}
}

// mayAsk tells whether NACKs were agreed on for any line.
func (l *leg) mayAsk() bool {
	for i := range l.lines {
		if l.lines[i].nack {
			return true
		}
	}
	return false
}

// note remembers a packet of n octets that is sent on a line.
func (l *leg) note(ln *outLine, pk *Packet, f *form, n int) {
	s := cc.Sent{Ref: pk.index, Seq: f.seq, TWCC: f.twcc, Stamped: f.stamped, Cover: f.cover, Form: f.red}
	if pk.hush > 0 {
		s.Ref, s.Form = uint64(pk.ts)<<32|uint64(pk.csrc), formHush+pk.hush-1
	}
	l.history.Add(int(ln.at), s, n, l.shard.now)
}

// formHush and what follows are packets that stand in no program: clock and speaker are noted instead of their place.
const formHush = formsMax + 1

// notePadding remembers a number that padding took.
func (l *leg) notePadding(ln *outLine, seq uint64, now time.Time) {
	if l.history != nil {
		l.history.Add(int(ln.at), cc.Sent{Seq: seq, Hollow: true}, 0, now)
	}
}

// nacked takes a generic NACK (RTCP, the whole packet). For the Reader.
func (rd *Reader) nacked(p *Peer, packet []byte, now time.Time) {
	l := p.attached.Load()
	if l == nil {
		return
	}
	if _, ok := cc.ParseNack(packet); !ok {
		rd.plane.rtcpMalformed.Add(1)
		return
	}
	rd.hand(l, &l.nackWaits, packet, now, (*shard).takeNack)
}

// hand gives a listener's message to its leg: at once if the shard's turn is free, else soon. One of a kind may wait for each
// leg; another one meanwhile is dropped. Who sends a flood is not to have a busy shard do all of it before it sends.
func (rd *Reader) hand(l *leg, waits *atomic.Bool, packet []byte, now time.Time, take func(*shard, *leg, []byte, time.Time)) {
	s := l.shard
	if s.tryTurn() {
		take(s, l, packet, now)
		s.endTurn()
		return
	}
	if waits.Swap(true) {
		rd.plane.rtcpDropped.Add(1)
		return
	}
	own := append([]byte(nil), packet...)
	s.do(func(now time.Time) {
		waits.Store(false)
		take(s, l, own, now)
	})
}

// takeNack answers what a listener asks for. In the shard's turn.
func (s *shard) takeNack(l *leg, packet []byte, now time.Time) {
	if l.gone {
		return
	}
	nack, _ := cc.ParseNack(packet)
	ln, why := l.askable(nack.Media)
	if ln == nil {
		s.refused[why].Add(uint64(nack.Count()))
		return
	}
	var refused [cc.RefusalsN]uint64
	refused[cc.RefusedUnknown] = uint64(nack.Shorten())
	for noted := nack; ; {
		seq, ok := noted.Next()
		if !ok {
			break
		}
		l.history.Ask(int(ln.at), seq)
	}
	if n := l.history.Nacked(); n > l.nacked && l.control != nil {
		l.control.ladder.Asks(now)
	}
	l.nacked = l.history.Nacked()
	rtt, sent := l.trip(), false
	for {
		seq, ok := nack.Next()
		if !ok {
			break
		}
		again, why := l.history.Asked(int(ln.at), seq, l.mayResend(), rtt, now)
		if why != cc.Granted {
			refused[why]++
			continue
		}
		sent = s.resend(l, ln, &again, now) || sent
	}
	s.countRefused(&refused)
	if sent {
		s.out.Flush() // now: it is late already
	}
}

func (s *shard) countRefused(refused *[cc.RefusalsN]uint64) {
	for why, n := range refused {
		if n > 0 {
			s.refused[why].Add(n)
		}
	}
}

// askable finds the line of a stream that may be asked for, or why there is none.
func (l *leg) askable(ssrc uint32) (*outLine, cc.Refusal) {
	for i := range l.lines {
		if ln := &l.lines[i]; ln.ssrc == ssrc {
			if !ln.nack {
				return nil, cc.RefusedNegotiated
			}
			return ln, cc.Granted
		}
	}
	return nil, cc.RefusedUnknown
}

// mayResend tells whether the leg's network has room.
func (l *leg) mayResend() bool { return l.control == nil || l.control.said.Resend }

func (l *leg) trip() time.Duration { return time.Duration(l.peer.Down.RTT.Load()) }

// mend sends again what feedback says is lost, and redundancy has not brought. In the shard's turn.
func (s *shard) mend(l *leg, now time.Time) {
	if l.history == nil || l.gone {
		return
	}
	l.peer.Down.Saved.Add(uint64(l.control.ladder.Saved()))
	if !l.mayResend() {
		return
	}
	rtt, sent := l.trip(), false
	for i := range l.lines {
		ln := &l.lines[i]
		if ln.twccID == 0 {
			continue
		}
		refused := l.history.Lost(i, l.control.ladder, l.coverOn(ln), rtt, now, func(again cc.Sent) {
			sent = s.resend(l, ln, &again, now) || sent
		})
		s.refused[cc.RefusedBudget].Add(uint64(refused))
	}
	if sent {
		s.out.Flush()
	}
}

// coverOn is which earlier packets go with what a line is sent next.
func (l *leg) coverOn(ln *outLine) uint8 {
	if ln.redPT == 0 || l.form == 0 {
		return 0
	}
	return covers(l.form, len(behind[l.form]))
}

// resend makes a packet once more as it was, and sends it.
func (s *shard) resend(l *leg, ln *outLine, again *cc.Sent, now time.Time) bool {
	pk := l.noted(again)
	if pk == nil {
		s.refused[cc.RefusedGone].Add(1)
		return false
	}
	f := formOf(again)
	var h [headerSize]byte
	header(&h, pk)
	n, size := l.seal(s.out.Reserve(), ln, pk, &h, &f)
	if n == 0 {
		s.refused[cc.RefusedGone].Add(1)
		return false
	}
	s.out.Commit(n, &l.dest)
	l.history.Paid(n)
	if f.stamped && l.control != nil {
		l.control.ladder.Resent(f.twcc, now)
	}
	ln.packets++
	ln.octets += uint32(size)
	l.resent++
	l.bytes += uint64(n)
	s.resent.Add(1)
	return true
}

// formOf is the form in which a packet was sent.
func formOf(again *cc.Sent) form {
	f := form{seq: again.Seq, stamped: again.Stamped, twcc: again.TWCC, cover: again.Cover}
	if again.Form < formHush {
		f.red = again.Form
	}
	return f
}

// noted is a packet that was sent, nil if the program has passed it.
func (l *leg) noted(again *cc.Sent) *Packet {
	if again.Form >= formHush {
		pk := hush(int(again.Form-formHush), uint32(again.Ref>>32), uint32(again.Ref))
		return &pk
	}
	pk := l.peer.room.program.at(again.Ref)
	if pk == nil || again.Form > 0 && (pk.red == nil || pk.red[again.Form-1] == nil) {
		return nil
	}
	return pk
}
