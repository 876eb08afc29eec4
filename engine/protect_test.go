package engine

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stentor/engine/control"
	"stentor/forward"
)

// guard is a protection whose load a test tells it.
type guard struct {
	*testing.T
	protection
	now time.Time
}

// under lets time pass with the same loads, and returns what was told meanwhile.
func (g *guard) under(d time.Duration, loads ...float64) (told []string) {
	for end := g.now.Add(d); g.now.Before(end); {
		g.now = g.now.Add(lookEvery)
		was := g.state()
		g.look(loads, g.now)
		if is := g.state(); is != was {
			told = append(told, is)
		}
	}
	return told
}

func TestPackingComesFirstThenRefusingAndThenNeither(t *testing.T) {
	g := &guard{t, newProtection(2), time.Unix(1000, 0)}
	for _, c := range []struct {
		name   string
		d      time.Duration
		loads  [2]float64
		told   []string
		tenths [2]int // packed after that
	}{
		{"both at work", time.Minute, [2]float64{0.84, 0.5}, nil, [2]int{0, 0}},
		{"one above the line", lookEvery, [2]float64{0.86, 0.5}, []string{"packing"}, [2]int{10, 0}},
		{"packing helps, but not much", time.Minute, [2]float64{0.84, 0.5}, nil, [2]int{10, 0}},
		{"full, but not for long", fullTime, [2]float64{0.95, 0.5}, nil, [2]int{10, 0}},
		{"not any more", time.Second, [2]float64{0.89, 0.5}, nil, [2]int{10, 0}},
		{"full for good", fullTime + lookEvery, [2]float64{0.95, 0.5}, []string{"refusing"}, [2]int{10, 0}},
		{"still little room", time.Minute, [2]float64{0.81, 0.5}, nil, [2]int{10, 0}},
		{"the other one, too", time.Minute, [2]float64{0.7, 0.9}, nil, [2]int{10, 10}},
		{"room, for a moment", fullTime, [2]float64{0.7, 0.7}, nil, [2]int{10, 10}},
		{"room", 2 * lookEvery, [2]float64{0.7, 0.7}, []string{"packing"}, [2]int{10, 10}},
		{"the first is idle", waitMost + allTenths*stepTime, [2]float64{0.01, 0.7}, nil, [2]int{0, 10}},
		{"the second, too", waitMost + allTenths*stepTime, [2]float64{0.01, 0.01}, []string{"over"}, [2]int{0, 0}},
	} {
		if told := g.under(c.d, c.loads[:]...); !slices.Equal(told, c.told) {
			t.Errorf("%s: told %q, want %q", c.name, told, c.told)
		}
		for i, want := range c.tenths {
			if got := g.shards[i].tenths; got != want {
				t.Errorf("%s: %d tenths of shard %d packed, want %d", c.name, got, i, want)
			}
		}
	}
}

func TestAutoRoomsArePackedBeforeTheOthers(t *testing.T) {
	g := &guard{t, newProtection(1), time.Unix(1000, 0)}
	if told := g.under(time.Second, 0.75); told != nil || g.auto.tenths != allTenths {
		t.Errorf("told %q, %d tenths of the auto rooms packed", told, g.auto.tenths)
	}
	if g.under(waitMost, 0.1); g.auto.tenths != 0 {
		t.Errorf("when it is over, %d tenths are packed", g.auto.tenths)
	}
}

// TestALoadIsToldOverHalfASecond: by what was counted, and by what waits.
func TestALoadIsToldOverHalfASecond(t *testing.T) {
	var l load
	now := time.Unix(1000, 0)
	busy := [2]time.Duration{}
	for i, c := range []struct {
		worked [2]int // ms of each shard in the 250 ms before
		behind [2]float64
		want   [2]float64
	}{
		{[2]int{0, 0}, [2]float64{}, [2]float64{0, 0}},
		{[2]int{250, 0}, [2]float64{}, [2]float64{1, 0}}, // all that there is so far
		{[2]int{100, 50}, [2]float64{}, [2]float64{0.7, 0.1}},
		{[2]int{0, 50}, [2]float64{}, [2]float64{0.2, 0.2}},
		{[2]int{0, 50}, [2]float64{0.2, 0.3}, [2]float64{0, 1}}, // late is full
	} {
		var st forward.Stats
		for s := range busy {
			busy[s] += time.Duration(c.worked[s]) * time.Millisecond
			st.Shards = append(st.Shards, forward.ShardStats{Busy: busy[s], Behind: c.behind[s]})
		}
		now = now.Add(lookEvery)
		l.look(st, now)
		for s, want := range c.want {
			if d := l.each[s] - want; d < -0.001 || d > 0.001 {
				t.Errorf("look %d: load of shard %d is %.3f, want %.3f", i, s, l.each[s], want)
			}
		}
		if want := max(c.want[0], c.want[1]); l.max < want-0.001 || l.max > want+0.001 {
			t.Errorf("look %d: most is %.3f, want %.3f", i, l.max, want)
		}
	}
}

