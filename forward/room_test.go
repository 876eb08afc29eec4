package forward

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
	"stentor/forward/opus"
)

// timeline checks a room's packets: each slot's sequence rises, and its clock never steps back.
type timeline struct {
	testing.TB
	seq map[uint8]uint64
	ts  map[uint8]uint32
}

func newTimeline(t testing.TB) *timeline {
	return &timeline{t, map[uint8]uint64{}, map[uint8]uint32{}}
}

func (tl *timeline) follow(packets []*Packet) {
	tl.Helper()
	for _, pk := range packets {
		if seq := tl.seq[pk.slot]; pk.seq <= seq {
			tl.Fatalf("slot %d: sequence %d follows %d", pk.slot, pk.seq, seq)
		}
		if ts, ok := tl.ts[pk.slot]; ok && int32(pk.ts-ts) < 0 {
			tl.Fatalf("slot %d: timestamp %d follows %d", pk.slot, pk.ts, ts)
		}
		tl.seq[pk.slot], tl.ts[pk.slot] = pk.seq, pk.ts
	}
}

// ahead is how far a packet's timestamp is ahead of the room's clock.
func (s *studio) ahead(pk *Packet) time.Duration {
	return time.Duration(int32(pk.ts-uint32(s.room.clock(s.now)))) * time.Second / opus.SampleRate
}

func TestASlotsClockNeverStepsBackOverSpeakers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 6))
	s := newStudio(t, 1, 1)
	tl := newTimeline(t)
	last := uint64(0)
	for turn := range 30 { // each has a clock of its own
		p := s.speaker()
		m := s.mouth(p, uint16(rng.Uint32()), rng.Uint32())
		if turn%3 == 2 { // comes loudly over the one before, who is displaced in mid-word
			p.src.priority = true
		}
		m.talks(5+rng.IntN(20), loud)
		got := s.published()
		tl.follow(got)
		if !got[0].marker {
			t.Errorf("turn %d begins without a marker", turn)
		}
		if d := s.ahead(got[len(got)-1]); d > 20*time.Millisecond || d < -60*time.Millisecond {
			t.Errorf("turn %d: the last packet is %v ahead of the room's clock", turn, d)
		}
		for _, pk := range got {
			if pk.seq != last+1 {
				t.Errorf("turn %d: sequence %d follows %d though nothing was lost", turn, pk.seq, last)
			}
			last = pk.seq
		}
		if turn%3 != 1 {
			s.passes(time.Second)
			tl.follow(s.published())
			last = s.room.slots[0].seq
		}
		p.src.priority = false
	}
}

func TestDriftIsCorrectedWhereNobodyHears(t *testing.T) {
	s := newStudio(t, 1, 1)
	m := s.mouth(s.speaker(), 1, 1<<31)
	tl := newTimeline(t)
	for range 20 { // spurts of 5 s from a clock that is 1 % fast: 50 ms each
		for n := range 250 {
			m.says(loud, voice)
			m.ts += 10
			s.passes(frameTime)
			got := s.published()
			tl.follow(got)
			if n == 0 {
				if d := s.ahead(got[0]) + frameTime; d < -time.Millisecond || d > time.Millisecond || !got[0].marker {
					t.Fatalf("a spurt begins %v ahead of the room's clock, marker %v", d, got[0].marker)
				}
			} else if got[0].marker {
				t.Fatal("a jump in mid-spurt")
			}
		}
		s.passes(time.Second)
		tl.follow(s.published())
	}
}

func TestLossIsPassedOnOnlyWithinASpurt(t *testing.T) {
	for lost, want := range map[int]uint64{0: 1, 1: 2, 5: 6, 14: 15} {
		s := newStudio(t, 1, 1)
		m := s.mouth(s.speaker(), 65530, 0)
		m.talks(10, loud)
		before := s.published()
		m.skips(lost)
		s.now = s.now.Add(time.Duration(lost) * frameTime) // no tick: the spurt must not end by itself
		m.talks(3, loud)
		got := s.published()
		if len(got) != 3 {
			t.Fatalf("%d lost: %d packets", lost, len(got))
		}
		if step := got[0].seq - before[9].seq; step != want {
			t.Errorf("%d lost: sequence steps by %d, want %d", lost, step, want)
		}
		if step := got[0].ts - before[9].ts; step != uint32(lost+1)*frameSamples {
			t.Errorf("%d lost: clock steps by %d", lost, step)
		}
	}
}

// TestABurstOfLossIsAGapToo: more than the window holds, and at once, as after a stalled link.
func TestABurstOfLossIsAGapToo(t *testing.T) {
	for lost, want := range map[int]uint64{16: 17, 40: 41, 250: 1 + lossMax} {
		s := newStudio(t, 1, 1)
		m := s.mouth(s.speaker(), 65530, 0)
		m.talks(10, loud)
		before := s.published()
		m.skips(lost)
		m.says(loud, voice)
		got := s.published()
		if len(got) != 1 || got[0].seq-before[9].seq != want {
			t.Errorf("%d lost: %d packets, sequence steps by %d, want %d", lost, len(got), got[0].seq-before[9].seq, want)
		}
	}
	s := newStudio(t, 1, 1)
	m := s.mouth(s.speaker(), 1, 0)
	m.talks(3, loud)
	s.passes(time.Second)
	before := s.published()
	m.skips(200) // in silence
	m.talks(1, loud)
	if got := s.published(); got[0].seq != before[len(before)-1].seq+1 {
		t.Error("what is lost between two spurts makes a gap")
	}
}

