package forward

import (
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v2"
)

func TestNTPByHand(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want uint64
	}{
		{time.Unix(0, 0), 2208988800 << 32},
		{time.Unix(0, 500_000_000), 2208988800<<32 | 1<<31},
		{time.Unix(1_000_000_000, 250_000_000), 3208988800<<32 | 1<<30},
		{time.Date(2036, 2, 7, 6, 28, 16, 0, time.UTC), 0}, // the era rolls over
	} {
		if got := ntp(c.at); got != c.want {
			t.Errorf("%v: %x, want %x", c.at, got, c.want)
		}
	}
}

// compound opens and parses the only RTCP packet that was sent.
func compound(t *testing.T, c *srtp.Context, out *tray) []rtcp.Packet {
	t.Helper()
	if len(out.sent) != 1 {
		t.Fatalf("%d packets sent", len(out.sent))
	}
	plain, err := c.DecryptRTCP(nil, out.sent[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := rtcp.Unmarshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	begins, names := false, false // RFC 3550 §6.1; RFC 8108 §5.3 lets several reports stand before the names
	switch packets[0].(type) {
	case *rtcp.SenderReport, *rtcp.ReceiverReport:
		begins = true
	}
	for _, p := range packets {
		_, ok := p.(*rtcp.SourceDescription)
		names = names || ok
	}
	if !begins || !names {
		t.Errorf("a compound packet needs a report first and CNAMEs: %v", packets)
	}
	out.sent = nil
	return packets
}

func TestSenderReportsAndGoodbye(t *testing.T) {
	s := newStudio(t, 3, 1)
	sh, out := s.plane.shards[0], &tray{keep: true}
	sh.out = out
	l := s.attach(s.joins(3), sh)
	c := opener(t, gcm)
	if b := l.senderReports(sh.rtcp[:], s.now, false); len(b) != 0 {
		t.Errorf("nothing was sent, and yet a report of %d octets", len(b))
	}
	ann := s.joins(0)
	for n := range 5 {
		s.speaks(ann, 0, n, voice)
		if n < 2 {
			s.speaks(ann, 2, n, voice)
		}
	}
	s.rd.wake()
	sh.serve()
	out.sent = nil
	now := s.room.epoch.Add(3 * time.Second)
	sh.sendRTCP(l, l.senderReports(sh.rtcp[:], now, false))
	got := compound(t, c, out)
	if len(got) != 3 {
		t.Fatalf("%v", got)
	}
	for i, want := range []struct{ slot, packets int }{{0, 5}, {2, 2}} {
		sr := got[i].(*rtcp.SenderReport)
		if sr.SSRC != s.room.ssrcs[want.slot] || int(sr.PacketCount) != want.packets || int(sr.OctetCount) != want.packets*len(voice) {
			t.Errorf("report %+v, want %+v", sr, want)
		}
		if sr.NTPTime != ntp(now) || sr.RTPTime != uint32(s.room.base)+3*48000 {
			t.Errorf("clocks %x and %d", sr.NTPTime, sr.RTPTime)
		}
	}
	if d := got[2].(*rtcp.SourceDescription); len(d.Chunks) != 2 || d.Chunks[1].Source != s.room.ssrcs[2] ||
		d.Chunks[1].Items[0].Type != rtcp.SDESCNAME || d.Chunks[1].Items[0].Text != CNAME {
		t.Errorf("%+v", d)
	}

	sh.detach(l, now)
	got = compound(t, c, out)
	bye := got[len(got)-1].(*rtcp.Goodbye)
	if !slices.Equal(bye.Sources, []uint32{s.room.ssrcs[0], s.room.ssrcs[2]}) {
		t.Errorf("BYE for %x", bye.Sources)
	}
	sh.sendRTCP(l, []byte{1, 2, 3, 4})
	if len(out.sent) != 0 {
		t.Error("something is sent after BYE")
	}
}

func TestGoodbyeOfOneWhoHeardNothing(t *testing.T) {
	s := newStudio(t, 16, 1)
	sh, out := s.plane.shards[0], &tray{keep: true}
	sh.out = out
	sh.detach(s.attach(s.joins(3), sh), s.now)
	got := compound(t, opener(t, gcm), out)
	if bye, ok := got[len(got)-1].(*rtcp.Goodbye); !ok || bye.Sources[0] != s.room.ssrcs[0] {
		t.Errorf("%v", got)
	}
	full := s.attach(s.joins(16), sh) // reports for all slots there may be fit into a datagram
	for i := range full.lines {
		full.lines[i].packets = 1
	}
	if b := full.senderReports(sh.rtcp[:], s.now, true); len(b) == 0 {
		t.Error("16 lines leave without BYE")
	}
}

// TestReceiverReportByHand: of eight packets two are lost; a sender report came 1.5 s before.
func TestReceiverReportByHand(t *testing.T) {
	s := newStudio(t, 1, 1)
	sh, out := s.plane.shards[0], &tray{keep: true}
	sh.out = out
	p := s.joins(1)
	s.attach(p, sh)
	m := s.mouth(p, 65533, 0)
	for n := range 8 {
		if n == 3 || n == 5 {
			m.skips(1)
		} else {
			m.says(loud, voice)
		}
		s.now = s.now.Add(frameTime)
	}
	p.src.rec.report(&rtcp.SenderReport{SSRC: 999, NTPTime: 1}, s.now) // another's
	p.src.rec.report(&rtcp.SenderReport{SSRC: m.ssrc, NTPTime: 0x1111222233334444}, s.now)
	sh.serve()
	out.sent = nil
	s.rd.reportTo(&p.src, s.now.Add(1500*time.Millisecond))
	sh.serve()
	got := compound(t, opener(t, gcm), out)
	rr := got[0].(*rtcp.ReceiverReport)
	want := rtcp.ReceptionReport{
		SSRC: m.ssrc, FractionLost: 64, TotalLost: 2, LastSequenceNumber: 1<<16 + 4, Jitter: 0,
		LastSenderReport: 0x22223333, Delay: 3 << 15,
	}
	if rr.SSRC != s.room.ssrcs[0] || len(rr.Reports) != 1 || rr.Reports[0] != want {
		t.Errorf("%+v, want %+v", rr, want)
	}
	if p.Up.Lost.Load() != 2 || p.Up.Packets.Load() != 6 || p.Up.Bytes.Load() != uint64(6*len(voice)) || p.Up.Level.Load() != loud {
		t.Errorf("lost %d, %d packets", p.Up.Lost.Load(), p.Up.Packets.Load())
	}
}

func TestRoundTripFromReports(t *testing.T) {
	s := newStudio(t, 2, 1)
	p := s.joins(2)
	at := func(d time.Duration) uint32 { return uint32(ntp(s.now.Add(d)) >> 16) }
	for _, c := range []struct {
		name   string
		blocks []rtcp.ReceptionReport
		rtt    time.Duration // 0: as before
	}{
		{"of another's stream", []rtcp.ReceptionReport{{SSRC: 1, LastSenderReport: at(-time.Second), FractionLost: 9}}, 0},
		{"no sender report yet", []rtcp.ReceptionReport{{SSRC: s.room.ssrcs[0]}}, 0},
		{"250 ms less 150", []rtcp.ReceptionReport{
			{SSRC: s.room.ssrcs[1], LastSenderReport: at(-250 * time.Millisecond), Delay: 65536 * 150 / 1000},
		}, 100 * time.Millisecond},
		{"a delay longer than the time", []rtcp.ReceptionReport{
			{SSRC: s.room.ssrcs[1], LastSenderReport: at(-time.Second), Delay: 2 * 65536},
		}, 0},
		{"an hour", []rtcp.ReceptionReport{{SSRC: s.room.ssrcs[1], LastSenderReport: at(-time.Hour)}}, 0},
	} {
		before := p.Down.RTT.Load()
		s.rd.reports(p, c.blocks, s.now)
		got := time.Duration(p.Down.RTT.Load())
		if c.rtt == 0 {
			if int64(got) != before {
				t.Errorf("%s: %v", c.name, got)
			}
		} else if (got - c.rtt).Abs() > 50*time.Microsecond {
			t.Errorf("%s: %v, want %v", c.name, got, c.rtt)
		}
	}
	s.rd.reports(p, []rtcp.ReceptionReport{
		{SSRC: s.room.ssrcs[0], FractionLost: 10, Jitter: 500}, {SSRC: s.room.ssrcs[1], FractionLost: 20, Jitter: 100},
		{SSRC: 1, FractionLost: 255, Jitter: 1 << 30},
	}, s.now)
	if p.Down.Loss.Load() != 20 || p.Down.Jitter.Load() != 500 {
		t.Errorf("loss %d, jitter %d, want the worst line's", p.Down.Loss.Load(), p.Down.Jitter.Load())
	}
}
