//go:build !linux

package transport

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// udpConn is the UDP socket where recvmmsg is not to be had: one datagram a call, the same promises.
type udpConn struct {
	pc          *net.UDPConn
	local       netip.AddrPort
	interrupted atomic.Bool
	buf         [DatagramSize + 1]byte // Owned by the caller of ReadBatch.
	out         [1]Datagram
}

// ListenUDP opens the media socket on a host:port; an empty host serves IPv4 and IPv6, 0.0.0.0 IPv4 alone.
func ListenUDP(addr string) (Conn, error) {
	p, err := net.ListenPacket(network(addr), addr)
	if err != nil {
		return nil, err
	}
	pc := p.(*net.UDPConn)
	local := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	return &udpConn{pc: pc, local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port())}, nil
}

func (c *udpConn) ReadBatch(deadline time.Time) ([]Datagram, error) {
	if err := c.pc.SetReadDeadline(deadline); err != nil {
		return nil, net.ErrClosed
	}
	if c.interrupted.Swap(false) {
		return nil, nil
	}
	n, from, err := c.pc.ReadFromUDPAddrPort(c.buf[:])
	if errors.Is(err, net.ErrClosed) {
		return nil, net.ErrClosed
	}
	if err != nil {
		return nil, nil
	}
	if n > DatagramSize {
		n = 0 // too long: the empty datagram is counted as unknown
	}
	c.out[0] = Datagram{Data: c.buf[:n], From: netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}
	return c.out[:], nil
}

func (c *udpConn) Interrupt() {
	c.interrupted.Store(true)
	_ = c.pc.SetReadDeadline(time.Unix(1, 0))
}

func (c *udpConn) WriteTo(b []byte, to netip.AddrPort) error {
	_, err := c.pc.WriteToUDPAddrPort(b, to)
	return err
}

func (c *udpConn) Dest(to netip.AddrPort) Dest { return Dest{Addr: to} }
func (c *udpConn) LocalAddr() netip.AddrPort   { return c.local }
func (c *udpConn) Close() error                { return c.pc.Close() }
func (c *udpConn) NewSender() (Sender, error)  { return &udpSender{pc: c.pc}, nil }

// udpSender sends each slot when it is committed.
type udpSender struct {
	pc       *net.UDPConn
	buf      [DatagramSize]byte
	counters SendCounters
}

func (s *udpSender) Reserve() []byte         { return s.buf[:] }
func (s *udpSender) Flush()                  {}
func (s *udpSender) Counters() *SendCounters { return &s.counters }
func (s *udpSender) Close() error            { return nil }

func (s *udpSender) Commit(n int, to *Dest) {
	s.counters.Calls.Add(1)
	if _, err := s.pc.WriteToUDPAddrPort(s.buf[:n], to.Addr); err != nil {
		s.counters.Unreachable.Add(1)
		return
	}
	s.counters.Packets.Add(1)
	s.counters.Bytes.Add(uint64(n))
}
