package opus

import "slices"

// Merger collects consecutive packets of one configuration and writes them as one (RFC 6716 §3.2), as libopus'
// repacketizer does: the frames stay as they are, in-band FEC and frames of no octets (DTX) included, and the padding
// of the packets goes. It allocates nothing but what AppendTo adds to its destination. The zero Merger is empty.
type Merger struct {
	// SizeMax bounds Size, in octets; 0 is no bound. Six frames of 20 ms can take 7650 octets, a datagram 1200.
	SizeMax int

	toc     byte // of the first packet, without its code
	frames  sizes
	packets int
	bodies  [framesMax][]byte // Borrowed from the packets until Reset. Every packet has a frame, so 48 will do.
	next    Packet            // scratch of Add: too large to be cleared for each packet
}

// Add appends the frames of a packet, which is borrowed until Reset and must not change until then. It is false, and
// nothing has changed, where the packet is of another configuration or number of channels, would make more than
// 120 ms or more than SizeMax octets, or is no Opus packet: write and reset first, then add again. From an empty Merger
// false means that the packet can go only as it is, or not at all.
func (m *Merger) Add(payload []byte) (ok bool) {
	if len(payload) == 0 || m.packets > 0 && !SameConfig(m.toc, payload[0]) {
		return false
	}
	p := &m.next
	if p.Parse(payload) != nil || m.Samples()+p.Samples() > MaxDuration || !m.addSizes(&p.frames) {
		return false
	}
	m.toc = p.TOC &^ 3
	m.bodies[m.packets] = p.body
	m.packets++
	return true
}

// addSizes appends the sizes of frames, which are not more than there is room for.
func (m *Merger) addSizes(more *sizes) bool {
	n, octets, uneven := m.frames.n, m.frames.octets, m.frames.uneven
	for i := range more.n {
		m.frames.add(more.of(i))
	}
	if m.SizeMax > 0 && m.Size() > m.SizeMax {
		m.frames.n, m.frames.octets, m.frames.uneven = n, octets, uneven
		return false
	}
	return true
}

// Frames is how many frames there are, 0 to 48.
func (m *Merger) Frames() int { return m.frames.n }

// Samples is the duration of all frames in samples at 48 kHz, 0 to MaxDuration.
func (m *Merger) Samples() int { return m.frames.n * frameSamples[m.toc>>3] }

// Empty tells whether there are no frames.
func (m *Merger) Empty() bool { return m.frames.n == 0 }

// Size is how many octets AppendTo writes: of all codes the shortest; 0 when empty.
func (m *Merger) Size() int { return m.frames.shortest() }

// Reset lets go of the packets. SizeMax stays.
func (m *Merger) Reset() {
	clear(m.bodies[:m.packets])
	m.packets = 0
	m.frames.reset()
}

// AppendTo appends the merged packet to dst in the shortest code; nothing when empty. The frames stay for another
// call, until Reset.
func (m *Merger) AppendTo(dst []byte) []byte { return m.write(dst, m.Size()) }

// AppendPadded appends the merged packet to dst with padding, n octets in all. It is false, and dst is as it was, when
// n is less than Size or there are no frames. It saves the copy that AppendTo and the function AppendPadded would make.
func (m *Merger) AppendPadded(dst []byte, n int) ([]byte, bool) {
	if m.Empty() || n < m.Size() {
		return dst, false
	}
	return m.write(dst, n), true
}

func (m *Merger) write(dst []byte, length int) []byte {
	if m.Empty() {
		return dst
	}
	dst, padding := m.frames.appendHeader(slices.Grow(dst, length), m.toc, length)
	for _, b := range m.bodies[:m.packets] {
		dst = append(dst, b...)
	}
	return appendZeros(dst, padding)
}
