package ear

// Payload types of the offers that bench/client writes.
const (
	opusType = 111
	redType  = 63
)

// block is an Opus packet of a payload.
type block struct {
	back    uint32 // how much earlier it is than the packet's timestamp, in samples
	payload []byte
}

// redundant tells a RED payload from Opus where the header's payload type is not known: its first octet names Opus as the
// block's type (RFC 2198 §3), with or without a block behind it. As an Opus TOC 0xEF would be CELT of 20 ms in packets of
// any number of stereo frames, and 0x6F hybrid of 20 ms; client.TestFrame makes neither.
func redundant(p []byte) bool { return len(p) > 0 && p[0]&0x7F == opusType }

// blocks takes a RED payload apart, the primary encoding last. It is nil when the payload is malformed.
func blocks(p []byte) (out []block) {
	var sizes []int
	for {
		if len(p) == 0 || p[0]&0x7F != opusType {
			return nil
		}
		if p[0]&0x80 == 0 {
			p = p[1:]
			break
		}
		if len(p) < 4 {
			return nil
		}
		out = append(out, block{back: uint32(p[1])<<6 | uint32(p[2])>>2})
		sizes = append(sizes, int(p[2]&3)<<8|int(p[3]))
		p = p[4:]
	}
	for i, n := range sizes {
		if n > len(p) {
			return nil
		}
		out[i].payload, p = p[:n], p[n:]
	}
	return append(out, block{payload: p})
}
