//go:build linux

package fanout

import (
	"fmt"
	"sync/atomic"
	"time"

	"stentor/bench/client"
)

const (
	frameTime    = 20 * time.Millisecond
	frameSamples = 960 // at Opus's 48 kHz
	// speechLevel is loud enough to be heard in any room, in dBov.
	speechLevel = -25
)

// talker is one speaker who talks without a pause.
type talker struct {
	client       *client.Client
	first, count int // his share of the speech
	next         int // within the share
	sent         atomic.Uint64
}

// talk lets talkers talk from one goroutine, between start and pause.
type talk struct {
	speech  *speech
	talkers []*talker
	began   time.Time    // of the first spurt
	only    atomic.Int32 // the first of them, who talk while the others are silent; 0: all talk

	quit, done chan struct{}
	err        error // Written before done is closed.
}

func newTalk(s *speech, clients []*client.Client) *talk {
	t := &talk{speech: s}
	for i, c := range clients {
		first, count := s.share(i, len(clients))
		t.talkers = append(t.talkers, &talker{client: c, first: first, count: count})
	}
	return t
}

// start begins a spurt of all talkers. Their phases are spread over the 20 ms of a frame, as those of people are.
func (t *talk) start() {
	t.quit, t.done = make(chan struct{}), make(chan struct{})
	t.err = nil
	go t.run()
}

// pause ends the spurt.
func (t *talk) pause() error {
	close(t.quit)
	<-t.done
	return t.err
}

func (t *talk) run() {
	defer close(t.done)
	start := time.Now()
	if t.began.IsZero() {
		t.began = start
	}
	// A pause shows in the timestamps, as with a browser (RFC 3550 §5.1).
	clock := uint32(start.Sub(t.began) / frameTime * frameSamples)
	step := frameTime / time.Duration(len(t.talkers))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for k := 0; ; k++ {
		timer.Reset(time.Until(start.Add(time.Duration(k) * step)))
		select {
		case <-t.quit:
			return
		case <-timer.C:
		}
		who, frame := k%len(t.talkers), k/len(t.talkers)
		if only := int(t.only.Load()); only > 0 && who >= only {
			continue
		}
		if err := t.talkers[who].say(t.speech, clock+uint32(frame)*frameSamples, frame == 0); err != nil {
			t.err = fmt.Errorf("speaker %d: %w", who, err)
			return
		}
	}
}

// say sends the next frame.
func (t *talker) say(s *speech, timestamp uint32, first bool) error {
	i := t.first + t.next
	s.sentAt[i].Store(time.Now().UnixNano())
	err := t.client.Send(client.Frame{
		Payload: s.frames[i], Timestamp: timestamp, Marker: first, LevelDBov: speechLevel, Voice: true,
	})
	if err != nil {
		return err
	}
	t.next = (t.next + 1) % t.count
	t.sent.Add(1)
	return nil
}

// sent is how many frames all talkers have sent.
func (t *talk) sent() (n uint64) {
	for _, x := range t.talkers {
		n += x.sent.Load()
	}
	return n
}