func TestMutingClosesTheSpurtForGood(t *testing.T) {
	s := newStudio(t, 1, 1)
	p := s.speaker()
	m := s.mouth(p, 1, 0)
	m.talks(5, loud)
	m.skips(1)
	m.says(loud, voice) // waits in the window for the missing one
	s.published()
	p.Set(true, true, false)
	s.rd.runCommands(s.now)
	got := s.published()
	if len(got) != 2 || !closes(got) || got[0].marker {
		t.Fatalf("muting publishes %d packets, want the two that close", len(got))
	}
	s.passes(100 * time.Millisecond)
	m.talks(5, loud)
	if late := s.published(); len(late) != 0 || p.Speaking() || s.room.Heard(0) != nil {
		t.Errorf("after the mute: %d packets, speaking %v, heard %v", len(late), p.Speaking(), s.room.Heard(0) != nil)
	}
	if n := s.plane.drops[DropMuted].Load(); n != 6 {
		t.Errorf("%d packets dropped as muted, want the one that waited and five that came", n)
	}
	p.Set(true, false, false)
	s.rd.runCommands(s.now)
	m.talks(1, loud)
	if again := s.published(); len(again) != 1 || again[0].seq != got[1].seq+1 || !again[0].marker {
		t.Errorf("unmuted: %+v", again)
	}
}

// closes tells whether two packets end a spurt: silence, then its sign.
func closes(pks []*Packet) bool {
	return bytes.Equal(pks[0].payload, opus.Quiet) && bytes.Equal(pks[1].payload, opus.Silence(opus.Quiet))
}

func TestWhoLeavesLeavesNothing(t *testing.T) {
	s := newStudio(t, 1, 1)
	p := s.speaker()
	m := s.mouth(p, 1, 0)
	m.talks(5, loud)
	m.skips(1)
	m.says(loud, voice) // waits in the window
	s.published()
	p.Leave()
	s.rd.runCommands(s.now)
	got := s.published()
	if len(got) != 3 || !bytes.Equal(got[0].payload, voice) || !closes(got[1:]) {
		t.Fatalf("leaving publishes %d packets, want the one that waited and the two that close", len(got))
	}
	s.plane.TakeChanges()
	s.passes(3 * time.Second)
	if got := s.published(); len(got) != 0 {
		t.Errorf("%d packets after leaving", len(got))
	}
	if ch := s.plane.TakeChanges(); len(ch) != 0 || len(s.rd.live) != 0 || s.room.Heard(0) != nil || p.Speaking() {
		t.Errorf("left behind: %d changes, %d sources, heard %v", len(ch), len(s.rd.live), s.room.Heard(0) != nil)
	}
	for _, pl := range s.room.sel.places {
		if pl.holder != nil || pl.last != nil {
			t.Error("the selection remembers who has left")
		}
	}
}

func TestSilenceAndItsSignsEndAtTheIngress(t *testing.T) {
	s := newStudio(t, 1, 1)
	p := s.speaker()
	m := s.mouth(p, 1, 0)
	m.talks(50, quiet)
	if got := s.published(); len(got) != 0 || s.plane.drops[DropSilence].Load() != 50 {
		t.Fatalf("%d packets of silence, %d dropped", len(got), s.plane.drops[DropSilence].Load())
	}
	m.talks(3, loud)
	dtx := []byte{31 << 3}
	for range 3 {
		m.says(quiet, dtx)
		s.passes(100 * time.Millisecond)
		m.ts += 4 * frameSamples
	}
	m.talks(2, loud)
	got := s.published()
	if len(got) != 6 || !opus.IsDTX(got[3].payload) || opus.IsDTX(got[4].payload) {
		t.Fatalf("%d packets, want three, one sign of silence, two", len(got))
	}
	if !got[4].marker || got[5].marker || got[4].seq != got[3].seq+1 {
		t.Error("what follows a sign of silence is no new spurt, or leaves a gap")
	}
	for range 5 {
		m.says(quiet, dtx)
		s.passes(100 * time.Millisecond)
	}
	if got := s.published(); len(got) != 1 {
		t.Errorf("the end is told %d times", len(got))
	}
}

