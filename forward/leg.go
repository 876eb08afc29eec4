package forward

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"stentor/forward/cc"
	"stentor/forward/opus"
	"stentor/transport"
)

// CNAME is the canonical name of all streams that a daemon sends.
const CNAME = "stentor"

const (
	headerFixed = 12
	headerCSRC  = 16
	// headerSize is an egress header with everything: 12 fixed octets, one CSRC, and one word of one-byte extensions (RFC 8285
	// §4.2) for the audio level.
	headerSize = 24
	// headerStamped is one with a transport-wide sequence number as well (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
	headerStamped = 28
)

// lineIdle is how long a line without a slot of its own must have been quiet, on the room's clock, before another
// slot may use it.
const lineIdle = opus.SampleRate / 5

// lineWrapped is how far a line's last timestamp must lie ahead to be of half a turn of the 32-bit clock ago (12 h).
// Slots that are in use differ by less than twice strayMax.
const lineWrapped = 60 * opus.SampleRate

// leg is one listener. Owned by its shard.
type leg struct {
	peer   *Peer // Immutable.
	shard  *shard
	egress *transport.Egress
	dest   transport.Dest
	pinned bool // as many lines as slots: line i always carries slot i

	stamp  bool // packets carry the transport-wide number
	one    bool // the dominant speaker alone
	copies bool // each packet is sent once more behind the next one of its line

	rendition Rendition // followed now
	form      uint8     // of redundancy that goes with each packet; 0: none
	want      Rendition // followed from the next boundary that has both; the same: no change is due
	lines     []outLine
	few       [3]outLine // where lines mostly lie: beside what else is read for each packet

	history *cc.History // what was sent of late; nil: nothing is sent again

	packets, bytes, lost uint64
	nacked, resent       uint64 // packets that were asked for, once each; datagrams that were sent again
	gaps                 uint64
	report               time.Time // when the next sender report is due
	reported             uint64    // packets at the last one: an idle leg needs none
	asked                Rendition // by the control plane
	heading              Rendition // where the leg was last told to go
	control              *control  // nil: what is sent does not depend on what comes back
	spares               bool      // without control: packed, to spare the shard
	tenth                uint32    // of the shard's legs, 0 … 9
	gone                 bool      // detached: commands still under way are ignored

	// Atomic. A message of that kind waits for the shard's turn.
	nackWaits, feedbackWaits, reportWaits atomic.Bool
}

// outLine is one audio line of a leg: a stream with its own SSRC and sequence.
type outLine struct {
	at       uint8 // place among the leg's lines
	ssrc     uint32
	pt       uint8
	levelID  uint8
	twccID   uint8
	slot     int    // which slot it carries; -1: none yet
	mixed    bool   // the last packet sent was of the mix
	resync   bool   // the next packet follows the last one sent, whatever the slot's number
	nack     bool   // what is missed may be asked for
	redPT    uint8  // 0: redundancy is not to be sent
	run      uint8  // packets sent since resync, at most reach
	off      uint64 // slot's sequence less ours
	seq      uint64 // extended, last sent
	ts       uint32 // last sent
	end      uint32 // of the last sent
	sounding bool   // the last one sent was no sign of silence
	packets  uint32
	octets   uint32
}

func newLeg(p *Peer, e *transport.Egress, d transport.Dest) *leg {
	room := p.room
	n := min(len(p.config.Lines), len(room.ssrcs))
	l := &leg{peer: p, shard: p.shard, egress: e, dest: d, pinned: n == len(room.ssrcs)}
	if n <= len(l.few) {
		l.lines = l.few[:n]
	} else {
		l.lines = make([]outLine, n)
	}
	for i := range l.lines {
		c := p.config.Lines[i]
		l.lines[i] = outLine{
			at: uint8(i), ssrc: room.ssrcs[i], pt: c.PayloadType, redPT: c.RedundancyPT, levelID: c.LevelID, twccID: c.TWCCID, nack: c.NACK, slot: -1, resync: true,
			seq: uint64(rand.Uint32() & 0x7fff), // below 2^15, so that the receiver's roll-over count starts at ours
		}
		if l.pinned {
			l.lines[i].slot = i
		}
	}
	return l
}

// header is the part of a packet's header that all legs share. PT, sequence, SSRC and extension id are the leg's.
func header(b *[headerSize]byte, pk *Packet) {
	*b = [headerSize]byte{0: 0x80 | 1} // V=2, CC=1
	binary.BigEndian.PutUint32(b[4:], pk.ts)
	binary.BigEndian.PutUint32(b[12:], pk.csrc)
	binary.BigEndian.PutUint16(b[16:], 0xBEDE)
	b[19] = 1 // one word
	b[21] = pk.level
}

