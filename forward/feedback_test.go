package forward

import (
	"encoding/binary"
	"testing"

	"github.com/pion/rtp"
)

// stamps has a peer's packets bear these numbers, 20 ms apart, and returns how often his account began.
func stamps(s *studio, p *Peer, numbers ...uint16) (begun int) {
	for _, n := range numbers {
		s.now = s.now.Add(frameTime)
		h := &rtp.Header{Version: 2, SSRC: 7}
		if err := h.SetExtension(p.config.UplinkTWCCID, binary.BigEndian.AppendUint16(nil, n)); err != nil {
			s.Fatal(err)
		}
		before := p.src.feedback.recorder
		if s.rd.stamped(&p.src, h, s.now); p.src.feedback.recorder != before {
			begun++
		}
	}
	return begun
}

// Whose numbers jump to and fro has no account that grows: each jump begins it anew. Losses, what is overtaken and the end of
// the numbers are no jumps.
func TestAJumpOfNumbersBeginsTheAccountAnew(t *testing.T) {
	s := newStudio(t, 1, 1)
	p := s.joins(1)
	p.config.UplinkTWCCID = 5
	if n := stamps(s, p, 65_000, 65_001, 65_400, 65_399, 65_530, 300, 2, 900, 301); n != 1 {
		t.Errorf("an honest speaker's account began %d times", n)
	}
	if n := stamps(s, p, 33_068, 301, 33_068, 301); n != 4 {
		t.Errorf("after 4 jumps it began %d times", n)
	}
}

// Who may not speak has nothing kept for him: any listener with a line to speak on could make it work.
func TestWhoMayNotSpeakIsToldNothingOfHisPackets(t *testing.T) {
	s := newStudio(t, 1, 1)
	p := s.joins(1)
	p.config.UplinkTWCCID = 5
	p.src.maySpeak = false
	if stamps(s, p, 1, 2, 3) != 0 {
		t.Error("an account was begun")
	}
	p.src.maySpeak, p.src.muted = true, true
	if stamps(s, p, 4) != 1 {
		t.Error("a muted speaker's was not")
	}
}
