package mix

import (
	"math"
	"testing"
)

// Two people, one 15 dB louder than the other, come nearer to each other in some seconds, and neither is touched in pitch.
func TestALoudAndAQuietPersonMeet(t *testing.T) {
	pcm := listen(t, Config{}, 9,
		said{1, 0, encode(t, tone(9*second, 500, -9), 1, "")}, said{2, 0, encode(t, tone(9*second, 900, -24), 1, "")})
	for _, c := range []struct {
		second int
		apart  float64
	}{{0, 15}, {8, 0}} {
		loud, quiet := toneDB(from(pcm, 1000*c.second+50, 1000*c.second+950), 500), toneDB(from(pcm, 1000*c.second+50, 1000*c.second+950), 900)
		about(t, "the louder above the other", loud-quiet, c.apart, 6)
	}
	last := from(pcm, 8000, 8900)
	for _, beside := range []float64{480, 520, 880, 920} {
		below(t, "beside the tones", toneDB(last, beside), -55)
	}
}

// Real voices come out at the loudness that podcasts and radio have, and the limiter leaves a single one alone but for
// the odd peak.
func TestVoicesComeOutAtOneLoudness(t *testing.T) {
	for _, who := range []string{"slt", "rms", "awb"} {
		for _, db := range []float64{-9, 0} {
			quieter := decode(t, speech(t, who), second)
			for i := range quieter {
				quieter[i] *= float32(math.Pow(10, db/20))
			}
			m := newMixer(t, Config{})
			said{1, 0, encode(t, quieter, 1, "-application voip -b:a 32k")}.put(m)
			pcm := decode(t, take(t, m, 9*second), second)
			about(t, who, rmsDB(from(pcm, 5000, 9000)), -17.5, 2.5)
			if c := m.Counts(); c.Limited > c.Frames/5 {
				t.Errorf("%s: limited in %d of %d packets", who, c.Limited, c.Frames)
			}
		}
	}
}

// Noise between the words, and silence, do not move a gain; nor does it go beyond its bounds.
func TestNoiseBetweenWordsIsNotPumpedUp(t *testing.T) {
	l := newLevel()
	say := func(seconds int, db float64) {
		for range seconds * 50 {
			l.hear(fromDB(db))
		}
	}
	say(10, -24)
	about(t, "the gain of somebody at -24 dBFS", l.gainDB, loudness+24, 0.5)
	before := l.gainDB
	say(600, -48)
	say(600, -150)
	if l.gainDB != before {
		t.Errorf("the gain went from %v to %v dB in a pause", before, l.gainDB)
	}
	say(60, -38)
	about(t, "the gain of somebody at -38 dBFS", l.gainDB, gainMax, 0.1)
	say(60, 0)
	about(t, "the gain of somebody at 0 dBFS", l.gainDB, -gainMax, 0.1)
}

// Who was silent for a while, and spoke again, is as loud as before at once.
func TestALevelIsRemembered(t *testing.T) {
	packets := encode(t, tone(6*second, 500, -23), 1, "")
	pcm := listen(t, Config{}, 22, said{1, 0, packets}, said{1, 20 * second, packets[:100]})
	about(t, "after 14 s of silence", toneDB(from(pcm, 20100, 20900), 500)-toneDB(from(pcm, 5000, 5900), 500), 0, 1)
}
