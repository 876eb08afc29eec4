//go:build linux

package fanout

import (
	_ "embed"
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// speechFile is twelve seconds of speech: Opus packets of one 20 ms frame, each behind its length in 16 bits. README.md
// tells how it was made.
//
//go:embed speech.frames
var speechFile []byte

const opusPayloadType = 111

// speech is what can be said. No frame occurs twice, so that a frame tells by itself who sent it, and when.
type speech struct {
	frames [][]byte
	index  map[string]int // frame -> its number
	sentAt []atomic.Int64 // when each was sent last, in ns since 1970
}

var speechFrames = sync.OnceValue(func() (frames [][]byte) {
	for b := speechFile; len(b) >= 2; {
		n := int(binary.BigEndian.Uint16(b))
		frames = append(frames, b[2:2+n])
		b = b[2+n:]
	}
	return frames
})

func newSpeech() *speech {
	s := &speech{frames: speechFrames(), index: map[string]int{}}
	for i, f := range s.frames {
		s.index[string(f)] = i
	}
	s.sentAt = make([]atomic.Int64, len(s.frames))
	return s
}

// share is the part of the speech that talker i of n says over and over: the frames from first on.
func (s *speech) share(i, n int) (first, count int) {
	count = len(s.frames) / n
	return i * count, count
}
