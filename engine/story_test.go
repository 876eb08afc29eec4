package engine

import (
	"testing"
	"time"

	"stentor/engine/control"
)

func TestAVoiceReachesEveryListenerOnceAndInOrder(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		cem := s.joins("r", "cem", listener)
		s.talk(time.Second, map[*person]int{ann: -20})
		for _, p := range []*person{bob, cem} {
			got := p.heard()
			s.gapless(got)
			if len(got) != 50 {
				t.Fatalf("%s got %d packets, want 50", p.name, len(got))
			}
			for i, h := range got {
				if h.speaker != ann.id || h.frame != uint32(i) {
					t.Fatalf("%s: packet %d is frame %d of %d", p.name, i, h.frame, h.speaker)
				}
				if h.CSRC != ann.audioID {
					t.Fatalf("CSRC %d, want ann's audio_id %d", h.CSRC, ann.audioID)
				}
				if h.Level != -20 {
					t.Fatalf("level %d, want -20", h.Level)
				}
				if h.Marker != (i == 0) {
					t.Fatalf("packet %d: marker %v", i, h.Marker)
				}
			}
		}
		if got := ann.heard(); len(got) != 0 {
			t.Errorf("ann hears %d packets of her own voice", len(got))
		}
	})
}

func TestWhoStopsSpeakingIsClosedWithASignOfSilence(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		cursor := s.engine.Events().Cursor()
		s.talk(200*time.Millisecond, map[*person]int{ann: -20})
		s.talk(2*time.Second, map[*person]int{ann: -90}) // the microphone is open, nobody speaks
		got := bob.heard()
		s.gapless(got)
		// 10 loud packets, then 400 ms of hangover, then the closing packet.
		if n := len(got); n < 28 || n > 31 {
			t.Errorf("bob got %d packets, want some 30", n)
		}
		last := got[len(got)-1]
		if last.size != 1 {
			t.Errorf("the last packet has %d octets, want the 1 of a sign of silence", last.size)
		}
		want := []string{"peer.speaking r/ann true", "slots.changed r", "slots.changed r", "peer.speaking r/ann false"}
		equal(t, s.eventsAfter(cursor), want)
	})
}

func TestAnOnsetIsHeardWithItsFirstPacket(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		s.talk(time.Second, map[*person]int{ann: -80})
		if got := bob.heard(); len(got) != 0 {
			t.Fatalf("bob got %d packets of silence", len(got))
		}
		first := ann.frame
		s.talk(20*time.Millisecond, map[*person]int{ann: -30})
		got := bob.heard()
		if len(got) != 1 || got[0].frame != first || !got[0].Marker {
			t.Fatalf("bob got %+v, want frame %d with a marker", got, first)
		}
	})
}

func TestOfFiveWhoTalkTheLoudestThreeAreHeard(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		var five []*person
		levels := map[*person]int{}
		for i, name := range []string{"a", "b", "c", "d", "e"} {
			p := s.joins("r", name, speaker)
			five, levels[p] = append(five, p), -50+8*i // e is the loudest
		}
		ear := s.joins("r", "ear", listener)
		s.talk(2*time.Second, levels)
		s.gapless(ear.heard())
		cursor := s.engine.Events().Cursor()
		s.talk(5*time.Second, levels)
		got := ear.heard()
		s.gapless(got)
		v := ear.voices(got)
		if len(v) != 3 || v["c"] != 250 || v["d"] != 250 || v["e"] != 250 {
			t.Errorf("heard %v, want 250 packets of c, d and e each", v)
		}
		if ev := s.eventsAfter(cursor); len(ev) != 0 {
			t.Errorf("with nothing changing, slots flap: %v", ev)
		}
		for _, p := range five[2:] { // those who are heard hear the two others
			if v := p.voices(p.heard()); v[p.name] != 0 || len(v) < 2 {
				t.Errorf("%s hears %v", p.name, v)
			}
		}
	})
}

func TestTheHostIsNeverDisplacedAndAlwaysGetsIn(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 1)
		host := s.joins("r", "host", control.PeerJoinParams{MaySpeak: true, Priority: true})
		guest := s.joins("r", "guest", speaker)
		ear := s.joins("r", "ear", listener)
		s.talk(time.Second, map[*person]int{guest: -10})
		ear.heard()
		s.talk(100*time.Millisecond, map[*person]int{guest: -10, host: -45})
		if v := ear.voices(ear.heard()); v["host"] != 5 {
			t.Errorf("heard %v, want the host from his first packet", v)
		}
		s.talk(3*time.Second, map[*person]int{guest: -5, host: -45})
		if v := ear.voices(ear.heard()); v["guest"] != 0 || v["host"] != 150 {
			t.Errorf("heard %v, want the host alone", v)
		}
	})
}

func TestMuteAtTheIngressAndCallUpWithoutANewOffer(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		both := map[*person]int{ann: -20, bob: -20}
		s.talk(time.Second, both)
		if got := ann.heard(); len(got) != 0 {
			t.Fatalf("a listener's uplink is heard: %d packets", len(got))
		}
		on, off := true, false
		_, err := s.engine.PeerUpdate(s.Context(), &control.PeerUpdateParams{Room: "r", Peer: "bob", MaySpeak: &on})
		s.must(err)
		s.talk(time.Second, both)
		if v := ann.voices(ann.heard()); v["bob"] != 50 {
			t.Errorf("called up, bob is heard with %d packets of 50", v["bob"])
		}
		_, err = s.engine.PeerUpdate(s.Context(), &control.PeerUpdateParams{Room: "r", Peer: "ann", Muted: &on})
		s.must(err)
		bob.heard()
		s.talk(time.Second, both)
		if v := bob.voices(bob.heard()); v["ann"] != 0 {
			t.Errorf("muted, ann is heard with %d packets", v["ann"])
		}
		_, err = s.engine.PeerUpdate(s.Context(), &control.PeerUpdateParams{Room: "r", Peer: "ann", Muted: &off})
		s.must(err)
		s.talk(time.Second, both)
		got := bob.heard()
		s.gapless(got)
		if v := bob.voices(got); v["ann"] != 50 {
			t.Errorf("unmuted, ann is heard with %d packets of 50", v["ann"])
		}
	})
}

func TestRoomsDoNotHearEachOther(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("one", 3)
		s.open("two", 3)
		ann := s.joins("one", "ann", speaker)
		s.joins("one", "eve", listener)
		bob := s.joins("two", "bob", speaker)
		ear := s.joins("two", "ear", listener)
		s.talk(time.Second, map[*person]int{ann: -20, bob: -20})
		if v := ear.voices(ear.heard()); v["ann"] != 0 || v["bob"] != 50 {
			t.Errorf("in room two is heard %v", v)
		}
	})
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	}
}
