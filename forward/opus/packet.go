package opus

import "errors"

// framesMax is the most frames of a packet: 120 ms in frames of 2.5 ms (RFC 6716 §3.2.5).
const framesMax = 48

// What makes octets no Opus packet (RFC 6716 §3.4). Parse returns no other error.
var (
	ErrEmpty     = errors.New("opus: no octets")                        // R1
	ErrFrameSize = errors.New("opus: frame of more than 1275 octets")   // R2
	ErrUneven    = errors.New("opus: octets do not divide into frames") // R3, R6
	ErrTruncated = errors.New("opus: no room for the announced frames") // R4, R6, R7
	ErrCount     = errors.New("opus: no frames, or more than 120 ms")   // R5
	ErrPadding   = errors.New("opus: padding longer than the packet")   // R6, R7
)

// Packet is an Opus packet taken apart. Its frames are borrowed from what was parsed and live as long.
type Packet struct {
	TOC     byte // as it stands in the packet, with the code in its lower two bits (RFC 6716 §3.1)
	N       int  // frames, 1 to 48
	Padding int  // octets of padding, those of its length included: P of RFC 6716 §3.4
	VBR     bool // whether the sizes of the frames are written out: code 2, or code 3 with its V bit

	frames sizes
	body   []byte // the frames, one after the other as they stand in every code
}

// SameConfig tells whether packets with the TOCs a and b can be merged: the same mode, bandwidth, frame size and
// channels, whatever their codes (RFC 6716 §3.2: all frames of a packet share them).
func SameConfig(a, b byte) bool { return (a^b)&^3 == 0 }

// Config is the configuration number, 0 to 31 (RFC 6716 §3.1, table 2).
func (p *Packet) Config() int { return int(p.TOC >> 3) }

// Stereo tells whether the frames hold two channels.
func (p *Packet) Stereo() bool { return p.TOC&4 != 0 }

// FrameSamples is the duration of one frame, in samples at 48 kHz.
func (p *Packet) FrameSamples() int { return frameSamples[p.TOC>>3] }

// Samples is the duration of the packet, in samples at 48 kHz, at most MaxDuration.
func (p *Packet) Samples() int { return p.N * p.FrameSamples() }

// Frame is the compressed data of frame i, 0 to N-1. No octets are a legal frame: one that was not sent (DTX).
func (p *Packet) Frame(i int) []byte {
	end := int(p.frames.ends[i])
	return p.body[end-p.frames.of(i) : end : end]
}

// Parse takes b apart by the rules R1 to R7 of RFC 6716 §3.4, all of them. After an error p has no frames.
func (p *Packet) Parse(b []byte) error {
	p.N, p.Padding, p.VBR, p.body = 0, 0, false, nil
	p.frames.reset()
	if len(b) == 0 {
		return ErrEmpty
	}
	p.TOC = b[0]
	var err error
	switch rest := b[1:]; b[0] & 3 {
	case 0:
		err = p.cbr(rest, 1)
	case 1:
		err = p.cbr(rest, 2)
	case 2:
		p.VBR = true
		err = p.vbr(rest, 2)
	case 3:
		err = p.counted(rest)
	}
	if err == nil {
		p.N = p.frames.n
	}
	return err
}

// counted takes a packet of code 3 apart: the count of its frames, then the length of the padding, then the sizes.
func (p *Packet) counted(b []byte) error {
	if len(b) == 0 {
		return ErrTruncated
	}
	n, vbr, padded := int(b[0]&0x3f), b[0]&0x80 != 0, b[0]&0x40 != 0
	if n == 0 || n*p.FrameSamples() > MaxDuration {
		return ErrCount
	}
	b = b[1:]
	if padded {
		rest, ok := unpad(b)
		if !ok {
			return ErrPadding
		}
		// unpad takes away the length's octets in front and as many behind as it says: all that is missing.
		p.Padding, b = len(b)-len(rest), rest
	}
	p.VBR = vbr
	if vbr {
		return p.vbr(b, n)
	}
	return p.cbr(b, n)
}

// cbr takes n frames of one size.
func (p *Packet) cbr(b []byte, n int) error {
	size := len(b) / n
	if size*n != len(b) {
		return ErrUneven
	}
	if size > frameMax {
		return ErrFrameSize
	}
	for range n {
		p.frames.add(size)
	}
	p.body = b
	return nil
}

// vbr takes n frames, the sizes of all but the last of which stand in front.
func (p *Packet) vbr(b []byte, n int) error {
	for range n - 1 {
		size, octets := sizeAt(b)
		if octets == 0 {
			return ErrTruncated
		}
		p.frames.add(size)
		b = b[octets:]
	}
	last := len(b) - p.frames.sum()
	if last < 0 {
		return ErrTruncated
	}
	if last > frameMax {
		return ErrFrameSize
	}
	p.frames.add(last)
	p.body = b
	return nil
}
