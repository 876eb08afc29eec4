package impair

import (
	"container/heap"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"stentor/bench/impair/scenario"
	"stentor/transport"
	"stentor/transport/simnet"
)

// Relay stands before a daemon, as a home's router does: who sends to it gets a port of his own towards the daemon, and
// what the daemon sends there comes back to him. What it does to datagrams on the way is up to their Paths.
//
// A browser is led behind it by a daemon that advertises the relay's address as its own.
type Relay struct {
	front  *net.UDPConn                  // Immutable.
	target netip.AddrPort                // Immutable.
	begin  func() (down, up simnet.Path) // Immutable.
	late   chan held                     // what is to be sent later
	ctx    context.Context               // Immutable. Ends with Close.
	cancel context.CancelFunc            // Immutable.
	served sync.WaitGroup                // goroutines
	mu     sync.Mutex                    // guards what follows
	behind map[netip.AddrPort]*behind    // by client
}

// behind is a client of a relay.
type behind struct {
	addr netip.AddrPort // Immutable.
	back *net.UDPConn   // Immutable. Connected to the daemon.

	mu       sync.Mutex // guards what follows, and calls of the paths
	begun    bool
	down, up simnet.Path // nil: perfect
}

const (
	// clientsMax bounds the sockets that strangers can make a relay open.
	clientsMax = 256
	// heldMax bounds what is under way: 10 s of 200 kb/s in packets of 100 octets, for ten clients.
	heldMax = 25_000
)

// NewRelay opens a relay that begins without impairment. begin, if not nil, is called for each client when the daemon
// sends it the first media, and makes the paths that it has from then on.
func NewRelay(listen string, target netip.AddrPort, begin func() (down, up simnet.Path)) (*Relay, error) {
	addr, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		return nil, err
	}
	front, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, err
	}
	r := &Relay{front: front, target: target, begin: begin, late: make(chan held), behind: map[netip.AddrPort]*behind{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.served.Go(r.forth)
	r.served.Go(r.hold)
	return r, nil
}

// Addr is where clients are to send to.
func (r *Relay) Addr() netip.AddrPort { return r.front.LocalAddr().(*net.UDPAddr).AddrPort() }

// Impair lets all clients that are there follow paths from now on.
func (r *Relay) Impair(down, up simnet.Path) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.behind {
		b.mu.Lock()
		b.begun, b.down, b.up = true, down, up
		b.mu.Unlock()
	}
}

// Close closes all sockets and waits; what is under way is lost.
func (r *Relay) Close() error {
	r.cancel()
	err := r.front.Close()
	r.mu.Lock()
	for _, b := range r.behind {
		_ = b.back.Close() // nothing is written any more
	}
	r.mu.Unlock()
	r.served.Wait()
	return err
}

// forth reads what clients send.
func (r *Relay) forth() {
	buf := make([]byte, transport.DatagramSize+1)
	for {
		n, from, err := r.front.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n > transport.DatagramSize {
			continue // an ICMP error of a client that has left, or a datagram that no path would carry
		}
		if b := r.client(netip.AddrPortFrom(from.Addr().Unmap(), from.Port())); b != nil {
			r.pass(b, &b.up, buf[:n], func(d []byte) { _, _ = b.back.Write(d) })
		}
	}
}

// client finds or makes the client of an address; nil when there are too many.
func (r *Relay) client(addr netip.AddrPort) *behind {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.behind[addr]; b != nil {
		return b
	}
	if len(r.behind) == clientsMax || r.ctx.Err() != nil {
		return nil
	}
	back, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.target))
	if err != nil {
		return nil
	}
	b := &behind{addr: addr, back: back}
	r.behind[addr] = b
	r.served.Go(func() { r.back(b) })
	return b
}

// back reads what the daemon sends to a client.
func (r *Relay) back(b *behind) {
	buf := make([]byte, transport.DatagramSize+1)
	for {
		n, err := b.back.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n > transport.DatagramSize {
			continue
		}
		if transport.Classify(buf[:n]) == transport.KindRTP {
			r.media(b)
		}
		r.pass(b, &b.down, buf[:n], func(d []byte) { _, _ = r.front.WriteToUDPAddrPort(d, b.addr) })
	}
}

// media begins a client's impairment.
func (r *Relay) media(b *behind) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.begun && r.begin != nil {
		b.down, b.up = r.begin()
	}
	b.begun = true
}

// pass lets a path decide on a datagram.
func (r *Relay) pass(b *behind, path *simnet.Path, d []byte, send func([]byte)) {
	now := time.Now()
	b.mu.Lock()
	at, arrives := now, true
	if *path != nil {
		at, arrives = (*path).Send(now, len(d))
	}
	b.mu.Unlock()
	switch {
	case !arrives:
	case !at.After(now):
		send(d)
	default:
		select {
		case r.late <- held{due: at, data: append([]byte(nil), d...), send: send}:
		case <-r.ctx.Done():
		}
	}
}

// held is a datagram under way.
type held struct {
	due  time.Time
	nth  int
	data []byte
	send func([]byte)
}

// hold sends what is late when its time has come.
func (r *Relay) hold() {
	var under underWay
	nth := 0
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case h := <-r.late:
			if len(under) < heldMax {
				nth++
				h.nth = nth
				heap.Push(&under, h)
			}
		case <-timer.C:
		}
		for len(under) > 0 && !under[0].due.After(time.Now()) {
			h := heap.Pop(&under).(held)
			h.send(h.data)
		}
		if len(under) > 0 {
			timer.Reset(time.Until(under[0].due))
		}
	}
}

// underWay is a heap, the earliest first. It is a heap.Interface.
type underWay []held

func (u underWay) Len() int      { return len(u) }
func (u underWay) Swap(i, j int) { u[i], u[j] = u[j], u[i] }
func (u underWay) Less(i, j int) bool {
	if u[i].due.Equal(u[j].due) {
		return u[i].nth < u[j].nth
	}
	return u[i].due.Before(u[j].due)
}
func (u *underWay) Push(x any) { *u = append(*u, x.(held)) }
func (u *underWay) Pop() any {
	last := len(*u) - 1
	out := (*u)[last]
	(*u)[last] = held{}
	*u = (*u)[:last]
	return out
}

// NewRelayOf opens a relay whose clients' networks follow a story, each from its first media on. The first client gets the
// seed, those after it the numbers that follow.
func NewRelayOf(listen, target string, s *scenario.Scenario, seed uint64) (*Relay, error) {
	to, err := net.ResolveUDPAddr("udp", target)
	if err != nil {
		return nil, err
	}
	var next atomic.Uint64
	return NewRelay(listen, to.AddrPort(), func() (down, up simnet.Path) {
		n := seed + 2*next.Add(1) - 2
		start := time.Now()
		return newMeter(n, s.Down(), start), newMeter(n+1, s.Up(), start)
	})
}
