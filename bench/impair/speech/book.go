package speech

import "fmt"

// Book knows the frames of several takes again. Immutable.
type Book struct {
	takes map[uint16]*Take
	lines map[string]line // by a frame's octets
}

type line struct {
	speaker uint16
	n       uint32
}

// NewBook is one of the takes of different speakers. It fails if any two frames are alike.
func NewBook(takes []*Take) (*Book, error) {
	b := &Book{takes: map[uint16]*Take{}, lines: map[string]line{}}
	for _, t := range takes {
		b.takes[t.Speaker] = t
		for n, f := range t.Frames {
			if was, twice := b.lines[string(f)]; twice {
				return nil, fmt.Errorf("frame %d of voice %d is that of voice %d, number %d", n, t.Speaker, was.speaker, was.n)
			}
			b.lines[string(f)] = line{t.Speaker, uint32(n)}
		}
	}
	return b, nil
}

// Find tells whose frame an Opus packet of one frame is, and which.
func (b *Book) Find(packet []byte) (speaker uint16, n uint32, ok bool) {
	l, ok := b.lines[string(packet)]
	return l.speaker, l.n, ok
}

// Tone is how a frame sounds; ok is false if there is no such frame.
func (b *Book) Tone(speaker uint16, n uint32) (t Tone, ok bool) {
	take := b.takes[speaker]
	if take == nil || uint64(n) >= uint64(len(take.Tones)) {
		return Tone{}, false
	}
	return take.Tones[n], true
}
