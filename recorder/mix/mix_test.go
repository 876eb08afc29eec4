package mix

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"stentor/forward/opus"
)

// asTheyCome leaves levels alone, so that tones come out as loud as they went in.
var asTheyCome = Config{AsTheyCome: true}

// A room in which nobody speaks costs nothing and is exactly silent.
func TestNobodySpeaks(t *testing.T) {
	m := newMixer(t, Config{})
	n := int64(0)
	err := m.Mix(48000+959, func(at int64, payload []byte) {
		if at != n*FrameSamples || !bytes.Equal(payload, opus.Quiet) {
			t.Errorf("packet %d: % x at %d", n, payload, at)
		}
		n++
	})
	if c := m.Counts(); err != nil || n != 50 || c.Quiet != 50 || c.Frames != 50 || m.At() != 48000 {
		t.Errorf("%d packets, %+v, at %d, error %v", n, c, m.At(), err)
	}
}

// Two people speak, in part at once: each is heard in their time, as loud as they are, and nobody after that.
func TestTwoTonesAreHeardInTheirTime(t *testing.T) {
	first := encode(t, tone(second, 440, -12), 1, "")
	other := encode(t, tone(2*second, 1000, -18), 1, "")
	pcm := listen(t, asTheyCome, 5, said{7, second, first}, said{3, 1.5 * second, other})
	for _, c := range []struct {
		start, end  int // in ms
		low, higher float64
	}{
		{0, 990, -100, -100}, {1040, 1460, -12, -100}, {1540, 1960, -12, -18}, {2060, 3460, -100, -18}, {3800, 5000, -100, -100},
	} {
		for _, tone := range []struct{ hz, db float64 }{{440, c.low}, {1000, c.higher}} {
			what, db := fmt.Sprintf("%v Hz from %d to %d ms", tone.hz, c.start, c.end), toneDB(from(pcm, c.start, c.end), tone.hz)
			if tone.db < -90 {
				below(t, what, db, -60)
			} else {
				about(t, what, db, tone.db, 0.5)
			}
		}
	}
	below(t, "before anybody speaks", rmsDB(from(pcm, 0, 990)), -80)
	below(t, "after everybody spoke", rmsDB(from(pcm, 3800, 5000)), -80)
}

// Words stand where they were put, to the sample, wherever that is: the encoder's and the limiter's delays are made up
// for.
func TestBurstsStandWhereTheyWerePut(t *testing.T) {
	burst := tone(60*ms, 700, -10)
	for i := range burst { // swells and fades, so that its place can be told
		burst[i] *= 1 - 2*max(0.5-float32(i)/float32(len(burst)), float32(i)/float32(len(burst))-0.5)
	}
	packets := encode(t, append(slices.Clone(burst), make([]float32, 20*ms)...), 1, "")
	var all []said
	for i := range 12 {
		all = append(all, said{uint32(i % 2), int64(second + i*second/3 + i*i*131), packets})
	}
	pcm := listen(t, asTheyCome, 7, all...)
	padded := make([]float32, 100*ms)
	copy(padded[20*ms:], burst)
	for i, s := range all {
		got := pcm[s.at-20*ms:][:len(padded)]
		if lag := lagOf(got, padded); lag < -ms/4 || lag > ms/4 {
			t.Errorf("burst %d is %d samples late", i, lag)
		}
		about(t, fmt.Sprintf("burst %d", i), rmsDB(got), rmsDB(padded), 1.5)
	}
}

// Packets may be of any duration, configuration and number of channels.
func TestEveryKindOfPacketIsHeard(t *testing.T) {
	for _, options := range []string{
		"-application voip -cutoff 4000 -b:a 12k -frame_duration 60", "-application voip -cutoff 8000 -b:a 16k -frame_duration 10",
		"-application voip -b:a 24k -frame_duration 20", "-application voip -b:a 24k -frame_duration 120",
		"-application audio -frame_duration 2.5", "-application audio -frame_duration 5", "-application audio -frame_duration 60",
		"-application audio -frame_duration 120",
	} {
		pcm := listen(t, asTheyCome, 2, said{1, 12345, encode(t, tone(second, 500, -12), 1, options)})
		about(t, options, toneDB(from(pcm, 400, 1200), 500), -12, 1.5)
		below(t, "crackle of "+options, crackleDB(from(pcm, 300, 1230)), -60)
	}
}

// Of a stereo source the middle is heard.
func TestStereoComesDownToItsMiddle(t *testing.T) {
	left, right := tone(second, 500, -12), tone(second, 900, -18)
	var both []float32
	for i := range left {
		both = append(both, left[i], right[i])
	}
	pcm := listen(t, asTheyCome, 2, said{1, 0, encode(t, both, 2, "-b:a 128k")})
	about(t, "left", toneDB(from(pcm, 100, 900), 500), -12-6, 0.7)
	about(t, "right", toneDB(from(pcm, 100, 900), 900), -18-6, 0.7)
}

