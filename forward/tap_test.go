package forward

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"stentor/forward/opus"
)

// notebook is a tap that writes down what it gets.
type notebook struct{ heard []Heard }

func (n *notebook) Hear(h *Heard) { n.heard = append(n.heard, *h) }

// last takes what was written down since the last call.
func (n *notebook) last(t *testing.T, want int) []Heard {
	t.Helper()
	got := n.heard
	n.heard = nil
	if len(got) != want {
		t.Fatalf("the tap got %d packets, want %d: %+v", len(got), want, got)
	}
	return got
}

// Who is not heard, and silence, are in a recording as well; who may not speak or is muted is not.
func TestATapGetsWhatPeersMaySend(t *testing.T) {
	s := newStudio(t, 1, 1)
	n := new(notebook)
	s.room.tap = n
	ann, bob := s.speaker(), s.speaker()
	a, b := s.mouth(ann, 65534, 100), s.mouth(bob, 7, 4_000_000_000)
	b.ssrc = 78
	s.now = s.now.Add(time.Second)
	a.says(loud, voice)
	b.says(loud, voice)
	got := n.last(t, 2)
	if got[0].Slot != 0 || got[1].Slot != -1 {
		t.Errorf("slots %d and %d: ann has the only one", got[0].Slot, got[1].Slot)
	}
	for i, h := range got {
		if h.At != 48000 || h.Samples != frameSamples || !h.Restart || !bytes.Equal(h.Payload, voice) || h.Level != loud {
			t.Errorf("packet %d: %+v", i, h)
		}
	}
	s.now = s.now.Add(frameTime)
	a.says(loud, voice)
	b.says(quiet, voice)
	if got := n.last(t, 2); got[0].Restart || got[0].At != 48000+frameSamples || got[1].Level != quiet {
		t.Errorf("the second packets: %+v", got)
	}
	bob.src.muted = true
	b.says(loud, voice)
	n.last(t, 0)
	bob.src.muted, bob.src.maySpeak = false, false
	b.says(loud, voice)
	n.last(t, 0)
	s.room.tap = nil
	a.says(loud, voice)
	n.last(t, 0)
}

// Order is mended, numbers are extended, and a new stream says so.
func TestATapGetsThemInOrder(t *testing.T) {
	s := newStudio(t, 3, 1)
	n := new(notebook)
	s.room.tap = n
	m := s.mouth(s.speaker(), 65534, 1<<32-960)
	m.says(loud, voice)
	second := *m
	m.skips(1)
	m.says(loud, voice) // before the second
	second.says(loud, voice)
	got := n.last(t, 3)
	for i, h := range got[1:] {
		if before := got[i]; h.Seq != before.Seq+1 || h.TS != before.TS+frameSamples {
			t.Errorf("packet %d has %d and %d after %d and %d", i+1, h.Seq, h.TS, before.Seq, before.TS)
		}
	}
	m.ssrc = 99 // the page was loaded anew
	m.says(loud, voice)
	m.says(loud, voice)
	if got := n.last(t, 2); !got[0].Restart || got[1].Restart {
		t.Errorf("a new stream: %+v", got)
	}
}

// A sign of silence belongs to the slot it ends in, repeated or not, so that the mix decodes it where the room does.
func TestATapGetsSignsOfSilence(t *testing.T) {
	s := newStudio(t, 3, 1)
	n := new(notebook)
	s.room.tap = n
	m := s.mouth(s.speaker(), 1, 1)
	m.says(loud, voice)
	m.says(loud, opus.Silence(voice))
	m.says(loud, opus.Silence(voice))
	var slots []int8
	for _, h := range n.last(t, 3) {
		slots = append(slots, h.Slot)
	}
	if !slices.Equal(slots, []int8{0, 0, 0}) {
		t.Errorf("slots %v", slots)
	}
}

// discard is a tap that does nothing.
type discard struct{}

func (discard) Hear(*Heard) {}

func TestTappingAllocatesNothing(t *testing.T) {
	s := newStudio(t, 3, 1)
	p := s.speaker()
	f := frame{payload: voice, samples: frameSamples, came: s.now}
	s.room.tap = discard{}
	if n := testing.AllocsPerRun(1000, func() { s.rd.tap(&p.src, &f, 0) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
