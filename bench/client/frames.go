package client

// Frames calls each for every frame of an Opus packet (RFC 6716 §3.2), and returns false if it is malformed. It is a
// second reading of the RFC, on purpose: what merges frames in the server is not what takes them apart here.
func Frames(p []byte, each func(toc byte, frame []byte)) bool {
	if len(p) == 0 {
		return false
	}
	toc, rest := p[0]&^3, p[1:]
	switch p[0] & 3 {
	case 0:
		each(toc, rest)
		return true
	case 1:
		if len(rest)%2 != 0 {
			return false
		}
		each(toc, rest[:len(rest)/2])
		each(toc, rest[len(rest)/2:])
		return true
	case 2:
		return unpackSized(toc, rest, 2, each)
	}
	if len(rest) == 0 {
		return false
	}
	count, vbr, padded := int(rest[0]&0x3F), rest[0]&0x80 != 0, rest[0]&0x40 != 0
	rest = rest[1:]
	if padded {
		var ok bool
		if rest, ok = withoutPadding(rest); !ok {
			return false
		}
	}
	if vbr {
		return unpackSized(toc, rest, count, each)
	}
	if count == 0 || len(rest)%count != 0 {
		return false
	}
	size := len(rest) / count
	for i := range count {
		each(toc, rest[i*size:(i+1)*size])
	}
	return true
}

// unpackSized reads the sizes of all frames but the last, and then the frames.
func unpackSized(toc byte, rest []byte, count int, each func(byte, []byte)) bool {
	var sizes [48]int // RFC 6716 §3.2.5: 120 ms of 2.5 ms
	if count == 0 || count > len(sizes) {
		return false
	}
	sum := 0
	for i := range count - 1 {
		if len(rest) == 0 {
			return false
		}
		n, used := int(rest[0]), 1
		if n >= 252 {
			if len(rest) < 2 {
				return false
			}
			n, used = n+4*int(rest[1]), 2
		}
		sizes[i], rest = n, rest[used:]
		sum += n
	}
	if sum > len(rest) {
		return false
	}
	sizes[count-1] = len(rest) - sum
	for _, n := range sizes[:count] {
		each(toc, rest[:n])
		rest = rest[n:]
	}
	return true
}

// withoutPadding takes off the padding's length in front and its octets at the end.
func withoutPadding(b []byte) ([]byte, bool) {
	pad := 0
	for {
		if len(b) == 0 {
			return nil, false
		}
		n := int(b[0])
		b = b[1:]
		if n < 255 {
			pad += n
			break
		}
		pad += 254
	}
	if pad > len(b) {
		return nil, false
	}
	return b[:len(b)-pad], true
}
