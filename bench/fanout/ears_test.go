//go:build linux

package fanout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func TestAddressesAreFoundAgain(t *testing.T) {
	h := &ears{}
	if h.earAt([4]byte{127, 1, 0, 1}) != nil {
		t.Error("an ear where there is none")
	}
	for _, c := range []struct {
		i    int
		addr string
	}{{0, "127.1.0.1"}, {254, "127.1.0.255"}, {255, "127.1.1.0"}, {65535, "127.2.0.0"}} {
		if got := address(c.i); got != netip.MustParseAddr(c.addr) {
			t.Errorf("participant %d has %v", c.i, got)
		}
	}
}

// TestEveryEarHearsWhatIsForIt sends RTP and STUN to two ears of one socket.
func TestEveryEarHearsWhatIsForIt(t *testing.T) {
	h, err := openEars(2)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	ears := [2]*ear{h.join(0, true, nil), h.join(1, true, nil)}
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	from := server.LocalAddr().(*net.UDPAddr).AddrPort()

	for i, e := range ears {
		question := fmt.Sprintf("question %d", i)
		if err := e.WriteTo([]byte(question), from); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, asker, err := server.ReadFromUDPAddrPort(b)
		if err != nil || string(b[:n]) != question || asker != e.LocalAddr() {
			t.Fatalf("%q from %v, not %v: %v", b[:n], asker, e.LocalAddr(), err)
		}
		if _, err := server.WriteToUDPAddrPort(rtp(7, uint16(i)), asker); err != nil {
			t.Fatal(err)
		}
		if _, err := server.WriteToUDPAddrPort([]byte(fmt.Sprintf("answer to %d", i)), asker); err != nil {
			t.Fatal(err)
		}
		batch, err := e.ReadBatch(time.Time{}) // RTP is counted and not handed on
		if err != nil || len(batch) != 1 || string(batch[0].Data) != fmt.Sprintf("answer to %d", i) || batch[0].From != from {
			t.Fatalf("%+v, %v", batch, err)
		}
	}
	h.do(func() {
		for i, e := range ears {
			if s := e.tally.sum(); s.packets != 1 || e.tally.streams[0].highest&0xFFFF != uint32(i) {
				t.Errorf("ear %d: %+v", i, s)
			}
		}
	})
	if h.packets.Load() != 2 {
		t.Errorf("%d packets", h.packets.Load())
	}
	if n, err := h.drops(); n != 0 || err != nil {
		t.Errorf("%d drops, %v", n, err)
	}
}

func rtp(ssrc uint32, seq uint16) []byte {
	b := make([]byte, 40)
	b[0], b[1] = 0x80, opusPayloadType
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

func TestAnEarCanBeInterruptedAndClosed(t *testing.T) {
	h, err := openEars(1)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	e := h.join(0, true, nil)
	e.Interrupt()
	if batch, err := e.ReadBatch(time.Time{}); len(batch) != 0 || err != nil {
		t.Errorf("%d, %v", len(batch), err)
	}
	if batch, err := e.ReadBatch(time.Now()); len(batch) != 0 || err != nil {
		t.Errorf("after the deadline: %d, %v", len(batch), err)
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			if _, err := e.ReadBatch(time.Time{}); err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("%v", err)
				}
				return
			}
		}
	})
	e.Close()
	reader.Wait()
}
