package transport_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"

	"stentor/bench/client"
	"stentor/transport"
	"stentor/transport/sdp"
	"stentor/transport/simnet"
)

func TestAGuestConnectsAndIsHeardUnderEachProfile(t *testing.T) {
	for name, p := range map[string]dtls.SRTPProtectionProfile{
		"AEAD_AES_128_GCM": dtls.SRTP_AEAD_AES_128_GCM, "AES128_CM_HMAC_SHA1_80": dtls.SRTP_AES128_CM_HMAC_SHA1_80,
	} {
		t.Run(name, func(t *testing.T) {
			onScene(t, func(s *scene) {
				g, answer := s.comes(home, client.Config{Profiles: []dtls.SRTPProtectionProfile{p}})
				if g.session.Path().IsValid() || g.session.Profile() != "" {
					s.Errorf("before the first check: path %s, profile %q", g.session.Path(), g.session.Profile())
				}
				s.must(g.client.Connect(s.Context(), answer))
				<-g.secured
				if got := g.session.Profile(); got != name {
					s.Errorf("profile %q", got)
				}
				if got := g.session.Path(); got != home {
					s.Errorf("path %s", got)
				}
				g.speakAndHear()
				s.must(g.client.SendRTCP(&rtcp.ReceiverReport{SSRC: g.client.SSRC()}))
				s.settle()
				if g.reports.Load() != 1 {
					s.Error("the report was not opened")
				}
				if got := time.Since(g.session.LastSeen()); got != 0 {
					s.Errorf("last seen %s ago", got)
				}
				s.wantTold(g.owner, "secured")
				if c := s.endpoint.Counters(); c.Handshakes.Load() != 1 || c.HandshakesFailed.Load() != 0 {
					s.Errorf("%d handshakes, %d failed", c.Handshakes.Load(), c.HandshakesFailed.Load())
				}
			})
		})
	}
}

func TestGCMIsChosenBeforeCM(t *testing.T) {
	onScene(t, func(s *scene) {
		g := s.joins(home, client.Config{Profiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM}})
		if got := g.session.Profile(); got != "AEAD_AES_128_GCM" {
			s.Errorf("profile %q", got)
		}
	})
}

func TestAGuestConnectsByIPv6(t *testing.T) {
	onSceneAt(t, transport.Config{}, netip.MustParseAddrPort("[2001:db8::1]:7900"), func(s *scene) {
		g := s.joins(netip.MustParseAddrPort("[2001:db8::2]:5000"), client.Config{})
		g.speakAndHear()
		ufrag, pwd := g.session.Credentials()
		stranger, err := s.net.Listen(home)
		s.must(err)
		s.sends(stranger, bindingRequest(ufrag+":x", pwd, true))
		if s.drops("unknown_ufrag") != 1 {
			s.Error("a check by a family that is not advertised was taken")
		}
	})
}

func TestAForeignCertificateEndsTheSession(t *testing.T) {
	lie := "sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":")
	onScene(t, func(s *scene) {
		g, answer := s.comes(home, client.Config{Fingerprint: lie})
		_ = g.client.Connect(s.Context(), answer) // the client's side may be done before the server has looked
		<-g.ended
		s.settle()
		s.wantTold(g.owner, "ended without DTLS")
		if g.session.Profile() != "" || s.endpoint.Counters().HandshakesFailed.Load() != 1 || s.endpoint.Counters().Handshakes.Load() != 0 {
			s.Error("the handshake counts as a success")
		}
		s.sends(g.socket, append([]byte{0x80, 111}, make([]byte, 40)...))
		if s.drops("not_secured") != 1 || g.heard.Load() != 0 {
			s.Error("media was taken")
		}
	})
}

func TestWhoSaysGoodbyeEndsTheSession(t *testing.T) {
	onScene(t, func(s *scene) {
		g := s.joins(home, client.Config{})
		g.client.Close()
		<-g.ended
		s.wantTold(g.owner, "secured", "ended by the peer")
	})
}