func TestPayloadIsFoundBehindAnyHeader(t *testing.T) {
	s := newStudio(t, 1, 1)
	p := s.speaker()
	for i, c := range []struct {
		name           string
		first, ext     []byte // first octet; CSRCs and extension
		tail           []byte // padding
		wantLevel      uint8
		wantNotForward bool
	}{
		{"level", []byte{0x90}, []byte{0xBE, 0xDE, 0, 1, 0x10, loud, 0, 0}, nil, loud, false},
		{"padding between extensions", []byte{0x90}, []byte{0xBE, 0xDE, 0, 3, 0, 0, 0, 0, 0x10, loud, 0, 0, 0, 0, 0, 0}, nil, loud, false},
		{"two-byte extensions", []byte{0x90}, []byte{0x10, 0, 0, 2, 1, 1, loud, 0, 0, 0, 0, 0}, nil, loud, false},
		{"extension of another kind", []byte{0x90}, []byte{0x12, 0x34, 0, 1, 9, 9, 9, 9}, nil, levelUnknown, false},
		{"two CSRCs", []byte{0x82}, []byte{1, 2, 3, 4, 5, 6, 7, 8}, nil, levelUnknown, false},
		{"padding", []byte{0xA0}, nil, []byte{0, 0, 3}, levelUnknown, false},
		{"padding of zero octets", []byte{0xA0}, nil, []byte{0}, 0, true},
		{"padding beyond the payload", []byte{0xA0}, nil, []byte{200}, 0, true},
	} {
		raw := append(c.first, 111, 0, byte(i), 0, 0, byte(i*960>>8), byte(i*960), 0, 0, 0, 77)
		raw = append(append(append(raw, c.ext...), voice...), c.tail...)
		var h rtp.Header
		if _, err := h.Unmarshal(raw); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		s.rd.take(&p.src, &h, append(p.src.arena.reserve(len(raw)), raw...), s.now)
		got := s.published()
		if c.wantNotForward {
			if len(got) != 0 || s.plane.drops[DropMalformed].Load() == 0 {
				t.Errorf("%s: forwarded", c.name)
			}
			continue
		}
		if len(got) != 1 || !bytes.Equal(got[0].payload, voice) || got[0].level != c.wantLevel {
			t.Errorf("%s: %d packets: %+v", c.name, len(got), got)
		}
		s.now = s.now.Add(frameTime)
	}
}

// TestHastyClockDoesNotSpoilTheSlot: a sender whose packets claim more time than passes must not push the slot's
// clock away from the room's, where the next speaker would have to follow.
func TestHastyClockDoesNotSpoilTheSlot(t *testing.T) {
	s := newStudio(t, 1, 1)
	tl := newTimeline(t)
	hasty := s.speaker()
	m := s.mouth(hasty, 1, 0)
	long := append([]byte{31<<3 | 3, 6}, make([]byte, 60)...) // 120 ms
	for range 5000 {
		m.says(loud, long)
		m.ts += 5 * frameSamples
		s.now = s.now.Add(time.Millisecond)
		got := s.published()
		tl.follow(got)
		for _, pk := range got {
			if d := s.ahead(pk); d > 5*time.Second {
				t.Fatalf("%v ahead of the room's clock", d)
			}
		}
	}
	s.passes(6 * time.Second)
	s.published()
	s.mouth(s.speaker(), 1, 0).talks(1, loud)
	if d := s.ahead(s.published()[0]); d > 0 || d < -2*frameTime {
		t.Errorf("the next speaker begins %v ahead of the room's clock", d)
	}
}

func TestSluggishClockStaysNearTheRooms(t *testing.T) {
	s := newStudio(t, 1, 1)
	m := s.mouth(s.speaker(), 1, 0)
	tl := newTimeline(t)
	short := append([]byte{30 << 3}, voice[1:]...) // 10 ms, and comes every 20
	for range 2000 {
		m.says(loud, short)
		m.ts -= frameSamples / 2
		s.passes(frameTime)
		got := s.published()
		tl.follow(got)
		for _, pk := range got {
			if d := s.ahead(pk); d < -5*time.Second-2*frameTime {
				t.Fatalf("%v ahead of the room's clock", d)
			}
		}
	}
}

func TestRoomClockRunsForYears(t *testing.T) {
	s := newStudio(t, 1, 1)
	for _, d := range []time.Duration{0, time.Second / 48000 * 48, 72 * time.Hour, 5 * 365 * 24 * time.Hour} {
		want := s.room.base + uint64(d/time.Second)*48000 + uint64(samples(d%time.Second))
		if got := s.room.clock(s.room.epoch.Add(d)); got != want {
			t.Errorf("after %v: %d, want %d", d, got, want)
		}
	}
}

func TestPlaneRoomAndPeerTellWhatChanged(t *testing.T) {
	s := newStudio(t, 2, 1)
	p, q := s.speaker(), s.speaker()
	s.mouth(p, 1, 0).talks(2, loud)
	s.mouth(q, 1, 0).talks(2, loud)
	select {
	case <-s.plane.Changes():
	default:
		t.Error("nothing is ready")
	}
	got := s.plane.TakeChanges()
	if len(got) != 3 || got[0].Peer != p || got[1].Room != s.room || got[2].Peer != q {
		t.Errorf("changes %v", got)
	}
	if s.room.Heard(0) != p || s.room.Heard(1) != q || !p.Speaking() || !q.Speaking() {
		t.Error("two speak, and are not heard in the order of their onset")
	}
	s.passes(time.Second)
	if got := s.plane.TakeChanges(); len(got) != 3 || p.Speaking() || q.Speaking() || s.room.Heard(0) != nil {
		t.Errorf("changes %v at the end", got)
	}
}
