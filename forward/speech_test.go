package forward

import (
	"testing"
	"time"
)

func TestSpeechStartsLoudAndHoldsOnSofter(t *testing.T) {
	limits := thresholds{onset: 50, hold: 60}
	start := time.Unix(1e9, 0)
	for _, c := range []struct {
		name   string
		active bool
		level  uint8
		dtx    bool
		voiced bool // the packet counts as loud
	}{
		{"silence below the onset", false, 51, false, false},
		{"the onset", false, 50, false, true},
		{"the voice flag means nothing", false, 0x80 | 51, false, false},
		{"loud with the voice flag", false, 0x80 | 50, false, true},
		{"speech at the hold level", true, 60, false, true},
		{"speech below the hold level", true, 61, false, false},
		{"a loud sign of silence", false, 0, true, false},
		{"a sign of silence within speech", true, 0, true, false},
	} {
		var s speech
		if c.active {
			s.hear(10, false, limits, start)
		}
		now := start.Add(time.Second)
		s.hear(c.level, c.dtx, limits, now)
		if got := s.active && s.voiced.Equal(now); got != c.voiced {
			t.Errorf("%s: counts as speech: %v", c.name, got)
		}
	}
	everything := thresholds{onset: 127, hold: 127}
	var s speech
	if s.hear(127, true, everything, start); s.active {
		t.Error("a sign of silence is speech where everything else is")
	}
	if s.hear(127, false, everything, start); !s.active {
		t.Error("digital silence is no speech though the threshold says so")
	}
}

func TestPausesBetweenWordsDoNotEndASpurt(t *testing.T) {
	limits := thresholds{onset: 50, hold: 60}
	start := time.Unix(1e9, 0)
	var s speech
	if s.over(start) {
		t.Error("what has not begun is over")
	}
	s.hear(30, false, limits, start)
	for d := frameTime; d < hangover; d += frameTime {
		s.hear(quiet, false, limits, start.Add(d))
		if s.over(start.Add(d)) {
			t.Fatalf("over after %v", d)
		}
	}
	if !s.over(start.Add(hangover)) {
		t.Error("not over after the hangover")
	}
	s.hear(60, false, limits, start.Add(hangover-time.Millisecond))
	if s.over(start.Add(hangover)) {
		t.Error("over though the voice came back in time")
	}
	if s.stop(); s.active || s.over(start.Add(time.Hour)) {
		t.Error("stopped, it goes on")
	}
}

func TestLevelRisesWithinSyllablesAndFallsSlowly(t *testing.T) {
	limits := thresholds{onset: 50, hold: 60}
	var s speech
	now := time.Unix(1e9, 0)
	for range 8 { // 160 ms
		s.hear(30, false, limits, now)
	}
	if s.smooth > 41 || s.smooth < 30 {
		t.Errorf("after 160 ms at -30 the level is -%.0f", s.smooth)
	}
	for range 30 {
		s.hear(30, false, limits, now)
	}
	for range 5 { // a pause of 100 ms
		s.hear(127, true, limits, now)
	}
	if s.smooth > 53 {
		t.Errorf("a pause of 100 ms makes -30 look like -%.0f", s.smooth)
	}
}
