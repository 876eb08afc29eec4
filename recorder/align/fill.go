package align

import "stentor/forward/opus"

// quantum is the shortest Opus frame, 2.5 ms: what lies between two pieces is made up to this.
const quantum = 120

// tenth is 10 ms, the shortest frame that every mode of Opus has, and so the step in which drift is corrected.
const tenth = 10 * ms

// conceal is how much of a loss is left to the decoder, which fades out within about 100 ms and hums beyond.
const conceal = 100 * ms

// quiets are packets that decode to zeros: opus.Quiet in each duration a silence is made of, longest first. Frames of no
// octets would be shorter still, but then a decoder makes up what it believes was there.
var quiets = []struct {
	samples int
	payload []byte
}{
	{5760, quietFrames(6)}, {4800, quietFrames(5)}, {3840, quietFrames(4)}, {2880, quietFrames(3)}, {1920, quietFrames(2)},
	{960, quietFrames(1)}, {480, []byte{0xf0, 0xff, 0xfe}}, {240, []byte{0xe8, 0xff, 0xfe}}, {120, []byte{0xe0, 0xff, 0xfe}},
}

// waker is 20 ms of SILK that decode to nothing above the last of 16 bits: what libopus makes of zeros. CELT codes the
// loudness of its bands as a difference to the frame before, and after opus.Quiet that is nothing at all: 100 ms of what
// is said next would be lost, the first 20 by 45 dB. A decoder that comes from SILK begins CELT anew, as at the start
// of a stream (RFC 6716 §4.5.2).
var waker = []byte{0x08, 0x07, 0xc6, 0xb3, 0x0e, 0xc6}

const wakerSamples = 20 * ms

// cut tells whether zeros lie in the middle of a word that goes on with p, which then needs a waker: a mute that the sender
// knows nothing of, or a stream that begins with a word. Where a sender falls silent by itself and begins again, its encoder comes from silence as the decoder
// does, and after a waker the onset would be 10 to 23 dB too loud (docs/adr/0003).
func (t *Track) cut(p *Packet) bool {
	return p.Payload[0]>>3 >= 16 && loud(p) && (p.Restart || loud(&t.last))
}

// loud tells a packet of speech from one of a pause.
func loud(p *Packet) bool { return !opus.IsDTX(p.Payload) && p.Level <= quietLevel }

// quietFrames is a packet of n frames of opus.Quiet: code 3 with a count, all of one size (RFC 6716 §3.2.5).
func quietFrames(n int) []byte {
	if n == 1 {
		return opus.Quiet
	}
	p := []byte{opus.Quiet[0] | 3, byte(n)}
	for range n {
		p = append(p, opus.Quiet[1:]...)
	}
	return p
}

// quietPacket is the longest packet of zeros within samples, which is at least quantum.
func quietPacket(samples int64) (payload []byte, n int) {
	for _, q := range quiets {
		if int64(q.samples) <= samples {
			return q.payload, q.samples
		}
	}
	return nil, 0
}

// missing is a packet for the decoder to conceal within samples, which is at least tenth: the mode, bandwidth and
// channels of p and a frame of no octets, as long as p's frames or else 10 ms.
func missing(p []byte, samples int64) (payload []byte, n int) {
	payload = opus.Silence(p)
	if n, _ = opus.Duration(payload); int64(n) <= samples && n >= tenth {
		return payload, n
	}
	return opus.Silence([]byte{short(p[0])}), tenth
}

// short is the TOC of 10 ms in the mode, bandwidth and channels of toc (RFC 6716 §3.1, table 2).
func short(toc byte) byte {
	config := toc >> 3
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		config &^= 3
	case config < 16: // hybrid: 10, 20 ms
		config &^= 1
	default: // CELT: 2.5, 5, 10, 20 ms
		config = config&^3 | 2
	}
	return config<<3 | toc&4
}
