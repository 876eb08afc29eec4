package engine

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stentor/bench/client"
	"stentor/engine/control"
)

func TestRepeatingACallGivesTheSameAnswer(t *testing.T) {
	onStage(t, func(s *stage) {
		ctx := s.Context()
		open := &control.RoomOpenParams{Room: "r", Slots: 2, MaxPeers: 2}
		a, err := s.engine.RoomOpen(ctx, open)
		s.must(err)
		b, err := s.engine.RoomOpen(ctx, open)
		s.must(err)
		if !a.OpenedAt.Equal(b.OpenedAt) || a.Slots != 2 || b.Slots != 2 {
			t.Errorf("opened %+v, again %+v", a, b)
		}
		_, err = s.engine.RoomOpen(ctx, &control.RoomOpenParams{Room: "r", Slots: 3, MaxPeers: 2})
		s.refused(err, control.ReasonRoomConflict)

		ann := s.comes("ann", nil)
		join := &control.PeerJoinParams{Room: "r", Peer: "ann", SDP: ann.client.Offer()}
		x, err := s.engine.PeerJoin(ctx, join)
		s.must(err)
		y, err := s.engine.PeerJoin(ctx, join)
		s.must(err)
		if *x != *y {
			t.Error("the same offer gives another answer")
		}
		other := *join
		other.MaySpeak = true
		_, err = s.engine.PeerJoin(ctx, &other)
		s.refused(err, control.ReasonPeerConflict)

		for range 2 {
			_, err = s.engine.PeerLeave(ctx, &control.PeerParams{Room: "r", Peer: "ann"})
			s.must(err)
		}
		for range 2 {
			_, err = s.engine.RoomClose(ctx, &control.RoomParams{Room: "r"})
			s.must(err)
		}
		_, err = s.engine.RoomGet(ctx, &control.RoomParams{Room: "r"})
		s.refused(err, control.ReasonRoomNotFound)
		equal(t, s.eventsAfter(firstCursor(s)), []string{
			"peer.joined r/ann", "peer.left r/ann left", "room.closed r room_closed",
		})
	})
}

// firstCursor is that of the first event, which is room.opened in every story here.
func firstCursor(s *stage) string {
	cursor := s.engine.Events().Cursor()
	return cursor[:strings.LastIndex(cursor, ".")] + ".1"
}

func TestASecondJoinWaitsForTheFirst(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.comes("ann", nil)
		join := control.PeerJoinParams{Room: "r", Peer: "ann", SDP: ann.client.Offer()}
		answers := make([]string, 8)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() {
				p := join
				res, err := s.engine.PeerJoin(s.Context(), &p)
				if err != nil {
					t.Error(err)
					return
				}
				answers[i] = res.SDP
			})
		}
		all.Wait()
		for _, a := range answers {
			if a == "" || a != answers[0] {
				t.Fatal("eight joins at once got different answers")
			}
		}
	})
}

func TestLimitsAreHeldAndSayWhy(t *testing.T) {
	onStageWith(t, func(c *Config) { c.MaxRooms, c.MaxPeers, c.MaxSlots = 2, 3, 4 }, func(s *stage) {
		ctx := s.Context()
		_, err := s.engine.RoomOpen(ctx, &control.RoomOpenParams{Room: "x", Slots: 5})
		s.refused(err, control.ReasonInvalidParams)
		_, err = s.engine.RoomOpen(ctx, &control.RoomOpenParams{Room: "a", MaxPeers: 1})
		s.must(err)
		s.open("b", 3)
		_, err = s.engine.RoomOpen(ctx, &control.RoomOpenParams{Room: "c"})
		s.refused(err, control.ReasonBusy)
		s.joins("a", "one", listener)
		late := s.comes("late", nil)
		_, err = s.engine.PeerJoin(ctx, &control.PeerJoinParams{Room: "a", Peer: "two", SDP: late.client.Offer()})
		s.refused(err, control.ReasonRoomFull)
		s.joins("b", "two", listener)
		s.joins("b", "three", listener)
		_, err = s.engine.PeerJoin(ctx, &control.PeerJoinParams{Room: "b", Peer: "four", SDP: late.client.Offer()})
		s.refused(err, control.ReasonBusy)
		_, err = s.engine.PeerLeave(ctx, &control.PeerParams{Room: "b", Peer: "two"})
		s.must(err)
		late.enter("b", listener)
	})
}

func TestGarbageInAnOfferIsToldWithItsLine(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		offer := s.comes("ann", nil).client.Offer()
		bad := strings.Replace(offer, "a=ice-pwd:", "a=ice-pwd:!", 1)
		line := 1 + strings.Count(bad[:strings.Index(bad, "a=ice-pwd")], "\n")
		_, err := s.engine.PeerJoin(s.Context(), &control.PeerJoinParams{Room: "r", Peer: "ann", SDP: bad})
		s.refused(err, control.ReasonSDPInvalid)
		if want := fmt.Sprintf("line %d", line); !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
		if room, _ := s.engine.RoomGet(s.Context(), &control.RoomParams{Room: "r"}); room.Peers != 0 {
			t.Errorf("the room has %d peers after a refused join", room.Peers)
		}
	})
}

func TestWhoNeverConnectsIsTakenOut(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		p := s.comes("ghost", nil)
		_, err := s.engine.PeerJoin(s.Context(), &control.PeerJoinParams{Room: "r", Peer: "ghost", SDP: p.client.Offer()})
		s.must(err)
		s.wait(40 * time.Second)
		equal(t, s.eventsAfter(firstCursor(s)), []string{"peer.joined r/ghost", "peer.left r/ghost connect_timeout"})
	})
}