// Somebody begins and ends in the middle of a packet, in the middle of a tone: no click.
func TestBeginningAndEndDoNotClick(t *testing.T) {
	for _, options := range []string{"", "-application voip -b:a 16k"} {
		for hz := 331.0; hz < 350; hz += 6 { // so that the edges are anywhere in the wave
			packets := encode(t, tone(second, hz, -12), 1, options)
			pcm := listen(t, asTheyCome, 2, said{1, 10*ms + 77, packets[10:40]})
			about(t, "the tone", toneDB(from(pcm, 50, 550), hz), -12, 1)
			below(t, "crackle "+options, crackleDB(pcm), -57)
			below(t, "the end", rmsDB(from(pcm, 700, 2000)), -75)
		}
	}
}

// The edges of what is said are slopes, even where a decoder begins and ends in the middle of a wave.
func TestEdgesAreSlopes(t *testing.T) {
	m := newMixer(t, Config{Codec: mute{}, AsTheyCome: true})
	m.Put(1, 5000, 960, []byte{0xf8, 1, 2})
	m.Put(1, 5960, 960, []byte{0xf8, 1, 2})
	var sum []float32
	for range 10 {
		m.sumFrame()
		sum = append(sum, m.sum[:]...)
	}
	begins := slices.IndexFunc(sum, func(x float32) bool { return x != 0 }) - FrameSamples + m.Ahead()
	if begins != 5000 || peak(sum) != 0.1 || sum[len(sum)-1] != 0 {
		t.Errorf("begins at %d, peak %v, ends with %v", begins, peak(sum), sum[len(sum)-1])
	}
	for i := range sum[1:] {
		if step := sum[i+1] - sum[i]; step > 0.001 || step < -0.001 {
			t.Fatalf("a step of %v at %d", step, i)
		}
	}
}

// Silence that was said as such goes by without the encoder, and the next words come as if it had run.
func TestSilenceBetweenWordsIsQuietAndWordsComeBackWhole(t *testing.T) {
	words := encode(t, tone(second/2, 400, -12), 1, "")
	m := newMixer(t, asTheyCome)
	said{1, 0, words}.put(m)
	for at := int64(len(words)*960 - lookahead); at < 2*second; at += 960 {
		m.Put(1, at, 960, opus.Quiet)
	}
	said{1, 2*second + 500, words}.put(m)
	packets := take(t, m, 3*second)
	pcm := decode(t, packets, second)
	quiet := 0
	for _, p := range packets[:100] {
		if bytes.Equal(p, opus.Quiet) {
			quiet++
		}
	}
	if quiet < 40 || m.Counts().Quiet < 40 {
		t.Errorf("%d packets of 1.5 s are quiet, %+v", quiet, m.Counts())
	}
	below(t, "the silence", rmsDB(from(pcm, 600, 2005)), -80)
	about(t, "the first 20 ms", rmsDB(from(pcm, 2016, 2036)), -15, 1)
	about(t, "the words", toneDB(from(pcm, 2030, 2480), 400), -12, 0.5)
	below(t, "crackle", crackleDB(pcm), -55)
}

