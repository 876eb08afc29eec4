package forward

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"stentor/forward/opus"
	"stentor/forward/red"
)

// numbered is an Opus packet of 20 ms that can be told from others.
func numbered(n int) []byte { return append([]byte{31 << 3, byte(n)}, voice[2:]...) }

// number is that of a numbered packet; -1: it is none.
func number(payload []byte) int {
	if len(payload) < 2 || !bytes.Equal(payload, numbered(int(payload[1]))) {
		return -1
	}
	return int(payload[1])
}

func numbers(got []*Packet) (n []int) {
	for _, pk := range got {
		n = append(n, number(pk.payload))
	}
	return n
}

// repeats says packet n together with the given ones, each so many packets of 20 ms before it.
func (m *mouth) repeats(level uint8, n int, before ...int) {
	var blocks []red.Block
	for _, k := range before {
		blocks = append(blocks, red.Block{PayloadType: 111, Offset: uint32(k * frameSamples), Payload: numbered(n - k)})
	}
	m.brings(level, n, blocks...)
}

// brings says packet n together with blocks.
func (m *mouth) brings(level uint8, n int, blocks ...red.Block) {
	h := m.header(level)
	h.PayloadType = 63
	m.s.arrives(m.peer, h, red.Append(nil, blocks, 111, numbered(n)))
	m.skips(1)
}

func (s *studio) heardAre(want ...int) {
	s.Helper()
	if got := numbers(s.published()); !slices.Equal(got, want) {
		s.Errorf("published %v, want %v", got, want)
	}
}

func TestALostPacketComesBackWithTheNextOneAtOnce(t *testing.T) {
	s := newStudio(t, 3, 1)
	book := new(notebook)
	s.room.tap = book
	ann := s.speaker()
	m := s.mouth(ann, 65534, 1<<32-2*frameSamples)
	m.repeats(loud, 0)
	s.passes(frameTime)
	m.repeats(loud, 1, 1)
	s.heardAre(0, 1)
	for _, lost := range []int{1, 2, 3} {
		s.passes(time.Duration(1+lost) * frameTime)
		first := 2
		if lost > 1 {
			first = map[int]int{2: 4, 3: 7}[lost]
		}
		m.skips(lost)
		n := first + lost
		m.repeats(loud-1, n, 2, 1)
		if lost < 3 {
			want := []int{first, n}
			if lost == 2 {
				want = []int{first, first + 1, n}
			}
			s.heardAre(want...)
		}
	}
	s.heardAre() // of three lost ones the first may still come
	s.passes(windowWait)
	got := s.published()
	if n := numbers(got); !slices.Equal(n, []int{8, 9, 10}) {
		t.Fatalf("published %v", n)
	}
	if d := got[0].ts - s.room.program.at(s.heard-4).ts; d != 2*frameSamples {
		t.Errorf("after a gap of one packet the clock has gone on by %d", d)
	}
	if got := ann.Up.Recovered.Load(); got != 5 {
		t.Errorf("%d counted as recovered, want 5", got)
	}
	if got := s.plane.Stats(s.now).Recovered; got != 5 {
		t.Errorf("%d counted as recovered by the plane, want 5", got)
	}
	if got := ann.src.rec.lost(); got != 6 {
		t.Errorf("%d reported as lost to the sender, want all 6 that the network lost", got)
	}
	const start = tsStart | (1<<32 - 2*frameSamples)
	for i, h := range book.last(t, 10) {
		want := i
		if i >= 7 {
			want++
		}
		if number(h.Payload) != want || h.TS != start+uint64(want*frameSamples) || h.Samples != frameSamples {
			t.Errorf("the tap's packet %d: %d at %d", i, number(h.Payload), h.TS)
		}
	}
	if n := s.plane.drops[DropLate].Load(); n != 0 {
		t.Errorf("%d packets counted as late: what was there already is no drop", n)
	}
}

