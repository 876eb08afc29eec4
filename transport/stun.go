package transport

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"net/netip"
)

// This file reads and writes the STUN messages (RFC 8489) of an established session's consent checks, without
// allocating. Everything rarer is left to pion/stun.

// STUN attributes and sizes.
const (
	stunHeader = 20

	attrUsername      = 0x0006
	attrIntegrity     = 0x0008
	attrErrorCode     = 0x0009
	attrXORMapped     = 0x0020
	attrUseCandidate  = 0x0025
	attrFingerprint   = 0x8028
	attrICEControlled = 0x8029

	integritySize   = 4 + sha1.Size
	fingerprintSize = 4 + 4
	fingerprintXOR  = 0x5354554e // RFC 8489 §14.7

	// stunAnswerMax is the longest answer of ours: a success with an IPv6 address, or the role conflict.
	stunAnswerMax = stunHeader + 24 + integritySize + fingerprintSize
)

// stunMessage is what matters of a message that carries MESSAGE-INTEGRITY. It is borrowed from its datagram, and not
// authentic until integrity.holds.
type stunMessage struct {
	raw        []byte
	username   []byte // nil: none
	tag        []byte // value of MESSAGE-INTEGRITY
	tagAt      int    // where that attribute begins
	nominates  bool   // USE-CANDIDATE
	controlled bool   // ICE-CONTROLLED: the sender does not take itself for the controlling side
}

// parseSTUN reads a message whose header Classify has seen. Attributes behind MESSAGE-INTEGRITY do not count (RFC 8489
// §14.5), but a FINGERPRINT must be right and the last. False: not well-formed, or without MESSAGE-INTEGRITY.
func parseSTUN(b []byte) (m stunMessage, ok bool) {
	if size := int(binary.BigEndian.Uint16(b[2:])); size%4 != 0 || stunHeader+size != len(b) {
		return m, false
	}
	m.raw = b
	for at := stunHeader; at < len(b); {
		kind, n := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		next := at + 4 + (n+3)&^3
		if next > len(b) {
			return m, false
		}
		value := b[at+4 : at+4+n]
		switch {
		case kind == attrFingerprint:
			if n != 4 || next != len(b) || binary.BigEndian.Uint32(value) != stunFingerprint(b[:at]) {
				return m, false
			}
		case m.tag != nil:
		case kind == attrIntegrity:
			if n != sha1.Size {
				return m, false
			}
			m.tag, m.tagAt = value, at
		case kind == attrUsername && m.username == nil:
			m.username = value
		case kind == attrUseCandidate:
			m.nominates = true
		case kind == attrICEControlled:
			m.controlled = true
		}
		at = next
	}
	return m, m.tag != nil
}

func stunFingerprint(b []byte) uint32 { return crc32.ChecksumIEEE(b) ^ fingerprintXOR }

// integrity computes MESSAGE-INTEGRITY: HMAC-SHA1 (RFC 2104) under a short-term password (RFC 8489 §9.1.1). It is done
// by hand because crypto/hmac allocates for each key. It belongs to one goroutine.
type integrity struct {
	hash hash.Hash
	key  [sha1.BlockSize]byte
	head [4]byte
	sum  [sha1.Size]byte
}

func newIntegrity() *integrity { return &integrity{hash: sha1.New()} }

// holds tells whether a message was made by someone who knows the password.
func (t *integrity) holds(m *stunMessage, pwd string) bool {
	return subtle.ConstantTimeCompare(t.compute(m.raw, m.tagAt, pwd), m.tag) == 1
}

// compute is the tag of the message that b begins with, whose MESSAGE-INTEGRITY stands or will stand at tagAt. It is
// borrowed until the next call.
func (t *integrity) compute(b []byte, tagAt int, pwd string) []byte {
	clear(t.key[:])
	if len(pwd) > len(t.key) {
		t.hash.Reset()
		t.hash.Write([]byte(pwd))
		t.hash.Sum(t.key[:0])
	} else {
		copy(t.key[:], pwd)
	}
	copy(t.head[:2], b)
	binary.BigEndian.PutUint16(t.head[2:], uint16(tagAt+integritySize-stunHeader)) // as if nothing came behind it
	t.pad(0x36)
	t.hash.Write(t.head[:])
	t.hash.Write(b[4:tagAt])
	inner := t.hash.Sum(t.sum[:0])
	t.pad(0x36 ^ 0x5c)
	t.hash.Write(inner)
	return t.hash.Sum(t.sum[:0])
}

// pad begins a hash with the key under a pad; the second time the first pad must go.
func (t *integrity) pad(with byte) {
	for i := range t.key {
		t.key[i] ^= with
	}
	t.hash.Reset()
	t.hash.Write(t.key[:])
}

// success answers a request: it came from here (RFC 8489 §14.2), and we are who it is for. out needs stunAnswerMax
// octets.
func (t *integrity) success(out, request []byte, from netip.AddrPort, pwd string) []byte {
	b := beginAnswer(out, stunBindingSuccess, request)
	addr, family, size := from.Addr().As16(), byte(2), uint16(20)
	mapped := addr[:]
	if from.Addr().Is4() {
		mapped, family, size = addr[12:], 1, 8
	}
	for i := range mapped {
		mapped[i] ^= request[4+i] // the cookie, and for IPv6 the transaction
	}
	b = binary.BigEndian.AppendUint16(b, attrXORMapped)
	b = binary.BigEndian.AppendUint16(b, size)
	b = append(b, 0, family)
	b = binary.BigEndian.AppendUint16(b, from.Port()^uint16(stunMagic>>16))
	return t.endAnswer(append(b, mapped...), pwd)
}

// roleConflict answers a request of someone who takes us for the controlling side, which a lite agent never is: error
// 487 (RFC 8445 §7.3.1.1).
func (t *integrity) roleConflict(out, request []byte, pwd string) []byte {
	const reason = "\x00\x00\x04\x57Role Conflict"
	b := beginAnswer(out, stunBindingError, request)
	b = binary.BigEndian.AppendUint16(b, attrErrorCode)
	b = binary.BigEndian.AppendUint16(b, uint16(len(reason)))
	b = append(b, reason...)
	return t.endAnswer(append(b, 0, 0, 0), pwd) // padded to 20
}

func beginAnswer(out []byte, kind uint16, request []byte) []byte {
	b := binary.BigEndian.AppendUint16(out[:0], kind)
	b = append(b, 0, 0)
	return append(b, request[4:stunHeader]...) // cookie and transaction
}

// endAnswer adds MESSAGE-INTEGRITY and FINGERPRINT.
func (t *integrity) endAnswer(b []byte, pwd string) []byte {
	tag := t.compute(b, len(b), pwd)
	b = binary.BigEndian.AppendUint16(b, attrIntegrity)
	b = binary.BigEndian.AppendUint16(b, sha1.Size)
	b = append(b, tag...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+fingerprintSize-stunHeader))
	crc := stunFingerprint(b)
	b = binary.BigEndian.AppendUint16(b, attrFingerprint)
	b = binary.BigEndian.AppendUint16(b, 4)
	return binary.BigEndian.AppendUint32(b, crc)
}
