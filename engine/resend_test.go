package engine

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"stentor/bench/client"
	"stentor/bench/impair/model"
	"stentor/forward/cc"
	"stentor/transport/simnet"
)

// worsens gives a listener's downlink a network.
func (s *stage) worsens(p *person, seed uint64, c model.Conditions) {
	s.net.SetLink(serverAddr.Addr(), p.socket.LocalAddr().Addr(),
		simnet.Link{Path: path{model.New(seed, []model.Step{{Conditions: c}}, time.Now())}})
}

// misses is the share of a speaker's frames from a number on that somebody has not heard.
func (s *stage) misses(p, speaker *person, from uint32) float64 {
	came := map[uint32]bool{}
	for _, so := range s.sounds(p.heard()) {
		if so.speaker == speaker.id && so.frame >= from {
			came[so.frame] = true
		}
	}
	return 1 - float64(len(came))/float64(speaker.frame-from)
}

// Who asks for what is lost gets it, with the controller or without, and whatever his profile is.
func TestWhoAsksForWhatIsLostGetsIt(t *testing.T) {
	for _, adapt := range []bool{false, true} {
		onStageWith(t, func(c *Config) { c.Adapt = adapt }, func(s *stage) {
			s.open("r", 3)
			ann := s.joins("r", "ann", speaker)
			bob := s.joinsWith("r", "bob", listener, func(c *client.Config) { c.NACK, c.AutoRTCP, c.NoRedundancy = true, true, true })
			s.worsens(bob, 1, model.Conditions{Delay: 30 * time.Millisecond, Loss: 0.1})
			s.talk(10*time.Second, map[*person]int{ann: -20})
			bob.heard()
			from := ann.frame
			s.talk(30*time.Second, map[*person]int{ann: -20})
			if missing := s.misses(bob, ann, from); missing > 0.015 {
				t.Errorf("controller %v: %.1f %% of the frames are missing", adapt, 100*missing)
			}
			s.wait(2 * time.Second)
			st, asked := bob.state().Downlink, bob.client.Stats().Nacked
			if st.Nacks < 150 || st.Nacks > asked || st.Resent < st.Nacks || st.Resent > 2*st.Nacks {
				t.Errorf("controller %v: asked %d times for %d packets, %d were sent again", adapt, asked, st.Nacks, st.Resent)
			}
			if st := bob.client.Stats(); st.DecryptFailures > 0 || st.Duplicates > 20 {
				t.Errorf("%d packets could not be read, %d came twice", st.DecryptFailures, st.Duplicates)
			}
			if q := bob.state().Quality; adapt && (q.Rung != "live" || q.Redundancy != 0) {
				t.Errorf("bob is on %+v", q)
			}
		})
	}
}

// TestAFloodOfNacksCostsLittleAndNobodyElse lets one listener ask for all numbers of all streams, his own, another room's
// and made-up ones, over and over. Each message asks for 4,250 numbers and is looked through for the last 64 alone: of what he was
// sent few are seen.
func TestAFloodOfNacksCostsLittleAndNobodyElse(t *testing.T) {
	adaptsOnStage(t, func(s *stage) {
		s.open("r", 2)
		s.open("other", 2)
		ann, cem := s.joins("r", "ann", speaker), s.joins("other", "cem", speaker)
		mal := s.joinsWith("r", "mal", speaker, func(c *client.Config) { c.NACK, c.TWCC = true, true })
		bob := s.joins("r", "bob", listener)
		levels := map[*person]int{ann: -20, cem: -20, mal: -25}
		s.talk(time.Second, levels)
		ssrcs := []uint32{1, mal.client.SSRC(), ann.client.SSRC()}
		for _, room := range []string{"r", "other"} {
			ssrcs = append(ssrcs, s.engine.rooms[room].fwd.SSRCs()...)
		}
		mal.heard()
		bob.heard()
		for range 10 {
			for i := range 50 {
				s.flood(mal.client, ssrcs[i%len(ssrcs)])
				s.talk(frameTime, levels)
			}
		}
		s.wait(2 * time.Second)
		for _, h := range mal.heard() {
			if h.speaker == mal.id || h.speaker == cem.id {
				t.Fatalf("a NACK has brought a frame of speaker %d", h.speaker)
			}
		}
		got := bob.heard()
		s.gapless(got)
		if v := bob.voices(got); v["ann"] != 500 || v["mal"] != 500 {
			t.Errorf("bob heard %v, 500 of each were said", v)
		}
		st := mal.state().Downlink
		if d := mal.client.Stats().Duplicates; d != st.Resent || st.Resent > st.Packets/4+20 {
			t.Errorf("of %d packets %d were sent again, %d came twice", st.Packets, st.Resent, d)
		}
		if st.Nacks > st.Packets/2 {
			t.Errorf("%d of %d packets were looked for", st.Nacks, st.Packets)
		}
		if got := s.unknown(); got < 500*(1<<16)-st.Packets {
			t.Errorf("%d numbers were refused", got)
		}
		if st := bob.state().Downlink; st.Resent != 0 {
			t.Errorf("bob was sent %d packets again", st.Resent)
		}
	})
}

// unknown is how many numbers were asked for that nobody has.
func (s *stage) unknown() (n uint64) {
	for _, sh := range s.engine.plane.Stats(time.Now()).Shards {
		n += sh.Refused[cc.RefusedUnknown]
	}
	return n
}

// flood asks for all numbers of a stream.
func (s *stage) flood(c *client.Client, ssrc uint32) {
	for first := 0; first < 1<<16; first += 250 * 17 {
		nack := &rtcp.TransportLayerNack{SenderSSRC: c.SSRC(), MediaSSRC: ssrc}
		for seq := first; seq < first+250*17; seq += 17 {
			nack.Nacks = append(nack.Nacks, rtcp.NackPair{PacketID: uint16(seq), LostPackets: 0xffff})
		}
		s.must(c.SendRTCP(nack))
	}
}
