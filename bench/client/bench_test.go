package client

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtp"

	"stentor/transport"
	"stentor/transport/simnet"
)

// pair is a connected client and its server in real time.
func pair(b testing.TB, cfg Config) (*Client, *server) {
	b.Helper()
	n := simnet.New(1)
	socket, err := n.Listen(studio)
	if err != nil {
		b.Fatal(err)
	}
	s := serve(b, socket)
	if cfg.Conn, err = n.Listen(home); err != nil {
		b.Fatal(err)
	}
	c, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close(); n.Close() })
	if err := c.Connect(context.Background(), s.answerTo(c.Offer())); err != nil {
		b.Fatal(err)
	}
	if err := <-s.secured; err != nil {
		b.Fatal(err)
	}
	n.SetLink(netip.Addr{}, studio.Addr(), simnet.Link{Down: true}) // what follows is the client's cost alone
	return c, s
}

func BenchmarkSend(b *testing.B) {
	c, _ := pair(b, Config{TWCC: true})
	f := Frame{Payload: TestFrame(1, 1, 100), LevelDBov: -30}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Send(f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReceive(b *testing.B) {
	c, s := pair(b, Config{})
	payload := TestFrame(1, 1, 100)
	p := transport.Datagram{From: studio}
	now := time.Now()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		p.Data = s.seal(rtp.Packet{Header: rtp.Header{SSRC: lineSSRC(0), SequenceNumber: uint16(n)}, Payload: payload})
		b.StartTimer()
		c.receive(now, &p)
	}
	if st := c.Stats(); st.Packets != uint64(b.N) {
		b.Errorf("%d packets of %d", st.Packets, b.N)
	}
}
