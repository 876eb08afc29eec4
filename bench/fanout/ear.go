//go:build linux

package fanout

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"golang.org/x/sys/unix"

	"stentor/bench/client"
	"stentor/transport"
)

// earQueue bounds what waits for a participant: a probe gets 150 packets a second of three talkers, so that its reader
// may be seven seconds late; anybody else gets a handshake's.
const earQueue = 1024

// ear is one participant's address on the common socket, as a transport.Conn.
type ear struct {
	ears    *ears
	addr    netip.Addr // Immutable.
	source  []byte     // Immutable. The control message that makes it the source address.
	listens bool       // Immutable. Its packets count as delivered; a speaker's do not.
	probe   *probe     // Immutable. Nil for most.

	tally  tally          // Owned by the drain.
	client *client.Client // Owned by the drain. Nil until connected.

	wake  chan struct{} // capacity 1
	timer *time.Timer   // Owned by the caller of ReadBatch.

	mu          sync.Mutex
	queue       []transport.Datagram
	spare       []transport.Datagram // lent by the last ReadBatch
	interrupted bool
	closed      bool
}

// join gives participant i its ear.
func (h *ears) join(i int, listens bool, p *probe) *ear {
	addr := address(i)
	e := &ear{
		ears: h, addr: addr, source: unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: addr.As4()}), listens: listens, probe: p,
		wake: make(chan struct{}, 1),
	}
	h.list[i].Store(e)
	return e
}

// push copies a datagram for the participant's reader.
func (e *ear) push(b []byte, from netip.AddrPort) {
	e.mu.Lock()
	n := len(e.queue)
	switch {
	case n == earQueue:
		e.mu.Unlock()
		e.ears.overflow.Add(1)
		return
	case n < cap(e.queue):
		e.queue = e.queue[:n+1] // with the buffer of an earlier one
	default:
		e.queue = append(e.queue, transport.Datagram{})
	}
	d := &e.queue[n]
	d.Data, d.From = append(d.Data[:0], b...), from
	e.mu.Unlock()
	e.nudge()
}

func (e *ear) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// ReadBatch implements transport.Conn.
func (e *ear) ReadBatch(deadline time.Time) ([]transport.Datagram, error) {
	for {
		e.mu.Lock()
		if e.closed {
			e.mu.Unlock()
			return nil, net.ErrClosed
		}
		if batch := e.queue; len(batch) > 0 || e.interrupted {
			e.interrupted = false
			e.queue, e.spare = e.spare[:0], batch
			e.mu.Unlock()
			return batch, nil
		}
		e.mu.Unlock()
		if !e.wait(deadline) {
			return nil, nil
		}
	}
}

// wait returns false at the deadline.
func (e *ear) wait(deadline time.Time) bool {
	if deadline.IsZero() {
		<-e.wake
		return true
	}
	if e.timer == nil {
		e.timer = time.NewTimer(time.Until(deadline))
	} else {
		e.timer.Reset(time.Until(deadline))
	}
	select {
	case <-e.wake:
		e.timer.Stop()
		return true
	case <-e.timer.C:
		return false
	}
}

// Interrupt implements transport.Conn.
func (e *ear) Interrupt() {
	e.mu.Lock()
	e.interrupted = true
	e.mu.Unlock()
	e.nudge()
}

// WriteTo implements transport.Conn.
func (e *ear) WriteTo(b []byte, to netip.AddrPort) error {
	if !to.Addr().Is4() {
		return net.InvalidAddrError("the listeners' socket is IPv4")
	}
	sa := unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
	_, err := unix.SendmsgN(e.ears.fd, b, e.source, &sa, unix.MSG_DONTWAIT)
	return err
}

// NewSender implements transport.Conn; a participant sends too little for batches.
func (e *ear) NewSender() (transport.Sender, error) { return nil, errors.New("an ear has no batches") }

// Dest implements transport.Conn.
func (e *ear) Dest(to netip.AddrPort) transport.Dest { return transport.Dest{Addr: to} }

// LocalAddr implements transport.Conn.
func (e *ear) LocalAddr() netip.AddrPort { return netip.AddrPortFrom(e.addr, e.ears.port) }

// Close implements transport.Conn.
func (e *ear) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.nudge()
	return nil
}

// report sends what a browser would: one block for each stream. Called by the drain.
func (e *ear) report() {
	if e.client == nil {
		return
	}
	if blocks := e.tally.report(); len(blocks) > 0 {
		_ = e.client.SendRTCP(&rtcp.ReceiverReport{SSRC: e.client.SSRC(), Reports: blocks}) // the next follows in 5 s
	}
}
