package manifest

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
)

func TestPositionsComeBackToTheSample(t *testing.T) {
	r := rand.New(rand.NewPCG(48, 1))
	for i := range 200_000 {
		p := Position(i)
		if i > 100_000 {
			p = Position(r.Int64N(positionMax + 1))
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var got Position
		if err := json.Unmarshal(b, &got); err != nil || got != p {
			t.Fatalf("%d stands as %s and comes back as %d: %v", p, b, got, err)
		}
	}
}

func TestPositionsAreWrittenAsSeconds(t *testing.T) {
	for p, want := range map[Position]string{
		0: "0", 1: "0.000021", 48: "0.001", 47999: "0.999979", 48000: "1", 72000: "1.5", 3 * 3600 * 48000: "10800", positionMax: "31622400",
	} {
		if b, err := json.Marshal(p); err != nil || string(b) != want {
			t.Errorf("%d: %s, %v, want %s", p, b, err, want)
		}
	}
	for _, p := range []Position{-1, positionMax + 1} {
		if b, err := json.Marshal(p); err == nil {
			t.Errorf("%d was written as %s", p, b)
		}
	}
}
