package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"stentor/bench/client"
	"stentor/engine/control"
	"stentor/forward/opus"
	"stentor/transport/simnet"
)

// sound is one Opus frame as a listener's decoder gets it: whose, which, and when it is to be played.
type sound struct {
	speaker uint16
	frame   uint32
	ts      uint32
}

// sounds takes packets apart. Signs of silence are left out. It fails on packets whose frames do not lie side by side.
func (s *stage) sounds(got []heard) (out []sound) {
	s.Helper()
	var p opus.Packet
	for _, h := range got {
		if len(h.Payload) == 0 { // padding that tries the network
			continue
		}
		if err := p.Parse(h.Payload); err != nil {
			s.Fatalf("not an Opus packet: %v: %x", err, h.Payload)
		}
		for i := range p.N {
			one := append([]byte{p.TOC &^ 3}, p.Frame(i)...)
			speaker, frame, ok := client.ParseTestFrame(one)
			if !ok {
				continue
			}
			out = append(out, sound{speaker, frame, h.Timestamp + uint32(i*p.FrameSamples())})
		}
	}
	return out
}

func str(v string) *string { return &v }

func TestPackedListenersHearTheSameWithAThirdOfThePackets(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		levels := map[*person]int{}
		for _, name := range []string{"ann", "bob", "cem"} {
			levels[s.joins("r", name, speaker)] = -20
		}
		live, p60, p120 := s.joins("r", "live", listener), s.joins("r", "p60", listener), s.joins("r", "p120", listener)
		p60.update(control.PeerUpdateParams{Rendition: str("packed60")})
		p120.update(control.PeerUpdateParams{Rendition: str("packed120")})
		s.wait(200 * time.Millisecond)
		s.talk(12*time.Second, levels)
		s.wait(time.Second)
		want := s.sounds(live.heard())
		if len(want) != 3*600 {
			t.Fatalf("live is %d frames, want 1800", len(want))
		}
		for _, c := range []struct {
			p        *person
			from, to int // packets: one each 60 or 120 ms and speaker, a closing one, a few more for jitter
		}{{p60, 600, 640}, {p120, 300, 330}} {
			got := c.p.heard()
			s.gapless(got)
			if n := len(got); n < c.from || n > c.to {
				t.Errorf("%s got %d packets, want %d to %d", c.p.name, n, c.from, c.to)
			}
			s.same(c.p.name, s.sounds(got), want)
		}
	})
}

// same fails unless two listeners have heard the same frames at the same time, in the same order for each speaker.
func (s *stage) same(name string, got, want []sound) {
	s.Helper()
	bySpeaker := func(list []sound) map[uint16][]sound {
		m := map[uint16][]sound{}
		for _, x := range list {
			m[x.speaker] = append(m[x.speaker], x)
		}
		return m
	}
	g, w := bySpeaker(got), bySpeaker(want)
	for _, speaker := range slices.Sorted(maps.Keys(w)) {
		for i := range min(len(g[speaker]), len(w[speaker])) {
			if g[speaker][i] != w[speaker][i] {
				s.Fatalf("%s: sound %d of speaker %d is %+v, live it was %+v", name, i, speaker, g[speaker][i], w[speaker][i])
			}
		}
		if len(g[speaker]) != len(w[speaker]) {
			s.Fatalf("%s: %d sounds of speaker %d, live there were %d", name, len(g[speaker]), speaker, len(w[speaker]))
		}
	}
	if len(g) != len(w) {
		s.Fatalf("%s: %d speakers, live there were %d", name, len(g), len(w))
	}
}

func TestALegThatChangesItsRenditionMissesNothingAndHearsNothingTwice(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			onStage(t, func(s *stage) {
				rng := rand.New(rand.NewPCG(seed, 1))
				s.open("r", 2)
				people := []*person{s.joins("r", "ann", speaker), s.joins("r", "bob", speaker), s.joins("r", "cem", speaker)}
				live, moving := s.joins("r", "live", listener), s.joins("r", "moving", listener)
				for _, p := range people { // what comes in is lost, late and out of order
					s.net.SetLink(p.socket.LocalAddr().Addr(), serverAddr.Addr(), simnet.Link{
						Delay: 20 * time.Millisecond, Jitter: 15 * time.Millisecond, Reorder: true, Loss: 0.02,
					})
				}
				talking := map[*person]int{}
				for range 300 {
					p := people[rng.IntN(len(people))]
					switch rng.IntN(6) {
					case 0:
						talking[p] = -20 - rng.IntN(20)
					case 1:
						talking[p] = -80
					case 2:
						delete(talking, p)
					case 3:
						r := []string{"live", "packed60", "packed120", "default"}[rng.IntN(4)]
						moving.update(control.PeerUpdateParams{Rendition: &r})
					}
					s.talk(time.Duration(1+rng.IntN(8))*frameTime, talking)
				}
				s.wait(2 * time.Second)
				got := moving.heard()
				for i, h := range got { // numbers may have gaps by loss, but never repeat or step back
					for _, was := range got[:i] {
						if was.Line == h.Line && (was.Seq == h.Seq || int32(h.Timestamp-was.Timestamp) <= 0) {
							t.Fatalf("line %d: %d at %d comes after %d at %d", h.Line, h.Seq, h.Timestamp, was.Seq, was.Timestamp)
						}
					}
				}
				s.same("moving", s.sounds(got), s.sounds(live.heard()))
			})
		})
	}
}

