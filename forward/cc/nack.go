package cc

import (
	"encoding/binary"
	"math/bits"
)

// Nack reads one generic NACK without allocating (RFC 4585 §6.2.1): which numbers of a stream its listener misses. It borrows
// the message; it dies with it.
type Nack struct {
	Media uint32 // SSRC of the stream

	pairs []byte // those not begun
	seq   uint16 // of the pair at hand
	mask  uint32 // what is left of that pair: bit i is seq + i
}

const (
	nackHeader = 12 // RTCP header, two SSRCs
	nackPair   = 4  // a number, and a bit for each of the 16 that follow it
)

// IsNack tells a generic NACK from other RTCP (RFC 4585 §6.1: transport layer feedback, format 1).
func IsNack(b []byte) bool { return len(b) >= 2 && b[0]&0x1f == 1 && b[1] == 205 }

// ParseNack takes one RTCP packet, header included, and says whether it is a generic NACK that is complete.
func ParseNack(b []byte) (Nack, bool) {
	if len(b) < nackHeader+nackPair || b[0]&0xdf != 0x80|1 || b[1] != 205 {
		return Nack{}, false
	}
	size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
	if size > len(b) || size < nackHeader+nackPair {
		return Nack{}, false
	}
	end := size
	if b[0]&0x20 != 0 { // padding is whole words in RTCP (RFC 3550 §6.4.1); its last octet counts itself
		pad := int(b[size-1])
		if pad == 0 || pad%4 != 0 || pad > size-nackHeader-nackPair {
			return Nack{}, false
		}
		end -= pad
	}
	return Nack{Media: binary.BigEndian.Uint32(b[8:]), pairs: b[nackHeader:end]}, true
}

// Next is the next number asked for; ok is false at the end.
func (n *Nack) Next() (seq uint16, ok bool) {
	for n.mask == 0 {
		if len(n.pairs) < nackPair {
			return 0, false
		}
		n.seq = binary.BigEndian.Uint16(n.pairs)
		n.mask = 1 | uint32(binary.BigEndian.Uint16(n.pairs[2:]))<<1
		n.pairs = n.pairs[nackPair:]
	}
	for n.mask&1 == 0 {
		n.mask >>= 1
		n.seq++
	}
	seq = n.seq
	n.mask >>= 1
	n.seq++
	return seq, true
}

// Count is how many numbers are asked for.
func (n *Nack) Count() int {
	count := bits.OnesCount32(n.mask)
	for b := n.pairs; len(b) >= nackPair; b = b[nackPair:] {
		count += pairCount(b)
	}
	return count
}

// Shorten leaves the last numbers that are asked for, as many as a history has, and tells how many it has left out. Clients ask in
// order, so those are the newest. What a message costs must not be its sender's to choose: 1,436 octets ask for 6,000 numbers.
func (n *Nack) Shorten() (left int) {
	for count := n.Count(); count-left > historySize; {
		if n.mask == 0 && count-left-pairCount(n.pairs) >= historySize {
			left += pairCount(n.pairs)
			n.pairs = n.pairs[nackPair:]
			continue
		}
		n.Next()
		left++
	}
	return left
}

// pairCount is how many numbers a pair asks for.
func pairCount(b []byte) int { return 1 + bits.OnesCount16(binary.BigEndian.Uint16(b[2:])) }

// Missing is the loss that a receiver report stands for, in 1/256, where numbers were also asked for again: what was resent
// and came is not lost for the report (libwebrtc's counts it as received), but was for the network. packets are those
// sent since the last report.
func Missing(fraction uint8, nacked, packets uint64) uint8 {
	if packets == 0 {
		return fraction
	}
	return uint8(max(uint64(fraction), min(nacked*256/packets, 255)))
}
