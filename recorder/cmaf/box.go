package cmaf

import "encoding/binary"

// Boxes (ISO/IEC 14496-12 §4.2) are appended: begin leaves room for the size, end fills it in. Both are inlined and
// need no writer that would allocate.

const boxHead = 8 // size and type

func begin(b []byte, kind string) ([]byte, int) {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	return append(b, kind...), at
}

// beginFull is begin for boxes with a version and 24 bits of flags.
func beginFull(b []byte, kind string, version byte, flags uint32) ([]byte, int) {
	b, at := begin(b, kind)
	return put32(b, uint32(version)<<24|flags), at
}

func end(b []byte, at int) []byte {
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

func put16(b []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(b, v) }
func put32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }
func put64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

// take reads the box of that kind that b begins with. It is false when another one stands there or b is too short.
func take(b []byte, kind string) (body, rest []byte, ok bool) {
	if len(b) < boxHead || string(b[4:8]) != kind {
		return nil, nil, false
	}
	size := binary.BigEndian.Uint32(b)
	if size < boxHead || uint64(size) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[boxHead:size], b[size:], true
}

// matrix is the unity transformation that mvhd and tkhd carry (§8.2.2).
var matrix = [9]uint32{0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000}

func putMatrix(b []byte) []byte {
	for _, v := range matrix {
		b = put32(b, v)
	}
	return b
}
