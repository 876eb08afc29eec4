// Package red packs and unpacks redundant audio (RFC 2198): a payload that carries, besides its own packet, those sent
// before it. Blocks stand oldest first; the last one, without offset and length, is the packet itself:
//
//	1 PT offset(14) length(10)   redundant block, once or more
//	0 PT                         primary block
//	octets of the blocks in the same order
package red

import "encoding/binary"

const (
	// OffsetMax is how far a redundant block may lie before the primary one, in samples: 14 bits, 341 ms at 48 kHz.
	OffsetMax = 1<<14 - 1
	// LengthMax is the longest redundant block in octets: 10 bits.
	LengthMax = 1<<10 - 1
	// DepthMax is how many redundant blocks are read. Chromium sends one and can be told to send nine.
	DepthMax = 9

	headRedundant = 4
	headPrimary   = 1
)

// Block is one packet within another.
type Block struct {
	PayloadType uint8
	Offset      uint32 // samples before the primary block, 1 … OffsetMax
	Payload     []byte // borrowed
}

// Packet is a payload taken apart. It may be used again; what it holds borrows from what was parsed.
type Packet struct {
	PayloadType uint8  // of Primary
	Primary     []byte // not empty
	Redundant   []Block

	blocks [DepthMax]Block
}

// Parse takes a payload apart. It is false, and p of no use, when headers or blocks are cut off, when there are more than
// DepthMax redundant blocks, and when the primary block is empty. Redundant blocks may be empty and their offsets
// anything that 14 bits hold: what they say is the sender's claim.
func (p *Packet) Parse(payload []byte) bool {
	n, size, at := 0, 0, 0
	var lengths [DepthMax]int
	for {
		if at >= len(payload) {
			return false
		}
		if payload[at]&0x80 == 0 {
			break
		}
		if n == DepthMax || at+headRedundant > len(payload) {
			return false
		}
		head := binary.BigEndian.Uint32(payload[at:])
		lengths[n] = int(head & LengthMax)
		p.blocks[n] = Block{PayloadType: uint8(head>>24) & 0x7f, Offset: head >> 10 & OffsetMax}
		size += lengths[n]
		at += headRedundant
		n++
	}
	p.PayloadType = payload[at] & 0x7f
	rest := payload[at+headPrimary:]
	if size >= len(rest) {
		return false
	}
	for i := range n {
		p.blocks[i].Payload = rest[:lengths[i]:lengths[i]]
		rest = rest[lengths[i]:]
	}
	p.Primary, p.Redundant = rest[:len(rest):len(rest)], p.blocks[:n]
	return true
}

// Fits tells whether a block can be redundant at all.
func (b *Block) Fits() bool {
	return b.Offset > 0 && b.Offset <= OffsetMax && len(b.Payload) > 0 && len(b.Payload) <= LengthMax
}

// Size is how many octets a payload with these blocks has.
func Size(redundant []Block, primary []byte) int {
	n := headPrimary + len(primary)
	for i := range redundant {
		n += headRedundant + len(redundant[i].Payload)
	}
	return n
}

// Append writes a payload behind dst: redundant blocks that fit, the oldest first, and the primary one. It allocates only
// where dst has no room for Size octets.
func Append(dst []byte, redundant []Block, payloadType uint8, primary []byte) []byte {
	for i := range redundant {
		b := &redundant[i]
		dst = binary.BigEndian.AppendUint32(dst, 1<<31|uint32(b.PayloadType&0x7f)<<24|b.Offset&OffsetMax<<10|uint32(len(b.Payload))&LengthMax)
	}
	dst = append(dst, payloadType&0x7f)
	for i := range redundant {
		dst = append(dst, redundant[i].Payload...)
	}
	return append(dst, primary...)
}

// Depth is how many redundant blocks a payload has that Append has made.
func Depth(payload []byte) int {
	n := 0
	for payload[n*headRedundant]&0x80 != 0 {
		n++
	}
	return n
}

// Retype writes another payload type into all block headers of a payload that Append has made.
func Retype(payload []byte, payloadType uint8) {
	n := Depth(payload)
	for i := range n {
		payload[i*headRedundant] = 0x80 | payloadType&0x7f
	}
	payload[n*headRedundant] = payloadType & 0x7f
}
