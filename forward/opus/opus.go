// Package opus reads and makes Opus packets without a codec (RFC 6716 §3): their table of contents, their duration,
// the packets of discontinuous transmission.
package opus

// SampleRate is the clock of Opus in RTP (RFC 7587 §4.1), in Hz.
const SampleRate = 48000

// MaxDuration is the longest packet, 120 ms (RFC 6716 §3.2.5 R5), in samples.
const MaxDuration = 120 * SampleRate / 1000

// frameSamples is the duration of one frame by the configuration number, the upper five bits of the TOC
// (RFC 6716 §3.1, table 2).
var frameSamples = [32]int{
	480, 960, 1920, 2880, // SILK narrowband: 10, 20, 40, 60 ms
	480, 960, 1920, 2880, // SILK mediumband
	480, 960, 1920, 2880, // SILK wideband
	480, 960, // hybrid super-wideband: 10, 20 ms
	480, 960, // hybrid fullband
	120, 240, 480, 960, // CELT narrowband: 2.5, 5, 10, 20 ms
	120, 240, 480, 960, // CELT wideband
	120, 240, 480, 960, // CELT super-wideband
	120, 240, 480, 960, // CELT fullband
}

// frameMax is the longest frame, in octets (RFC 6716 §3.2.1, R2).
const frameMax = 1275

// Duration is the length of a packet in samples at 48 kHz. It is false for what cannot be an Opus packet: empty,
// longer than 120 ms, or without room for the frames that its code asks for (RFC 6716 §3.4, R1 to R7).
func Duration(p []byte) (samples int, ok bool) {
	if len(p) == 0 {
		return 0, false
	}
	frame, rest := frameSamples[p[0]>>3], p[1:]
	switch p[0] & 3 {
	case 0:
		return frame, len(rest) <= frameMax
	case 1: // two frames of the same size
		return 2 * frame, len(rest)%2 == 0 && len(rest)/2 <= frameMax
	case 2: // two frames, the first one's size is given
		return 2 * frame, framesFit(rest, 1)
	}
	if len(rest) == 0 {
		return 0, false
	}
	n, vbr, padded := int(rest[0]&0x3f), rest[0]&0x80 != 0, rest[0]&0x40 != 0
	rest = rest[1:]
	if n == 0 || n*frame > MaxDuration {
		return 0, false
	}
	if padded {
		if rest, ok = unpad(rest); !ok {
			return 0, false
		}
	}
	if vbr {
		return n * frame, framesFit(rest, n-1)
	}
	return n * frame, len(rest)%n == 0 && len(rest)/n <= frameMax
}

// framesFit tells whether n sizes (RFC 6716 §3.2.1), the frames they announce, and one more frame that takes what
// is left fit into p.
func framesFit(p []byte, n int) bool {
	sum := 0
	for range n {
		if len(p) == 0 {
			return false
		}
		size, octets := int(p[0]), 1
		if size >= 252 {
			if len(p) < 2 {
				return false
			}
			size, octets = size+4*int(p[1]), 2
		}
		sum, p = sum+size, p[octets:]
	}
	return sum <= len(p) && len(p)-sum <= frameMax
}

// unpad takes the padding of a code 3 packet off: its length, which stands in front, and its octets at the end
// (RFC 6716 §3.2.5).
func unpad(p []byte) ([]byte, bool) {
	pad := 0
	for {
		if len(p) == 0 {
			return nil, false
		}
		b := int(p[0])
		p = p[1:]
		if b < 255 {
			pad += b
			break
		}
		pad += 254
	}
	if pad > len(p) {
		return nil, false
	}
	return p[:len(p)-pad], true
}

// IsDTX tells whether a packet says no more than that there is silence: libopus sends one or two octets then, and
// receivers treat so short a packet as comfort noise.
func IsDTX(p []byte) bool { return len(p) <= 2 }

// silence holds every one-octet packet, so that Silence need not allocate.
var silence = func() (t [256][1]byte) {
	for i := range t {
		t[i][0] = byte(i)
	}
	return t
}()

// Quiet decodes to 20 ms of zeros: full-band CELT, mono, with nothing but its silence flag set (RFC 6716 §4.3). It
// also empties the decoder's estimate of background noise, which comfort noise is made of. CELT that follows is decoded
// as coming from next to nothing, which at an onset is where its encoder comes from too; zeros in SILK behind it would
// make the onset 22 dB too loud (docs/adr/0003). Not to be written to.
var Quiet = []byte{0xf8, 0xff, 0xfe}

// Silence is the packet that ends a spurt of packets like p: the same mode, bandwidth and channels, one frame of no
// octets (RFC 6716 §3.2.1 allows it). A receiver turns to comfort noise on it, where plain absence would be taken
// for loss. It is shared and must not be written to.
func Silence(p []byte) []byte { return silence[p[0]&^3][:] }
