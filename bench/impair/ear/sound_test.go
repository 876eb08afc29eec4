package ear

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"stentor/bench/impair/speech"
)

// stage is speakers who all talk, a line of the offer each, over a network that loses and delays.
type stage struct {
	takes []*speech.Take
	book  *speech.Book
	ear   *Ear
	said  []Said
	until time.Duration
}

// newStage has voices of 32 kb/s, the first of which is the loudest.
func newStage(t *testing.T, speakers, frames int) *stage {
	t.Helper()
	s := &stage{until: time.Duration(frames)*frameTime + 2*time.Second}
	for i := range speakers {
		take, err := speech.Of(uint16(i+1), 80, -18-4*i, frames)
		if err != nil {
			t.Fatal(err)
		}
		s.takes = append(s.takes, take)
	}
	var err error
	if s.book, err = speech.NewBook(s.takes); err != nil {
		t.Fatal(err)
	}
	s.ear = Knowing(s.book.Find)
	return s
}

// network is what becomes of a packet: how long it takes, and whether it comes.
type network func(n int) (delay time.Duration, lost bool)

// plays lets everybody talk, with depth earlier frames in each packet.
func (s *stage) plays(depth int, of network) {
	type packet struct {
		at      time.Duration
		line, n int
		payload []byte
	}
	var packets []packet
	for n := range s.takes[0].Frames {
		for i, take := range s.takes {
			at := time.Duration(n)*frameTime + time.Duration(i)*7*ms
			s.said = append(s.said, Said{at, take.Speaker, uint32(n), i == 0})
			payload := take.Frames[n]
			if depth > 0 {
				payload = redOf(take.Frames[:n+1], depth)
			}
			if delay, lost := of(n); !lost {
				packets = append(packets, packet{at + delay, i, n, payload})
			}
		}
	}
	slices.SortStableFunc(packets, func(a, b packet) int { return int(a.at - b.at) })
	for _, p := range packets {
		s.ear.Take(p.at, p.line, uint16(p.n), uint32(p.n*frameSamples), p.payload)
	}
}

func (s *stage) hears(t *testing.T, decoder func() (Decoder, error)) (Heard, Listened, *Sounds) {
	t.Helper()
	played, sound, err := s.ear.Listen(s.until, decoder)
	if err != nil {
		t.Fatal(err)
	}
	sounds := sound.Compare(s.said, s.book)
	return Measure(s.said, played, 0, s.until), sounds.Measure(0, s.until), sounds
}

func good(int) (time.Duration, bool) { return 30 * ms, false }

// lossy loses a share, bursts of a mean length.
func lossy(share, burst float64) network {
	random, bad := rand.New(rand.NewPCG(3, 3)), false
	return func(int) (time.Duration, bool) {
		if bad {
			bad = random.Float64() >= 1/burst
		} else {
			bad = random.Float64() < share/(1-share)/burst
		}
		return 30 * ms, bad
	}
}

// queueing delays by what is in front of a bottleneck, which comes and goes: tempo up, tempo down.
func queueing() network {
	random, wait := rand.New(rand.NewPCG(4, 4)), 0.0
	return func(n int) (time.Duration, bool) {
		goal := 20.0
		if n%400 > 200 {
			goal = 320
		}
		wait += (goal-wait)/20 + 6*(random.Float64()-0.5)
		return 30*ms + time.Duration(wait*float64(ms)), false
	}
}

func TestWhatIsPlayedIsHeardByItsSoundToo(t *testing.T) {
	for _, c := range []struct {
		name            string
		speakers, depth int
		of              network
		margin          float64
	}{
		{"a good network", 1, 0, good, 0},
		{"all voices at once", speech.SpeakersMax, 0, good, 0},
		{"loss", 1, 0, lossy(0.1, 1), 0.07},
		{"loss and redundancy", 1, 1, lossy(0.1, 1), 0},
		{"three in a row", 1, 0, lossy(0.2, 3), 0.3},
		{"half of three voices", 3, 0, lossy(0.5, 2), 0.3},
		{"a queue", 2, 0, queueing(), 0.3},
	} {
		s := newStage(t, c.speakers, min(1000, 3000/c.speakers))
		s.plays(c.depth, c.of)
		counted, listened, _ := s.hears(t, Gopus)
		if d := math.Abs(counted.Heard - listened.Sounded); d > c.margin {
			t.Errorf("%s: %.2f %% were played and %.2f %% sounded", c.name, counted.Heard, listened.Sounded)
		}
		if d := math.Abs(counted.Dominant - listened.DominantSounded); d > c.margin {
			t.Errorf("%s: of the leader %.2f %% were played and %.2f %% sounded", c.name, counted.Dominant, listened.DominantSounded)
		}
		if d := math.Abs(counted.Hole - listened.Silence); d > 25 {
			t.Errorf("%s: a hole of %.0f ms and a silence of %.0f ms", c.name, counted.Hole, listened.Silence)
		}
	}
}