func TestWhoOnlySpeaksICEEndsAfterFifteenSeconds(t *testing.T) {
	onScene(t, func(s *scene) {
		c := s.calls()
		s.sends(c.at(home), c.check(true))
		s.after(14 * time.Second)
		s.wantTold(c.owner)
		s.after(2 * time.Second)
		s.wantTold(c.owner, "ended without DTLS")
	})
}

func TestMediaBeforeItsTimeIsDroppedAndCounted(t *testing.T) {
	voice, record := append([]byte{0x80, 111}, make([]byte, 40)...), append([]byte{22, 254, 253}, make([]byte, 40)...)
	report := append([]byte{0x80, 201}, make([]byte, 40)...)
	onScene(t, func(s *scene) {
		c := s.calls()
		socket := c.at(home)
		for i, b := range [][]byte{voice, report, record} {
			s.sends(socket, b)
			if got := s.drops("unknown_address"); got != uint64(i+1) {
				s.Errorf("%d drops from an unknown address, want %d", got, i+1)
			}
		}
		s.sends(socket, c.check(true))
		s.sends(socket, voice)
		s.sends(socket, report)
		if s.drops("not_secured") != 2 {
			s.Error("media before DTLS was taken")
		}
		s.sends(socket, []byte("GET / HTTP/1.1\r\n\r\n"))
		s.sends(socket, nil)
		if s.drops("unknown_kind") != 2 {
			s.Errorf("%d of an unknown kind", s.drops("unknown_kind"))
		}
		for range 100 { // more than a queue that nobody reads would hold
			s.must(socket.WriteTo(record, studio))
		}
		s.settle()
		if s.endpoint.Counters().Kinds[transport.KindDTLS].Load() != 101 {
			s.Error("records were not counted")
		}
	})
}

func TestACheckThatIsReplayedFromElsewhereTakesNothing(t *testing.T) {
	onScene(t, func(s *scene) {
		ann, bob := s.joins(home, client.Config{}), s.joins(cafe, client.Config{})
		s.mu.Lock()
		check := s.captured[home] // with USE-CANDIDATE
		s.mu.Unlock()
		for range 5 {
			s.sends(bob.socket, check) // as if from Bob's address
		}
		s.after(time.Second)
		if got := bob.client.Stats().RequestsRefused; got == 0 {
			s.Fatal("Bob was never asked whether the address is Ann's")
		}
		ann.speakAndHear()
		bob.speakAndHear()
		if ann.session.Path() != home || bob.session.Path() != cafe {
			s.Errorf("paths %s and %s", ann.session.Path(), bob.session.Path())
		}
		ann.session.Close()
		bob.speakAndHear()
		if s.drops("unauthentic") != 0 {
			s.Error("Bob's media was taken for Ann's")
		}
	})
}

// TestAnAnswerWithoutThePasswordMovesNobody: whoever has captured a check can send it again from an address of theirs,
// receive our check there and answer it; but not as one who knows the password.
func TestAnAnswerWithoutThePasswordMovesNobody(t *testing.T) {
	for name, pwd := range map[string]string{"no MESSAGE-INTEGRITY": "", "another password": "guessed"} {
		t.Run(name, func(t *testing.T) {
			onScene(t, func(s *scene) {
				c := s.calls()
				genuine, thief := c.at(home), c.at(street)
				s.sends(genuine, c.check(true))
				c.withPwd = pwd // the genuine one is verified by now
				for range 10 {
					s.sends(thief, c.check(false))
					s.sends(thief, c.check(true))
					s.after(time.Second) // the path is silent
				}
				if c.session.Path() != home {
					s.Error("media goes to the thief")
				}
				s.wantTold(c.owner)
				if s.drops("unknown_check") == 0 {
					s.Error("the thief was not asked")
				}
			})
		})
	}
}

func TestAnAddressGoesOverToWhoAnswersFromIt(t *testing.T) {
	onScene(t, func(s *scene) {
		ann := s.joins(home, client.Config{})
		ann.client.Abort() // a NAT gives her address to another
		bob := s.joins(home, client.Config{})
		bob.speakAndHear()
		ann.session.Close()
		bob.speakAndHear()
	})
}

