package ogg

import (
	"encoding/binary"
)

// A page's header (RFC 3533 §6):
//
//	 0  "OggS", 0
//	 5  flags
//	 6  granule position, 8 octets, little-endian as all that follows
//	14  serial number
//	18  page number
//	22  CRC, 0 while it is computed
//	26  how many lacing values follow, one octet each
const (
	magic       = "OggS"
	headerSize  = 27
	segmentsMax = 255
	lacingMax   = 255

	// frontMax is the longest header with its lacing values, pageMax the longest page.
	frontMax = headerSize + segmentsMax
	pageMax  = frontMax + segmentsMax*lacingMax
)

// The flags of a page.
const (
	continued = 1 // begins with the rest of a packet of the page before
	begins    = 2 // the stream's first page
	ends      = 4 // the stream's last page
)

// noGranule stands on a page on which no packet ends.
const noGranule = -1

// page is a page taken apart. Its slices are borrowed.
type page struct {
	flags   byte
	granule int64
	serial  uint32
	number  uint32
	lacing  []byte
	body    []byte
	size    int
}

// putHeader writes a page's header into b, which is the whole page with lacing values and packets already in place.
func putHeader(b []byte, flags byte, granule int64, serial, number uint32, segments int) {
	copy(b, magic)
	b[4], b[5] = 0, flags
	binary.LittleEndian.PutUint64(b[6:], uint64(granule))
	binary.LittleEndian.PutUint32(b[14:], serial)
	binary.LittleEndian.PutUint32(b[18:], number)
	binary.LittleEndian.PutUint32(b[22:], 0)
	b[26] = byte(segments)
	binary.LittleEndian.PutUint32(b[22:], updateCRC(0, b))
}

// sizeOf is how long the page is that b begins with, of which the header and the lacing values are there; 0 where it is
// too short for that, or no page.
func sizeOf(b []byte) int {
	if len(b) < headerSize || string(b[:4]) != magic || b[4] != 0 {
		return 0
	}
	size := headerSize + int(b[26])
	if len(b) < size {
		return 0
	}
	for _, l := range b[headerSize:size] {
		size += int(l)
	}
	return size
}

// parse takes apart what sizeOf has measured. False is a CRC that is not the page's.
func (p *page) parse(b []byte) bool {
	crc := updateCRC(0, b[:22])
	crc = updateCRC(crc, []byte{0, 0, 0, 0})
	crc = updateCRC(crc, b[26:])
	front := headerSize + int(b[26])
	*p = page{
		flags:   b[5],
		granule: int64(binary.LittleEndian.Uint64(b[6:])),
		serial:  binary.LittleEndian.Uint32(b[14:]),
		number:  binary.LittleEndian.Uint32(b[18:]),
		lacing:  b[headerSize:front],
		body:    b[front:],
		size:    len(b),
	}
	return crc == binary.LittleEndian.Uint32(b[22:])
}

// appendLacing appends the lacing values of a packet of n octets (RFC 3533 §6).
func appendLacing(b []byte, n int) []byte {
	for ; n >= lacingMax; n -= lacingMax {
		b = append(b, lacingMax)
	}
	return append(b, byte(n))
}
