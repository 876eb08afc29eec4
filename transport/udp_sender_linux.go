package transport

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// segmentsMax is how many datagrams one message may carry (UDP_MAX_SEGMENTS of Linux was 64 until 6.9).
	segmentsMax = 64
	// messageMax is the longest message, whatever its segments: a UDP datagram over IPv4, less room for headers.
	messageMax = 65_000
)

// udpSender sends batches through a descriptor of its own, duplicated from the Conn's: the same socket and port,
// but no lock of the runtime's poller between shards.
//
// Slots are filled one after the other; a message is one slot, or several neighbouring ones for one Dest, which the
// kernel cuts apart again after it has done its routing, filtering and locking once (UDP_SEGMENT, udp(7)).
type udpSender struct {
	fd       int
	gso      bool // the kernel has UDP_SEGMENT, and has not refused it so far
	n        int  // committed slots
	m        int  // messages
	counters SendCounters

	msgs     [BatchSize]mmsghdr
	parts    [BatchSize]message
	controls [BatchSize]segmentControl
	iovs     [BatchSize]unix.Iovec
	bufs     [BatchSize][DatagramSize]byte
}

// message is what a udpSender notes of one.
type message struct {
	to       *Dest
	first    int // its first slot
	segments int
	size     int  // of each segment but the last
	bytes    int  // of all
	closed   bool // the last segment was shorter: nothing may follow
}

// segmentControl is the control message UDP_SEGMENT: struct cmsghdr, a 16-bit size, padding.
type segmentControl struct {
	hdr  unix.Cmsghdr
	size uint16
	_    [6]byte
}

func (c *udpConn) NewSender() (Sender, error) {
	fd, err := duplicate(c.raw)
	if err != nil {
		return nil, err
	}
	s := &udpSender{fd: fd}
	// Setting it to 0 changes nothing, and tells whether it exists (Linux 4.18).
	s.gso = unix.SetsockoptInt(s.fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 0) == nil
	for i := range s.msgs {
		s.iovs[i].Base = &s.bufs[i][0]
		h := &s.controls[i].hdr
		h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		h.SetLen(unix.CmsgLen(2))
	}
	return s, nil
}

func (s *udpSender) Reserve() []byte         { return s.bufs[s.n][:] }
func (s *udpSender) Counters() *SendCounters { return &s.counters }
func (s *udpSender) Close() error            { return unix.Close(s.fd) }

func (s *udpSender) Commit(n int, to *Dest) {
	s.iovs[s.n].SetLen(n)
	if s.m == 0 || !s.parts[s.m-1].join(n, to, s.gso) {
		s.parts[s.m] = message{to: to, first: s.n, segments: 1, size: n, bytes: n}
		s.m++
	}
	if s.n++; s.n == BatchSize {
		s.Flush()
	}
}

// join adds a slot of n octets, if it may become a segment of the message.
func (p *message) join(n int, to *Dest, gso bool) bool {
	if !gso || p.to != to || p.closed || n > p.size || p.segments == segmentsMax || p.bytes+n > messageMax {
		return false
	}
	p.segments++
	p.bytes += n
	p.closed = n < p.size
	return true
}

// header fills the i-th message's header for the kernel.
func (s *udpSender) header(i int) {
	p, h := &s.parts[i], &s.msgs[i].hdr
	h.Name, h.Namelen = &p.to.name[0], p.to.size
	h.Iov = &s.iovs[p.first]
	h.SetIovlen(p.segments)
	h.Control = nil
	h.SetControllen(0)
	if p.segments > 1 {
		c := &s.controls[i]
		c.size = uint16(p.size)
		h.Control = (*byte)(unsafe.Pointer(c))
		h.SetControllen(int(unsafe.Sizeof(*c)))
	}
}

func (s *udpSender) Flush() {
	for i := range s.m {
		s.header(i)
	}
	waited := false
	for from := 0; from < s.m; {
		n, errno := s.sendmmsg(&s.msgs[from], s.m-from)
		switch {
		case errno == 0:
			s.count(from, from+n)
			from += n
		case errno == unix.EINTR:
		case errno == unix.EAGAIN && !waited:
			waited = true
			s.waitWritable()
		case errno == unix.EAGAIN || errno == unix.ENOBUFS:
			// The queue is full, and stays so for everybody: what is left is late already.
			for ; from < s.m; from++ {
				s.counters.BufferFull.Add(uint64(s.parts[from].segments))
			}
		case s.parts[from].segments > 1: // the first message's fault, maybe for being joined
			s.sendApart(&s.parts[from], errno)
			from++
		default: // concerns the first message alone
			s.counters.Unreachable.Add(1)
			from++
		}
	}
	s.n, s.m = 0, 0
}

func (s *udpSender) sendmmsg(first *mmsghdr, n int) (int, syscall.Errno) {
	sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(first)), uintptr(n),
		unix.MSG_DONTWAIT, 0, 0)
	s.counters.Calls.Add(1)
	return int(sent), errno
}

// sendApart sends the segments of a message that the kernel has refused, each by itself. EIO says that the device
// cannot do the checksums of segments, EINVAL or EOPNOTSUPP that something on the way cannot segment: no message is
// joined from then on.
func (s *udpSender) sendApart(p *message, refused syscall.Errno) {
	s.counters.Fallbacks.Add(1)
	if refused == unix.EIO || refused == unix.EINVAL || refused == unix.EOPNOTSUPP {
		s.gso = false
	}
	var one mmsghdr
	one.hdr.Name, one.hdr.Namelen = &p.to.name[0], p.to.size
	one.hdr.SetIovlen(1)
	for i := range p.segments {
		one.hdr.Iov = &s.iovs[p.first+i]
		switch n, errno := s.sendmmsg(&one, 1); {
		case n == 1:
			s.counters.Packets.Add(1)
			s.counters.Bytes.Add(s.iovs[p.first+i].Len)
		case errno == unix.EAGAIN || errno == unix.ENOBUFS:
			s.counters.BufferFull.Add(1)
		default:
			s.counters.Unreachable.Add(1)
		}
	}
}

func (s *udpSender) count(from, to int) {
	var packets, bytes, joined uint64
	for i := from; i < to; i++ {
		p := &s.parts[i]
		packets += uint64(p.segments)
		bytes += uint64(p.bytes)
		if p.segments > 1 {
			joined += uint64(p.segments)
		}
	}
	s.counters.Packets.Add(packets)
	s.counters.Bytes.Add(bytes)
	if joined > 0 {
		s.counters.Joined.Add(joined)
	}
}

// waitWritable gives a full socket buffer 2 ms to drain, a tenth of a packet's time.
func (s *udpSender) waitWritable() {
	fds := [1]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
	_, _ = unix.Poll(fds[:], 2)
}
