package engine

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"
	"stentor/bench/client"
	"stentor/engine/control"
	"stentor/transport/simnet"
)

func TestReorderingOnTheWayInIsMended(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		s.net.SetLink(ann.socket.LocalAddr().Addr(), serverAddr.Addr(),
			simnet.Link{Delay: 30 * time.Millisecond, Jitter: 25 * time.Millisecond, Reorder: true, Duplicate: 0.1})
		s.talk(10*time.Second, map[*person]int{ann: -20})
		s.wait(time.Second)
		got := bob.heard()
		s.gapless(got)
		if v := bob.voices(got); v["ann"] != 500 {
			t.Errorf("bob got %d frames of 500", v["ann"])
		}
	})
}

func TestLossOnTheWayInIsAGapThatListenersSee(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		s.net.SetLink(ann.socket.LocalAddr().Addr(), serverAddr.Addr(), simnet.Link{Loss: 0.05})
		s.talk(20*time.Second, map[*person]int{ann: -20})
		s.wait(100 * time.Millisecond)
		got := bob.heard()
		missing := 0
		for i := 1; i < len(got); i++ {
			if got[i].size < 2 || got[i-1].size < 2 {
				continue // a sign of silence
			}
			frames, seqs := got[i].frame-got[i-1].frame, got[i].Seq-got[i-1].Seq
			if uint32(seqs) != frames {
				t.Fatalf("%d frames on, the sequence is %d on", frames, seqs)
			}
			if ts := got[i].Timestamp - got[i-1].Timestamp; ts != frames*960 {
				t.Fatalf("%d frames on, the timestamp is %d on", frames, ts)
			}
			missing += int(frames) - 1
		}
		if missing < 20 || missing > 90 {
			t.Errorf("%d of 1000 frames are missing at 5 %% loss", missing)
		}
		if up := ann.state().Uplink; up.Lost < 20 || up.Lost > 90 {
			t.Errorf("peer.get tells of %d lost packets", up.Lost)
		}
	})
}

func TestAPeerWhoseAddressChangesGoesOnHearing(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		s.talk(time.Second, map[*person]int{ann: -20})
		to := netip.MustParseAddrPort("10.9.9.9:40000") // from Wi-Fi to mobile
		s.must(s.net.Rebind(bob.socket, to))
		bob.heard()
		s.talk(15*time.Second, map[*person]int{ann: -20}) // a consent check comes every 5 s
		got := bob.heard()
		if len(got) < 400 {
			t.Errorf("bob got %d packets of 750 after he had moved", len(got))
		}
		if last := got[len(got)-1]; last.frame != ann.frame-1 {
			t.Errorf("the last frame bob heard is %d of %d", last.frame, ann.frame)
		}
		if path := bob.state().Path.Remote; path != to.String() {
			t.Errorf("the path is %s, want %s", path, to)
		}
		// The speaker moves too, and nobody is asked for a signal.
		s.must(s.net.Rebind(ann.socket, netip.MustParseAddrPort("10.9.9.10:40000")))
		s.talk(8*time.Second, map[*person]int{ann: -20})
		bob.heard()
		s.talk(time.Second, map[*person]int{ann: -20})
		if v := bob.voices(bob.heard()); v["ann"] != 50 {
			t.Errorf("bob hears %d frames of 50 from where ann has gone", v["ann"])
		}
	})
}

func TestConsentLostEndsAPeerAndSilenceIsTold(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		cursor := s.engine.Events().Cursor()
		s.net.SetLink(bob.socket.LocalAddr().Addr(), netip.Addr{}, simnet.Link{Down: true})
		s.wait(15 * time.Second)
		equal(t, s.eventsAfter(cursor), []string{"peer.disconnected r/bob"})
		s.wait(20 * time.Second)
		equal(t, s.eventsAfter(cursor), []string{"peer.disconnected r/bob", "peer.left r/bob consent_lost"})
		if st := ann.state(); st.State != control.StateConnected {
			t.Errorf("ann is %s", st.State)
		}
	})
}

