package mix

import (
	"cmp"
	"fmt"
	"slices"

	"stentor/forward/opus"
)

// FrameSamples is the duration of every packet of the mix, 20 ms.
const FrameSamples = 960

// PreSkip is what the mix's containers declare as its pre-skip, in samples: nothing, for the delays are made up for.
const PreSkip = 0

const (
	// SourcesMax is how many sources can sound at once; the packets of further ones are dropped. 16 voices are 5.3 MB.
	// A room has 3 slots, at most 8.
	SourcesMax = 16
	// queuesMax is how many sources can have pieces waiting. Most rooms' slots change hands less than that in a lag.
	queuesMax = 64
	// levelsMax is how many people's levels are remembered; beyond, the one longest silent is forgotten. 40 KB.
	levelsMax = 1024
	// aheadMax is how far beyond the position a piece may be, an hour: what is further is an error upstream.
	aheadMax = 3600 * opus.SampleRate
	// shrinkEvery is how often voices that were not needed since are given back, 5 s.
	shrinkEvery = 5 * opus.SampleRate
)

// Config is how a room is mixed. The zero Config will do.
type Config struct {
	// Bitrate is the mix's average, in b/s, 6000 to 510000; 0 is 48000, at which several people in full band are still
	// clean: 21.6 MB an hour.
	Bitrate int
	// Complexity is the encoder's, 1 to 10; 0 is 5.
	Complexity int
	// AsTheyCome leaves the sources' loudness alone.
	AsTheyCome bool
	// Codec is Gopus when nil.
	Codec Codec
}

// Counts is what has happened since New.
type Counts struct {
	Frames    uint64 // packets of the mix
	Quiet     uint64 // of these, opus.Quiet without running the encoder
	Late      uint64 // pieces that came behind the mix's position
	Broken    uint64 // pieces that are no Opus packet, or that the decoder refused; they were concealed
	Crowded   uint64 // pieces of more than SourcesMax sources at once
	Full      uint64 // pieces beyond a queue's bounds, or an hour and more ahead
	Concealed uint64 // samples made up, for losses and for DTX
	Limited   uint64 // packets in which the limiter was at work
	Failed    uint64 // packets that the encoder did not make
}

// Mixer mixes a room. It belongs to one goroutine.
type Mixer struct {
	config Config
	counts Counts

	at    int64 // of the next packet
	sumAt int64 // of the next frame of the sum, ahead of at by what limiter and encoder delay
	ahead int

	sources []*source // by id, so that sums of floats do not depend on who came first
	levels  map[uint32]*level

	voices   int      // in use
	spare    []*voice // not in use
	needed   int      // the most in use since shrinkAt was set
	shrinkAt int64

	limiter limiter
	tail    tail
	sum     [FrameSamples]float32
	limited [FrameSamples]float32
	scratch [opus.MaxDuration]float32
}

// New makes a mixer at position 0. It fails where the codec does not take the configuration.
func New(config Config) (*Mixer, error) {
	if config.Bitrate == 0 {
		config.Bitrate = 48000
	}
	if config.Complexity == 0 {
		config.Complexity = 5
	}
	if config.Codec == nil {
		config.Codec = Gopus{}
	}
	enc, err := config.Codec.NewEncoder(config.Bitrate, config.Complexity)
	if err != nil {
		return nil, fmt.Errorf("mix: %w", err)
	}
	m := &Mixer{config: config, levels: map[uint32]*level{}, tail: tail{enc: enc}}
	m.ahead = enc.Lookahead() + limiterDelay
	if m.ahead > FrameSamples {
		return nil, fmt.Errorf("mix: the encoder looks %d samples ahead", enc.Lookahead())
	}
	if err := m.Start(0); err != nil {
		return nil, err
	}
	return m, nil
}

// Start moves to a position: the next packet is that of at. Pieces that wait are dropped, whoever sounds is cut off.
// Levels and counts stay. Use it before the first Mix, or where the timeline jumps.
func (m *Mixer) Start(at int64) error {
	for _, s := range m.sources {
		m.release(s)
	}
	m.sources = m.sources[:0]
	// One frame of the sum goes before the first packet's, so that the limiter holds what this begins with.
	m.at, m.sumAt, m.shrinkAt = at, at+int64(m.ahead)-FrameSamples, at+shrinkEvery
	m.limiter.reset()
	if err := m.tail.settle(); err != nil {
		return fmt.Errorf("mix: %w", err)
	}
	return nil
}

// At is the position of the next packet.
func (m *Mixer) At() int64 { return m.at }

// Ahead is how many samples beyond the packets asked for the pieces must have been put, 7.5 ms with Gopus: those of
// later positions come too late for them.
func (m *Mixer) Ahead() int { return m.ahead }

// Counts is what has happened so far.
func (m *Mixer) Counts() Counts { return m.counts }

