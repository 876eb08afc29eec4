package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAThousandVisitorsCostOneReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf[string](1000)
		var made atomic.Int32
		produce := func() (string, int64, error) {
			made.Add(1)
			time.Sleep(time.Second)
			return "text", 10, nil
		}
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if v, err := s.get(t.Context(), "key", "1", 0, produce); v != "text" || err != nil {
					t.Errorf("%q, %v", v, err)
				}
			})
		}
		all.Wait()
		if n := made.Load(); n != 1 {
			t.Errorf("made %d times", n)
		}
		for i, want := range []int32{1, 2} { // a second later it may be another one
			if _, err := s.get(t.Context(), "key", "2", 2*time.Second, produce); err != nil || made.Load() != want {
				t.Errorf("after %d s: made %d times, %v", i+1, made.Load(), err)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestTheShelfIsBounded(t *testing.T) {
	s := newShelf[int](100)
	made := 0
	read := func(key string, size int64) {
		t.Helper()
		if _, err := s.get(t.Context(), key, "", 0, func() (int, int64, error) { made++; return 0, size, nil }); err != nil {
			t.Fatal(err)
		}
		if s.taken > 100 || len(s.items) != s.order.Len() {
			t.Fatalf("%d octets are taken, %d items, %d in order", s.taken, len(s.items), s.order.Len())
		}
	}
	for i := range 50 {
		read(fmt.Sprint(i), 30)
		read("popular", 30)
	}
	if made != 51 {
		t.Errorf("made %d: what is asked for often should stay", made)
	}
	read("too large", 101)
	if s.taken != 0 {
		t.Errorf("%d octets are left beside one that is too large", s.taken)
	}
}

func TestAFailureIsToldAndNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf[int](100)
		broken := errors.New("broken")
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				_, err := s.get(t.Context(), "key", "1", time.Hour, func() (int, int64, error) { time.Sleep(time.Second); return 0, 0, broken })
				if !errors.Is(err, broken) {
					t.Errorf("%v", err)
				}
			})
		}
		// One who goes away does not wait to the end.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		synctest.Wait()
		if _, err := s.get(ctx, "key", "1", 0, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("gone away: %v", err)
		}
		all.Wait()
		if v, err := s.get(t.Context(), "key", "1", 0, func() (int, int64, error) { return 7, 1, nil }); v != 7 || err != nil {
			t.Errorf("afterwards: %d, %v", v, err)
		}
	})
}
