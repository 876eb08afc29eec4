package mix

const (
	// gapMax is how many samples without a piece are concealed, 20 ms. A longer gap is the end of what was said.
	gapMax = 960
	// concealMax is for how long a source is concealed, 240 ms: the comfort noise behind its words, or a loss, which no
	// decoder can hide for as long. zerosMax is for how long its silence is decoded, 40 ms: the decoder has rung out.
	concealMax, zerosMax = 240 * 48, 40 * 48
	// idleMax is when a source without pieces is forgotten, 5 s. Its level is not.
	idleMax = 5 * 48000
)

// source is somebody who is heard, by their audio id.
type source struct {
	id     uint32
	queue  queue
	voice  *voice // nil while they are silent
	level  *level
	busyAt int64 // where there last was a piece
}

// render adds the frame at m.sumAt to the sum. It is false where the source is silent there.
func (m *Mixer) render(s *source) bool {
	m.fill(s)
	v := s.voice
	if v == nil {
		return false
	}
	square := v.square()
	if !(square <= 4) { // NaN: the decoder is not to be trusted with the next packet either
		m.counts.Broken++
		s.voice = nil
		m.voices--
		return false
	}
	audible := square > inaudible
	if audible {
		m.sumUp(s, square)
	}
	v.shift()
	if !v.on && v.n == 0 {
		m.release(s)
	}
	return audible
}

// inaudible is a mean square of -110 dBFS, below what 16 bits hold.
const inaudible = 1e-11

// sumUp adds the voice's first frame by the level's gain, which changes in a straight line.
func (m *Mixer) sumUp(s *source, square float64) {
	gain, step := float32(1), float32(0)
	if !m.config.AsTheyCome {
		gain = s.level.gain()
		s.level.hear(square)
		s.level.heard = m.sumAt
		step = (s.level.gain() - gain) / FrameSamples
	}
	for i, x := range s.voice.pcm[:FrameSamples] {
		gain += step
		m.sum[i] += x * gain
	}
}

// fill brings the source's voice to one frame at least, or leaves it without one.
func (m *Mixer) fill(s *source) {
	for s.voice == nil || s.voice.n < FrameSamples {
		v, pos := s.voice, m.sumAt
		if v != nil {
			pos += int64(v.n)
		}
		p := m.next(s, pos)
		switch {
		case v == nil || !v.on:
			if !m.begin(s, p) {
				return
			}
		case p == nil || p.at-pos > gapMax:
			v.end(m.scratch[:])
		case p.at > pos:
			m.counts.Concealed += uint64(p.at - pos)
			v.conceal(int(p.at-pos), m.scratch[:])
		case p.zeros() && v.silence >= zerosMax || p.dtx() && v.silence >= concealMax:
			v.end(m.scratch[:])
		case p.dtx():
			m.conceal(s, p, pos)
		default:
			m.decode(s, p, pos)
		}
	}
}

// next is the first piece that reaches beyond pos. Those that do not are dropped, and while the source is silent so are
// signs of silence.
func (m *Mixer) next(s *source, pos int64) *piece {
	for {
		p := s.queue.at(0)
		if p == nil {
			return nil
		}
		off := s.voice == nil || !s.voice.on
		switch {
		case p.end() <= pos:
			m.counts.Late++
		case off && p.at < m.sumAt+FrameSamples && (p.silent() || refresh(p, s.queue.at(1))):
		default:
			return p
		}
		s.queue.pop()
	}
}

// refresh tells whether p, in the middle of silence, is a lone packet of up to 20 ms with more silence behind it:
// every 400 ms discontinuous transmission sends one to keep the comfort noise like the room's. It would be heard as a
// flutter.
func refresh(p, behind *piece) bool {
	return behind != nil && behind.silent() && behind.at == p.end() && p.samples <= FrameSamples
}

// begin gives the source a voice for p if p is in this frame. Otherwise, or where there is none to be had, it is false
// and the frame is zeros to its end.
func (m *Mixer) begin(s *source, p *piece) bool {
	if p == nil || p.at >= m.sumAt+FrameSamples {
		if s.voice != nil {
			s.voice.pad(FrameSamples)
		}
		return false
	}
	if s.voice == nil && !m.acquire(s) {
		m.counts.Crowded++
		s.queue.pop()
		return true
	}
	s.voice.pad(int(p.at - m.sumAt))
	s.voice.begin()
	return true
}

// conceal makes up for at most one frame of a piece without octets.
func (m *Mixer) conceal(s *source, p *piece, pos int64) {
	n := int(min(p.end()-pos, FrameSamples))
	s.voice.conceal(n, m.scratch[:])
	s.voice.silence += n
	m.counts.Concealed += uint64(n)
	if pos+int64(n) >= p.end() {
		s.queue.pop()
	}
}

// decode takes a piece with octets. What the voice has already said beyond its beginning is left out.
func (m *Mixer) decode(s *source, p *piece, pos int64) {
	v := s.voice
	decoded, err := v.dec.Decode(p.payload, m.scratch[:])
	if err != nil {
		m.counts.Broken++
		p.payload = nil // from here on it is a lost one
		return
	}
	skip, n := int(pos-p.at), min(decoded, p.samples)
	if skip > 0 {
		v.uneven = true
	}
	if n > skip {
		v.add(m.scratch[skip:n])
	}
	if n < decoded {
		v.uneven = true
	}
	if v.silence += n; !p.zeros() {
		v.silence = 0
	}
	s.queue.pop()
}
