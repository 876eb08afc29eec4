package transport

import "encoding/binary"

// Kind is what a datagram holds, by its first octets.
type Kind uint8

// Kinds of datagrams on a media socket.
const (
	KindUnknown Kind = iota
	KindSTUN
	KindDTLS
	KindRTP
	KindRTCP
)

// stunMagic is the magic cookie of RFC 8489 §5.
const stunMagic = 0x2112A442

// Classify tells what a datagram holds: RFC 7983 §7 by the first octet, RFC 5761 §4 between RTP and RTCP. It looks
// no further than the header that the kind must have.
func Classify(b []byte) Kind {
	if len(b) < 12 {
		return KindUnknown
	}
	switch c := b[0]; {
	case c < 4:
		if len(b) < 20 || binary.BigEndian.Uint32(b[4:]) != stunMagic {
			return KindUnknown
		}
		return KindSTUN
	case c >= 20 && c < 64:
		return KindDTLS
	case c >= 128 && c < 192:
		if b[1] >= 192 && b[1] < 224 {
			return KindRTCP
		}
		return KindRTP
	}
	return KindUnknown
}

// stunUfrag returns the local user fragment of a STUN request's USERNAME, the part before the colon (RFC 8445
// §7.2.2). The second result is false for anything but a well-formed Binding request that carries one.
func stunUfrag(b []byte) ([]byte, bool) {
	if binary.BigEndian.Uint16(b) != 0x0001 { // Binding request
		return nil, false
	}
	size := int(binary.BigEndian.Uint16(b[2:]))
	if size%4 != 0 || 20+size > len(b) {
		return nil, false
	}
	for attrs := b[20 : 20+size]; len(attrs) >= 4; {
		kind, n := binary.BigEndian.Uint16(attrs), int(binary.BigEndian.Uint16(attrs[2:]))
		if 4+n > len(attrs) {
			return nil, false
		}
		value := attrs[4 : 4+n]
		if kind == attrUsername {
			for i, c := range value {
				if c == ':' {
					return value[:i], true
				}
			}
			return nil, false
		}
		attrs = attrs[min(4+(n+3)&^3, len(attrs)):]
	}
	return nil, false
}

// stunTransaction is the 96-bit transaction id of a STUN message (RFC 8489 §5).
func stunTransaction(b []byte) (id [12]byte) {
	copy(id[:], b[8:20])
	return id
}

// STUN message types that the mux tells apart.
const (
	stunBindingRequest = 0x0001
	stunBindingSuccess = 0x0101
	stunBindingError   = 0x0111
)

func stunType(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
