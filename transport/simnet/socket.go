package simnet

import (
	"net"
	"net/netip"
	"time"

	"stentor/transport"
)

// lentMark overwrites what ReadBatch had lent, so that who still reads it sees nonsense.
const lentMark = 0xDD

// Socket is a socket of a Network; it is a transport.Conn.
type Socket struct {
	net  *Network      // Immutable.
	wake chan struct{} // Immutable. Holds one token when something changed for ReadBatch.

	// Guarded by net.mu.
	local       netip.AddrPort
	queue       []transport.Datagram
	interrupted bool
	closed      bool

	// Owned by the caller of ReadBatch.
	lent  []transport.Datagram
	timer *time.Timer
}

var _ transport.Conn = (*Socket)(nil)

// ReadBatch is transport.Conn's: it lends at most transport.BatchSize datagrams until the next ReadBatch. As on a
// UDP socket, a deadline that has passed returns nothing even if something is queued.
func (s *Socket) ReadBatch(deadline time.Time) ([]transport.Datagram, error) {
	s.giveBack()
	for {
		batch, returnNow, err := s.take(deadline)
		if returnNow {
			return batch, err
		}
		s.wait(deadline)
	}
}

// take looks for a reason to return. It takes what is queued into s.lent.
func (s *Socket) take(deadline time.Time) (batch []transport.Datagram, returnNow bool, err error) {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	switch {
	case s.closed:
		return nil, true, net.ErrClosed
	case s.interrupted:
		s.interrupted = false
		return nil, true, nil
	case !deadline.IsZero() && !time.Now().Before(deadline):
		return nil, true, nil
	case len(s.queue) == 0:
		return nil, false, nil
	}
	count := min(len(s.queue), transport.BatchSize)
	s.lent = append(s.lent[:0], s.queue[:count]...)
	rest := copy(s.queue, s.queue[count:])
	clear(s.queue[rest:])
	s.queue = s.queue[:rest]
	return s.lent, true, nil
}

// wait sleeps until something changed or the deadline came.
func (s *Socket) wait(deadline time.Time) {
	if deadline.IsZero() {
		<-s.wake
		return
	}
	if s.timer == nil {
		s.timer = time.NewTimer(time.Until(deadline))
	} else {
		s.timer.Reset(time.Until(deadline))
	}
	select {
	case <-s.wake:
		s.timer.Stop()
	case <-s.timer.C:
	}
}

// giveBack returns what the last ReadBatch lent to the network's spares.
func (s *Socket) giveBack() {
	if len(s.lent) == 0 {
		return
	}
	for _, d := range s.lent {
		for i := range d.Data {
			d.Data[i] = lentMark
		}
	}
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	for i := range s.lent {
		s.net.recycle(s.lent[i].Data)
	}
	clear(s.lent)
	s.lent = s.lent[:0]
}

// signal leaves a token for ReadBatch. Called with net.mu held.
func (s *Socket) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // one is there already, and ReadBatch looks at everything
	}
}

// Interrupt makes the ReadBatch under way, or else the next one, return at once.
func (s *Socket) Interrupt() {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.interrupted = true
	s.signal()
}

// WriteTo sends a datagram. Its errors are net.ErrClosed, EMSGSIZE beyond transport.DatagramSize, and that of an
// invalid address; what the network does to the datagram is not an error.
func (s *Socket) WriteTo(b []byte, to netip.AddrPort) error { return s.net.send(s, b, to) }

// Dest is transport.Conn's.
func (s *Socket) Dest(to netip.AddrPort) transport.Dest { return transport.Dest{Addr: to} }

// LocalAddr is the address that others see, the new one after a Rebind.
func (s *Socket) LocalAddr() netip.AddrPort {
	addr, _ := s.address()
	return addr
}

func (s *Socket) address() (addr netip.AddrPort, open bool) {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	return s.local, !s.closed
}

// Close ends ReadBatch and frees the address. Closing again is net.ErrClosed.
func (s *Socket) Close() error {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.shut()
	return nil
}

// shut is Close with net.mu held.
func (s *Socket) shut() {
	s.closed = true
	delete(s.net.sockets, s.local)
	s.queue = nil
	s.signal()
}

// NewSender makes a batch writer for one goroutine.
func (s *Socket) NewSender() (transport.Sender, error) {
	if _, open := s.address(); !open {
		return nil, net.ErrClosed
	}
	return &sender{socket: s}, nil
}

// sender is a Socket's transport.Sender. A Flush counts as one system call.
type sender struct {
	socket   *Socket // Immutable.
	counters transport.SendCounters

	// Owned by the goroutine that sends.
	n     int // committed slots
	sizes [transport.BatchSize]int
	dests [transport.BatchSize]*transport.Dest
	slots [transport.BatchSize][transport.DatagramSize]byte
}

func (s *sender) Reserve() []byte                   { return s.slots[s.n][:] }
func (s *sender) Counters() *transport.SendCounters { return &s.counters }

func (s *sender) Commit(n int, to *transport.Dest) {
	s.sizes[s.n], s.dests[s.n] = n, to
	if s.n++; s.n == transport.BatchSize {
		s.Flush()
	}
}

func (s *sender) Flush() {
	if s.n == 0 {
		return
	}
	s.counters.Calls.Add(1)
	for i := range s.n {
		if s.socket.WriteTo(s.slots[i][:s.sizes[i]], s.dests[i].Addr) != nil {
			s.counters.Unreachable.Add(1)
			continue
		}
		s.counters.Packets.Add(1)
		s.counters.Bytes.Add(uint64(s.sizes[i]))
	}
	clear(s.dests[:s.n])
	s.n = 0
}

// Close forgets what is committed and not flushed.
func (s *sender) Close() error {
	s.n = 0
	return nil
}
