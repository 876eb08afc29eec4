package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"stentor/bench/client"
	"stentor/bench/impair/model"
	"stentor/engine/control"
	"stentor/transport/simnet"
)

// path is a model's path as simnet takes it.
type path struct{ *model.Path }

func (p path) Send(now time.Time, size int) (time.Time, bool) {
	at, fate := p.Path.Send(now, size)
	return at, fate == model.Delivered
}

// adapting is a client that tells what it got, as browsers do.
func adapting(c *client.Config) { c.TWCC = true }

func adaptsOnStage(t *testing.T, story func(s *stage)) {
	onStageWith(t, func(c *Config) { c.Adapt = true }, story)
}

// stamped counts packets that carry a transport-wide number.
func stamped(got []heard) (n int) {
	for _, h := range got {
		if h.HasTWCC {
			n++
		}
	}
	return n
}

func TestAHealthyListenerCostsNoFeedback(t *testing.T) {
	adaptsOnStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joinsWith("r", "bob", listener, adapting)
		s.net.SetLink(serverAddr.Addr(), bob.socket.LocalAddr().Addr(), simnet.Link{Delay: 30 * time.Millisecond, Jitter: 15 * time.Millisecond})
		s.talk(2*time.Second, map[*person]int{ann: -20})
		if q := bob.state().Quality; q == nil || !q.Watched {
			t.Errorf("quality at first: %+v, not watched", q)
		}
		s.talk(8*time.Second, map[*person]int{ann: -20})
		if n := stamped(bob.heard()); n == 0 || n > 400 {
			t.Errorf("%d of 500 packets were stamped, some of the first should be", n)
		}
		s.talk(60*time.Second, map[*person]int{ann: -20})
		got := bob.heard()
		if n := stamped(got); n != 0 {
			t.Errorf("%d of %d packets of a healthy listener are stamped", n, len(got))
		}
		s.gapless(got)
		if q := bob.state().Quality; q == nil || q.Rung != "live" || q.Why != "healthy" || q.Watched {
			t.Errorf("quality %+v", q)
		}
	})
}

// A phone on a thin link: three people talk, and the link takes less than that. It hears the one who matters, without
// holes, and the others again when the link is better.
func TestAThinLinkGetsOneVoiceAndThenAllAgain(t *testing.T) {
	adaptsOnStage(t, func(s *stage) {
		s.open("r", 3)
		ann, bob, cem := s.joins("r", "ann", speaker), s.joins("r", "bob", speaker), s.joins("r", "cem", speaker)
		phone, healthy := s.joinsWith("r", "phone", listener, adapting), s.joinsWith("r", "healthy", listener, adapting)
		levels := map[*person]int{ann: -15, bob: -30, cem: -30}
		const rate = 64_000
		s.net.SetLink(serverAddr.Addr(), phone.socket.LocalAddr().Addr(), simnet.Link{Path: path{model.New(1, []model.Step{
			{Conditions: model.Conditions{Delay: 30 * time.Millisecond, Rate: rate, Queue: model.QueueOf(400*time.Millisecond, rate)}},
			{At: 40 * time.Second, Conditions: model.Conditions{Delay: 30 * time.Millisecond}},
		}, time.Now())}})
		cursor := s.engine.Events().Cursor()
		s.talk(10*time.Second, levels) // time to find out
		phone.heard()
		s.talk(25*time.Second, levels)
		q := phone.state().Quality
		if q == nil || q.Rung == "live" {
			t.Errorf("on 64 kb/s the phone is on %+v", q)
		}
		frames := map[uint16]map[uint32]bool{}
		for _, so := range s.sounds(phone.heard()) {
			if frames[so.speaker] == nil {
				frames[so.speaker] = map[uint32]bool{}
			}
			frames[so.speaker][so.frame] = true
		}
		if n := len(frames[ann.id]); n < 25*50*98/100 {
			t.Errorf("%d of %d frames of the dominant speaker were heard", n, 25*50)
		}
		if bob, cem := len(frames[bob.id]), len(frames[cem.id]); bob+cem > 0 {
			t.Errorf("%d frames of bob and %d of cem took the room that the dominant speaker needs", bob, cem)
		}
		s.talk(25*time.Second, levels)
		phone.heard()
		s.talk(5*time.Second, levels)
		if n := len(s.sounds(phone.heard())); n < 3*5*50*98/100 {
			t.Errorf("%d of %d frames of all three are heard when the link is better", n, 3*5*50)
		}
		if q := phone.state().Quality; q == nil || q.Rung != "live" {
			t.Errorf("25 s after the link has got better the phone is on %+v", q)
		}
		if q := healthy.state().Quality; q == nil || q.Rung != "live" {
			t.Errorf("the healthy one is on %+v", q)
		}
		var told []string
		for _, ev := range s.eventsAfter(cursor) {
			if strings.HasPrefix(ev, "peer.quality") {
				told = append(told, ev)
			}
		}
		if len(told) < 2 || slices.ContainsFunc(told, func(ev string) bool { return !strings.Contains(ev, "r/phone") }) {
			t.Errorf("events %q", told)
		}
	})
}

