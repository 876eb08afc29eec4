package ogg

// polynomial is that of Ogg's CRC (RFC 3533 §6): not reflected, from 0, without a final inversion. hash/crc32 has no such.
const polynomial = 0x04c11db7

// crcTable[0] is the CRC of one octet, crcTable[k] that of one octet with k zeros behind it. Four tables take four octets
// a step, which is what a verification of hours of audio spends its time with.
var crcTable = func() (t [4][256]uint32) {
	for i := range t[0] {
		crc := uint32(i) << 24
		for range 8 {
			crc = crc<<1 ^ crc>>31*polynomial
		}
		t[0][i] = crc
	}
	for k := 1; k < len(t); k++ {
		for i, crc := range t[k-1] {
			t[k][i] = crc<<8 ^ t[0][crc>>24]
		}
	}
	return t
}()

// updateCRC continues crc, 0 at first, with b.
func updateCRC(crc uint32, b []byte) uint32 {
	for len(b) >= 4 {
		crc ^= uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		crc = crcTable[3][crc>>24] ^ crcTable[2][crc>>16&255] ^ crcTable[1][crc>>8&255] ^ crcTable[0][crc&255]
		b = b[4:]
	}
	for _, c := range b {
		crc = crc<<8 ^ crcTable[0][byte(crc>>24)^c]
	}
	return crc
}
