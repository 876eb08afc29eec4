package opus

import (
	"bytes"
	"math/rand/v2"
)

// This file is the model that the surgery is held against: RFC 6716 §3.2 as its figures draw it, written for
// the eye, with a slice for everything.

// drawing is how a packet is to be written.
type drawing struct {
	code    int
	vbr     bool // in code 3
	padding int  // octets behind the frames in code 3; -1: none, and no flag
	chain   bool // whether a last 254 of padding is written as 255 and 0
}

// draw writes frames as d asks for, or nil where that is not legal.
func draw(toc byte, d drawing, frames [][]byte) []byte {
	same := true
	for _, f := range frames {
		same = same && len(f) == len(frames[0])
	}
	var b []byte
	switch {
	case d.code == 0 && len(frames) == 1:
		b = []byte{toc}
	case d.code == 1 && len(frames) == 2 && same:
		b = []byte{toc | 1}
	case d.code == 2 && len(frames) == 2:
		b = append([]byte{toc | 2}, drawSize(len(frames[0]))...)
	case d.code == 3 && (d.vbr || same):
		count := len(frames)
		var lengths []byte
		if d.padding >= 0 {
			count += 64
			left := d.padding
			for ; left > 254 || d.chain && left == 254; left -= 254 {
				lengths = append(lengths, 255)
			}
			lengths = append(lengths, byte(left))
		}
		if d.vbr {
			count += 128
			for _, f := range frames[:len(frames)-1] {
				lengths = append(lengths, drawSize(len(f))...)
			}
		}
		b = append([]byte{toc | 3, byte(count)}, lengths...)
	default:
		return nil
	}
	b = append(b, bytes.Join(frames, nil)...)
	return append(b, make([]byte, max(d.padding, 0))...)
}

func drawSize(n int) []byte {
	if n < 252 {
		return []byte{byte(n)}
	}
	for low := 252; ; low++ {
		if (n-low)%4 == 0 {
			return []byte{byte(low), byte((n - low) / 4)}
		}
	}
}

// plain are the ways of writing a packet without padding.
var plain = []drawing{
	{code: 0, padding: -1}, {code: 1, padding: -1}, {code: 2, padding: -1}, {code: 3, padding: -1}, {code: 3, vbr: true, padding: -1},
}

// drawShortest tries every way and keeps the shortest.
func drawShortest(toc byte, frames [][]byte) (shortest []byte) {
	for _, d := range plain {
		if b := draw(toc, d, frames); b != nil && (shortest == nil || len(b) < len(shortest)) {
			shortest = b
		}
	}
	return shortest
}

// drawLong writes frames to n octets in code 3 with whatever padding it takes, without sizes where they can be spared.
func drawLong(toc byte, n int, frames [][]byte) []byte {
	for _, vbr := range []bool{false, true} {
		bare := draw(toc, drawing{code: 3, vbr: vbr, padding: -1}, frames)
		if bare == nil {
			continue
		}
		// The padding's length takes less than one octet in 250.
		for padding := max(-1, n-len(bare)-n/250-2); padding <= n-len(bare); padding++ {
			for _, chain := range []bool{false, true} {
				if b := draw(toc, drawing{3, vbr, padding, chain}, frames); len(b) == n {
					return b
				}
			}
		}
	}
	return nil
}

// undraw reads what draw writes, rule by rule. Nil is no packet.
func undraw(b []byte) (frames [][]byte) {
	if len(b) < 1 {
		return nil // R1
	}
	toc, b := b[0], b[1:]
	n, vbr := 1, false
	switch toc % 4 {
	case 1:
		n = 2
	case 2:
		n, vbr = 2, true
	case 3:
		if len(b) < 1 {
			return nil
		}
		n, vbr = int(b[0])%64, b[0] >= 128
		padded := b[0]/64%2 == 1
		b = b[1:]
		padding := 0
		for more := padded; more; {
			if len(b) < 1 {
				return nil
			}
			more = b[0] == 255
			padding += min(int(b[0]), 254)
			b = b[1:]
		}
		if padding > len(b) {
			return nil
		}
		b = b[:len(b)-padding]
	}
	if n == 0 || n*frameSamples[toc/8] > 5760 {
		return nil // R5
	}
	lengths := make([]int, n)
	left := len(b)
	for i := range n - 1 {
		if !vbr {
			continue
		}
		if len(b) < 1 || b[0] >= 252 && len(b) < 2 {
			return nil // R4, R7
		}
		lengths[i] = int(b[0])
		left--
		if b[0] >= 252 {
			lengths[i] += 4 * int(b[1])
			b = b[1:]
			left--
		}
		b = b[1:]
		left -= lengths[i]
	}
	if vbr {
		lengths[n-1] = left
	} else {
		for i := range lengths {
			if left%n != 0 {
				return nil // R3, R6
			}
			lengths[i] = left / n
		}
	}
	for _, l := range lengths {
		if l < 0 || l > len(b) || l > 1275 {
			return nil // R2, R4, R7
		}
		frames = append(frames, b[:l])
		b = b[l:]
	}
	return frames
}

// randomFrames are n frames as encoders make them: short ones, such as need two octets for their size, the limits, none
// at all, often all of one size.
func randomFrames(r *rand.Rand, n int) [][]byte {
	size := func() int {
		switch r.IntN(8) {
		case 0:
			return 0
		case 1:
			return []int{1, 251, 252, 253, 255, 256, 507, 508, 1274, 1275}[r.IntN(10)]
		case 2:
			return r.IntN(1276)
		}
		return 1 + r.IntN(120)
	}
	frames, same, first := make([][]byte, n), r.IntN(3) == 0, size()
	for i := range frames {
		l := first
		if !same {
			l = size()
		}
		frames[i] = make([]byte, l)
		for j := range frames[i] {
			frames[i][j] = byte(r.Uint32())
		}
	}
	return frames
}

// framesOf are the frames of a parsed packet.
func framesOf(p *Packet) (frames [][]byte) {
	for i := range p.N {
		frames = append(frames, p.Frame(i))
	}
	return frames
}