func TestAnAnswerThatComesTooLateForItsAddressChangesNothing(t *testing.T) {
	onScene(t, func(s *scene) {
		host, guest := s.calls(), s.calls()
		socket := host.at(home)
		s.sends(socket, host.check(true)) // the address is the host's
		host.answers.Store(false)
		s.sends(socket, guest.check(false)) // the guest claims it
		check := <-host.unanswered
		for i := range 8 { // and then comes from everywhere else
			s.sends(guest.at(netip.AddrPortFrom(street.Addr(), uint16(6000+i))), guest.check(false))
		}
		s.sends(socket, answerTo(check, guest.pwd))
		s.sends(socket, append([]byte{0x80, 111}, make([]byte, 40)...))
		if s.drops("not_secured") != 1 {
			s.Error("the address is nobody's")
		}
	}) // and the scene ends without an address left
}

func TestAReboundGuestIsFollowedOnce(t *testing.T) {
	onScene(t, func(s *scene) {
		g := s.joins(home, client.Config{})
		s.must(s.net.Rebind(g.socket, street))
		s.after(time.Minute)
		s.wantTold(g.owner, "secured", "moved to "+street.String())
		if s.endpoint.Counters().Moves.Load() != 1 {
			s.Errorf("%d moves", s.endpoint.Counters().Moves.Load())
		}
		g.speakAndHear()
		s.must(s.net.Rebind(g.socket, home)) // and back
		s.after(time.Minute)
		s.wantTold(g.owner, "secured", "moved to "+street.String(), "moved to "+home.String())
		g.speakAndHear()
	})
}

func TestANominationMovesThePathAtOnce(t *testing.T) {
	onScene(t, func(s *scene) {
		c := s.calls()
		s.sends(c.at(home), c.check(true))
		s.sends(c.at(street), c.check(true))
		s.wantTold(c.owner, "moved to "+street.String())
	})
}

func TestWithoutANominationThePathMovesWhenTheOldOneIsSilent(t *testing.T) {
	onScene(t, func(s *scene) {
		c := s.calls()
		old, next := c.at(home), c.at(street)
		s.sends(old, c.check(true))
		s.sends(next, c.check(false))
		s.sends(next, c.check(false)) // the path is new: it has had no time to be silent
		s.wantTold(c.owner)
		for range 5 { // both are alive
			s.sends(old, c.check(false))
			s.sends(next, c.check(false))
			s.after(1500 * time.Millisecond)
		}
		s.wantTold(c.owner)
		s.after(time.Second) // 2.5 s of silence on the old one
		s.sends(next, c.check(false))
		s.sends(next, c.check(false))
		s.wantTold(c.owner, "moved to "+street.String())
		if c.session.Path() != street {
			s.Errorf("path %s", c.session.Path())
		}
	})
}

func TestMediaKeepsThePath(t *testing.T) {
	onScene(t, func(s *scene) {
		g := s.joins(home, client.Config{})
		offer, err := sdp.ParseOffer(g.client.Offer())
		s.must(err)
		other := &caller{owner: g.owner, scene: s, ufrag: offer.Ufrag, withPwd: offer.Pwd, unanswered: make(chan []byte, 100)}
		other.answers.Store(true)
		socket := other.at(street)
		for range 9 { // and no consent check in the first 5 s
			s.must(g.client.Send(client.Frame{Payload: []byte("hello")}))
			s.sends(socket, other.check(false))
			s.after(500 * time.Millisecond)
		}
		if other.checks.Load() == 0 {
			s.Fatal("the other address was never asked")
		}
		s.wantTold(g.owner, "secured")
	})
}

func TestAnAnswerFromElsewhereIsNone(t *testing.T) {
	onScene(t, func(s *scene) {
		c := s.calls()
		c.answers.Store(false)
		asked, other := c.at(home), c.at(street)
		s.sends(asked, c.check(true))
		answer := answerTo(<-c.unanswered, c.pwd)
		s.sends(other, answer)
		if s.drops("unknown_check") != 1 || c.session.Path().IsValid() {
			s.Error("an answer from elsewhere was taken")
		}
		s.sends(asked, answer)
		if c.session.Path() != home {
			s.Error("the answer was not taken")
		}
		s.sends(asked, answer)
		if s.drops("unknown_check") != 2 {
			s.Error("the answer was taken twice")
		}
	})
}

