package forward

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"stentor/forward/opus"
	"stentor/transport"
)

// headerSize is an egress header with everything: 12 fixed octets, one CSRC, and one word of one-byte extensions
// (RFC 8285 §4.2) for the audio level.
// CNAME is the canonical name of all streams that a daemon sends.
const CNAME = "stentor"

const (
	headerFixed = 12
	headerCSRC  = 16
	headerSize  = 24
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

	stamp bool // packets carry the transport-wide number
	one   bool // the dominant speaker alone

	rendition Rendition // followed now
	depth     uint8     // earlier packets that go with each one
	want      Rendition // followed from the next boundary that has both; the same: no change is due
	lines     []outLine
	few       [3]outLine // where lines mostly lie: beside what else is read for each packet

	packets, bytes, lost uint64
	gaps                 uint64
	report               time.Time // when the next sender report is due
	reported             uint64    // packets at the last one: an idle leg needs none
	asked                Rendition // by the control plane
	heading              Rendition // where the leg was last told to go
	control              *control  // nil: what is sent does not depend on what comes back
	spares               bool      // without control: packed, to spare the shard
	gone                 bool      // detached: commands still under way are ignored
}

// outLine is one audio line of a leg: a stream with its own SSRC and sequence.
type outLine struct {
	ssrc     uint32
	pt       uint8
	levelID  uint8
	twccID   uint8
	slot     int    // which slot it carries; -1: none yet
	mixed    bool   // the last packet sent was of the mix
	resync   bool   // the next packet follows the last one sent, whatever the slot's number
	redPT    uint8  // 0: redundancy is not to be sent
	run      uint8  // packets sent since resync, at most depthMax
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
			ssrc: room.ssrcs[i], pt: c.PayloadType, redPT: c.RedundancyPT, levelID: c.LevelID, twccID: c.TWCCID, slot: -1, resync: true,
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
	seq := pk.seq - ln.off
	if ln.packets > 0 {
		l.gaps += seq - ln.seq - 1 // lost on the way in: no fault of this leg's network
	}
	b := out.Reserve()
	copy(b, shared[:])
	n := headerCSRC
	if ln.levelID != 0 {
		n = headerSize
		b[0] |= 0x10
		b[20] = ln.levelID << 4 // length field 0: one octet
	}
	payload, pt := pk.payload, ln.pt
	if l.depth > 0 {
		payload, pt = l.protected(ln, pk)
	}
	b[1] = pt
	if pk.marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], uint16(seq))
	binary.BigEndian.PutUint32(b[8:], ln.ssrc)
	stamped := l.stamp && ln.twccID != 0
	if stamped {
		n = l.stampInto(b, n, ln.twccID)
	}
	n = l.egress.SealRTP(b, n, payload, seq)
	if n == 0 {
		ln.resync = true
		return DropTooLong
	}
	out.Commit(n, &l.dest)
	if stamped {
		l.sentStamped(n)
	}
	ln.seq, ln.ts, ln.end, ln.sounding = seq, pk.ts, pk.ts+uint32(pk.samples), len(pk.payload) > 2
	ln.packets++
	ln.run = min(ln.run+1, depthMax)
	ln.octets += uint32(len(payload))
	l.packets++
	l.bytes += uint64(n)
	return dropCount
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
