package speech

import (
	"fmt"
	"math"
	"sync"

	"github.com/thesyncim/gopus"
)

// Take is what a speaker says, frame by frame. Immutable.
type Take struct {
	Speaker uint16
	Frames  [][]byte // Opus packets of 20 ms
	Tones   []Tone   // of the frames
}

// kind is all that a voice's frames depend on.
type kind struct {
	speaker       uint16
	octets, level int
}

// studio has all that was encoded in this process.
var studio struct {
	sync.Mutex
	sessions map[kind]*session
}

// Of is what a speaker says first, n frames of it: a speaker is 1 … SpeakersMax, a frame has OctetsMin … 1275 octets, and the
// level is in dBov. It is safe for concurrent use.
func Of(speaker uint16, octets, level, n int) (*Take, error) {
	if speaker < 1 || speaker > SpeakersMax || octets < OctetsMin {
		return nil, fmt.Errorf("no voice %d of %d octets a frame: there are %d, of %d octets and more", speaker, octets, SpeakersMax, OctetsMin)
	}
	studio.Lock()
	defer studio.Unlock()
	k := kind{speaker, octets, level}
	s := studio.sessions[k]
	if s == nil {
		var err error
		if s, err = newSession(k); err != nil {
			return nil, err
		}
		if studio.sessions == nil {
			studio.sessions = map[kind]*session{}
		}
		studio.sessions[k] = s
	}
	for len(s.frames) < n {
		if err := s.record(); err != nil {
			return nil, err
		}
	}
	return &Take{Speaker: speaker, Frames: s.frames[:n:n], Tones: s.tones[:n:n]}, nil
}

// session encodes one voice, as far as anybody wants to hear it.
type session struct {
	kind    kind
	encoder *gopus.Encoder
	ahead   int // samples by which what is decoded lags what is encoded
	pitches *pitches
	phase   float64
	pcm     [FrameSamples]float32
	frames  [][]byte
	tones   []Tone
}

// complexity is the encoder's: a tone gains nothing by more.
const complexity = 5

func newSession(k kind) (*session, error) {
	e, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: SampleRate, Channels: 1, Application: gopus.ApplicationLowDelay})
	if err != nil {
		return nil, fmt.Errorf("opus encoder: %w", err)
	}
	e.SetVBR(false)
	e.SetPredictionDisabled(true)
	for _, set := range []func() error{
		func() error { return e.SetBitrate(k.octets * 8 * SampleRate / FrameSamples) },
		func() error { return e.SetComplexity(complexity) },
		func() error { return e.SetBandwidth(gopus.BandwidthFullband) },
	} {
		if err := set(); err != nil {
			return nil, fmt.Errorf("opus encoder of %d octets a frame: %w", k.octets, err)
		}
	}
	return &session{kind: k, encoder: e, ahead: e.Lookahead(), pitches: newPitches(k.speaker)}, nil
}

// record encodes the next frame. The pitch changes in the middle of what two decoded frames have in common, which is the
// encoder's look-ahead.
func (s *session) record() error {
	n := len(s.frames)
	for len(s.tones) < n+2 {
		s.tones = append(s.tones, s.pitches.next(peakOf(s.kind.level)))
	}
	for i := range s.pcm {
		t := &s.tones[n+(i+s.ahead/2)/FrameSamples]
		s.phase += 2 * math.Pi * t.Hz / SampleRate
		s.pcm[i] = float32(t.Peak * math.Sin(s.phase))
	}
	s.phase = math.Mod(s.phase, 2*math.Pi)
	frame := make([]byte, s.kind.octets)
	size, err := s.encoder.Encode(s.pcm[:], frame)
	if err != nil {
		return fmt.Errorf("frame %d of voice %d: %w", n, s.kind.speaker, err)
	}
	if size != len(frame) {
		return fmt.Errorf("frame %d of voice %d has %d octets, not %d", n, s.kind.speaker, size, len(frame))
	}
	s.frames = append(s.frames, frame)
	return nil
}
