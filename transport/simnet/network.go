package simnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"stentor/transport"
)

const (
	// queueLength bounds a socket's queue as the daemon's kernel buffer does: 4 MB at 768 octets and more each.
	queueLength = 5000

	// sparesKept bounds the free buffers: 1,024 × 1.5 KB = 1.5 MB, more than is under way in most tests.
	sparesKept = 1024

	// portFirst is the first of the ports that Listen picks: IANA's dynamic range.
	portFirst = 49152
)

// Counters count datagrams since New. Sent + Duplicated is the sum of all the others and of what is under way.
type Counters struct {
	Sent       uint64 // handed to the network
	Duplicated uint64 // second copies that a link made
	Delivered  uint64 // put into a socket's queue
	Lost       uint64 // by a link's Loss
	Down       uint64 // by a link that is down
	TooLong    uint64 // for a link's MTU
	QueueFull  uint64 // the receiver did not read fast enough
	Nobody     uint64 // no socket at the address when it arrived
}

// A Capture is a datagram as the tap sees it: on the sender's side, before a link can lose it.
type Capture struct {
	At   time.Time
	From netip.AddrPort
	To   netip.AddrPort
	Data []byte // borrowed until the tap returns
}

// Network is a network in memory. Its methods are safe for concurrent use.
type Network struct {
	seed uint64 // Immutable.

	tapMu sync.Mutex // keeps captures one at a time; never held together with mu
	tap   func(Capture)

	mu       sync.Mutex
	closed   bool
	sockets  map[netip.AddrPort]*Socket
	links    map[hosts]Link
	flows    map[flowKey]*flow
	nextPort uint16
	spares   [][]byte
	counters Counters

	schedule schedule
	sent     uint64 // datagrams ever scheduled
	timer    *time.Timer
	armed    bool
	armedFor time.Time
	firing   sync.WaitGroup // one while the timer is armed or its function runs
}

// New makes a network without sockets whose links are all perfect. The seed decides every loss, duplicate and jitter.
func New(seed uint64) *Network {
	return &Network{
		seed:     seed,
		sockets:  map[netip.AddrPort]*Socket{},
		links:    map[hosts]Link{},
		flows:    map[flowKey]*flow{},
		nextPort: portFirst,
	}
}

// Listen opens a socket at an address; port 0 picks a free one. An address in use is EADDRINUSE, an unspecified one
// is EADDRNOTAVAIL, a closed network net.ErrClosed.
func (n *Network) Listen(addr netip.AddrPort) (*Socket, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr, err := n.claim(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	s := &Socket{net: n, local: addr, wake: make(chan struct{}, 1)}
	n.sockets[addr] = s
	return s, nil
}

// claim finds the address that a socket can have. Called with mu held.
func (n *Network) claim(addr netip.AddrPort) (netip.AddrPort, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if n.closed {
		return addr, net.ErrClosed
	}
	if !addr.Addr().IsValid() || addr.Addr().IsUnspecified() {
		return addr, syscall.EADDRNOTAVAIL // a host of this network has one address
	}
	for tries := 0; addr.Port() == 0; tries++ {
		if tries > 65535-portFirst {
			return addr, syscall.EADDRINUSE
		}
		free := netip.AddrPortFrom(addr.Addr(), n.nextPort)
		if n.nextPort++; n.nextPort < portFirst {
			n.nextPort = portFirst
		}
		if n.sockets[free] == nil {
			return free, nil
		}
	}
	if n.sockets[addr] != nil {
		return addr, syscall.EADDRINUSE
	}
	return addr, nil
}

// SetLink sets the way from one host to another; the zero Addr stands for any host. The most exact setting counts,
// the sender's before the receiver's. What is under way already is not affected.
func (n *Network) SetLink(from, to netip.Addr, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[hosts{from.Unmap(), to.Unmap()}] = l
}

// Rebind moves a socket to another address, as a NAT that forgot its mapping or a phone that changes from Wi-Fi to
// mobile does. The socket stays open; what is sent to the old address from now on, or is under way to it, reaches
// nobody. Errors are those of Listen.
func (n *Network) Rebind(s *Socket, to netip.AddrPort) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	to, err := n.claim(to)
	if err != nil {
		return fmt.Errorf("rebind to %s: %w", to, err)
	}
	delete(n.sockets, s.local)
	s.local = to
	n.sockets[to] = s
	return nil
}