func TestEveryJoinHasOneLeaveWhoeverEndsIt(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		s.joins("r", "ann", speaker)
		bob := s.joins("r", "bob", listener)
		s.joins("r", "cem", listener)
		cursor := s.engine.Events().Cursor()
		bob.client.Close() // the browser's tab is closed
		s.wait(time.Second)
		_, err := s.engine.PeerLeave(s.Context(), &control.PeerParams{Room: "r", Peer: "cem"})
		s.must(err)
		_, err = s.engine.RoomClose(s.Context(), &control.RoomParams{Room: "r"})
		s.must(err)
		equal(t, s.eventsAfter(cursor), []string{
			"peer.left r/bob closed", "peer.left r/cem left", "peer.left r/ann room_closed", "room.closed r room_closed",
		})
	})
}

func TestADrainEndsWhenTheLastHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(*Config) {})
		defer s.strike()
		s.open("r", 3)
		ann := s.joins("r", "ann", listener)
		_, err := s.engine.Drain(s.Context(), &control.DrainParams{DeadlineS: 3600})
		s.must(err)
		s.wait(time.Minute)
		if s.over() {
			t.Fatal("the daemon has left somebody alone")
		}
		_, err = s.engine.PeerLeave(s.Context(), &control.PeerParams{Room: "r", Peer: ann.name})
		s.must(err)
		s.wait(2 * time.Second)
		if !s.over() {
			t.Fatal("the daemon is empty and has not ended")
		}
	})
}

func TestTwoHundredRoomsLeaveNothingBehind(t *testing.T) {
	onStage(t, func(s *stage) {
		before := goroutines()
		const rooms, peers = 200, 20
		for i := range rooms {
			id := fmt.Sprintf("room-%d", i)
			s.open(id, 3)
			crowd := make([]*client.Client, peers)
			for j := range crowd {
				conn, err := s.net.Listen(netip.MustParseAddrPort("10.3.0.1:0"))
				s.must(err)
				crowd[j], err = client.New(client.Config{Conn: conn})
				s.must(err)
				res, err := s.engine.PeerJoin(s.Context(), &control.PeerJoinParams{
					Room: id, Peer: fmt.Sprint(j), MaySpeak: j == 0, SDP: crowd[j].Offer(),
				})
				s.must(err)
				s.must(crowd[j].Connect(s.Context(), res.SDP))
			}
			synctest.Wait()
			for n := range uint32(5) {
				s.must(crowd[0].Send(client.Frame{Payload: client.TestFrame(1, n, 80), Timestamp: n * 960, LevelDBov: -20}))
				time.Sleep(frameTime)
			}
			if got := crowd[peers-1].Stats().Packets; got != 5 {
				t.Fatalf("%s: the last listener got %d packets of 5", id, got)
			}
			_, err := s.engine.RoomClose(s.Context(), &control.RoomParams{Room: id})
			s.must(err)
			for _, c := range crowd {
				c.Close()
			}
		}
		s.wait(time.Minute)
		if after := goroutines(); after > before {
			buf := make([]byte, 1<<20)
			t.Errorf("%d goroutines before, %d after\n%s", before, after, buf[:runtime.Stack(buf, true)])
		}
		if sessions, addrs, checks := s.engine.endpoint.Size(); sessions+addrs+checks != 0 {
			t.Errorf("left behind: %d sessions, %d addresses, %d checks", sessions, addrs, checks)
		}
		s.engine.mu.Lock()
		defer s.engine.mu.Unlock()
		if len(s.engine.rooms)+s.engine.peers != 0 {
			t.Errorf("left behind: %d rooms, %d peers", len(s.engine.rooms), s.engine.peers)
		}
		for i, sh := range s.engine.plane.Stats(time.Now()).Shards {
			if sh.Legs != 0 {
				t.Errorf("shard %d has %d legs", i, sh.Legs)
			}
		}
	})
}

func goroutines() int {
	synctest.Wait()
	return runtime.NumGoroutine()
}

func TestASnapshotAndTheEventsAfterItAreTheWholeTruth(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		s.joins("r", "ann", speaker)
		snap, cursor, err := s.engine.Snapshot(s.Context(), nil)
		s.must(err)
		if len(snap.Rooms) != 1 || len(snap.Rooms[0].Participants) != 1 || snap.Rooms[0].Participants[0].State != control.StateConnected {
			t.Errorf("snapshot %+v", snap)
		}
		s.joins("r", "bob", listener)
		equal(t, s.eventsAfter(cursor), []string{"peer.joined r/bob", "peer.connected r/bob"})
	})
}

func TestAnAddressThatNobodyCanSendToIsRefused(t *testing.T) {
	for _, bad := range []string{"0.0.0.0", "::", "224.0.0.1", "fe80::1%eth0", "10.0.0.1:0", "host", ""} {
		c := Default()
		c.Spool = ""
		c.Advertise = []string{bad}
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "advertise: ") {
			t.Errorf("advertise %q: %v", bad, err)
		}
	}
	for media, bad := range map[string]string{"127.0.0.1:0": "::1", "[::1]:0": "127.0.0.1"} {
		c := Default()
		c.Spool = ""
		c.Media, c.Advertise = media, []string{bad}
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), "advertise: ") {
			t.Errorf("advertise %q on %s: %v", bad, media, err)
		}
	}
}

func TestADrainThatIsCalledAgainTellsItsNewDeadline(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		s.joins("r", "ann", listener)
		cursor := s.engine.Events().Cursor()
		for _, deadline := range []float64{100, 100, 200} {
			_, err := s.engine.Drain(s.Context(), &control.DrainParams{DeadlineS: deadline})
			s.must(err)
		}
		equal(t, s.eventsAfter(cursor), []string{"engine.draining ", "engine.draining "})
	})
}
