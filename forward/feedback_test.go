package forward

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtp"
)

// stamps has a peer's packets bear these numbers, 20 ms apart, and returns how often his account began.
func stamps(s *studio, p *Peer, numbers ...uint16) (begun int) {
	for _, n := range numbers {
		s.now = s.now.Add(frameTime)
		if stamp(s, p, n) {
			begun++
		}
	}
	return begun
}

// stamp has one packet of a peer bear a number, and tells whether his account began with it.
func stamp(s *studio, p *Peer, number uint16) (began bool) {
	h := &rtp.Header{Version: 2, SSRC: 7}
	if err := h.SetExtension(p.config.UplinkTWCCID, binary.BigEndian.AppendUint16(nil, number)); err != nil {
		s.Fatal(err)
	}
	before := p.src.feedback.recorder
	s.rd.stamped(&p.src, h, s.now)
	return p.src.feedback.recorder != before
}

// kept is for how many numbers an account has room.
func kept(f *feedback) int {
	return reflect.ValueOf(f.recorder).Elem().FieldByName("arrivalTimeMap").FieldByName("arrivalTimes").Len()
}

// Whatever numbers a speaker chooses, no more is kept of them than of the last half second, of which each tenth is worth
// stampJump, and stampJump before.
func TestNoNumbersMakeAnAccountGrow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, next := range map[string]func(i int, last uint16) uint16{
		"steps that are just no jumps": func(_ int, last uint16) uint16 { return last + stampJump },
		"the same, down":               func(_ int, last uint16) uint16 { return last - stampJump },
		"short steps":                  func(_ int, last uint16) uint16 { return last + 100 },
		"short steps, down":            func(_ int, last uint16) uint16 { return last - 100 },
		"to and fro":                   func(_ int, last uint16) uint16 { return last + 32_767 },
		"to and fro, and upward":       func(i int, last uint16) uint16 { return last + []uint16{2000, 64_536}[i%2] },
		"to and fro, and downward":     func(i int, last uint16) uint16 { return last + []uint16{1000, 63_536}[i%2] },
		"any":                          func(int, uint16) uint16 { return uint16(r.Uint32()) },
		"any that are near":            func(_ int, last uint16) uint16 { return last + uint16(r.IntN(2*stampJump)) - stampJump },
	} {
		for _, every := range []time.Duration{time.Millisecond, frameTime, feedbackEvery} {
			s := newStudio(t, 1, 1)
			p := s.joins(1)
			p.config.UplinkTWCCID = 5
			number, most := uint16(0), 0
			for i := range 3000 {
				s.now = s.now.Add(every)
				stamp(s, p, number)
				number, most = next(i, number), max(most, kept(&p.src.feedback))
			}
			if most > 1<<13 {
				t.Errorf("%s, each %v: room for %d numbers", name, every, most)
			}
		}
	}
}

// TestAnHonestSpeakersAccountIsNotTouched holds it against a Recorder that nobody begins anew: a fifth is lost, some in long runs, a
// tenth comes late, and numbers end twice.
func TestAnHonestSpeakersAccountIsNotTouched(t *testing.T) {
	s := newStudio(t, 1, 1)
	p := s.joins(1)
	p.config.UplinkTWCCID = 5
	r := rand.New(rand.NewPCG(3, 4))
	plain := twcc.NewRecorder(s.room.ssrcs[0])
	var due time.Time
	var late []int
	told := 0
	hears := func(n int) {
		if began := stamp(s, p, uint16(n)); began != due.IsZero() {
			t.Fatalf("number %d begins the account: %v", n, began)
		}
		if due.IsZero() {
			due = s.now.Add(feedbackEvery)
		}
		plain.Record(7, uint16(n), s.room.since(s.now).Microseconds())
		if !s.now.Before(due) {
			due, told = s.now.Add(feedbackEvery), told+1
			plain.BuildFeedbackPacket()
		}
		if !reflect.DeepEqual(plain, p.src.feedback.recorder) {
			t.Fatalf("at number %d the accounts differ", n)
		}
	}
	for n := 65_000; n < 200_000; n++ {
		s.now = s.now.Add(5 * time.Millisecond)
		switch x := r.IntN(1000); {
		case x == 0:
			n += 300 // an outage
		case x < 200: // lost
		case x < 300:
			late = append(late, n)
		default:
			hears(n)
		}
		if len(late) > 3 {
			hears(late[0])
			late = late[1:]
		}
	}
	if told < 1000 {
		t.Errorf("feedback was told %d times", told)
	}
}

// A jump begins the account anew. Losses, what is overtaken and the end of
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