// Tap shows every datagram that is sent from now on to f, one at a time, on the sender's goroutine; nil ends it.
// f must not send.
func (n *Network) Tap(f func(Capture)) {
	n.tapMu.Lock()
	defer n.tapMu.Unlock()
	n.tap = f
}

// Counters tells what became of the datagrams.
func (n *Network) Counters() Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counters
}

// Close closes every socket, forgets what is under way, and waits for the timer's function.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	for _, s := range n.sockets {
		s.shut()
	}
	n.schedule = nil
	if n.armed && n.timer.Stop() {
		n.armed = false
		n.firing.Done()
	}
	n.mu.Unlock()
	n.firing.Wait()
	return nil
}

// send is the way of a datagram from a socket: errors are the sender's own, never the network's.
func (n *Network) send(s *Socket, b []byte, to netip.AddrPort) error {
	if len(b) > transport.DatagramSize {
		return syscall.EMSGSIZE
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if !to.IsValid() || to.Port() == 0 {
		return errAddress
	}
	from, open := s.address()
	if !open {
		return net.ErrClosed
	}
	n.show(from, to, b)
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	n.route(b, flowKey{s.local, to})
	return nil
}

var errAddress = errors.New("not an address to send to")

func (n *Network) show(from, to netip.AddrPort, b []byte) {
	n.tapMu.Lock()
	defer n.tapMu.Unlock()
	if n.tap != nil {
		n.tap(Capture{At: time.Now(), From: from, To: to, Data: b})
	}
}

// route applies the link's fate to a datagram. Called with mu held.
func (n *Network) route(b []byte, key flowKey) {
	n.counters.Sent++
	f := n.flows[key]
	if f == nil {
		f = newFlow(n.seed, key)
		n.flows[key] = f
	}
	l := n.linkBetween(key.from.Addr(), key.to.Addr())
	if l.Path != nil {
		n.follow(&l, b, key)
		return
	}
	fate := f.draw(&l)
	switch {
	case l.Down:
		n.counters.Down++
		return
	case len(b) > l.limit():
		n.counters.TooLong++
		return
	case fate.lost:
		n.counters.Lost++
		return
	}
	n.counters.Duplicated += uint64(fate.copies - 1)
	now := time.Now()
	n.deliverDue(now) // what the timer is about to deliver comes before what arrives at once
	for i := range fate.copies {
		data := append(n.spare(), b...)
		if due := f.due(now, fate.delays[i], l.Reorder); due.After(now) {
			n.postpone(late{due: due, data: data, flow: key})
		} else {
			n.deliver(data, key)
		}
	}
}

// follow lets a link's Path decide. Called with mu held.
func (n *Network) follow(l *Link, b []byte, key flowKey) {
	if len(b) > l.limit() {
		n.counters.TooLong++
		return
	}
	now := time.Now()
	n.deliverDue(now)
	at, arrives := l.Path.Send(now, len(b))
	switch {
	case !arrives:
		n.counters.Lost++
	case at.After(now):
		n.postpone(late{due: at, data: append(n.spare(), b...), flow: key})
	default:
		n.deliver(append(n.spare(), b...), key)
	}
}

// deliver puts a datagram into its receiver's queue. Called with mu held; takes data over.
func (n *Network) deliver(data []byte, key flowKey) {
	s := n.sockets[key.to]
	if s == nil {
		n.counters.Nobody++
		n.recycle(data)
		return
	}
	if len(s.queue) == queueLength {
		n.counters.QueueFull++
		n.recycle(data)
		return
	}
	n.counters.Delivered++
	s.queue = append(s.queue, transport.Datagram{Data: data, From: key.from})
	s.signal()
}

// spare gives an empty buffer for a datagram. Called with mu held.
func (n *Network) spare() []byte {
	if last := len(n.spares) - 1; last >= 0 {
		b := n.spares[last]
		n.spares = n.spares[:last]
		return b
	}
	return make([]byte, 0, transport.DatagramSize)
}

// recycle takes a buffer back. Called with mu held.
func (n *Network) recycle(b []byte) {
	if len(n.spares) < sparesKept {
		n.spares = append(n.spares, b[:0])
	}
}
