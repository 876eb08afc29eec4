package forward

import (
	"testing"
	"time"

	"stentor/forward/cc"
)

// Reports of several lines come one by one. What a listener asked for between two that count is set against all that it was
// sent between them, not against the last few packets.
func TestReportsThatDoNotCountLeaveTheAccount(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := &leg{control: &control{ladder: cc.New(cc.Config{RED: 2, Feedback: true}, now)}}
	l.packets = 50
	if _, span := l.heed(0, 0, 0, now.Add(time.Second)); span == 0 {
		t.Fatal("the first one does not count")
	}
	l.packets, l.nacked = 92, 2
	if _, span := l.heed(0, 0, 0, now.Add(1840*time.Millisecond)); span != 0 {
		t.Fatal("0.84 s later another one counts")
	}
	l.packets = 96
	own, span := l.heed(0, 0, 0, now.Add(1920*time.Millisecond))
	if want := uint8(2 * 256 / 46); span != 920*time.Millisecond || own < want-2 || own > want+2 {
		t.Errorf("2 of 46 packets asked for are %d of 256 lost, want some %d", own, want)
	}
}

// Every leg is weighed once a second, and thousands at once when the shard's limit changes.
func TestAHealthyLegIsWeighedWithoutAllocations(t *testing.T) {
	a := newAsking(t, gcm, Line{PayloadType: 111, LevelID: 2}, 1)
	n := testing.AllocsPerRun(200, func() {
		a.now = a.now.Add(time.Second)
		a.sh.weigh(a.leg, a.now)
	})
	if n != 0 || a.leg.peer.Quality() == nil {
		t.Errorf("%v allocations, quality %v", n, a.leg.peer.Quality())
	}
}

// TestAReportThatWaitedCountsForSpeakers: whether the shard's turn was free decides nothing of what they are told.
func TestAReportThatWaitedCountsForSpeakers(t *testing.T) {
	for _, busy := range []bool{false, true} {
		a := newAsking(t, gcm, Line{PayloadType: 111, LevelID: 2, TWCCID: 5, NACK: true}, 1)
		if busy {
			a.sh.turn.Lock()
		}
		a.rd.reported(a.leg.peer, 200, 0, 0, a.now)
		if busy {
			a.sh.turn.Unlock()
			a.sh.serve()
			a.rd.runCommands(a.now)
		}
		if got := a.room.losses.At(lossPercentile, a.now); got != 200 {
			t.Errorf("busy %v: speakers are told %d of 256, want 200", busy, got)
		}
	}
}