func TestTheFirstCheckFromElsewhereMovesNobodyUntilOursIsAnswered(t *testing.T) {
	onScene(t, func(s *scene) {
		c := s.calls()
		s.sends(c.at(home), c.check(true))
		c.answers.Store(false)
		next := c.at(street)
		for range 5 {
			s.after(time.Second)
			s.sends(next, c.check(true))
			s.sends(next, c.check(false))
		}
		s.wantTold(c.owner)
	})
}

func TestThePathIsCheckedOnce(t *testing.T) {
	onScene(t, func(s *scene) {
		g := s.joins(home, client.Config{})
		before := s.checks.Load()
		if before == 0 || before > 2 {
			s.Errorf("%d checks of a guest with one address", before)
		}
		s.after(5 * time.Minute) // with 60 consent checks
		if n := s.checks.Load() - before; n != 0 {
			s.Errorf("%d more checks in 5 minutes", n)
		}
		if g.client.Stats().ConsentAnswered < 55 {
			s.Errorf("%d consents", g.client.Stats().ConsentAnswered)
		}
		g.speakAndHear()
	})
}

// TestAnAnswerThatTheAgentMissedIsAskedForAgain: the agent forgets a check after 4 s; with 5.2 s there and back at first
// it never sees an answer in time.
func TestAnAnswerThatTheAgentMissedIsAskedForAgain(t *testing.T) {
	onScene(t, func(s *scene) {
		slow := simnet.Link{Delay: 2600 * time.Millisecond}
		s.net.SetLink(home.Addr(), studio.Addr(), slow)
		s.net.SetLink(studio.Addr(), home.Addr(), slow)
		c := s.calls()
		socket := c.at(home)
		s.sends(socket, c.check(true))
		s.after(10 * time.Second)
		s.net.SetLink(home.Addr(), studio.Addr(), simnet.Link{})
		s.net.SetLink(studio.Addr(), home.Addr(), simnet.Link{})
		s.sends(socket, c.check(true))
		if c.session.Path() != home {
			s.Errorf("path %s", c.session.Path())
		}
	})
}

func TestARestartKeepsThePathAndThenMoves(t *testing.T) {
	onScene(t, func(s *scene) {
		g := s.joins(home, client.Config{})
		oldUfrag, oldPwd := g.session.Credentials()
		answer := g.answer(g.client.RestartOffer())
		g.speakAndHear() // the answer is not there yet
		if ufrag, _ := g.session.Credentials(); ufrag == oldUfrag {
			s.Error("the credentials are the old ones")
		}
		stranger, err := s.net.Listen(cafe)
		s.must(err)
		s.sends(stranger, bindingRequest(oldUfrag+":x", oldPwd, true))
		if s.drops("unknown_ufrag") == 0 {
			s.Error("a check with the old credentials was taken")
		}
		s.must(s.net.Rebind(g.socket, street)) // Wi-Fi to mobile, which is why browsers restart
		s.must(g.client.Restart(s.Context(), answer))
		s.settle() // our own check comes behind the client's
		g.speakAndHear()
		s.wantTold(g.owner, "secured", "moved to "+street.String())
		checks := s.checks.Load()
		s.must(g.client.Restart(s.Context(), g.answer(g.client.RestartOffer()))) // once more, without moving
		s.settle()
		if s.checks.Load() == checks {
			s.Error("a new generation has not checked the path")
		}
		g.speakAndHear()
		s.wantTold(g.owner, "secured", "moved to "+street.String())
		if sessions, _, _ := s.endpoint.Size(); sessions != 1 {
			s.Errorf("%d user fragments", sessions)
		}
		if s.endpoint.Counters().Handshakes.Load() != 1 {
			s.Error("DTLS has noticed")
		}
	})
}

