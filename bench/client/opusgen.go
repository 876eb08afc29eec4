package client

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
)

const (
	// testTOC is an Opus TOC: configuration 31 (CELT only, full band, 20 ms), mono, one frame (RFC 6716 §3.1).
	testTOC = 31 << 3

	// TestFrameMin is the shortest TestFrame: TOC, mark, speaker, counter and check.
	TestFrameMin = 1 + 4 + 2 + 4 + 4
)

// testMark opens a test frame, after the TOC.
var testMark = []byte("Stnt")

// TestFrame makes an Opus packet of size octets (at least TestFrameMin, at most 1276: a TOC and RFC 6716's longest
// frame) that says who speaks and which frame it is. Behind the mark are octets that look random and are the same for the same arguments.
// A decoder makes noise of it; it is for tests without one.
func TestFrame(speaker uint16, n uint32, size int) []byte {
	size = min(max(size, TestFrameMin), 1276)
	b := make([]byte, 0, size)
	b = append(b, testTOC)
	b = append(b, testMark...)
	b = binary.BigEndian.AppendUint16(b, speaker)
	b = binary.BigEndian.AppendUint32(b, n)
	b = binary.BigEndian.AppendUint32(b, testCheck(b))
	random := rand.New(rand.NewPCG(uint64(speaker), uint64(n)))
	for len(b) < size {
		b = append(b, byte(random.Uint32()))
	}
	return b
}

// ParseTestFrame reads what TestFrame wrote; ok is false for any other packet, and for one that was changed.
func ParseTestFrame(payload []byte) (speaker uint16, n uint32, ok bool) {
	if len(payload) < TestFrameMin || payload[0] != testTOC || !bytes.Equal(payload[1:5], testMark) {
		return 0, 0, false
	}
	if binary.BigEndian.Uint32(payload[11:]) != testCheck(payload[:11]) {
		return 0, 0, false
	}
	speaker, n = binary.BigEndian.Uint16(payload[5:]), binary.BigEndian.Uint32(payload[7:])
	random := rand.New(rand.NewPCG(uint64(speaker), uint64(n)))
	for _, octet := range payload[TestFrameMin:] {
		if octet != byte(random.Uint32()) {
			return 0, 0, false
		}
	}
	return speaker, n, true
}

// testCheck is a checksum of a frame's head (FNV-1a).
func testCheck(b []byte) uint32 {
	sum := uint32(2166136261)
	for _, octet := range b {
		sum = (sum ^ uint32(octet)) * 16777619
	}
	return sum
}
