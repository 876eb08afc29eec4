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
