package control

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestFollowersReadWhatANaiveSliceHolds is the log's model test: random appends, late followers, filters, overtaking.
func TestFollowersReadWhatANaiveSliceHolds(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		modelRun(t, seed, r, 1+r.IntN(200))
	}
}

type follow struct {
	f     *Follower
	room  string
	index int // of the next event in the slice
}

func modelRun(t *testing.T, seed uint64, r *rand.Rand, capacity int) {
	l := NewLog("n", capacity)
	var all []Event
	var followers []*follow
	done, cancel := context.WithCancel(t.Context())
	cancel() // so that Next never waits
	for step := range 600 {
		switch r.IntN(6) {
		case 0, 1, 2:
			e := l.Append(Event{Type: EventPeerJoined, Room: []string{"", "a", "b"}[r.IntN(3)], AudioID: uint32(step)})
			all = append(all, e)
			same(t, "seq", e.Seq, uint64(len(all)))
			same(t, "cursor", l.Cursor(), e.Cursor)
		case 3:
			followers = append(followers, modelFollow(t, r, l, all, capacity)...)
		default:
			if len(followers) == 0 {
				continue
			}
			i := r.IntN(len(followers))
			if !modelNext(t, done, followers[i], all, capacity) {
				followers[i] = followers[len(followers)-1]
				followers = followers[:len(followers)-1]
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d step %d", seed, step)
		}
	}
}

// modelFollow follows from a random event, or from now.
func modelFollow(t *testing.T, r *rand.Rand, l *Log, all []Event, capacity int) []*follow {
	w := &follow{room: []string{"", "a"}[r.IntN(2)], index: len(all)}
	var after string
	if len(all) > 0 && r.IntN(4) > 0 {
		e := all[r.IntN(len(all))]
		after, w.index = e.Cursor, int(e.Seq)
	}
	var rooms []string
	if w.room != "" {
		rooms = []string{w.room}
	}
	var err error
	w.f, err = l.Follow(after, rooms)
	if expired := len(all)-w.index > capacity; expired != (ReasonOf(err) == ReasonCursorExpired) {
		t.Errorf("Follow %d of %d in a ring of %d: %v", w.index, len(all), capacity, err)
	}
	if err != nil {
		return nil
	}
	return []*follow{w}
}

// modelNext reads a batch, and says whether the follower lives on.
func modelNext(t *testing.T, done context.Context, w *follow, all []Event, capacity int) bool {
	overtaken := len(all)-w.index > capacity
	events, err := w.f.Next(done)
	if overtaken {
		same(t, "reason of an overtaken follower", ReasonOf(err), ReasonCursorExpired)
		return false
	}
	for _, e := range events {
		for all[w.index].Room != "" && w.room != "" && all[w.index].Room != w.room {
			w.index++
		}
		same(t, "event", e, all[w.index])
		w.index++
	}
	if len(events) == 0 && !errors.Is(err, context.Canceled) {
		t.Errorf("Next: %v", err)
	}
	if len(events) == followBatch {
		return true
	}
	for _, e := range all[w.index:] {
		if w.room == "" || e.Room == "" || e.Room == w.room {
			t.Errorf("event %d was missed", e.Seq)
		}
	}
	w.index = len(all) // the follower has looked at what it does not want, too
	return true
}

// TestManyFollowersWhileManyAppend is for the race detector, and for the order that each follower sees.
func TestManyFollowersWhileManyAppend(t *testing.T) {
	const appenders, each = 4, 500
	l := NewLog("n", appenders*each)
	var wg sync.WaitGroup
	for range 8 {
		f, err := l.Follow("", nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer f.Close()
			for want := uint64(1); want <= appenders*each; {
				events, err := f.Next(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range events {
					if e.Seq != want {
						t.Errorf("event %d came in place of %d", e.Seq, want)
						return
					}
					want++
				}
			}
		})
	}
	for range appenders {
		wg.Go(func() {
			for range each {
				l.Append(Event{Type: EventPeerUpdated})
			}
		})
	}
	wg.Wait()
}

func TestNextWaitsInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLog("n", 8)
		f, err := l.Follow("", []string{"mine"})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Hour)
			l.Append(Event{Room: "other"})
			time.Sleep(time.Hour)
			l.Append(Event{Room: "mine"})
		}()
		start := time.Now()
		events, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		same(t, "waited", time.Since(start), 2*time.Hour)
		same(t, "events", len(events), 1)
		same(t, "room", events[0].Room, "mine")
		same(t, "time", events[0].Time, time.Now().UTC().Round(0))
		go func() { time.Sleep(time.Minute); f.Close() }()
		if _, err := f.Next(t.Context()); !errors.Is(err, errFollowerClosed) {
			t.Errorf("Next of a closed follower: %v", err)
		}
	})
}

func TestCursorsOfOthersAreTold(t *testing.T) {
	l, other := NewLog("n", 8), NewLog("n", 8)
	l.Append(Event{})
	epoch := l.epoch
	for _, c := range []struct {
		after string
		want  Reason
	}{
		{l.Cursor(), ""},
		{epoch + ".0", ""},
		{epoch + ".2", ReasonCursorExpired},
		{epoch + ".18446744073709551615", ReasonCursorExpired},
		{other.Cursor(), ReasonCursorExpired},
		{"nonsense", ReasonInvalidParams},
		{epoch, ReasonInvalidParams},
		{epoch + ".", ReasonInvalidParams},
		{epoch + ".-1", ReasonInvalidParams},
		{"zz" + epoch[2:] + ".1", ReasonInvalidParams},
		{"ab.1", ReasonInvalidParams},
	} {
		_, err := l.Follow(c.after, nil)
		same(t, fmt.Sprintf("Follow(%q)", c.after), ReasonOf(err), c.want)
		var e *Error
		if errors.As(err, &e) {
			if e.Hint == "" {
				t.Errorf("Follow(%q) gives no hint", c.after)
			}
			if c.want == ReasonInvalidParams && e.Field != "after" {
				t.Errorf("Follow(%q) names field %q", c.after, e.Field)
			}
		}
	}
}
