package forward

import (
	"testing"
	"time"

	"stentor/transport"
)

func TestASmallBurstWakesNobody(t *testing.T) {
	s := newStudio(t, 1, 2)
	a, b := s.attach(s.joins(1), s.plane.shards[0]), s.attach(s.joins(1), s.plane.shards[1])
	s.speaks(s.joins(0), 0, 0, voice)
	s.rd.wake()
	if a.packets != 1 || b.packets != 1 {
		t.Errorf("the Reader has sent %d and %d packets, want one to each listener", a.packets, b.packets)
	}
	for _, sh := range s.plane.shards {
		if len(sh.wake) != 0 {
			t.Errorf("shard %d was woken", sh.id)
		}
	}
}

// TestABurstTooLongForTheReaderIsSharedOut: one thread must not do all while other cores are idle.
func TestABurstTooLongForTheReaderIsSharedOut(t *testing.T) {
	s := newStudio(t, 1, 2)
	const each = int(turnMax/turnCost) * 2 / 3 // one shard's part is not too much, both are
	var legs [2][]*leg
	for i, sh := range s.plane.shards {
		for range each {
			legs[i] = append(legs[i], s.attach(s.joins(1), sh))
		}
	}
	s.speaks(s.joins(0), 0, 0, voice)
	s.rd.wake()
	woken := 0
	for i, sh := range s.plane.shards {
		woken += len(sh.wake)
		if got := legs[i][each-1].packets; int(got)+len(sh.wake) != 1 {
			t.Errorf("shard %d: %d packets sent by the Reader, %d wake-ups", i, got, len(sh.wake))
		}
	}
	if woken != 1 {
		t.Errorf("%d shards woken, want one: the Reader does the other's part", woken)
	}
}

// TestPacketsThatJoinAreCheaper: what packed60 brings at once for three who talk is one message a listener.
func TestPacketsThatJoinAreCheaper(t *testing.T) {
	s := newStudio(t, 3, 1)
	sh := s.plane.shards[0]
	const listeners = 10
	for range listeners {
		s.attach(s.joins(3), sh)
	}
	ann := s.joins(0)
	for slot, want := range []time.Duration{turnCost, turnCost + turnMore, turnCost + 2*turnMore} {
		s.speaks(ann, slot, 0, voice)
		if got := sh.owes(time.Hour); got != listeners*want {
			t.Errorf("%d packets for each of %d listeners are thought to take %v, want %v", slot+1, listeners, got, listeners*want)
		}
	}
}

// TestWhatTheReaderCannotDoItDoesNotCount: a thousand late rooms take longer to count than the Reader may serve.
func TestWhatTheReaderCannotDoItDoesNotCount(t *testing.T) {
	s := newStudio(t, 1, 1)
	sh := s.plane.shards[0]
	const rooms, late, listeners = 3, 100, 10
	for range rooms {
		s.room = s.plane.OpenRoom(1, 0, nil)
		for range listeners {
			s.attach(s.joins(1), sh)
		}
		ann := s.joins(0)
		for i := range late {
			s.speaks(ann, 0, i, voice)
		}
	}
	const each = listeners * (turnCost + (late-1)*turnMore) // of a room
	for _, c := range []struct{ most, want time.Duration }{
		{time.Hour, rooms * each},
		{rooms * each, rooms * each}, // just enough
		{0, listeners * turnCost},    // the first packet is too much
		{each - 1, each},
		{each, each + listeners*turnCost}, // the next room's first
	} {
		if got := sh.owes(c.most); got != c.want {
			t.Errorf("of %v, with %v left, %v was counted, want %v", rooms*each, c.most, got, c.want)
		}
	}
}

func TestABusyShardIsToldAndNotWaitedFor(t *testing.T) {
	s := newStudio(t, 1, 1)
	sh := s.plane.shards[0]
	l := s.attach(s.joins(1), sh)
	sh.turn.Lock()
	s.speaks(s.joins(0), 0, 0, voice)
	s.rd.wake()
	sh.turn.Unlock()
	if l.packets != 0 || len(sh.wake) != 1 {
		t.Errorf("%d packets sent in another's turn, %d wake-ups", l.packets, len(sh.wake))
	}
	sh.serve()
	if l.packets != 1 {
		t.Errorf("the shard sent %d packets", l.packets)
	}
}

func TestTheReaderServesHalfOfItsTimeAtMost(t *testing.T) {
	now := time.Unix(1, 0)
	ts := turns{}
	ts.grow(now)
	const second = int(time.Second / turnCost)
	sent := 0
	for range 100 { // far more is asked for
		now = now.Add(10 * time.Millisecond)
		ts.grow(now)
		for ts.take(50 * turnCost) {
			sent += 50
		}
	}
	if limit := second / turnShare; sent > limit+int(turnMax/turnCost) || sent < limit*3/4 {
		t.Errorf("%d packets in a second, want at most %d and not much less", sent, limit)
	}
	now = now.Add(time.Hour)
	ts.grow(now)
	if ts.take(turnMax + turnCost) {
		t.Error("an idle hour has let it save up more than a turn")
	}
}

func TestWhatNobodyFollowsMarksNoShard(t *testing.T) {
	s := newStudio(t, 1, 1)
	sh := s.plane.shards[0]
	p := s.joins(1)
	p.shard = sh
	p.leg = newLeg(p, newEgress(s, gcm), transport.Dest{})
	p.leg.rendition, p.leg.want = Packed60, Packed60
	sh.attach(p.leg, s.now)
	s.speaks(s.joins(0), 0, 0, voice)
	if len(sh.dirty) != 0 {
		t.Error("a live packet has marked a shard whose only listener follows packed60")
	}
	l := s.attach(s.joins(1), sh)
	if l.packets != 0 {
		t.Error("who comes later has been sent what was said before")
	}
	s.speaks(s.joins(0), 0, 1, voice)
	sh.serve()
	if l.packets != 1 || p.leg.packets != 0 {
		t.Errorf("%d live packets to who follows live, %d to who does not", l.packets, p.leg.packets)
	}
}
