//go:build linux

package fanout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"stentor/transport"
)

const (
	// recvBatch is how many datagrams one recvmmsg takes: at 75,000 a second, what comes in 3 ms.
	recvBatch = 256
	// recvBuffer holds what comes while the generator does not run: 64 MB are 80,000 packets with the kernel's own
	// overhead, a second of 500 listeners and three speakers.
	recvBuffer = 64 << 20
	// controlSize has room for the two control messages that are asked for: 32 octets of IP_PKTINFO, 32 of
	// SO_TIMESTAMPNS (cmsg(3), CMSG_SPACE of 12 and 16 octets).
	controlSize = 64

	// pauseSteady lies between two drains while media flows, pauseJoining while the server waits for answers.
	pauseSteady  = 1500 * time.Microsecond
	pauseJoining = 250 * time.Microsecond

	// reportEvery is how often a listener reports what it received: libwebrtc's interval for audio.
	reportEvery = 5 * time.Second
)

// ears is the one socket of all participants.
type ears struct {
	fd   int    // Immutable. Not in the runtime's poller: nobody is woken by a packet.
	port uint16 // Immutable.
	list []atomic.Pointer[ear]

	pause     atomic.Int64  // between drains, in ns
	packets   atomic.Uint64 // RTP for listeners
	others    atomic.Uint64 // RTP for speakers
	bytes     atomic.Uint64 // of RTP for listeners
	floor     atomic.Uint64 // packets of the floor
	overflow  atomic.Uint64 // datagrams that a participant's reader was too late for
	truncated atomic.Uint64
	strangers atomic.Uint64 // to an address that nobody has

	mu    sync.Mutex
	tasks []func() // to run on the drain's goroutine
	quit  chan struct{}
	done  chan struct{}

	// Owned by the drain.
	in         *recvSlabs
	reportNext int // the ear whose report is next
	reportFrom time.Time
	reported   int // since reportFrom
}

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

type recvSlabs struct {
	msgs     [recvBatch]mmsghdr
	iovs     [recvBatch]unix.Iovec
	names    [recvBatch]unix.RawSockaddrInet4
	controls [recvBatch][controlSize]byte
	bufs     [recvBatch][transport.DatagramSize]byte
}

// openEars binds the socket and starts to drain it. It has room for n participants.
func openEars(n int) (*ears, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the listeners' socket: %w", err)
	}
	h := &ears{fd: fd, list: make([]atomic.Pointer[ear], n), in: new(recvSlabs), quit: make(chan struct{}), done: make(chan struct{})}
	if err := h.bind(); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the listeners' socket: %w", err), unix.Close(fd))
	}
	h.prepare()
	h.pause.Store(int64(pauseJoining))
	go h.drain()
	return h, nil
}

func (h *ears) bind() error {
	if unix.SetsockoptInt(h.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, recvBuffer) != nil {
		_ = unix.SetsockoptInt(h.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, recvBuffer) // as much as we may have; drops are counted
	}
	if err := unix.SetsockoptInt(h.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(h.fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1); err != nil {
		return err
	}
	if err := unix.Bind(h.fd, &unix.SockaddrInet4{}); err != nil {
		return err
	}
	sa, err := unix.Getsockname(h.fd)
	if err != nil {
		return err
	}
	h.port = uint16(sa.(*unix.SockaddrInet4).Port)
	return nil
}

func (h *ears) prepare() {
	in := h.in
	for i := range in.msgs {
		in.iovs[i].Base = &in.bufs[i][0]
		in.iovs[i].SetLen(transport.DatagramSize)
		m := &in.msgs[i].hdr
		m.Name, m.Iov, m.Control = (*byte)(unsafe.Pointer(&in.names[i])), &in.iovs[i], &in.controls[i][0]
		m.SetIovlen(1)
	}
}

// address is that of participant i: 127.1.0.1 and up.
func address(i int) netip.Addr {
	i++
	return netip.AddrFrom4([4]byte{127, byte(1 + i>>16), byte(i >> 8), byte(i)})
}

// earAt finds the participant of an address.
func (h *ears) earAt(a [4]byte) *ear {
	i := (int(a[1])-1)<<16 | int(a[2])<<8 | int(a[3])
	if a[0] != 127 || i < 1 || i > len(h.list) {
		return nil
	}
	return h.list[i-1].Load()
}

// drain takes what has come, sleeps a little, and starts again.
func (h *ears) drain() {
	defer close(h.done)
	for {
		n := h.receive()
		for i := range n {
			h.take(i)
		}
		if n == recvBatch {
			continue
		}
		now := time.Now()
		h.runTasks()
		h.report(now)
		select {
		case <-h.quit:
			h.runTasks()
			return
		default:
			time.Sleep(time.Duration(h.pause.Load()))
		}
	}
}

// receive returns how many datagrams there were.
func (h *ears) receive() int {
	for i := range h.in.msgs {
		m := &h.in.msgs[i].hdr
		m.Namelen, m.Flags = unix.SizeofSockaddrInet4, 0
		m.SetControllen(controlSize)
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(h.fd), uintptr(unsafe.Pointer(&h.in.msgs[0])), recvBatch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 { // nothing there, or an ICMP error of an earlier send: the next call reads on
		return 0
	}
	return int(n)
}

// take counts RTP, and hands on what a participant must see.
func (h *ears) take(i int) {
	m := &h.in.msgs[i]
	if m.hdr.Flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		h.truncated.Add(1)
		return
	}
	to, stamp := readControl(h.in.controls[i][:m.hdr.Controllen])
	e := h.earAt(to)
	if e == nil {
		h.strangers.Add(1)
		return
	}
	b := h.in.bufs[i][:m.n]
	if transport.Classify(b) == transport.KindRTP {
		ssrc := binary.BigEndian.Uint32(b[8:])
		if ssrc == floorSSRC {
			h.floor.Add(1)
			return
		}
		seq := binary.BigEndian.Uint16(b[2:])
		e.tally.take(b[1]&0x7F, ssrc, seq)
		if e.listens {
			h.packets.Add(1)
			h.bytes.Add(uint64(len(b)))
		} else {
			h.others.Add(1)
		}
		if e.probe == nil {
			return
		}
		e.probe.stamp(ssrc, seq, stamp)
	}
	from := &h.in.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&from.Port))[:])
	e.push(b, netip.AddrPortFrom(netip.AddrFrom4(from.Addr), port))
}

