package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketBuffer is asked of the kernel in both directions. 4 MB holds 5,000 packets of 200 octets with the kernel's
// own overhead (about 768 octets each): 20 ms of a shard at full speed.
const socketBuffer = 4 << 20

// recvmmsg, sendmmsg and sendto are called raw, without telling Go's scheduler. The scheduler lets its monitor thread
// sleep while nothing runs, and wakes it at the first system call that it is told of; the thread then looks around every
// 20 µs for a millisecond and more. Media comes in bursts with nothing between, so with 500 listeners that was 800
// wake-ups and 16 ms of CPU time a second (docs/adr/0014). None of these calls waits (MSG_DONTWAIT). The price: whoever
// stops the world waits for a call under way, less than a millisecond for 128 packets.

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// udpConn is the UDP socket of a daemon.
type udpConn struct {
	sock  *os.File // Immutable. Blocking, so that Go's poller does not have it: nothing that we call waits.
	raw   syscall.RawConn
	local netip.AddrPort
	v6    bool    // the socket's family is AF_INET6
	fd    uintptr // of sock, for the caller of ReadBatch: Close waits for it
	wait  *waiter

	// Owned by the caller of ReadBatch.
	in     *recvSlabs
	recv   func(fd uintptr) bool // reads into in; made once, so that no call allocates a closure
	got    int
	gotErr syscall.Errno
}

// recvSlabs are the buffers of one recvmmsg: BatchSize × 1.5 KB = 192 KB.
type recvSlabs struct {
	msgs  [BatchSize]mmsghdr
	iovs  [BatchSize]unix.Iovec
	names [BatchSize]unix.RawSockaddrInet6
	bufs  [BatchSize][DatagramSize]byte
	out   [BatchSize]Datagram
}

// ListenUDP opens the media socket on a host:port; an empty host serves IPv4 and IPv6, 0.0.0.0 IPv4 alone.
func ListenUDP(addr string) (Conn, error) {
	lc := net.ListenConfig{}
	p, err := lc.ListenPacket(context.Background(), network(addr), addr)
	if err != nil {
		return nil, err
	}
	pc := p.(*net.UDPConn)
	defer pc.Close() // what is kept is a duplicate
	local := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	c := &udpConn{in: new(recvSlabs), local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port())}
	if err := c.adopt(pc); err != nil {
		return nil, err
	}
	if err := c.setOptions(); err != nil {
		c.sock.Close()
		return nil, fmt.Errorf("set socket options: %w", err)
	}
	if c.wait, err = newWaiter(int(c.fd)); err != nil {
		c.sock.Close()
		return nil, err
	}
	c.prepareReceive()
	return c, nil
}

// adopt takes a socket out of the runtime's poller.
func (c *udpConn) adopt(pc *net.UDPConn) error {
	raw, err := pc.SyscallConn()
	if err != nil {
		return err
	}
	fd, err := duplicate(raw)
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return fmt.Errorf("make the media socket blocking: %w", err)
	}
	c.fd, c.sock = uintptr(fd), os.NewFile(uintptr(fd), "media socket")
	c.raw, err = c.sock.SyscallConn()
	return err
}

// duplicate is another descriptor of a socket.
func duplicate(raw syscall.RawConn) (fd int, err error) {
	var dupErr error
	err = raw.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = dupErr
	}
	if err != nil {
		return -1, fmt.Errorf("duplicate the media socket: %w", err)
	}
	return fd, nil
}

// setOptions asks for large buffers (beyond rmem_max where the process may) and learns the socket's family.
func (c *udpConn) setOptions() error {
	var opErr error
	err := c.raw.Control(func(fd uintptr) {
		for _, o := range [2][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o[0], socketBuffer) != nil {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o[1], socketBuffer) // as much as we may have
			}
		}
		var domain int
		domain, opErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		c.v6 = domain == unix.AF_INET6
	})
	if err != nil {
		return err
	}
	return opErr
}

func (c *udpConn) prepareReceive() {
	in := c.in
	for i := range in.msgs {
		in.iovs[i].Base = &in.bufs[i][0]
		in.iovs[i].SetLen(DatagramSize)
		in.msgs[i].hdr.Name = (*byte)(unsafe.Pointer(&in.names[i]))
		in.msgs[i].hdr.Iov = &in.iovs[i]
		in.msgs[i].hdr.SetIovlen(1)
	}
	c.recv = func(uintptr) bool {
		for i := range in.msgs {
			in.msgs[i].hdr.Namelen = unix.SizeofSockaddrInet6
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, c.fd, uintptr(unsafe.Pointer(&in.msgs[0])), BatchSize, unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EAGAIN {
			return c.wait.over()
		}
		c.got, c.gotErr = int(n), errno
		return true
	}
}

func (c *udpConn) ReadBatch(deadline time.Time) ([]Datagram, error) {
	c.got, c.gotErr = 0, 0
	if err := c.wait.wait(deadline, c.recv); err != nil {
		return nil, err
	}
	if c.gotErr != 0 { // an ICMP error of an earlier send, or EINTR: the next call reads on
		return nil, nil
	}
	out := c.in.out[:0]
	for i := range c.got {
		m := &c.in.msgs[i]
		from, ok := addrOf(&c.in.names[i])
		if !ok {
			continue
		}
		n := m.n
		if m.hdr.Flags&unix.MSG_TRUNC != 0 {
			n = 0 // longer than a slab: the empty datagram is counted as unknown
		}
		out = append(out, Datagram{Data: c.in.bufs[i][:n], From: from})
	}
	return out, nil
}

func (c *udpConn) Interrupt() { c.wait.interrupt() }

func (c *udpConn) WriteTo(b []byte, to netip.AddrPort) error {
	d := c.Dest(to)
	var errno syscall.Errno
	err := c.raw.Control(func(fd uintptr) {
		_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&d.name)), uintptr(d.size))
	})
	if err != nil {
		return net.ErrClosed
	}
	if errno != 0 {
		return fmt.Errorf("send to %s: %w", to, errno)
	}
	return nil
}

func (c *udpConn) LocalAddr() netip.AddrPort { return c.local }

// Close waits for a ReadBatch under way before the socket's number may become another's.
func (c *udpConn) Close() error { return errors.Join(c.wait.close(), c.sock.Close()) }

// Dest fills a sockaddr of the socket's family; IPv4 on an IPv6 socket goes in its mapped form (RFC 3493 §3.7). IPv6
// on an IPv4 socket stays empty, which the kernel refuses.
func (c *udpConn) Dest(to netip.AddrPort) Dest {
	d := Dest{Addr: to}
	if !c.v6 {
		if !to.Addr().Unmap().Is4() {
			return d
		}
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&d.name))
		sa.Family = unix.AF_INET
		sa.Addr = to.Addr().Unmap().As4()
		putPort(&sa.Port, to.Port())
		d.size = unix.SizeofSockaddrInet4
		return d
	}
	sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&d.name))
	sa.Family = unix.AF_INET6
	sa.Addr = to.Addr().As16()
	putPort(&sa.Port, to.Port())
	d.size = unix.SizeofSockaddrInet6
	return d
}

// putPort writes a port in network order.
func putPort(p *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], port)
}

// addrOf reads the source address that the kernel wrote.
func addrOf(sa *unix.RawSockaddrInet6) (netip.AddrPort, bool) {
	switch sa.Family {
	case unix.AF_INET:
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&v4.Port))[:])
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port), true
	case unix.AF_INET6:
		port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), port), true
	}
	return netip.AddrPort{}, false
}