// burden makes an engine believe that its shards are busy: virtual time stands still while they work.
type burden struct {
	mu    sync.Mutex
	at    time.Time
	loads [2]float64
	busy  [2]time.Duration
}

// burden puts one on the stage's engine.
func (s *stage) burden() *burden {
	b := &burden{at: time.Now()}
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	plane := s.engine.stats
	s.engine.stats = func(now time.Time) forward.Stats {
		st := plane(now)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.pass(now)
		for i := range st.Shards {
			st.Shards[i].Busy = b.busy[i]
		}
		return st
	}
	return b
}

// set lets the shards be so busy from now on.
func (b *burden) set(now time.Time, loads [2]float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pass(now)
	b.loads = loads
}

// pass lets them work until now. b.mu is held.
func (b *burden) pass(now time.Time) {
	for i := range b.busy {
		b.busy[i] += time.Duration(float64(now.Sub(b.at)) * b.loads[i])
	}
	b.at = now
}

// overloads are the reasons of engine.overload since a cursor, and who was told to be sent something else for the shard's sake.
func (s *stage) overloads(cursor string) (reasons []string, peers []string) {
	for _, ev := range s.eventsAfter(cursor) {
		if reason, ok := strings.CutPrefix(ev, "engine.overload  "); ok {
			reasons = append(reasons, reason)
		}
		if who, ok := strings.CutPrefix(ev, "peer.quality "); ok {
			if who, ok = strings.CutSuffix(who, " shard"); ok {
				peers = append(peers, who)
			}
		}
	}
	slices.Sort(peers)
	return reasons, peers
}

// overload fails if who asks now is told something else: the state, and the share that each shard packs.
func (s *stage) overload(state string, packed ...float64) {
	s.Helper()
	info, err := s.engine.Info(s.Context())
	s.must(err)
	if info.Load.Overload != state {
		s.Errorf("engine.info tells of %q, want %q", info.Load.Overload, state)
	}
	page := httptest.NewRecorder()
	s.engine.httpMux().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for i, share := range packed {
		if want := fmt.Sprintf("stentor_forward_packed_ratio{shard=\"%d\"} %g\n", i, share); !strings.Contains(page.Body.String(), want) {
			s.Errorf("no %s in the metrics", want)
		}
	}
}

// packed tells whether somebody is sent packed packets for the shard's sake.
func (p *person) packed() bool {
	q := p.state().Quality
	return q != nil && q.Rung == "packed60" && q.Why == "shard"
}

// A full house, from its first trouble to the last: who speaks and who is on the idle shard notices nothing, those who listen on
// the busy one miss nothing, nobody who is in is turned away, and in the end all is as it was.
func TestANodeNearItsLimitPacksThenRefusesThenIsItselfAgain(t *testing.T) {
	adaptsOnStage(t, func(s *stage) {
		s.open("r", 3)
		b := s.burden()
		ann, bob := s.joins("r", "ann", speaker), s.joins("r", "bob", speaker)
		// Who comes goes to the shard that has least: ann and cem are on the first, bob and dan on the second.
		busy, idle := s.joinsWith("r", "cem", listener, adapting), s.joinsWith("r", "dan", listener, adapting)
		ears := []*person{busy, idle}
		loads := func(first, second float64) { b.set(time.Now(), [2]float64{first, second}) }
		talking := map[*person]int{ann: -20}
		s.talk(6*time.Second, talking) // until nobody is in doubt any more
		for _, p := range ears {
			p.heard()
		}
		cursor, first := s.engine.Events().Cursor(), ann.frame

		loads(0.8, 0.5)
		s.talk(10*time.Second, talking)
		if reasons, _ := s.overloads(cursor); len(reasons) != 0 || busy.packed() {
			t.Errorf("told %q below the limit", reasons)
		}
		s.overload("", 0, 0)

		loads(0.9, 0.5)
		s.talk(time.Second, talking)
		reasons, peers := s.overloads(cursor)
		equal(t, reasons, []string{"packing"})
		s.overload("packing", 1, 0)
		equal(t, peers, []string{"r/" + busy.name})
		if !busy.packed() || idle.packed() || ann.packed() || bob.packed() {
			t.Errorf("packed: %s %v, %s %v, ann %v, bob %v", busy.name, busy.packed(), idle.name, idle.packed(), ann.packed(), bob.packed())
		}

		loads(0.95, 0.5)
		s.talk(3*time.Second, talking)
		reasons, _ = s.overloads(cursor)
		equal(t, reasons, []string{"packing", "refusing"})
		s.overload("refusing", 1, 0)
		stranger := s.comes("eve", nil)
		_, err := s.engine.PeerJoin(s.Context(), &control.PeerJoinParams{Room: "r", Peer: "eve", SDP: stranger.client.Offer()})
		s.refused(err, control.ReasonBusy)
		var refused *control.Error
		if errors.As(err, &refused); refused == nil || !strings.Contains(refused.Hint, "another node") {
			t.Errorf("refused without a hint that helps: %+v", refused)
		}
		s.insidersAreServed(busy)
		on, off := true, false
		busy.update(control.PeerUpdateParams{MaySpeak: &on}) // he is called up
		s.talk(1500*time.Millisecond, talking)
		if busy.packed() {
			t.Error("who is called up is still sent packed packets")
		}
		busy.update(control.PeerUpdateParams{MaySpeak: &off})
		s.talk(1500*time.Millisecond, talking)
		if !busy.packed() {
			t.Error("back among the listeners he is sent live packets")
		}

		loads(0.02, 0.02)
		s.talk(3*time.Second, talking)
		stranger.enter("r", listener)
		s.talk(waitMost, talking)
		reasons, _ = s.overloads(cursor)
		equal(t, reasons, []string{"packing", "refusing", "packing", "over"})
		s.overload("", 0, 0)
		if q := busy.state().Quality; q == nil || q.Rung != "live" || q.Why != "healthy" {
			t.Errorf("in the end the listener is on %+v", q)
		}
		for _, p := range ears { // the changes cost nobody a syllable
			got := p.heard()
			s.gapless(got)
			if n := len(s.sounds(got)); n != int(ann.frame-first) {
				t.Errorf("%s has heard %d of %d frames", p.name, n, ann.frame-first)
			}
		}
	})
}

