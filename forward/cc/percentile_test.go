package cc

import (
	"testing"
	"time"
)

func TestTheWorstListenerDoesNotDecide(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var p Percentile
	if p.At(90, now) != 0 {
		t.Error("nobody listens, and somebody loses")
	}
	for range 95 {
		p.Add(3, time.Second, now)
	}
	for range 5 {
		p.Add(255, time.Second, now)
	}
	if got := p.At(90, now); got != 3 {
		t.Errorf("the 90th percentile is %d, want 3", got)
	}
	if got := p.At(96, now); got != 255 {
		t.Errorf("the 96th percentile is %d, want 255", got)
	}
	if got := p.At(100, now); got != 255 {
		t.Errorf("the maximum is %d, want 255", got)
	}
}

// A listener who reports five times as often as the others is one listener.
func TestWhoReportsOftenCountsOnce(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var p Percentile
	for i := range 100 {
		now = now.Add(time.Second)
		p.Add(255, time.Second, now)
		for l := range 15 { // every 5 s each
			if l%5 == i%5 {
				p.Add(3, 5*time.Second, now)
			}
		}
	}
	if got := p.At(90, now); got != 3 {
		t.Errorf("one of 16 makes the 90th percentile %d, want 3", got)
	}
	if p.Add(255, time.Hour, now); p.At(80, now) != 3 {
		t.Error("a report after an hour is of the whole hour")
	}
}

func TestListenersWhoLeftFade(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var p Percentile
	for range 100 {
		p.Add(80, time.Second, now)
	}
	for range 20 {
		now = now.Add(time.Second)
		for range 20 {
			p.Add(5, time.Second, now)
		}
	}
	if got := p.At(90, now); got != 5 {
		t.Errorf("20 s later it is %d, want 5", got)
	}
	if got := p.At(90, now.Add(time.Hour)); got != 0 {
		t.Errorf("an hour later it is %d, want 0", got)
	}
	if got := p.At(90, now.Add(-time.Hour)); got != 0 {
		t.Errorf("time went back, and it is %d", got)
	}
}

func TestManyListenersDoNotOverflow(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var p Percentile
	for s := range 30 {
		for range 100_000 {
			p.Add(7, time.Second, now.Add(time.Duration(s)*time.Second))
		}
	}
	if got := p.At(90, now.Add(30*time.Second)); got != 7 {
		t.Errorf("it is %d, want 7", got)
	}
}
