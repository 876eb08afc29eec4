package opus

import "slices"

// AppendPadded appends p to dst, written anew to be n octets long: in code 3 with padding (RFC 6716 §3.2.5), frames and
// order untouched. Padding that p has is replaced, so n may be less than len(p); with n == len(p) it is p itself.
// It is false, and dst is as it was, when p is no Opus packet or n is less than the shortest way to write it; each
// length from there on can be made. The room behind dst must not overlap p.
func AppendPadded(dst, p []byte, n int) ([]byte, bool) {
	var in Packet
	if in.Parse(p) != nil || n < in.frames.shortest() {
		return dst, false
	}
	if n == len(p) {
		return append(dst, p...), true
	}
	dst, padding := in.frames.appendHeader(slices.Grow(dst, n), in.TOC, n)
	return appendZeros(append(dst, in.body...), padding), true
}

// appendZeros appends n octets of padding, zero as RFC 6716 §3.2.5 demands. There is room for them already, which may
// hold anything.
func appendZeros(dst []byte, n int) []byte {
	end := len(dst) + n
	dst = slices.Grow(dst, n)[:end]
	clear(dst[end-n:])
	return dst
}
