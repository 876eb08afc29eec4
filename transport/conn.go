package transport

import (
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// DatagramSize is the longest datagram that is read or sent. Ethernet's 1500 octets less IPv6 and UDP headers
	// leave 1452; the rest is room for an IPv4 path that allows it. Longer ones are dropped and counted.
	DatagramSize = 1500

	// BatchSize is how many datagrams one system call moves at most. Beyond 64 the gain per packet is lost in
	// noise; 128 keeps a whole fan-out of a small room in one call.
	BatchSize = 128
)

// A Datagram is one received packet. Data is borrowed until the next ReadBatch.
type Datagram struct {
	Data []byte
	From netip.AddrPort // IPv4 is never in its mapped form
}

// A Conn is a datagram socket that moves packets in batches. The UDP socket and simnet's sockets are Conns.
type Conn interface {
	// ReadBatch waits for datagrams until the deadline (zero: for ever) and returns what came, at most BatchSize;
	// none after the deadline or an Interrupt. The error is net.ErrClosed after Close. One caller at a time.
	ReadBatch(deadline time.Time) ([]Datagram, error)
	// Interrupt makes the ReadBatch under way, or else the next one, return at once.
	Interrupt()
	// WriteTo sends one datagram without blocking, for what is rare: STUN and DTLS. Safe for concurrent use.
	WriteTo(b []byte, to netip.AddrPort) error
	// NewSender makes a batch writer for one goroutine.
	NewSender() (Sender, error)
	// Dest prepares an address for Senders of this Conn.
	Dest(to netip.AddrPort) Dest
	// LocalAddr is the bound address; its IP is unspecified when all interfaces are served.
	LocalAddr() netip.AddrPort
	Close() error
}

// A Sender collects datagrams in preallocated slots and sends them in batches. It belongs to one goroutine.
//
//	slot := s.Reserve()
//	n := seal into slot
//	s.Commit(n, &dest)
//	...
//	s.Flush()
type Sender interface {
	// Reserve returns the next free slot, DatagramSize octets long. Not committing it is allowed.
	Reserve() []byte
	// Commit queues the first n octets of the reserved slot for to, which stays borrowed until Flush.
	// A full batch is flushed. Slots that are committed one after the other for the same Dest go as one message
	// (UDP GSO) where the kernel can, if all but the last are of one size and the last is not longer.
	Commit(n int, to *Dest)
	// Flush sends what is committed. What the kernel does not take is dropped and counted, never retried:
	// audio that is late is worth nothing.
	Flush()
	// Counters may be read by anyone.
	Counters() *SendCounters
	Close() error
}

// SendCounters count what a Sender did. Atomic.
type SendCounters struct {
	Packets     atomic.Uint64 // taken by the kernel
	Bytes       atomic.Uint64 // of those, without UDP and IP headers
	Calls       atomic.Uint64 // system calls
	BufferFull  atomic.Uint64 // dropped: the socket's buffer stayed full
	Unreachable atomic.Uint64 // dropped: no route, refused, not permitted
	Joined      atomic.Uint64 // of Packets, those that shared a message with another one (UDP GSO)
	Fallbacks   atomic.Uint64 // joined messages that the kernel refused, and that were sent apart
}

// A Dest is an address in the form that a Sender's Conn needs. It is made once per path, by Conn.Dest.
type Dest struct {
	Addr netip.AddrPort
	name [28]byte // struct sockaddr_in or sockaddr_in6 (the larger one)
	size uint32   // octets of name in use
}