func TestAFiveSecondOutageLosesNoSession(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		cursor := s.engine.Events().Cursor()
		down := simnet.Link{Down: true}
		host := bob.socket.LocalAddr().Addr()
		s.net.SetLink(host, netip.Addr{}, down)
		s.net.SetLink(netip.Addr{}, host, down)
		s.wait(5 * time.Second)
		s.net.SetLink(host, netip.Addr{}, simnet.Link{})
		s.net.SetLink(netip.Addr{}, host, simnet.Link{})
		s.talk(500*time.Millisecond, map[*person]int{ann: -20})
		if v := bob.voices(bob.heard()); v["ann"] != 25 {
			t.Errorf("bob hears %d frames of 25 after the outage", v["ann"])
		}
		equal(t, s.eventsAfter(cursor), []string{"peer.speaking r/ann true", "slots.changed r"})
	})
}

func TestAWrongFingerprintIsRefusedBeforeAnyMedia(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		bob := s.joins("r", "bob", listener)
		mal := s.comes("mal", func(c *client.Config) {
			c.Fingerprint = "sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":")
		})
		cursor := s.engine.Events().Cursor()
		res, err := s.engine.PeerJoin(s.Context(), &control.PeerJoinParams{Room: "r", Peer: "mal", MaySpeak: true, SDP: mal.client.Offer()})
		s.must(err)
		ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
		defer cancel()
		if err := mal.client.Connect(ctx, res.SDP); err == nil {
			for range 10 { // the client may think that it is connected: the server decides
				_ = mal.client.Send(client.Frame{Payload: client.TestFrame(9, 1, 80), LevelDBov: -10})
			}
		}
		s.wait(time.Second)
		equal(t, s.eventsAfter(cursor), []string{"peer.joined r/mal", "peer.left r/mal dtls_failed"})
		if got := bob.heard(); len(got) != 0 {
			t.Errorf("bob got %d packets", len(got))
		}
	})
}

func TestTheFallbackProfileServesBothWays(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		old := func(c *client.Config) {
			c.Profiles = []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}
		}
		ann := s.joinsWith("r", "ann", speaker, old)
		bob := s.joinsWith("r", "bob", listener, old)
		cem := s.joins("r", "cem", listener)
		s.talk(2*time.Second, map[*person]int{ann: -20})
		for _, p := range []*person{bob, cem} {
			got := p.heard()
			s.gapless(got)
			if v := p.voices(got); v["ann"] != 100 {
				t.Errorf("%s hears %d frames of 100", p.name, v["ann"])
			}
		}
		if got := bob.state().Path.SRTPProfile; got != "AES128_CM_HMAC_SHA1_80" {
			t.Errorf("bob's profile is %s", got)
		}
		if got := cem.state().Path.SRTPProfile; got != "AEAD_AES_128_GCM" {
			t.Errorf("cem's profile is %s", got)
		}
	})
}

func TestPeersWithoutSSRCOrLevelOrEnoughLinesAreServed(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joinsWith("r", "ann", speaker, func(c *client.Config) { c.NoSSRC, c.NoAudioLevel = true, true })
		bob := s.joins("r", "bob", speaker)
		one := s.joinsWith("r", "one", listener, func(c *client.Config) { c.Lines, c.NoAudioLevel = 1, true })
		many := s.joinsWith("r", "many", listener, func(c *client.Config) { c.Lines = 6 })
		s.talk(time.Second, map[*person]int{ann: -20})
		if v := one.voices(one.heard()); v["ann"] != 50 {
			t.Errorf("on one line: %v, want 50 of ann", v)
		}
		s.wait(time.Second)
		one.heard()
		many.heard()
		s.talk(time.Second, map[*person]int{bob: -20}) // in whichever slot: the one line carries it
		got := one.heard()
		s.gapless(got)
		if v := one.voices(got); v["bob"] != 50 {
			t.Errorf("on one line: %v, want 50 of bob", v)
		}
		s.talk(time.Second, map[*person]int{ann: -20, bob: -20})
		s.gapless(one.heard())
		got = many.heard()
		s.gapless(got)
		if v := many.voices(got); v["ann"] != 50 || v["bob"] != 100 {
			t.Errorf("on six lines: %v, want all of both", v)
		}
	})
}

