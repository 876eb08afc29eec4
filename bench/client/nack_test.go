package client

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestWhatIsMissingIsAskedForAndThenGivenUp goes through a gap by hand: what was only overtaken is not asked for.
func TestWhatIsMissingIsAskedForAndThenGivenUp(t *testing.T) {
	var n nacks
	var s stream
	start := time.Unix(1_700_000_000, 0)
	comes := func(ms int, seqs ...uint16) {
		for _, seq := range seqs {
			p := Packet{SSRC: 7, Seq: seq, At: start.Add(time.Duration(ms) * time.Millisecond)}
			highest, started := s.highest, s.started
			if s.take(&p) {
				n.book(&p, highest, started)
			}
		}
	}
	missing := func() (out string) {
		for _, m := range n.list {
			out += fmt.Sprint(m.seq, " ")
		}
		return out
	}
	comes(0, 65533, 65534)
	if n.due() != (time.Time{}) {
		t.Error("something is missing before anything is")
	}
	comes(20, 1)
	if got := missing(); got != "65535 0 " || !n.due().Equal(start.Add(20*time.Millisecond+nackWait)) {
		t.Errorf("missing %s, due %v", got, n.due().Sub(start))
	}
	comes(25, 0) // overtaken
	comes(40, 2, 2, 300)
	if got := missing(); got != "65535 " {
		t.Errorf("missing %s after one has come, and a break that is too long to ask for", got)
	}
	comes(41, 65535)
	if got := missing(); got != "" {
		t.Errorf("missing %s", got)
	}
}

// TestNacksGoOutAsLongAsTheyHelp loses packets for good: they are asked for every 100 ms, for half a second.
func TestNacksGoOutAsLongAsTheyHelp(t *testing.T) {
	var n nacks
	start := time.Unix(1_700_000_000, 0)
	n.book(&Packet{SSRC: 7, Seq: 13, At: start}, 10, true)
	n.book(&Packet{SSRC: 8, Seq: 6, At: start}, 4, true)
	var at []string
	for ms := range 1000 {
		for _, w := range n.wanted(start.Add(time.Duration(ms) * time.Millisecond)) {
			at = append(at, fmt.Sprintf("%d: %v of %d", ms, w.seqs, w.ssrc))
		}
	}
	if len(at) != 10 || at[0] != "10: [11 12] of 7" || at[9] != "410: [5] of 8" || !n.due().IsZero() {
		t.Errorf("asked for at ms %q", at)
	}
}

func TestNacksAreOfferedIfTheyAreWanted(t *testing.T) {
	for _, wants := range []bool{false, true} {
		play(t, Config{NACK: wants}, func(t *testing.T, s *scene) {
			if n := strings.Count(s.client.Offer(), "a=rtcp-fb:111 nack\r\n"); n != map[bool]int{true: 3}[wants] {
				t.Errorf("offered on %d lines", n)
			}
		})
	}
}
