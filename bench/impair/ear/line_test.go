package ear

import (
	"testing"
	"time"
)

func TestCopiesOfWhatCameAreNotLate(t *testing.T) {
	p := newPlay()
	for range 1000 {
		p.sends(30*ms, 2, false)
	}
	between(t, "delay with two copies that nobody needs", p.heard(0).DelayMs, 50, 52)
}

// target plays frames into a lateness, some of which come behind later ones.
func target(frames int, behind func(n int) time.Duration) time.Duration {
	var l lateness
	var late []frame
	for n := range frames {
		at := time.Duration(n) * frameTime
		for len(late) > 0 && late[0].came <= at {
			l.note(late[0])
			late = late[1:]
		}
		f := frame{ts: int64(n * frameSamples), came: at}
		if d := behind(n); d > 0 {
			f.came += d
			late = append(late, f)
			continue
		}
		l.note(f)
	}
	return l.target()
}

func TestWhatComesBehindIsWaitedForIfItPays(t *testing.T) {
	each := func(nth int, d time.Duration) func(int) time.Duration {
		return func(n int) time.Duration {
			if n > 0 && n%nth == 0 {
				return d
			}
			return 0
		}
	}
	for _, c := range []struct {
		what   string
		behind func(int) time.Duration
		want   time.Duration
	}{
		{"nothing is late", func(int) time.Duration { return 0 }, 20 * ms},
		{"a tenth is, by one frame", each(10, 20*ms), 40 * ms},
		{"a tenth is, by 100 ms: 10 times 20 ms is more", each(10, 100*ms), 120 * ms},
		{"a five-hundredth is, by 100 ms: 0.2 times 20 ms is less", each(500, 100*ms), 20 * ms},
	} {
		if got := target(6000, c.behind); got != c.want {
			t.Errorf("%s: %v is waited for, want %v", c.what, got, c.want)
		}
	}
}

func TestTheFirstOfALineIsNotBehindAnything(t *testing.T) {
	var l lateness
	l.note(frame{ts: -960, came: 0})
	if got := l.target(); got != frameTime {
		t.Errorf("%v", got)
	}
}
