package client

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// told is what a feedback says of each number: -1 for lost, or the arrival in units of 250 µs since the reference.
func told(m *rtcp.TransportLayerCC) (out []int) {
	at, deltas := 0, m.RecvDeltas
	for _, chunk := range m.PacketChunks {
		for _, symbol := range chunk.(*rtcp.StatusVectorChunk).SymbolList {
			switch {
			case len(out) == int(m.PacketStatusCount):
			case symbol == rtcp.TypeTCCPacketNotReceived:
				out = append(out, -1)
			default:
				at += int(deltas[0].Delta / 250)
				deltas = deltas[1:]
				out = append(out, at)
			}
		}
	}
	return out
}

func TestStampedPacketsAreFedBack(t *testing.T) {
	play(t, Config{TWCC: true}, func(t *testing.T, s *scene) {
		answer := s.server.answerTo(s.client.Offer(), "a=extmap:1 "+levelURI, "a=extmap:3 "+twccURI)
		if err := s.client.Connect(t.Context(), answer); err != nil {
			t.Fatal(err)
		}
		if err := <-s.server.secured; err != nil {
			t.Fatal(err)
		}
		start := time.Now() // a multiple of 64 ms: midnight UTC 2000-01-01
		seq := uint16(0)
		stamped := func(number uint16) {
			p := rtp.Packet{Header: rtp.Header{SSRC: lineSSRC(0), SequenceNumber: seq}}
			p.SetExtension(twccID, []byte{byte(number >> 8), byte(number)})
			s.server.sendRTP(p)
			seq++
		}
		for _, number := range []uint16{65534, 65535, 1, 0, 3} { // disorder, and 2 is lost
			stamped(number)
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		stamped(5) // 4 is lost between two feedbacks
		time.Sleep(100 * time.Millisecond)
		stamped(7)
		stamped(4)    // not lost after all; 6 is
		stamped(9000) // stamping began anew
		time.Sleep(time.Second)
		synctest.Wait()
		var got []*rtcp.TransportLayerCC
		for _, compound := range s.server.reports {
			for _, p := range compound {
				got = append(got, p.(*rtcp.TransportLayerCC))
			}
		}
		wants := []struct {
			base uint16
			told []int
		}{{65534, []int{0, 40, 120, 80, -1, 160}}, {4, []int{-1, 88}}, {4, []int{232}}, {6, []int{-1, 232}}, {9000, []int{232}}}
		if len(got) != len(wants) {
			t.Fatalf("%d feedbacks: %v", len(got), got)
		}
		// Each counts from the 64 ms tick before its first packet: 0, then 150 ms = 2 × 64 + 22, then 250 = 3 × 64 + 58.
		for i, w := range wants {
			if got[i].BaseSequenceNumber != w.base || !slices.Equal(told(got[i]), w.told) || got[i].FbPktCount != uint8(i) {
				t.Errorf("feedback %d: base %d, %v", i, got[i].BaseSequenceNumber, told(got[i]))
			}
		}
		if first := s.server.reportedAt[0].Sub(start); first != 100*time.Millisecond {
			t.Errorf("the first one came after %s", first)
		}
	})
}