// send forwards one packet of the program to one listener: wanted? allowed? header, seal, commit. It returns why
// not, or dropCount.
func (l *leg) send(pk *Packet, shared *[headerSize]byte, out transport.Sender) Drop {
	ln := l.line(pk)
	if pk.origin == l.peer {
		if ln != nil {
			ln.resync = true
		}
		return DropOwnVoice
	}
	if ln == nil {
		return DropNoLine
	}
	if l.one && !pk.main {
		l.hush(ln, pk.csrc, out)
		return DropOneVoice
	}
	return l.sendOn(ln, pk, shared, out)
}

// sendOn sends a packet on a line: header, seal, commit.
func (l *leg) sendOn(ln *outLine, pk *Packet, shared *[headerSize]byte, out transport.Sender) Drop {
	if ln.resync {
		// What goes into the mix and the mix itself are not of one clock: neither may step back where a leg changes.
		if ln.packets > 0 && int32(pk.ts-ln.ts) <= 0 && (pk.rendition == Mix || ln.mixed) {
			return DropOverlap
		}
		ln.mixed = pk.rendition == Mix
		ln.resync, ln.run, ln.off = false, 0, pk.seq-(ln.seq+1)
	}
	f := form{seq: pk.seq - ln.off, stamped: l.stamp && ln.twccID != 0}
	if ln.packets > 0 {
		l.gaps += f.seq - ln.seq - 1 // lost on the way in: no fault of this leg's network
	}
	if l.form > 0 {
		f.red, f.cover = l.protection(ln, pk)
	}
	if f.stamped {
		l.control.seq++
		f.twcc = l.control.seq
	}
	n, size := l.seal(out.Reserve(), ln, pk, shared, &f)
	if n == 0 {
		ln.resync = true
		return DropTooLong
	}
	out.Commit(n, &l.dest)
	if f.stamped {
		l.sentStamped(n)
	}
	if l.history != nil {
		l.note(ln, pk, &f, n)
		if l.copies {
			l.copyBefore(ln, out)
		}
	}
	ln.seq, ln.ts, ln.end, ln.sounding = f.seq, pk.ts, pk.ts+uint32(pk.samples), len(pk.payload) > 2
	ln.packets++
	ln.run = min(ln.run+1, reach)
	ln.octets += uint32(size)
	l.packets++
	l.bytes += uint64(n)
	return dropCount
}

// form is how a line was sent a packet. The same packet in the same form is the same datagram, octet by octet.
type form struct {
	seq     uint64 // extended
	stamped bool
	twcc    uint16 // transport-wide number, if stamped
	red     uint8  // which of Packet.red was sent, counted from 1; 0: the plain payload
	cover   uint8  // earlier packets that are in it, as covers counts
}

// seal writes a packet in a form into a send slot and returns its length, and that of its payload; 0: it does not fit.
// Nothing of a leg that may change goes into it: what is sealed twice under one number must be the same.
func (l *leg) seal(b []byte, ln *outLine, pk *Packet, shared *[headerSize]byte, f *form) (n, size int) {
	copy(b, shared[:])
	n = headerCSRC
	if ln.levelID != 0 {
		n = headerSize
		b[0] |= 0x10
		b[20] = ln.levelID << 4 // length field 0: one octet
	}
	payload, pt := pk.payload, ln.pt
	if f.red > 0 {
		payload, pt = l.protected(ln, pk, f.red), ln.redPT
	}
	b[1] = pt
	if pk.marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], uint16(f.seq))
	binary.BigEndian.PutUint32(b[8:], ln.ssrc)
	if f.stamped {
		n = stampInto(b, n, ln.twccID, f.twcc)
	}
	return l.egress.SealRTP(b, n, payload, f.seq), len(payload)
}

// touch reads what send will need of a leg, but for the keys.
func (l *leg) touch() byte {
	return byte(l.few[0].seq) | byte(l.few[2].seq) | byte(l.packets) | l.egress.Near()
}

// line finds the line that carries a packet's slot. A leg with fewer lines than the room has slots gives an idle one
// to whichever slot speaks.
func (l *leg) line(pk *Packet) *outLine {
	if l.pinned {
		return &l.lines[pk.slot]
	}
	var idle *outLine
	for i := range l.lines {
		ln := &l.lines[i]
		if ln.slot == int(pk.slot) {
			return ln
		}
		if quiet := int32(pk.ts - ln.ts); ln.slot < 0 || quiet > lineIdle || quiet < -lineWrapped {
			idle = ln
		}
	}
	if idle == nil || pk.origin == l.peer {
		return nil
	}
	idle.slot, idle.resync = int(pk.slot), true
	return idle
}