// What is lost is concealed, whether it is said to be or just is not there.
func TestLossIsConcealed(t *testing.T) {
	packets := encode(t, tone(2*second, 300, -12), 1, "")
	for name, fill := range map[string]func(m *Mixer, at int64, p []byte){
		"a filler": func(m *Mixer, at int64, p []byte) { m.Put(1, at, 960, p[:1]) },
		"nothing":  func(*Mixer, int64, []byte) {},
		"garbage":  func(m *Mixer, at int64, _ []byte) { m.Put(1, at, 960, []byte{0xff, 0xff, 1, 2, 3}) },
	} {
		m := newMixer(t, asTheyCome)
		for i, p := range packets {
			if at := int64(i) * 960; i > 20 && i < 100 && i%10 == 0 {
				fill(m, at, p)
			} else {
				m.Put(1, at, 960, p)
			}
		}
		pcm := decode(t, take(t, m, 2*second), second)
		below(t, "crackle over "+name, crackleDB(from(pcm, 100, 1900)), -55)
		for i := 30; i < 90; i += 10 {
			about(t, name, rmsDB(from(pcm, 20*i, 20*i+20)), -15, 3)
		}
		if c := m.Counts(); c.Concealed != 7*960 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// Clocks drift, so now and then a piece is 2.5 ms short or early. That is no click.
func TestShortenedAndOverlappingPiecesDoNotClick(t *testing.T) {
	packets := encode(t, tone(2*second, 300, -12), 1, "")
	m := newMixer(t, asTheyCome)
	at := int64(0)
	for i, p := range packets {
		samples := 960
		switch i % 20 {
		case 7:
			samples -= 120 // cut off
		case 13:
			at -= 120 // begins before the last one ended
		case 17:
			at += 100 // a little hole
		}
		m.Put(1, at, samples, p)
		at += int64(samples)
	}
	pcm := decode(t, take(t, m, 2*second), second)
	below(t, "crackle", crackleDB(from(pcm, 100, 1900)), -55)
	about(t, "the tone", rmsDB(from(pcm, 100, 1900)), -15, 1)
}

// Somebody with DTX pauses: their comfort noise ends after a while, and the lone packets that renew it are not heard as
// a flutter.
func TestPausesOfDTXDoNotFlutter(t *testing.T) {
	packets := encode(t, add(tone(4*second, 300, -12), tone(4*second, 5000, -50)), 1, "-application voip -b:a 24k")
	m := newMixer(t, Config{})
	for i, p := range packets {
		if i > 50 && i%20 != 0 {
			p = opus.Silence(p)
		}
		m.Put(1, int64(i)*960, 960, p)
	}
	mixed := take(t, m, 4*second)
	for i, p := range mixed[120:195] {
		if !bytes.Equal(p, opus.Quiet) {
			t.Errorf("packet %d is of %d octets", 120+i, len(p))
		}
	}
	pcm := decode(t, mixed, second)
	below(t, "the rest of the pause", rmsDB(from(pcm, 1500, 3900)), -75)
}

// What comes behind the mix's position is too late, and counted; what reaches beyond it is heard from there.
func TestLatePiecesAreDropped(t *testing.T) {
	packets := encode(t, tone(second, 400, -12), 1, "")
	m := newMixer(t, asTheyCome)
	mixed := take(t, m, second/2)
	said{1, lookahead, packets}.put(m)
	mixed = append(mixed, take(t, m, 1.5*second)...)
	pcm := decode(t, mixed, second)
	if c := m.Counts(); c.Late != 25 {
		t.Errorf("%d pieces were late, 25 were behind: %+v", c.Late, c)
	}
	below(t, "before", rmsDB(from(pcm, 0, 490)), -80)
	about(t, "after", toneDB(from(pcm, 540, 990), 400), -12, 0.5)
}

// More people than there are voices: the others wait, and are heard when there is one.
func TestACrowdIsBounded(t *testing.T) {
	packets := encode(t, tone(second, 400, -40), 1, "")
	m := newMixer(t, Config{})
	for id := range uint32(200) {
		said{id, 0, packets}.put(m)
	}
	take(t, m, second/2)
	if c := m.Counts(); m.voices != SourcesMax || len(m.spare) != 0 || c.Crowded == 0 || c.Full == 0 {
		t.Errorf("%d voices, %d spare, %+v", m.voices, len(m.spare), c)
	}
	take(t, m, 20*second)
	if m.voices != 0 || len(m.spare) != 0 || len(m.sources) != 0 {
		t.Errorf("%d voices, %d spare, %d sources after a long silence", m.voices, len(m.spare), len(m.sources))
	}
	for id := range uint32(3 * levelsMax) {
		m.Put(id, m.At()+second, 960, packets[0])
		if id%queuesMax == queuesMax-1 {
			if err := m.Start(m.At() + 10*second); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(m.levels) != levelsMax || m.levels[0] != nil || m.levels[3*levelsMax-1] == nil {
		t.Errorf("%d levels, or not the last ones", len(m.levels))
	}
}

// A mix can begin anywhere, and jump: what is there is heard at its place.
func TestStartMovesThePosition(t *testing.T) {
	packets := encode(t, tone(second, 400, -12), 1, "")
	m := newMixer(t, asTheyCome)
	said{1, 0, packets}.put(m)
	take(t, m, second/2)
	const at = 7*second + 13
	if err := m.Start(at); err != nil {
		t.Fatal(err)
	}
	said{1, at - second/2, packets}.put(m)
	first := int64(-1)
	var mixed [][]byte
	err := m.Mix(at+second, func(at int64, p []byte) {
		if first < 0 {
			first = at
		}
		mixed = append(mixed, slices.Clone(p))
	})
	if err != nil || first != at || len(mixed) != 50 {
		t.Errorf("%d packets from %d on, error %v", len(mixed), first, err)
	}
	pcm := decode(t, mixed, second)
	about(t, "at once", toneDB(from(pcm, 20, 480), 400), -12, 0.5)
	below(t, "then", rmsDB(from(pcm, 700, 1000)), -75)
}

// The mix made anew is the mix that was, octet for octet, in whatever steps and order its pieces come.
func TestTheSameInputMakesTheSameMix(t *testing.T) {
	people := []said{{1, 0, speech(t, "slt")}, {2, 1000, speech(t, "rms")}, {3, 2 * second, speech(t, "awb")}}
	once := newMixer(t, Config{})
	for _, s := range people {
		s.put(once)
	}
	want := take(t, once, 9*second)
	live := newMixer(t, Config{})
	var got [][]byte
	next := make([]int, len(people))
	for until := int64(0); until <= 9*second; until += 4321 {
		for i, s := range slices.Backward(people) {
			for ; next[i] < len(s.packets) && s.at+int64(next[i])*960 < until+second/5; next[i]++ {
				live.Put(s.id, s.at-lookahead+int64(next[i])*960, 960, s.packets[next[i]])
			}
		}
		got = append(got, take(t, live, until)...)
	}
	got = append(got, take(t, live, 9*second)...)
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%d packets and %d, or not the same", len(got), len(want))
	}
}
