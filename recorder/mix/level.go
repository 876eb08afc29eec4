package mix

import "math"

// Speech is brought near one loudness, person by person: first by what they said in all, then by their last seconds.
const (
	// loudness is what is aimed at, the mean square of speech in dBFS, its pauses left out; that is -17.7 LUFS.
	loudness = -16.0
	// gainMax bounds a gain both ways, in dB: two people 24 dB apart end at the same loudness. More would lift the
	// room that a microphone stands in.
	gainMax = 12.0
	// A gain climbs so many dB in a second of speech and falls so many, slow enough not to be heard as a change.
	climbMax, fallMax = 3.0, 6.0
	// A block tells of loudness only above the floor, and at most so many dB below what is known: noise between the
	// words must not lift itself.
	floor, gate = -50.0, -22.0
	// memory is how many blocks of speech the mean follows: 3 s. prior is the weight of the beginning, which is the
	// aim itself.
	memory, prior = 150, 5
)

// level finds the gain of one person.
type level struct {
	mean   float64 // mean square of the speech, full scale being 1
	weight float64 // in blocks, from prior to memory
	gainDB float64
	heard  int64 // the position of the last block
}

func newLevel() *level { return &level{mean: fromDB(loudness), weight: prior} }

// hear takes in a block of 20 ms by its mean square, and moves the gain when it was speech.
func (l *level) hear(square float64) {
	if square < fromDB(floor) || square < l.mean*fromDB(gate) {
		return
	}
	l.weight = min(l.weight+1, memory)
	l.mean += (square - l.mean) / l.weight
	want := min(max(loudness-toDB(l.mean), -gainMax), gainMax)
	const perSecond = 48000 / FrameSamples
	l.gainDB += min(max(want-l.gainDB, -fallMax/perSecond), climbMax/perSecond)
}

// gain is the factor for samples.
func (l *level) gain() float32 { return float32(math.Pow(10, l.gainDB/20)) }

func fromDB(db float64) (square float64) { return math.Pow(10, db/10) }

func toDB(square float64) float64 { return 10 * math.Log10(square) }