func TestCloseSaysGoodbyeAndForgetsEverything(t *testing.T) {
	onScene(t, func(s *scene) {
		g := s.joins(home, client.Config{})
		ufrag, pwd := g.session.Credentials()
		g.session.Close()
		if sessions, addrs, checks := s.endpoint.Size(); sessions+addrs+checks != 0 {
			s.Errorf("%d sessions, %d addresses, %d checks", sessions, addrs, checks)
		}
		<-g.client.Closed()
		s.wantTold(g.owner, "secured")
		g.session.Close() // again is nothing
		before := s.drops("unknown_ufrag")
		s.sends(g.socket, bindingRequest(ufrag+":x", pwd, true))
		s.sends(g.socket, append([]byte{0x80, 111}, make([]byte, 40)...))
		if s.drops("unknown_ufrag") != before+1 || s.drops("unknown_address") == 0 {
			s.Error("the closed session still takes something")
		}
		if _, _, err := g.session.Restart("ufrag", "a password of some length"); err == nil {
			s.Error("a closed session restarts")
		}
	})
}

func TestAddressesAndChecksAreBounded(t *testing.T) {
	onScene(t, func(s *scene) {
		c := s.calls()
		c.answers.Store(false)
		first := c.at(home)
		for i := range 100 {
			s.sends(c.at(netip.AddrPortFrom(street.Addr(), uint16(6000+i))), c.check(false))
			if sessions, addrs, checks := s.endpoint.Size(); sessions != 1 || addrs > 8 || checks > 8 {
				s.Fatalf("after %d addresses: %d sessions, %d addresses, %d checks", i+1, sessions, addrs, checks)
			}
		}
		c.answers.Store(true)
		s.sends(first, c.check(true))
		for i := range 100 {
			s.sends(c.at(netip.AddrPortFrom(cafe.Addr(), uint16(6000+i))), c.check(false))
		}
		before := s.drops("unknown_address")
		s.sends(first, append([]byte{0x80, 111}, make([]byte, 40)...))
		if s.drops("unknown_address") != before || c.session.Path() != home {
			s.Error("the path was displaced")
		}
	})
}

func TestAFloodOfSTUNChangesNothing(t *testing.T) {
	onScene(t, func(s *scene) {
		ann := s.joins(home, client.Config{})
		ufrag, _ := ann.session.Credentials()
		flood, err := s.net.Listen(street)
		s.must(err)
		sessions, addrs, checks := s.endpoint.Size()
		sent := s.net.Counters().Sent
		for i := range 1000 {
			s.must(flood.WriteTo(bindingRequest("nobody:x", "password", true), studio))
			s.must(flood.WriteTo(bindingRequest(ufrag+":x", "wrong password", true), studio))
			s.must(flood.WriteTo(answerTo(binary.BigEndian.AppendUint64(make([]byte, 12), uint64(i)), "password"), studio))
		}
		s.settle()
		if a, b, c := s.endpoint.Size(); a != sessions || b != addrs || c != checks {
			s.Errorf("%d sessions, %d addresses, %d checks; before %d, %d, %d", a, b, c, sessions, addrs, checks)
		}
		if got := s.net.Counters().Sent - sent; got != 3000 {
			s.Errorf("%d datagrams were sent in answer", got-3000)
		}
		if s.drops("unknown_ufrag") != 1000 || s.drops("unknown_check") != 1000 {
			s.Errorf("%d and %d are counted of 1000 each", s.drops("unknown_ufrag"), s.drops("unknown_check"))
		}
		ann.speakAndHear()
		if bob := s.joins(cafe, client.Config{}); bob.session.Path() != cafe {
			s.Error("Bob does not get in")
		}
		s.wantTold(ann.owner, "secured")
	})
}

func TestCloseBeforeTheFirstCheck(t *testing.T) {
	onScene(t, func(s *scene) {
		g, _ := s.comes(home, client.Config{})
		g.session.Close()
		s.wantTold(g.owner)
		if c := s.endpoint.Counters(); c.HandshakesFailed.Load() != 0 {
			s.Error("a handshake failed that never began")
		}
	})
}