// Put gives the mixer a piece of a source's audio: samples from at on, pieces of a source in order. The payload is an
// Opus packet of 2.5 to 120 ms or a filler: one or two octets, or none, conceal as many samples as are said, and after
// 240 ms of them the source is silent; opus.Quiet is silence. A packet's samples beyond those said are left out, a gap of
// up to 20 ms is concealed, where pieces overlap the earlier is heard. The payload is kept and must not change.
func (m *Mixer) Put(id uint32, at int64, samples int, payload []byte) {
	if samples <= 0 || at > m.at+aheadMax || samples > aheadMax {
		m.counts.Full++
		return
	}
	if at < m.sumAt && at+int64(samples) <= m.sumAt {
		m.counts.Late++
		return
	}
	if _, ok := opus.Duration(payload); !ok && !opus.IsDTX(payload) {
		m.counts.Broken++
		payload = nil
	}
	if s := m.source(id); s == nil || !s.queue.push(piece{at, samples, payload}) {
		m.counts.Full++
	}
}

// source finds or makes the source, nil where there are too many.
func (m *Mixer) source(id uint32) *source {
	i, found := slices.BinarySearchFunc(m.sources, id, func(s *source, id uint32) int {
		return cmp.Compare(s.id, id)
	})
	if found {
		return m.sources[i]
	}
	if len(m.sources) >= queuesMax {
		return nil
	}
	s := &source{id: id, level: m.level(id), busyAt: m.sumAt}
	m.sources = slices.Insert(m.sources, i, s)
	return s
}

// level is the source's from before, or a new one.
func (m *Mixer) level(id uint32) *level {
	l := m.levels[id]
	if l != nil {
		return l
	}
	if len(m.levels) >= levelsMax {
		m.forgetLevel()
	}
	l = newLevel()
	l.heard = m.sumAt
	m.levels[id] = l
	return l
}

// forgetLevel lets go of the level longest unused, of several the one of the lowest id: a map's order is random.
func (m *Mixer) forgetLevel() {
	var oldest uint32
	var heard int64
	for id, l := range m.levels {
		if _, ok := m.levels[oldest]; !ok || l.heard < heard || l.heard == heard && id < oldest {
			oldest, heard = id, l.heard
		}
	}
	delete(m.levels, oldest)
}

// Mix emits all packets that end at until or before, in order, from where it stood: each is of FrameSamples from at on.
// The payload is emit's only while it is called, and not to be written to. After an error of the encoder's the packet it
// failed on has been emitted as opus.Quiet, and another call goes on behind it.
func (m *Mixer) Mix(until int64, emit func(at int64, payload []byte)) error {
	for m.at <= until-FrameSamples {
		if m.sumAt < m.at { // the frame before the first
			m.sumFrame()
		}
		silent := m.sumFrame()
		payload, err := m.tail.encode(m.limited[:], silent)
		m.count(payload, err)
		emit(m.at, payload)
		m.at += FrameSamples
		if err != nil {
			return fmt.Errorf("mix at %d: %w", m.at-FrameSamples, err)
		}
	}
	return nil
}

func (m *Mixer) count(payload []byte, err error) {
	m.counts.Frames++
	if &payload[0] == &opus.Quiet[0] {
		m.counts.Quiet++
	}
	if m.limiter.ones < spread {
		m.counts.Limited++
	}
	if err != nil {
		m.counts.Failed++
	}
}

// sumFrame makes the next frame of the sum and limits it into m.limited. It tells whether that is all zeros.
func (m *Mixer) sumFrame() (silent bool) {
	clear(m.sum[:])
	silent = true
	for _, s := range m.sources {
		if s.queue.len() > 0 || s.voice != nil {
			s.busyAt = m.sumAt
		}
		if m.render(s) {
			silent = false
		}
	}
	silent = m.limiter.run(m.sum[:], m.limited[:], silent)
	m.sumAt += FrameSamples
	m.shrink()
	return silent
}

// acquire gives the source a voice, or is false where all are in use or the codec has none.
func (m *Mixer) acquire(s *source) bool {
	if m.voices >= SourcesMax {
		return false
	}
	if n := len(m.spare); n > 0 {
		s.voice, m.spare = m.spare[n-1], m.spare[:n-1]
	} else {
		dec, err := m.config.Codec.NewDecoder()
		if err != nil {
			return false
		}
		s.voice = &voice{dec: dec}
	}
	m.voices++
	m.needed = max(m.needed, m.voices)
	return true
}

// release takes the source's voice back.
func (m *Mixer) release(s *source) {
	if s.voice == nil {
		return
	}
	s.voice.on, s.voice.n = false, 0
	m.spare = append(m.spare, s.voice)
	s.voice = nil
	m.voices--
}

// shrink forgets sources and voices that have not been needed for a while.
func (m *Mixer) shrink() {
	if m.sumAt < m.shrinkAt {
		return
	}
	m.sources = slices.DeleteFunc(m.sources, func(s *source) bool { return m.sumAt-s.busyAt > idleMax })
	if excess := m.voices + len(m.spare) - m.needed; excess > 0 {
		clear(m.spare[len(m.spare)-excess:])
		m.spare = m.spare[:len(m.spare)-excess]
	}
	m.needed, m.shrinkAt = m.voices, m.sumAt+shrinkEvery
}