func TestAnICERestartKeepsEverythingButThePath(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		s.talk(time.Second, map[*person]int{ann: -20})
		offer := bob.client.RestartOffer()
		params := &control.PeerRestartParams{Room: "r", Peer: "bob", SDP: offer}
		res, err := s.engine.PeerRestart(s.Context(), params)
		s.must(err)
		again, err := s.engine.PeerRestart(s.Context(), params)
		s.must(err)
		if *again != *res {
			t.Error("the same restart gives another answer")
		}
		s.talk(time.Second, map[*person]int{ann: -20}) // media does not wait for it
		s.must(s.net.Rebind(bob.socket, netip.MustParseAddrPort("10.9.9.9:40000")))
		done := make(chan error, 1)
		go func() { done <- bob.client.Restart(s.Context(), res.SDP) }()
		s.talk(2*time.Second, map[*person]int{ann: -20})
		s.must(<-done)
		bob.heard()
		s.talk(time.Second, map[*person]int{ann: -20})
		got := bob.heard()
		s.gapless(got)
		if v := bob.voices(got); v["ann"] != 50 {
			t.Errorf("after the restart bob hears %d frames of 50", v["ann"])
		}
		if st := bob.client.Stats(); st.DecryptFailures != 0 {
			t.Errorf("%d packets did not decrypt", st.DecryptFailures)
		}
		_, err = s.engine.PeerRestart(s.Context(), &control.PeerRestartParams{Room: "r", Peer: "bob", SDP: ann.client.Offer()})
		s.refused(err, control.ReasonSDPUnsupported)
	})
}

func TestReportsGoBothWays(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		link := simnet.Link{Delay: 40 * time.Millisecond}
		s.net.SetLink(netip.Addr{}, bob.socket.LocalAddr().Addr(), link)
		s.talk(12*time.Second, map[*person]int{ann: -20})
		if rtt := bob.state().Downlink.RTTMs; rtt < 38 || rtt > 43 {
			t.Errorf("bob's round trip is %.1f ms, want 40", rtt)
		}
		if n := bob.state().Downlink.Packets; n < 550 || n > 601 {
			t.Errorf("bob's downlink counts %d packets of 600", n)
		}
		sb, sa := bob.client.Stats(), ann.client.Stats()
		if sb.SenderReports < 2 {
			t.Errorf("bob got %d sender reports in 12 s", sb.SenderReports)
		}
		if sa.ReceiverReports < 10 {
			t.Errorf("ann got %d receiver reports in 12 s", sa.ReceiverReports)
		}
	})
}

func TestShutdownSaysGoodbye(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		s.talk(time.Second, map[*person]int{ann: -20})
		_, err := s.engine.Drain(s.Context(), &control.DrainParams{DeadlineS: 5})
		s.must(err)
		_, err = s.engine.RoomOpen(s.Context(), &control.RoomOpenParams{Room: "new"})
		s.refused(err, control.ReasonDraining)
		s.talk(2*time.Second, map[*person]int{ann: -20})
		bob.heard()
		s.wait(5 * time.Second)
		for _, p := range []*person{ann, bob} {
			select {
			case <-p.client.Closed():
			default:
				t.Errorf("%s was not told by close_notify", p.name)
			}
		}
		if st := bob.client.Stats(); st.Byes == 0 {
			t.Error("bob got no BYE")
		}
		synctest.Wait()
	})
}