func TestCloseDuringTheHandshake(t *testing.T) {
	onScene(t, func(s *scene) {
		c := s.calls()
		s.sends(c.at(home), c.check(true))
		c.session.Close()
		s.wantTold(c.owner)

		g, answer := s.comes(cafe, client.Config{})
		// The hello arrives, what follows it does not: the server is between its flights.
		s.net.SetLink(cafe.Addr(), studio.Addr(), simnet.Link{Delay: 100 * time.Millisecond})
		ctx, cancel := context.WithCancel(s.Context())
		connected := make(chan error)
		go func() { connected <- g.client.Connect(ctx, answer) }()
		s.after(150 * time.Millisecond)
		s.net.SetLink(cafe.Addr(), studio.Addr(), simnet.Link{Down: true})
		s.after(time.Second)
		g.session.Close()
		cancel()
		<-connected
		s.wantTold(g.owner)
		if c := s.endpoint.Counters(); c.HandshakesFailed.Load() != 0 {
			s.Errorf("%d handshakes failed; they were broken off", c.HandshakesFailed.Load())
		}
	})
}

func TestCloseWhileOthersShakeHands(t *testing.T) {
	onSceneAt(t, transport.Config{HandshakesMax: 1}, studio, func(s *scene) {
		holder := s.calls() // has the only place, and says no more than the beginning of a record
		mouth := holder.at(home)
		s.sends(mouth, holder.check(true))
		s.settle()
		s.sends(mouth, []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		s.settle()
		waiter := s.calls()
		s.sends(waiter.at(street), waiter.check(true))
		g, answer := s.comes(cafe, client.Config{})
		connected := make(chan error, 1)
		go func() { connected <- g.client.Connect(s.Context(), answer) }()
		s.after(time.Second)
		waiter.session.Close()
		s.wantTold(waiter.owner)
		s.wantTold(g.owner)
		holder.session.Close()
		s.must(<-connected)
		<-g.secured
		g.speakAndHear()
	})
}

func TestWhoSaysNothingTakesNoPlace(t *testing.T) {
	onSceneAt(t, transport.Config{HandshakesMax: 1}, studio, func(s *scene) {
		silent := s.calls()
		s.sends(silent.at(home), silent.check(true))
		s.settle()
		s.joins(cafe, client.Config{}).speakAndHear()
		silent.session.Close()
		s.wantTold(silent.owner)
	})
}

func TestTheOldGenerationRenewsConsentUntilTheNewOneHasAPath(t *testing.T) {
	onScene(t, func(s *scene) {
		g := s.joins(home, client.Config{})
		answer := g.answer(g.client.RestartOffer())
		s.after(20 * time.Second) // the answer takes its time; the client goes on as it was
		if seen := time.Since(g.session.LastSeen()); seen > 6*time.Second {
			s.Errorf("last seen %v ago", seen)
		}
		g.speakAndHear()
		s.must(g.client.Restart(s.Context(), answer))
		s.settle()
		g.speakAndHear()
		if sessions, _, _ := s.endpoint.Size(); sessions != 1 {
			s.Errorf("%d user fragments: the old one is not forgotten", sessions)
		}
	})
}

func TestRestartAndCloseAtTheSameTime(t *testing.T) {
	onScene(t, func(s *scene) {
		for range 50 {
			c := s.calls()
			restarted := make(chan error)
			go func() {
				_, _, err := c.session.Restart("again", "another password of the caller")
				restarted <- err
			}()
			c.session.Close()
			<-restarted // either way
			if sessions, _, _ := s.endpoint.Size(); sessions != 0 {
				s.Fatalf("%d user fragments are left", sessions)
			}
		}
	})
}

func TestAnEndpointWantsAnAddress(t *testing.T) {
	if _, err := transport.NewEndpoint(transport.Config{}); err == nil {
		t.Error("nothing to advertise, and no error")
	}
}

func TestPollFailsAfterClose(t *testing.T) {
	n := simnet.New(1)
	defer n.Close()
	socket, err := n.Listen(studio)
	if err != nil {
		t.Fatal(err)
	}
	e, err := transport.NewEndpoint(transport.Config{Conn: socket, Advertise: []netip.AddrPort{studio}})
	if err != nil {
		t.Fatal(err)
	}
	e.Interrupt()
	if err := e.Poll(time.Time{}, nil); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := e.Poll(time.Time{}, nil); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if !slices.Equal(e.Candidates(), []netip.AddrPort{studio}) || len(e.Fingerprint()) != 32 {
		t.Error("candidates or fingerprint")
	}
}