func TestAnotherOnesVoiceIsNotTheSpeakers(t *testing.T) {
	s := newStage(t, 2, 400)
	s.ear = Knowing(func(packet []byte) (uint16, uint32, bool) { // takes the first for the second
		_, n, ok := s.book.Find(packet)
		return 2, n, ok
	})
	s.takes = s.takes[:1]
	s.plays(0, good)
	for i := range s.said {
		s.said[i].Speaker = 2
	}
	counted, listened, _ := s.hears(t, Gopus)
	if counted.Heard != 100 || listened.Sounded > 1 || listened.Silence < 3000 {
		t.Errorf("%.1f %% counted, %.1f %% sounded, silent for %.0f ms", counted.Heard, listened.Sounded, listened.Silence)
	}
}

func TestAnotherMomentIsNotTheFrames(t *testing.T) {
	s := newStage(t, 1, 400)
	s.ear = Knowing(func(packet []byte) (uint16, uint32, bool) { // a frame late
		speaker, n, ok := s.book.Find(packet)
		return speaker, n - 1, ok
	})
	s.plays(0, good)
	if counted, listened, _ := s.hears(t, Gopus); counted.Heard < 99 || listened.Sounded > 1 {
		t.Errorf("%.1f %% counted, %.1f %% sounded", counted.Heard, listened.Sounded)
	}
}

// broken is a decoder that does something else with each third packet.
type broken struct {
	Decoder
	n    int
	does func(d Decoder, packet []byte, pcm []float32) (int, error)
}

func (b *broken) Decode(packet []byte, pcm []float32) (int, error) {
	if packet == nil {
		return b.Decoder.Decode(nil, pcm)
	}
	if b.n++; b.n%3 == 0 {
		return b.does(b.Decoder, packet, pcm)
	}
	return b.Decoder.Decode(packet, pcm)
}

func TestABrokenDecoderIsHeard(t *testing.T) {
	for name, does := range map[string]func(d Decoder, packet []byte, pcm []float32) (int, error){
		"conceals":  func(d Decoder, _ []byte, pcm []float32) (int, error) { return d.Decode(nil, pcm[:frameSamples]) },
		"is silent": func(_ Decoder, _ []byte, pcm []float32) (int, error) { clear(pcm); return frameSamples, nil },
		"is fed other octets": func(d Decoder, packet []byte, pcm []float32) (int, error) {
			other := slices.Clone(packet)
			for i := range other[1:] {
				other[i+1] ^= 0x5A
			}
			return d.Decode(other, pcm)
		},
	} {
		s := newStage(t, 1, 600)
		s.plays(0, good)
		counted, listened, sounds := s.hears(t, func() (Decoder, error) {
			d, err := Gopus()
			return &broken{Decoder: d, does: does}, err
		})
		if counted.Heard != 100 {
			t.Errorf("a decoder that %s: %.1f %% counted", name, counted.Heard)
		}
		between(t, "what sounds when each third packet "+name, listened.Sounded, 64, 69)
		if strip := sounds.Strip(1, s.until); !strings.Contains(strip, "##~##~##~") && !strings.Contains(strip, "##.##.##.") {
			t.Errorf("a decoder that %s: %s", name, strip)
		}
	}
}

func TestAStripShowsWhatBecameOfEachWord(t *testing.T) {
	s := newStage(t, 1, 100)
	s.plays(0, func(n int) (time.Duration, bool) { return 30 * ms, n >= 40 && n < 60 })
	_, _, sounds := s.hears(t, Gopus)
	strip := sounds.Strip(1, 3*time.Second)
	want := strings.Repeat("#", 40) + "[~.]" + strings.Repeat("#", 40) + strings.Repeat(" ", 50)
	if len(strip) != 150 || strip[:40] != want[:40] || strip[60:] != want[44:] || strings.Trim(strip[40:60], "~.") != "" ||
		strip[40] != '~' || strip[59] != '.' {
		t.Errorf("%q", strip)
	}
}

func TestTempoNeitherLosesNorAddsSound(t *testing.T) {
	s := newStage(t, 1, 1500)
	s.plays(0, queueing())
	played, sound, err := s.ear.Listen(s.until, Gopus)
	if err != nil {
		t.Fatal(err)
	}
	raised, cut := 0, 0
	for i, p := range played.Plays {
		at := sound.spots[id{p.Speaker, p.N}]
		if at.n < frameSamples-cutMost || at.n > frameSamples {
			t.Fatalf("frame %d has %d samples", p.N, at.n)
		}
		if late := samples(int64(at.start)) - p.At; late < -ms || late > frameTime+samples(2*cutMost) {
			t.Fatalf("frame %d sounds %v after it was played", p.N, late)
		}
		if i > 0 && p.At == played.Plays[i-1].At {
			raised++
		}
		cut += frameSamples - at.n
	}
	if raised < 20 || len(played.Drawn) < 20 {
		t.Errorf("the tempo was raised %d times and lowered %d times", raised, len(played.Drawn))
	}
	// What two frames in one tick have too much is cut from the frames, or was drawn out, concealed or is queued: never more than it.
	if cut > raised*frameSamples || cut < raised*frameSamples-(len(played.Drawn)+len(played.Concealed)+1)*frameSamples {
		t.Errorf("%d frames' worth of samples was cut out, %d were too many", cut/frameSamples, raised)
	}
}
