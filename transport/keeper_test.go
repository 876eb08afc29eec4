package transport_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun"

	"stentor/bench/client"
)

// The stories of endpoint_test.go hold for kept sessions too: an agent ends with the first path. These are about what
// an agent would do otherwise, or not at all.

func TestWhoClaimsToBeControlledIsToldThatWeAre(t *testing.T) {
	onScene(t, func(s *scene) {
		c := s.calls()
		s.sends(c.at(home), c.check(true))
		ufrag, pwd := c.session.Credentials()
		_, before, _ := s.endpoint.Size()
		s.after(time.Second)
		request := bindingRequestAs(stun.AttrICEControlled, ufrag+":"+c.ufrag, pwd, true)
		s.sends(c.at(street), request)
		m := &stun.Message{Raw: <-c.refusals}
		s.must(m.Decode())
		s.must(stun.NewShortTermIntegrity(pwd).Check(m))
		s.must(stun.Fingerprint.Check(m))
		var why stun.ErrorCodeAttribute
		s.must(why.GetFrom(m))
		if why.Code != stun.CodeRoleConflict || !bytes.Equal(m.Raw[4:20], request[4:20]) {
			s.Errorf("answered with %v", m)
		}
		if _, after, _ := s.endpoint.Size(); after != before || c.session.Path() != home || time.Since(c.session.LastSeen()) == 0 {
			s.Error("it counts as a check")
		}
	})
}

func TestACheckForAnotherGenerationOrPeerIsNotAnswered(t *testing.T) {
	onScene(t, func(s *scene) {
		c := s.calls()
		socket := c.at(home)
		s.sends(socket, c.check(true))
		ufrag, pwd := c.session.Credentials()
		welcomes := c.welcomes.Load()
		for i, b := range [][]byte{
			bindingRequest(ufrag+":", pwd, true),
			bindingRequest(ufrag+":somebody", pwd, true),
			bindingRequest(ufrag+":"+c.ufrag+"s", pwd, true),
			bindingRequest(ufrag+":"+c.ufrag, pwd+"s", true),
		} {
			s.sends(socket, b)
			if s.drops("unauthentic") != uint64(i+1) || c.welcomes.Load() != welcomes {
				s.Errorf("check %d was answered", i)
			}
		}
		cut := c.check(true)
		s.sends(socket, append(cut, 0, 0, 0, 0))
		if s.drops("malformed") != 1 || c.welcomes.Load() != welcomes {
			s.Error("a check with something behind it was answered")
		}
		s.sends(socket, c.check(true))
		if c.welcomes.Load() != welcomes+1 {
			s.Error("a proper check was not answered")
		}
	})
}

func TestANominationWaitsForTheAnswerAndARestartForgetsIt(t *testing.T) {
	onScene(t, func(s *scene) {
		c := s.calls()
		s.sends(c.at(home), c.check(true))
		c.answers.Store(false)
		next := c.at(street)
		s.sends(next, c.check(true))
		s.sends(next, c.check(false)) // does not take it back
		<-c.unanswered
		answer := answerTo(<-c.unanswered, c.pwd)
		s.wantTold(c.owner)
		s.sends(next, answer)
		s.wantTold(c.owner, "moved to "+street.String())

		other := c.at(cafe)
		s.sends(other, c.check(true))
		check := <-c.unanswered
		_, _, err := c.session.Restart(c.ufrag, c.pwd)
		s.must(err)
		s.sends(other, answerTo(check, c.pwd))
		s.wantTold(c.owner, "moved to "+street.String())
	})
}

func TestARestartBeforeTheFirstCheck(t *testing.T) {
	onScene(t, func(s *scene) {
		c := s.calls()
		old := c.check(true)
		_, _, err := c.session.Restart("again", "another password of the caller")
		s.must(err)
		c.ufrag, c.pwd, c.withPwd = "again", "another password of the caller", "another password of the caller"
		socket := c.at(home)
		s.sends(socket, old)
		if s.drops("unknown_ufrag") != 1 || c.session.Path().IsValid() {
			s.Error("the first offer's credentials still work")
		}
		s.sends(socket, c.check(true))
		if c.session.Path() != home {
			s.Errorf("path %s", c.session.Path())
		}
	})
}

// TestReplayedChecksCauseFewOfOurs: whoever has captured one check can make us answer to any address, but not ask at
// every one of them, too.
func TestReplayedChecksCauseFewOfOurs(t *testing.T) {
	onScene(t, func(s *scene) {
		g := s.joins(home, client.Config{})
		s.mu.Lock()
		check := s.captured[home]
		s.mu.Unlock()
		before := s.checks.Load()
		for i := range 200 {
			victim, err := s.net.Listen(netip.AddrPortFrom(street.Addr(), uint16(6000+i)))
			s.must(err)
			s.sends(victim, check)
		}
		if n := s.checks.Load() - before; n == 0 || n > 20 {
			s.Errorf("%d checks in one second", n)
		}
		s.after(2 * time.Second)
		s.must(s.net.Rebind(g.socket, cafe)) // and the guest is followed all the same
		s.after(10 * time.Second)
		s.wantTold(g.owner, "secured", "moved to "+cafe.String())
		g.speakAndHear()
	})
}
