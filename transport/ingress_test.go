package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"
)

// ear is an ingress and the peer that seals for it.
type ear struct {
	*testing.T
	in    *ingress
	seals *srtp.Context
	now   time.Time
	dst   []byte
}

func newEar(t *testing.T, k keys, announced ...uint32) *ear {
	seals, _ := k.farSide(t)
	return &ear{t, must(newIngress(k, announced)), seals, time.Unix(1_000_000, 0), make([]byte, 0, DatagramSize)}
}

// packet is an authentic one.
func (e *ear) packet(ssrc uint32, seq uint16) []byte {
	e.Helper()
	plain := must((&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: ssrc, SequenceNumber: seq}, Payload: []byte("voice")}).Marshal())
	return must(e.seals.EncryptRTP(nil, plain, nil))
}

// report is an authentic one.
func (e *ear) report(ssrc uint32) []byte {
	e.Helper()
	plain := must(rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: ssrc}}))
	return must(e.seals.EncryptRTCP(nil, plain, nil))
}

func (e *ear) hears(packet []byte, want Drop) {
	e.Helper()
	out, h, drop := e.in.openRTP(e.dst, packet, e.now)
	if drop != want {
		e.Fatalf("RTP: dropped as %s, want %s", drop, want)
	}
	if want == DropNone && (string(out[h.MarshalSize():]) != "voice" || h.SSRC != binary.BigEndian.Uint32(packet[8:])) {
		e.Fatalf("heard %q of %v", out, h)
	}
}

func (e *ear) reads(packet []byte, want Drop) {
	e.Helper()
	out, drop := e.in.openRTCP(e.dst[:len(packet)], packet, e.now)
	if drop != want {
		e.Fatalf("RTCP: dropped as %s, want %s", drop, want)
	}
	if want == DropNone {
		if _, err := rtcp.Unmarshal(out); err != nil {
			e.Fatal(err)
		}
	}
}

// forged is a packet as long as an authentic one, of any SSRC and number.
func forged(r *rand.Rand) []byte {
	b := randomPayload(r, 12+5+16)
	b[0], b[1] = 0x80, 111
	return b
}

func forgedReport(r *rand.Rand) []byte {
	b := randomPayload(r, 8+20+4+16)
	copy(b, []byte{0x80, 201, 0, 6})
	return b
}

func TestAnAnnouncedSourceIsHeardAndNoOther(t *testing.T) {
	eachProfile(t, func(t *testing.T, k keys) {
		e := newEar(t, k, 11, 12)
		e.hears(e.packet(11, 1), DropNone)
		e.hears(e.packet(12, 1), DropNone)
		e.hears(e.packet(13, 1), DropUnknownSSRC)
		if _, known := e.in.ctx.ROC(13); known {
			t.Error("srtp keeps state of a source that was not announced")
		}
	})
}

