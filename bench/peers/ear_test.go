package peers

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// ear keeps everything that a peer receives.
type ear struct {
	mu      sync.Mutex
	packets []*rtp.Packet // of all lines, in the order of their coming
	byes    map[uint32]bool
	levelID map[uint32]uint8 // by SSRC: the extension that carries the audio level on that line
	news    chan struct{}    // one token: something has come
	reading sync.WaitGroup
}

func newEar() *ear {
	return &ear{byes: map[uint32]bool{}, levelID: map[uint32]uint8{}, news: make(chan struct{}, 1)}
}

func (e *ear) change(f func()) {
	e.mu.Lock()
	f()
	e.mu.Unlock()
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// track reads one line until the connection ends.
func (e *ear) track(line *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	for _, x := range receiver.GetParameters().HeaderExtensions {
		if x.URI == levelURI {
			e.change(func() { e.levelID[uint32(line.SSRC())] = uint8(x.ID) })
		}
	}
	e.reading.Go(func() { e.readRTP(line) })
	e.reading.Go(func() { e.readRTCP(receiver) })
}

func (e *ear) readRTP(line *webrtc.TrackRemote) {
	for {
		p, _, err := line.ReadRTP()
		if err != nil {
			return
		}
		p = p.Clone()
		e.change(func() { e.packets = append(e.packets, p) })
	}
}

func (e *ear) readRTCP(receiver *webrtc.RTPReceiver) {
	for {
		packets, _, err := receiver.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if bye, ok := p.(*rtcp.Goodbye); ok {
				e.change(func() {
					for _, ssrc := range bye.Sources {
						e.byes[ssrc] = true
					}
				})
			}
		}
	}
}

// voice is what came of one speaker, signs of silence left out.
func (e *ear) voice(audioID uint32) []*rtp.Packet {
	e.mu.Lock()
	defer e.mu.Unlock()
	var of []*rtp.Packet
	for _, p := range e.packets {
		if slices.Contains(p.CSRC, audioID) && !silence(p) {
			of = append(of, p)
		}
	}
	return of
}

// silence tells whether a packet says no more than that there is silence: 20 ms of it, or an Opus packet of one octet.
func silence(p *rtp.Packet) bool { return len(p.Payload) == 1 || string(p.Payload) == "\xf8\xff\xfe" }

// fallsSilent waits until a speaker's last packet is a sign of silence.
func (e *ear) fallsSilent(t *testing.T, audioID uint32) {
	t.Helper()
	e.wait(t, "a sign of silence", func() bool {
		for _, p := range slices.Backward(e.packets) {
			if slices.Contains(p.CSRC, audioID) {
				return len(p.Payload) == 1
			}
		}
		return false
	})
}

// hears waits for n packets of a speaker's voice.
func (e *ear) hears(t *testing.T, audioID uint32, n int) {
	t.Helper()
	e.wait(t, fmt.Sprintf("%d packets of audio_id %d", n, audioID), func() bool {
		heard := 0
		for _, p := range e.packets {
			if slices.Contains(p.CSRC, audioID) && !silence(p) {
				heard++
			}
		}
		return heard >= n
	})
}

// wait waits until something is so; is runs under the lock.
func (e *ear) wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	late := time.After(patience)
	for {
		e.mu.Lock()
		ok := is()
		e.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-e.news:
		case <-late:
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// whole asserts that a speaker's voice has come as it was spoken, without a gap, and on a line whose numbers have none.
// first is the number of the first payload that is to come, negative: any. It returns that number.
func (e *ear) whole(t *testing.T, s *peer, first int) int {
	t.Helper()
	start, missing := e.faithful(t, s)
	if missing > 0 {
		t.Fatalf("%d frames of %s are missing", missing, s.name)
	}
	if first >= 0 && start != first {
		t.Fatalf("the first of %s that was heard is number %d, want %d", s.name, start, first)
	}
	e.gapless(t)
	return start
}

// faithful asserts that what came of a speaker is what he said: every payload to the octet and in order, under his CSRC
// alone, with his level, on one line whose numbers and clock go with it. It returns the number of the first payload, and
// how many are missing behind that.
func (e *ear) faithful(t *testing.T, s *peer) (start, missing int) {
	t.Helper()
	voice := e.voice(s.audioID)
	if len(voice) == 0 {
		t.Fatalf("nothing of %s was heard", s.name)
	}
	for i, p := range voice {
		n := s.number(p.Payload)
		if n < 0 || !bytes.Equal(p.Payload, frame(s.name, n)) {
			t.Fatalf("payload %d of %s is none of his: %q", i, s.name, p.Payload)
		}
		if len(p.CSRC) != 1 || p.SSRC != voice[0].SSRC {
			t.Fatalf("frame %d of %s: SSRC %d, CSRC %v; want %d and one CSRC", n, s.name, p.SSRC, p.CSRC, voice[0].SSRC)
		}
		e.mu.Lock()
		id := e.levelID[p.SSRC]
		e.mu.Unlock()
		if level := p.GetExtension(id); id == 0 || len(level) != 1 || level[0]&0x7f != spokenLevel {
			t.Fatalf("frame %d of %s: audio level %v under id %d, want %d", n, s.name, level, id, spokenLevel)
		}
		if i == 0 {
			start = n
			continue
		}
		was := voice[i-1]
		step := n - s.number(was.Payload)
		if step < 1 {
			t.Fatalf("frame %d of %s comes after frame %d", n, s.name, n-step)
		}
		missing += step - 1
		// A test that was held up for longer than a pause in speech starts anew, and says so by the marker.
		ticks := int(p.Timestamp - was.Timestamp)
		if ticks != step*samplesPerFrame && !(p.Marker && ticks > samplesPerFrame) {
			t.Fatalf("frame %d of %s: its timestamp is %d after that of frame %d", n, s.name, ticks, n-step)
		}
		if numbers := int(p.SequenceNumber - was.SequenceNumber); numbers != step && !p.Marker {
			t.Fatalf("frame %d of %s: its sequence number is %d after that of frame %d", n, s.name, numbers, n-step)
		}
	}
	return start, missing
}

// gapless asserts that every line's sequence numbers follow each other, whoever was on it.
func (e *ear) gapless(t *testing.T) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	last := map[uint32]uint16{}
	for i, p := range e.packets {
		if was, ok := last[p.SSRC]; ok && p.SequenceNumber != was+1 {
			t.Fatalf("packet %d of all: line %d goes from number %d to %d", i, p.SSRC, was, p.SequenceNumber)
		}
		last[p.SSRC] = p.SequenceNumber
	}
}

// count is how many packets have come, of whomever.
func (e *ear) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.packets)
}