func TestRedundancyDoesNotCutShortTheWaitForWhatIsOvertaken(t *testing.T) {
	s := newStudio(t, 3, 1)
	m := s.mouth(s.speaker(), 100, 5000)
	m.repeats(loud, 0)
	late := *m
	m.skips(2)
	m.repeats(loud, 3, 1) // brings 2; 1 is under way
	s.heardAre(0)
	late.repeats(loud, 1)
	s.heardAre(1, 2, 3)
}

func TestWhatRedundancyClaimsIsNotBelieved(t *testing.T) {
	block := func(pt uint8, offset uint32, payload []byte) red.Block {
		return red.Block{PayloadType: pt, Offset: offset, Payload: payload}
	}
	good := numbered(1)
	twenty := uint32(frameSamples)
	for name, c := range map[string]struct {
		blocks []red.Block
		want   []int
	}{
		"as it should be":        {[]red.Block{block(111, twenty, good)}, []int{0, 1, 2}},
		"an empty one beside":    {[]red.Block{block(111, twenty, good), block(111, twenty/2, nil)}, []int{0, 1, 2}},
		"another type":           {[]red.Block{block(13, twenty, good)}, []int{0, 2}},
		"no offset":              {[]red.Block{block(111, 0, good)}, []int{0, 2}},
		"half a packet":          {[]red.Block{block(111, twenty/2, good)}, []int{0, 2}},
		"one and a half":         {[]red.Block{block(111, twenty*3/2, good)}, []int{0, 2}},
		"that has been heard":    {[]red.Block{block(111, 2*twenty, good)}, []int{0, 2}},
		"from before the stream": {[]red.Block{block(111, 3*twenty, good)}, []int{0, 2}},
		"as far as can be said":  {[]red.Block{block(111, red.OffsetMax, good)}, []int{0, 2}},
		"no Opus":                {[]red.Block{block(111, twenty, []byte{0xff})}, []int{0, 2}},
		"longer than its place":  {[]red.Block{block(111, 2*twenty, append([]byte{31<<3 | 1}, good[1:]...))}, []int{0, 2}},
		"the same twice":         {[]red.Block{block(111, twenty, good), block(111, twenty, good)}, []int{0, 1, 2}},
		"the wrong way round":    {[]red.Block{block(111, twenty, good), block(111, 2*twenty, numbered(7))}, []int{0, 2}},
		"overlapping":            {[]red.Block{block(111, twenty, good), block(111, twenty*2/3, good)}, []int{0, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStudio(t, 3, 1)
			m := s.mouth(s.speaker(), 100, 5000)
			m.repeats(loud, 0)
			m.skips(1)
			s.passes(2 * frameTime)
			m.brings(loud, 2, c.blocks...)
			s.passes(windowWait)
			s.heardAre(c.want...)
		})
	}
}

func TestRedundancyMustBeAgreedOnAndWhole(t *testing.T) {
	s := newStudio(t, 3, 1)
	ann := s.speaker()
	m := s.mouth(ann, 100, 5000)
	say := func(pt uint8, payload []byte) {
		h := m.header(loud)
		h.PayloadType = pt
		s.arrives(ann, h, payload)
		m.skips(1)
	}
	say(63, red.Append(nil, nil, 0, voice))
	say(63, []byte{0x80 | 111, 0, 0})
	say(63, []byte{111})
	if n := s.plane.drops[DropPayloadType].Load(); n != 1 {
		t.Errorf("%d dropped for what they hold, want 1", n)
	}
	if n := s.plane.drops[DropMalformed].Load(); n != 2 {
		t.Errorf("%d dropped as malformed, want 2", n)
	}
	ann.config.RedundancyPT = 0
	say(63, red.Append(nil, nil, 111, voice))
	say(0, voice)
	if n := s.plane.drops[DropPayloadType].Load(); n != 3 {
		t.Errorf("%d dropped by payload type, want 3", n)
	}
	s.heardAre()
}