// TestAFloodOfForgedSourcesLeavesNothingBehind: 100,000 random SSRCs, RTP and RTCP, announced and not. A state in
// srtp/v2 takes some 200 octets, so that they would be 20 MB.
func TestAFloodOfForgedSourcesLeavesNothingBehind(t *testing.T) {
	eachProfile(t, func(t *testing.T, k keys) {
		for name, announced := range map[string][]uint32{"announced": {11}, "not announced": nil} {
			t.Run(name, func(t *testing.T) {
				e := newEar(t, k, announced...)
				r := rand.New(rand.NewPCG(7, 8))
				before := heap()
				var tried []uint32
				for i := range 100_000 {
					p, q := forged(r), forgedReport(r)
					if _, _, drop := e.in.openRTP(e.dst, p, e.now); drop != DropUnknownSSRC && drop != DropUnauthentic {
						t.Fatalf("forged RTP: %s", drop)
					}
					if _, drop := e.in.openRTCP(e.dst[:len(q)], q, e.now); drop != DropUnknownSSRC && drop != DropUnauthentic {
						t.Fatalf("forged RTCP: %s", drop)
					}
					if i%1000 == 0 {
						tried = append(tried, binary.BigEndian.Uint32(p[8:]))
						e.now = e.now.Add(50 * time.Millisecond)
					}
				}
				if after := heap(); after > before+2<<20 {
					t.Errorf("the heap has grown from %d to %d", before, after)
				}
				if len(e.in.rtp) != len(announced) || len(e.in.rtcp) != 0 {
					t.Errorf("%d sources of RTP, %d of RTCP", len(e.in.rtp), len(e.in.rtcp))
				}
				for _, ssrc := range tried {
					if _, known := e.in.ctx.ROC(ssrc); known {
						t.Errorf("srtp keeps state of forged SSRC %d", ssrc)
					}
				}
				e.now = e.now.Add(time.Second)
				e.hears(e.packet(11, 1), DropNone)
				e.reads(e.report(11), DropNone)
			})
		}
	})
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestWithoutAnnouncementFourSourcesAreHeard(t *testing.T) {
	eachProfile(t, func(t *testing.T, k keys) {
		e := newEar(t, k)
		for ssrc := uint32(1); ssrc <= boundRTP; ssrc++ {
			e.hears(e.packet(ssrc, 1), DropNone)
		}
		e.hears(e.packet(boundRTP+1, 1), DropUnknownSSRC)
		e.hears(e.packet(1, 2), DropNone)
		for ssrc := uint32(1); ssrc <= boundRTCP; ssrc++ {
			if ssrc%10 == 0 {
				e.now = e.now.Add(time.Second)
			}
			e.reads(e.report(ssrc), DropNone)
		}
		e.now = e.now.Add(time.Second)
		e.reads(e.report(boundRTCP+1), DropUnknownSSRC)
		e.reads(e.report(1), DropNone)
	})
}

func TestTrialsAreBoundedPerSecond(t *testing.T) {
	eachProfile(t, func(t *testing.T, k keys) {
		e := newEar(t, k)
		r := rand.New(rand.NewPCG(9, 10))
		count := func() (tried int) {
			for i := range 1000 {
				var drop Drop
				if q := forgedReport(r); i%2 == 0 {
					_, drop = e.in.openRTCP(e.dst[:len(q)], q, e.now)
				} else {
					_, _, drop = e.in.openRTP(e.dst, forged(r), e.now)
				}
				if drop == DropUnauthentic {
					tried++
				}
			}
			return tried
		}
		if n := count(); n != trialsPerSecond {
			t.Errorf("%d trials, want %d", n, trialsPerSecond)
		}
		e.hears(e.packet(1, 1), DropUnknownSSRC) // the flood has used up this second
		e.now = e.now.Add(999 * time.Millisecond)
		e.hears(e.packet(1, 2), DropUnknownSSRC)
		e.now = e.now.Add(time.Millisecond)
		e.hears(e.packet(1, 3), DropNone) // and not the next
		if n := count(); n != trialsPerSecond-1 {
			t.Errorf("%d trials in the second after, want %d", n, trialsPerSecond-1)
		}
		e.hears(e.packet(1, 4), DropNone) // who is known needs none
	})
}

func TestForgeriesDoNotLockOutTheSource(t *testing.T) {
	eachProfile(t, func(t *testing.T, k keys) {
		e := newEar(t, k, 11)
		r := rand.New(rand.NewPCG(11, 12))
		for seq := range uint16(500) { // any number, so that a careless receiver would advance its roll-over counter
			p := forged(r)
			binary.BigEndian.PutUint32(p[8:], 11)
			if _, _, drop := e.in.openRTP(e.dst, p, e.now); drop != DropUnauthentic && drop != DropReplay {
				t.Fatalf("forged packet %d: %s", seq, drop)
			}
			e.hears(e.packet(11, seq), DropNone)
			q := forgedReport(r)
			binary.BigEndian.PutUint32(q[4:], 11)
			if _, drop := e.in.openRTCP(e.dst[:len(q)], q, e.now); seq > 0 && drop != DropUnauthentic {
				t.Fatalf("forged report %d: %s", seq, drop)
			}
			e.reads(e.report(11), DropNone)
		}
	})
}

func TestWhatCameBeforeIsAReplay(t *testing.T) {
	eachProfile(t, func(t *testing.T, k keys) {
		e := newEar(t, k, 11)
		old, report := e.packet(11, 100), e.report(11)
		e.hears(old, DropNone)
		e.hears(old, DropReplay)
		e.reads(report, DropNone)
		e.reads(report, DropReplay)
		late := e.packet(11, 101)
		for seq := uint16(102); seq < 102+replayWindow-2; seq++ {
			e.hears(e.packet(11, seq), DropNone)
		}
		e.hears(late, DropNone) // the last that the window holds
		e.hears(late, DropReplay)
		e.hears(old, DropReplay)
		for range 2 * replayWindow {
			e.reads(e.report(11), DropNone)
		}
		e.reads(report, DropReplay)
	})
}

func TestAChangedPacketIsUnauthentic(t *testing.T) {
	eachProfile(t, func(t *testing.T, k keys) {
		e := newEar(t, k, 11)
		e.hears(e.packet(11, 1), DropNone)
		e.reads(e.report(11), DropNone)
		p, q := e.packet(11, 2), e.report(11)
		for i := range p {
			if i == 0 || i >= 8 && i < 12 {
				continue // version, CSRC count and SSRC make another kind of packet of it
			}
			bad := bytes.Clone(p)
			bad[i] ^= 0x40
			e.hears(bad, DropUnauthentic)
		}
		for i := 8; i < len(q); i++ {
			bad := bytes.Clone(q)
			bad[i] ^= 0x40
			e.reads(bad, DropUnauthentic)
		}
		e.hears(p, DropNone)
		e.reads(q, DropNone)
		e.hears(p[:11], DropMalformed)
		e.reads(q[:7], DropMalformed)
		bad := bytes.Clone(p)
		bad[0] = 0x40
		e.hears(bad, DropMalformed)
	})
}

func TestOpeningAllocatesLittle(t *testing.T) {
	k := testKeys(srtp.ProtectionProfileAeadAes128Gcm)
	e := newEar(t, k, 11)
	packets := make([][]byte, 0, 1100)
	for seq := range uint16(1100) {
		packets = append(packets, e.packet(11, seq))
	}
	next := 0
	if got := testing.AllocsPerRun(1000, func() {
		if _, _, drop := e.in.openRTP(e.dst, packets[next], e.now); drop != DropNone {
			t.Fatal(drop)
		}
		next++
	}); got > 2 { // srtp/v2's closure for the replay window, and the nonce
		t.Errorf("%v allocations a packet", got)
	}
}

func TestTheReasonOfADropHasAName(t *testing.T) {
	seen := map[string]bool{}
	var c Counters
	c.drop(DropReplay)
	c.Drops(func(reason string, n uint64) {
		if reason == "" || seen[reason] {
			t.Errorf("reason %q", reason)
		}
		seen[reason] = true
		if (reason == "replay") != (n == 1) {
			t.Errorf("%s: %d", reason, n)
		}
	})
	if len(seen) != int(dropCount)-1 {
		t.Errorf("%d reasons", len(seen))
	}
	if got := dropOf(errors.New("duplicated packet")); got != DropUnauthentic {
		t.Errorf("an error without a cause is %s", got)
	}
}

// FuzzOpen gives what a stranger can send, and what a peer with the right keys can, to everything that parses media.
func FuzzOpen(f *testing.F) {
	for _, b := range [][]byte{
		{}, datagram(12, 0x80, 111), datagram(40, 0x9F, 111, 0, 1), datagram(60, 0xB0, 111, 0, 1),
		must(rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 11, Reports: make([]rtcp.ReceptionReport, 2)}, &rtcp.Goodbye{Sources: []uint32{11}, Reason: "bye"}})),
		must(rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: 11}, &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: 11, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "x"}}}}}})),
		must(rtcp.Marshal([]rtcp.Packet{&rtcp.TransportLayerNack{SenderSSRC: 11, MediaSSRC: 12, Nacks: []rtcp.NackPair{{PacketID: 1}}}})),
		must(rtcp.Marshal([]rtcp.Packet{&rtcp.TransportLayerCC{
			Header:     rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 5},
			SenderSSRC: 11, PacketStatusCount: 1,
			PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketReceivedSmallDelta, RunLength: 1}},
			RecvDeltas:   []*rtcp.RecvDelta{{Type: rtcp.TypeTCCPacketReceivedSmallDelta, Delta: 250}},
		}})),
		must(randomHeader(rand.New(rand.NewPCG(1, 1)), 11, 1).Marshal()),
	} {
		for mode := range byte(8) {
			f.Add(mode, b)
		}
	}
	f.Fuzz(func(t *testing.T, mode byte, b []byte) {
		if len(b) > DatagramSize-20 {
			b = b[:DatagramSize-20]
		}
		k := testKeys(srtp.ProtectionProfileAeadAes128Gcm)
		if mode&1 != 0 {
			k = testKeys(srtp.ProtectionProfileAes128CmHmacSha1_80)
		}
		var announced []uint32
		if mode&2 != 0 {
			announced = []uint32{11}
		}
		in := must(newIngress(k, announced))
		seals, _ := k.farSide(t)
		packet, report := b, b
		if mode&4 != 0 { // the peer itself
			packet, _ = seals.EncryptRTP(nil, b, nil)
			report, _ = seals.EncryptRTCP(nil, b, nil)
		}
		now := time.Unix(1, 0)
		dst := make([]byte, 0, DatagramSize)
		out, h, drop := in.openRTP(dst, packet, now)
		if drop == DropNone && (h.MarshalSize() > len(out) || len(out) > len(packet)) {
			t.Fatalf("%d octets out of %d with a header of %d", len(out), len(packet), h.MarshalSize())
		}
		opened, drop := in.openRTCP(dst[:len(report)], report, now)
		if drop != DropNone {
			return
		}
		if len(opened) > len(report) {
			t.Fatalf("%d octets out of %d", len(opened), len(report))
		}
		if packets, err := rtcp.Unmarshal(opened); err == nil {
			for _, p := range packets {
				p.DestinationSSRC()
			}
		}
	})
}
