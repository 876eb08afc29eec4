//go:build linux

package fanout

import (
	"math/rand/v2"
	"testing"
)

func TestTallyTellsLossFromLateness(t *testing.T) {
	for name, c := range map[string]struct {
		seqs                            []uint16
		packets, gaps, late, duplicates uint64
	}{
		"in order":           {[]uint16{7, 8, 9}, 3, 0, 0, 0},
		"around the end":     {[]uint16{65534, 65535, 0, 1}, 4, 0, 0, 0},
		"lost":               {[]uint16{1, 2, 5}, 3, 2, 0, 0},
		"late":               {[]uint16{1, 3, 2, 4}, 4, 0, 1, 0},
		"twice":              {[]uint16{1, 2, 2, 1, 3}, 3, 0, 0, 2},
		"lost over the end":  {[]uint16{65535, 1}, 2, 1, 0, 0},
		"a long hole":        {[]uint16{1, 101, 100}, 3, 98, 1, 0},
		"too late to matter": {[]uint16{1, 3, 103, 2}, 3, 100, 0, 1},
	} {
		var tl tally
		for _, seq := range c.seqs {
			tl.take(opusPayloadType, 42, seq)
		}
		s := tl.sum()
		if s.packets != c.packets || s.gaps != c.gaps || s.late != c.late || s.duplicates != c.duplicates {
			t.Errorf("%s: %d packets, %d gaps, %d late, %d duplicates", name, s.packets, s.gaps, s.late, s.duplicates)
		}
	}
}

// TestTallyAgreesWithASet loses and swaps at random and compares with what a set of all numbers says.
func TestTallyAgreesWithASet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var tl tally
		var sent []uint32
		first := uint32(random.IntN(1 << 16))
		for i := range uint32(500) {
			if i == 0 || i == 499 || random.IntN(10) > 0 {
				sent = append(sent, first+i)
			}
		}
		for i := 2; i+3 < len(sent); i += 2 {
			if random.IntN(4) == 0 {
				sent[i], sent[i+1] = sent[i+1], sent[i]
			}
		}
		seen := map[uint32]bool{}
		for _, n := range sent {
			tl.take(opusPayloadType, 1, uint16(n))
			seen[n] = true
		}
		if s := tl.sum(); s.packets != uint64(len(seen)) || s.gaps != uint64(500-len(seen)) || s.duplicates != 0 {
			t.Fatalf("%d packets, %d gaps, %d duplicates; %d were sent of 500", s.packets, s.gaps, s.duplicates, len(seen))
		}
	}
}

func TestTallyKnowsWhatIsStrange(t *testing.T) {
	var tl tally
	tl.take(96, 1, 1)
	for ssrc := range uint32(streamsMax + 2) {
		tl.take(opusPayloadType, ssrc, 1)
	}
	if tl.strange != 3 || tl.sum().packets != streamsMax {
		t.Errorf("%d strange, %d packets", tl.strange, tl.sum().packets)
	}
}

func TestReportsSayWhatIsNew(t *testing.T) {
	var tl tally
	for _, seq := range []uint16{65535, 0, 3} {
		tl.take(opusPayloadType, 9, seq)
	}
	r := tl.report()
	if len(r) != 1 || r[0].SSRC != 9 || r[0].TotalLost != 2 || r[0].FractionLost != 2*256/5 || uint16(r[0].LastSequenceNumber) != 3 {
		t.Errorf("%+v", r)
	}
	if r := tl.report(); len(r) != 0 {
		t.Errorf("nothing came, and yet %+v", r)
	}
	tl.take(opusPayloadType, 9, 4)
	if r := tl.report(); len(r) != 1 || r[0].FractionLost != 0 || r[0].TotalLost != 2 {
		t.Errorf("%+v", r)
	}
}

func TestCountingAPacketAllocatesNothing(t *testing.T) {
	var tl tally
	seq := uint16(0)
	if n := testing.AllocsPerRun(1000, func() { seq++; tl.take(opusPayloadType, 5, seq) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func BenchmarkTally(b *testing.B) {
	var tl tally
	for i := range b.N {
		tl.take(opusPayloadType, uint32(i%3), uint16(i/3))
	}
}