// What was said while one was muted must not come out with the first packet afterwards.
func TestNothingComesBackFromMutedTime(t *testing.T) {
	s := newStudio(t, 3, 1)
	ann := s.speaker()
	m := s.mouth(ann, 100, 5000)
	m.repeats(loud, 0)
	set := func(muted bool) {
		ann.Set(true, muted, false)
		s.rd.runCommands(s.now)
		s.published()
	}
	set(true)
	m.repeats(loud, 1, 1)
	m.repeats(loud, 2, 2, 1)
	set(false)
	m.repeats(loud, 3, 2, 1)
	m.repeats(loud, 4, 2, 1)
	s.heardAre(3, 4)
}

func TestRestoringAllocatesNothing(t *testing.T) {
	s := newStudio(t, 3, 1)
	ann := s.speaker()
	m := s.mouth(ann, 100, 5000)
	m.repeats(loud, 0)
	payload := red.Append(nil, []red.Block{{PayloadType: 111, Offset: frameSamples, Payload: voice}}, 111, voice)
	if n := testing.AllocsPerRun(100, func() {
		if drop := dropCount; s.rd.red.Parse(payload) {
			_, drop = s.rd.unpack(&ann.src, payload)
			if drop != dropCount {
				t.Error(drop)
			}
		}
		f := frame{seq: ann.src.window.next + 1, ts: ann.src.window.end + frameSamples, payload: voice, samples: frameSamples}
		if !s.rd.restore(&ann.src, &f, s.now) {
			t.Error("nothing was restored")
		}
		ann.src.window.put(f, s.now)
		for range 2 {
			if _, _, ok := ann.src.window.pop(s.now, true); !ok {
				t.Error("the window is empty")
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if d, ok := opus.Duration(voice); !ok || d != frameSamples {
		t.Fatal("the voice is not of 20 ms")
	}
}

// pads says a packet of nothing but padding, as browsers do to probe the network: by the numbers of their audio.
func (m *mouth) pads() {
	h := m.header(loud)
	h.Padding, h.Timestamp = true, m.ts-frameSamples
	m.s.arrives(m.peer, h, append(make([]byte, 223), 224))
	m.seq++
}

func TestPaddingIsNoLoss(t *testing.T) {
	s := newStudio(t, 3, 1)
	book := new(notebook)
	s.room.tap = book
	ann := s.speaker()
	m := s.mouth(ann, 65530, 5000)
	m.pads()
	m.repeats(loud, 0)
	for range 20 { // more than the window holds
		m.pads()
	}
	m.repeats(loud, 1, 1)
	s.passes(frameTime)
	m.repeats(loud, 2, 2, 1)
	late := *m
	m.seq++
	m.repeats(loud, 3, 1) // overtakes padding; the number before is not that of the packet it brings
	late.pads()
	m.pads()
	m.skips(1) // 4 is lost, and comes back, though padding stands between
	m.pads()
	m.pads()
	m.repeats(loud, 5, 1)
	m.skips(1) // 6 is lost for good, with padding beside it
	m.pads()
	m.repeats(loud, 7)
	s.passes(windowWait)
	got := s.published()
	if n := numbers(got); !slices.Equal(n, []int{0, 1, 2, 3, 4, 5, 7}) {
		t.Fatalf("published %v", n)
	}
	for i := 1; i < len(got); i++ {
		want := uint64(number(got[i].payload) - number(got[i-1].payload))
		if step := got[i].seq - got[i-1].seq; step != want {
			t.Errorf("number %d is %d after that of %d", number(got[i].payload), step, number(got[i-1].payload))
		}
	}
	heard := book.last(t, 7)
	for i, h := range heard[1:] {
		if want := uint64(number(h.Payload) - number(heard[i].Payload)); h.Seq-heard[i].Seq != want {
			t.Errorf("recorded number %d is %d after that of %d", number(h.Payload), h.Seq-heard[i].Seq, number(heard[i].Payload))
		}
	}
	if n := ann.Up.Dropped.Load(); n != 0 {
		t.Errorf("%d dropped", n)
	}
}