// readControl finds the destination address and the kernel's receive stamp, in ns since 1970.
func readControl(b []byte) (to [4]byte, stamp int64) {
	for len(b) >= unix.SizeofCmsghdr {
		c := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		size := int(c.Len)
		if size < unix.SizeofCmsghdr || size > len(b) {
			return to, stamp
		}
		data := b[unix.SizeofCmsghdr:size]
		switch {
		case c.Level == unix.IPPROTO_IP && c.Type == unix.IP_PKTINFO && len(data) >= 12:
			copy(to[:], data[8:12]) // ipi_addr, after ipi_ifindex and ipi_spec_dst
		case c.Level == unix.SOL_SOCKET && c.Type == unix.SCM_TIMESTAMPNS && len(data) >= 16:
			ts := (*unix.Timespec)(unsafe.Pointer(&data[0]))
			stamp = ts.Nano()
		}
		b = b[min((size+7)&^7, len(b)):]
	}
	return to, stamp
}

// do runs f on the drain's goroutine, between two drains, and waits for it.
func (h *ears) do(f func()) {
	ran := make(chan struct{})
	h.mu.Lock()
	h.tasks = append(h.tasks, func() { f(); close(ran) })
	h.mu.Unlock()
	select {
	case <-ran:
	case <-h.done:
	}
}

func (h *ears) runTasks() {
	h.mu.Lock()
	tasks := h.tasks
	h.tasks = nil
	h.mu.Unlock()
	for _, f := range tasks {
		f()
	}
}

// report lets every listener send a receiver report each reportEvery, spread over that time.
func (h *ears) report(now time.Time) {
	if h.reportFrom.IsZero() {
		h.reportFrom = now
	}
	elapsed := now.Sub(h.reportFrom)
	due := int(int64(len(h.list)) * int64(elapsed) / int64(reportEvery))
	for ; h.reported < due; h.reported++ {
		if e := h.list[h.reportNext].Load(); e != nil && e.listens {
			e.report()
		}
		h.reportNext = (h.reportNext + 1) % len(h.list)
	}
	if elapsed >= reportEvery {
		h.reportFrom, h.reported = now, 0
	}
}

// drops is how many packets the kernel has dropped because the socket was full.
func (h *ears) drops() (uint64, error) {
	const meminfoDrops, meminfoVars = 8, 9 // SK_MEMINFO_DROPS and SK_MEMINFO_VARS, linux/sock_diag.h
	var vars [meminfoVars]uint32
	size := uint32(unsafe.Sizeof(vars))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(h.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&vars)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("read the socket's drops: %w", syscall.Errno(errno))
	}
	return uint64(vars[meminfoDrops]), nil
}

// close ends the drain. The ears must not be used any more.
func (h *ears) close() error {
	close(h.quit)
	<-h.done
	return unix.Close(h.fd)
}