func TestJitterDoesNotMakeMorePackets(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		live, p120 := s.joins("r", "live", listener), s.joins("r", "p120", listener)
		p120.update(control.PeerUpdateParams{Rendition: str("packed120")})
		s.net.SetLink(ann.socket.LocalAddr().Addr(), serverAddr.Addr(), simnet.Link{Delay: 10 * time.Millisecond, Jitter: 18 * time.Millisecond})
		s.wait(200 * time.Millisecond)
		s.talk(24*time.Second, map[*person]int{ann: -20})
		s.wait(time.Second)
		got := p120.heard()
		s.gapless(got)
		s.same("p120", s.sounds(got), s.sounds(live.heard()))
		if n := len(got); n > 215 { // 200 of six frames
			t.Errorf("%d packets for 200 × 120 ms", n)
		}
	})
}

func TestSpeakersStayLiveAndListenersGetTheRoomsRendition(t *testing.T) {
	onStage(t, func(s *stage) {
		_, err := s.engine.RoomOpen(s.Context(), &control.RoomOpenParams{Room: "r", DefaultRendition: "packed60"})
		s.must(err)
		ann, bob := s.joins("r", "ann", speaker), s.joins("r", "bob", listener)
		if a, b := ann.state().Rendition, bob.state().Rendition; a != "live" || b != "packed60" {
			t.Errorf("the speaker gets %s, the listener %s", a, b)
		}
		bob.update(control.PeerUpdateParams{MaySpeak: new(bool)}) // as he was
		on := true
		bob.update(control.PeerUpdateParams{MaySpeak: &on})
		if got := bob.state().Rendition; got != "live" {
			t.Errorf("called up, bob gets %s", got)
		}
		bob.update(control.PeerUpdateParams{Rendition: str("packed120")})
		if got := bob.state().Rendition; got != "packed120" {
			t.Errorf("told to, bob gets %s", got)
		}
		bob.update(control.PeerUpdateParams{Rendition: str("default"), MaySpeak: new(bool)})
		if got := bob.state().Rendition; got != "packed60" {
			t.Errorf("back among the listeners, bob gets %s", got)
		}
		s.talk(3*time.Second, map[*person]int{ann: -20})
		s.wait(time.Second)
		if got := bob.heard(); len(got) < 48 || len(got) > 60 {
			t.Errorf("bob got %d packets in 3 s, want some 50", len(got))
		}
	})
}

func TestAnAutoRoomPacksForManyAndSaysSo(t *testing.T) {
	onStage(t, func(s *stage) {
		_, err := s.engine.RoomOpen(s.Context(), &control.RoomOpenParams{Room: "r", DefaultRendition: "auto"})
		s.must(err)
		ann := s.joins("r", "ann", speaker)
		ear := s.joins("r", "ear", listener)
		cursor := s.engine.Events().Cursor()
		var crowd []string
		for i := range packAbove {
			conn, err := s.net.Listen(netip.MustParseAddrPort("10.3.0.1:0"))
			s.must(err)
			c, err := client.New(client.Config{Conn: conn})
			s.must(err)
			s.people = append(s.people, &person{stage: s, client: c})
			res, err := s.engine.PeerJoin(s.Context(), &control.PeerJoinParams{Room: "r", Peer: fmt.Sprint(i), SDP: c.Offer()})
			s.must(err)
			s.must(c.Connect(s.Context(), res.SDP))
			crowd = append(crowd, fmt.Sprint(i))
		}
		s.wait(2 * time.Second)
		told := func() (out []string) {
			for _, line := range s.eventsAfter(cursor) {
				if line == "room.rendition r listeners" {
					out = append(out, line)
				}
			}
			return out
		}
		if n := len(told()); n != 1 || ear.state().Rendition != "packed60" || ann.state().Rendition != "live" {
			t.Fatalf("told %d times; the listener gets %s, the speaker %s", n, ear.state().Rendition, ann.state().Rendition)
		}
		s.talk(3*time.Second, map[*person]int{ann: -20})
		if got := ear.heard(); len(got) > 60 {
			t.Errorf("the listener got %d packets in 3 s", len(got))
		}
		for _, id := range crowd[:packAbove-packBelow-10] { // not few enough: hysteresis
			_, err := s.engine.PeerLeave(s.Context(), &control.PeerParams{Room: "r", Peer: id})
			s.must(err)
		}
		s.wait(2 * time.Second)
		if n := len(told()); n != 1 {
			t.Errorf("told %d times at the border", n)
		}
		for _, id := range crowd[packAbove-packBelow-10:] {
			_, err := s.engine.PeerLeave(s.Context(), &control.PeerParams{Room: "r", Peer: id})
			s.must(err)
		}
		s.wait(2 * time.Second)
		if n := len(told()); n != 2 || ear.state().Rendition != "live" {
			t.Errorf("told %d times; with few left the listener gets %s", n, ear.state().Rendition)
		}
	})
}
