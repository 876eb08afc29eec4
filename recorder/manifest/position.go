package manifest

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

// SampleRate is the clock of all positions, in Hz.
const SampleRate = 48000

// positionMax is a year: more is no position of a recording, and sums of a few positions stay far from overflow.
const positionMax = 366 * 24 * 3600 * SampleRate

// Position is a place in a recording, or a length of time in it: samples at 48 kHz, 0 to a year. In JSON it is a number of
// seconds with up to six decimals, which come back as the very same sample (one is 20.8 µs).
type Position int64

var errPosition = errors.New("a position is a number of seconds from 0 to a year")

// Seconds is p in seconds.
func (p Position) Seconds() float64 { return float64(p) / SampleRate }

func (p Position) valid() bool { return p >= 0 && p <= positionMax }

// MarshalJSON refuses what is no position.
func (p Position) MarshalJSON() ([]byte, error) {
	if !p.valid() {
		return nil, errPosition
	}
	micros := (p%SampleRate*125 + 3) / 6 // 10^6/48000 = 125/6, rounded; at most 999,979
	b := strconv.AppendInt(nil, int64(p/SampleRate), 10)
	if micros == 0 {
		return b, nil
	}
	b = append(b, '.')
	for unit := Position(100_000); unit > 0; unit /= 10 {
		b = append(b, byte('0'+micros/unit%10))
	}
	return bytes.TrimRight(b, "0"), nil
}

// UnmarshalJSON takes any JSON number of seconds in range, to the next sample.
func (p *Position) UnmarshalJSON(b []byte) error {
	s, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(s >= 0 && s <= positionMax/SampleRate) {
		return errPosition
	}
	*p = Position(math.Round(s * SampleRate))
	return nil
}