// insidersAreServed fails if a daemon that refuses refuses somebody who is in.
func (s *stage) insidersAreServed(p *person) {
	s.Helper()
	again, err := s.engine.PeerJoin(s.Context(), &control.PeerJoinParams{Room: p.room, Peer: p.name, SDP: p.client.Offer()})
	s.must(err)
	if again.AudioID != p.audioID {
		s.Errorf("the same join gives another answer")
	}
	p.update(control.PeerUpdateParams{Muted: new(bool)})
	res, err := s.engine.PeerRestart(s.Context(), &control.PeerRestartParams{Room: p.room, Peer: p.name, SDP: p.client.RestartOffer()})
	s.must(err)
	s.must(p.client.Restart(s.Context(), res.SDP))
}

// TestTheNodeProtectsItselfWithoutAdaptingToo: adapt is about networks.
func TestTheNodeProtectsItselfWithoutAdaptingToo(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 1)
		_, err := s.engine.RoomOpen(s.Context(), &control.RoomOpenParams{Room: "proud", LowestRung: "live"})
		s.must(err)
		b := s.burden()
		ann, ear := s.joins("r", "ann", speaker), s.joins("r", "ear", listener)
		zoe, fan := s.joins("proud", "zoe", speaker), s.joins("proud", "fan", listener)
		talking := map[*person]int{ann: -20, zoe: -20}
		for _, c := range []struct {
			load                 float64
			settle               time.Duration
			earPackets, fanPacks int // in 3 s
		}{{0.5, time.Second, 150, 150}, {0.9, 2 * time.Second, 50, 150}, {0.1, 20 * time.Second, 150, 150}} {
			b.set(time.Now(), [2]float64{c.load, c.load})
			s.talk(c.settle, talking)
			ear.heard()
			fan.heard()
			s.talk(3*time.Second, talking)
			if n := len(ear.heard()); n < c.earPackets-3 || n > c.earPackets+3 {
				t.Errorf("load %.1f: the listener got %d packets, want some %d", c.load, n, c.earPackets)
			}
			if n := len(fan.heard()); n < c.fanPacks-3 || n > c.fanPacks+3 {
				t.Errorf("load %.1f: the listener of a room that forbids it got %d packets, want some %d", c.load, n, c.fanPacks)
			}
		}
	})
}

func TestAnAutoRoomPacksWhileTheDaemonIsBusyAndSaysSo(t *testing.T) {
	onStage(t, func(s *stage) {
		_, err := s.engine.RoomOpen(s.Context(), &control.RoomOpenParams{Room: "r", DefaultRendition: "auto"})
		s.must(err)
		b := s.burden()
		ear := s.joins("r", "ear", listener)
		cursor := s.engine.Events().Cursor()
		b.set(time.Now(), [2]float64{0.75, 0.1})
		s.wait(time.Second)
		if got := ear.state().Rendition; got != "packed60" {
			t.Errorf("under load the listener is sent %s", got)
		}
		b.set(time.Now(), [2]float64{0.1, 0.1})
		s.wait(30 * time.Second)
		if got := ear.state().Rendition; got != "live" {
			t.Errorf("without load the listener is sent %s", got)
		}
		equal(t, s.eventsAfter(cursor), []string{"room.rendition r load", "room.rendition r load"})
	})
}
