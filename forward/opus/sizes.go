package opus

// sizes holds the sizes of a packet's frames, and writes what tells them apart: all of a packet but the frames.
type sizes struct {
	n      int
	octets int  // that the sizes of all frames take when written out, at most 2 each
	uneven bool // whether two of them differ
	// ends are the sums of the sizes up to each frame. The last is at most 48 * 1275 = 61200 and fits.
	ends [framesMax]uint16
}

func (s *sizes) reset() { s.n, s.octets, s.uneven = 0, 0, false }

func (s *sizes) add(size int) {
	s.uneven = s.uneven || s.n > 0 && size != s.of(0)
	s.ends[s.n] = uint16(s.sum() + size)
	s.octets += sizeOctets(size)
	s.n++
}

// of is the size of frame i.
func (s *sizes) of(i int) int {
	if i == 0 {
		return int(s.ends[0])
	}
	return int(s.ends[i]) - int(s.ends[i-1])
}

// sum is the size of all frames.
func (s *sizes) sum() int {
	if s.n == 0 {
		return 0
	}
	return int(s.ends[s.n-1])
}

// written is the room of those sizes that have to be written out: none of equal frames; else all but the last,
// which takes what is left.
func (s *sizes) written() int {
	if !s.uneven {
		return 0
	}
	return s.octets - sizeOctets(s.of(s.n-1))
}

// counted is the length of the packet in code 3 without padding.
func (s *sizes) counted() int { return 2 + s.written() + s.sum() }

// shortest is the length of the packet in the shortest code: 0 for one frame, 1 for two equal ones, 2 for two, 3
// for more. Up to two frames go without the octet that counts them.
func (s *sizes) shortest() int {
	switch {
	case s.n == 0:
		return 0
	case s.n <= 2:
		return s.counted() - 1
	}
	return s.counted()
}

// appendHeader writes what stands before the frames, for a packet of length octets, at least shortest. It returns
// how many octets of padding have to follow the frames.
func (s *sizes) appendHeader(dst []byte, toc byte, length int) (header []byte, padding int) {
	toc &^= 3
	if s.n <= 2 && length == s.shortest() {
		switch {
		case s.n == 1:
			return append(dst, toc), 0
		case !s.uneven:
			return append(dst, toc|1), 0
		}
		return appendSize(append(dst, toc|2), s.of(0)), 0
	}
	count := byte(s.n)
	if s.uneven {
		count |= 0x80
	}
	if room := length - s.counted(); room > 0 {
		dst, padding = appendPadding(append(dst, toc|3, count|0x40), room)
	} else {
		dst = append(dst, toc|3, count)
	}
	if s.uneven {
		for i := range s.n - 1 {
			dst = appendSize(dst, s.of(i))
		}
	}
	return dst, padding
}

// appendPadding writes the length of a padding that takes room octets together with the length itself, and returns
// the length. An octet of 255 stands for 254 and goes on; the last is 0 to 254 (RFC 6716 §3.2.5). So k+1 octets
// make every room from 255k+1 to 255k+255, and each room from 1 on has one way of being made.
func appendPadding(dst []byte, room int) ([]byte, int) {
	more, last := (room-1)/255, (room-1)%255
	for range more {
		dst = append(dst, 255)
	}
	return append(dst, byte(last)), 254*more + last
}

// sizeOctets is how many octets the size of a frame takes when written out (RFC 6716 §3.2.1).
func sizeOctets(size int) int {
	if size < 252 {
		return 1
	}
	return 2
}

// appendSize writes the size of a frame, 0 to 1275: from 252 on in two octets, a + 4b with a from 252 to 255.
func appendSize(dst []byte, size int) []byte {
	if size < 252 {
		return append(dst, byte(size))
	}
	low := 252 + size&3
	return append(dst, byte(low), byte((size-low)/4))
}

// sizeAt reads the size of a frame at the start of b, and how many octets it took: 0 where it is cut off.
func sizeAt(b []byte) (size, octets int) {
	switch {
	case len(b) > 0 && b[0] < 252:
		return int(b[0]), 1
	case len(b) > 1:
		return int(b[0]) + 4*int(b[1]), 2
	}
	return 0, 0
}
