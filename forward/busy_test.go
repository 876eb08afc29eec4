package forward

import (
	"testing"
	"time"
)

func TestWorkUnderWayCountsBeforeItIsDone(t *testing.T) {
	epoch := time.Unix(1000, 0)
	at := func(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }
	b := busy{epoch: epoch}
	for _, step := range []struct {
		name       string
		do         func(time.Time)
		when, want int
	}{
		{"nothing yet", nil, 5, 0},
		{"begins", b.begin, 10, 0},
		{"is at it", nil, 700, 690},
		{"ends", b.end, 1010, 1000},
		{"rests", nil, 5000, 1000},
		{"begins again", b.begin, 6000, 1000},
		{"asked with a clock read before that", nil, 5800, 1000},
		{"is at it again", nil, 6001, 1001},
		{"ends at once", b.end, 6001, 1001},
	} {
		if step.do != nil {
			step.do(at(step.when))
		}
		if got := b.total(at(step.when)); got != time.Duration(step.want)*time.Millisecond {
			t.Errorf("%s: %v, want %d ms", step.name, got, step.want)
		}
	}
}

// TestWhatTheReaderDoesInAShardsTurnIsItsWork: thousands of listeners who ask for what they miss fill a shard, too.
func TestWhatTheReaderDoesInAShardsTurnIsItsWork(t *testing.T) {
	a := newAsking(t, gcm, Line{PayloadType: 111, LevelID: 2, TWCCID: 5, NACK: true}, 1)
	a.publishes(Live, 0, true)
	ln := &a.leg.lines[0]
	b := &a.sh.busy
	b.epoch = time.Now()
	for name, do := range map[string]func(){
		"a NACK":   func() { a.rd.nacked(a.leg.peer, nackOf(ln.ssrc, uint16(ln.seq)), a.now) },
		"feedback": func() { a.rd.fedBack(a.leg.peer, nil, a.now) },
		"a report": func() { a.rd.reported(a.leg.peer, 0, 0, 0, a.now) },
	} {
		was := b.word.Load()
		do()
		if is := b.word.Load(); is <= was || is&1 != 0 {
			t.Errorf("%s took none of the shard's time, or is not over", name)
		}
		if !a.sh.turn.TryLock() {
			t.Fatalf("%s has kept the turn", name)
		}
		a.sh.turn.Unlock()
	}
}