// A room may forbid rungs.
func TestNobodyIsPutBelowTheLowestRung(t *testing.T) {
	adaptsOnStage(t, func(s *stage) {
		_, err := s.engine.RoomOpen(s.Context(), &control.RoomOpenParams{Room: "r", LowestRung: "live"})
		s.must(err)
		ann := s.joins("r", "ann", speaker)
		phone := s.joinsWith("r", "phone", listener, adapting)
		const rate = 30_000
		s.net.SetLink(serverAddr.Addr(), phone.socket.LocalAddr().Addr(), simnet.Link{Path: path{model.New(1, []model.Step{
			{Conditions: model.Conditions{Rate: rate, Queue: model.QueueOf(400*time.Millisecond, rate)}},
		}, time.Now())}})
		s.talk(20*time.Second, map[*person]int{ann: -20})
		// What is measured is what the network takes, IP and UDP included: a queue that is always full says so to a few percent.
		if q := phone.state().Quality; q == nil || q.Rung != "live" || q.EstimateBps < rate*95/100 || q.EstimateBps > rate*105/100 {
			t.Errorf("%d b/s, and quality is %+v", rate, q)
		}
	})
}

// Loss by chance is met by redundancy, for all voices; who cannot take any is sent everything twice.
func TestLossByChanceBringsRedundancy(t *testing.T) {
	adaptsOnStage(t, func(s *stage) {
		s.open("r", 3)
		ann, bob := s.joins("r", "ann", speaker), s.joins("r", "bob", speaker)
		chrome := s.joinsWith("r", "chrome", listener, adapting)
		firefox := s.joinsWith("r", "firefox", listener, func(c *client.Config) { c.TWCC, c.NoRedundancy = true, true })
		for i, p := range []*person{chrome, firefox} {
			s.net.SetLink(serverAddr.Addr(), p.socket.LocalAddr().Addr(), simnet.Link{Path: path{model.New(uint64(i)+1, []model.Step{
				{Conditions: model.Conditions{Delay: 30 * time.Millisecond, Loss: 0.1}},
			}, time.Now())}})
		}
		levels := map[*person]int{ann: -20, bob: -20}
		s.talk(10*time.Second, levels) // time to find out
		chrome.heard()
		firefox.heard()
		from := ann.frame
		s.talk(30*time.Second, levels)
		if q := chrome.state().Quality; q.Rung != "live" || q.Redundancy == 0 || q.Copies || q.Why != "random_loss" {
			t.Errorf("chrome is on %+v", q)
		}
		if q := firefox.state().Quality; q.Rung != "live" || q.Redundancy != 1 || !q.Copies {
			t.Errorf("firefox is on %+v", q)
		}
		for _, c := range []struct {
			p    *person
			most float64
		}{{chrome, 0.015}, {firefox, 0.02}} {
			got := map[[2]uint32]bool{}
			for _, so := range s.sounds(c.p.heard()) {
				if so.frame >= from {
					got[[2]uint32{uint32(so.speaker), so.frame}] = true
				}
			}
			if missing := 1 - float64(len(got))/(2*30*50); missing > c.most {
				t.Errorf("%s misses %.1f %% of the frames, want at most %.1f", c.p.name, 100*missing, 100*c.most)
			}
		}
	})
}
