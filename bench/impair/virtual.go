package impair

import (
	"net/netip"
	"time"

	"stentor/transport"
	"stentor/transport/simnet"
)

// world is where a story plays.
type world interface {
	server() (transport.Conn, error)
	// enter opens the socket of the next to come.
	enter() (transport.Conn, error)
	// answer is the engine's as the first to come is to see it.
	answer(sdp string) string
	// impair lets the way to the first to come, and the way back, follow their paths from now on.
	impair(down, up *meter)
	close()
}

var serverAddr = netip.MustParseAddrPort("10.0.0.1:7900")

// virtual is a network in memory, on which everybody's way takes the same time.
type virtual struct {
	net  *simnet.Network
	way  time.Duration
	came int
}

func newVirtual(seed uint64, way time.Duration) *virtual {
	v := &virtual{net: simnet.New(seed), way: way}
	v.net.SetLink(netip.Addr{}, netip.Addr{}, simnet.Link{Delay: way})
	return v
}

func (v *virtual) server() (transport.Conn, error) { return v.net.Listen(serverAddr) }

func (v *virtual) enter() (transport.Conn, error) {
	s, err := v.net.Listen(hostOf(v.came))
	if err != nil {
		return nil, err
	}
	v.net.SetLink(hostOf(v.came).Addr(), netip.Addr{}, simnet.Link{Delay: v.way + apart(v.came)})
	v.came++
	return s, nil
}

// apart makes everybody's way to the server a little longer than the last one's. Answers to one packet, and the next
// packet of a speaker, would reach the server in one virtual moment otherwise, and in either order.
func apart(i int) time.Duration { return 211*time.Microsecond + time.Duration(i)*13*time.Microsecond }

func hostOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 5000)
}

func (v *virtual) answer(sdp string) string { return sdp }

func (v *virtual) impair(down, up *meter) {
	first := hostOf(0).Addr()
	v.net.SetLink(serverAddr.Addr(), first, simnet.Link{Path: down})
	v.net.SetLink(first, serverAddr.Addr(), simnet.Link{Path: up})
}

func (v *virtual) close() { v.net.Close() }
