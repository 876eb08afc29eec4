package transport

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	piontransport "github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
)

// Config is what an Endpoint needs.
type Config struct {
	Conn          Conn             // owned by the Endpoint from New on
	Advertise     []netip.AddrPort // host candidates, best first; at least one
	HandshakesMax int              // DTLS handshakes at once; default 1024, of some 31 KB each. More wait their turn
	Log           *slog.Logger     // default slog.Default()
}

// A Receiver takes the media that Endpoint.Poll finds. Packets are still encrypted, and borrowed until the method
// returns.
type Receiver interface {
	RTP(s *Session, packet []byte, now time.Time)
	RTCP(s *Session, packet []byte, now time.Time)
}

// An Endpoint is one media socket and the sessions on it.
type Endpoint struct {
	conn        Conn // Immutable.
	advertise   []netip.AddrPort
	families    []net.Addr // one address for each family that we advertise: the agents' candidates
	has4, has6  bool       // which those are
	cert        tls.Certificate
	fingerprint [sha256.Size]byte
	net         piontransport.Net // shared by the agents: a new one lists all interfaces
	handshakes  chan struct{}     // a place for each handshake under way
	log         *slog.Logger
	tiebreaker  [8]byte // of our checks; a lite agent's role never changes
	counters    Counters

	// Owned by the goroutine that calls Poll.
	integrity *integrity
	answer    [stunAnswerMax]byte // scratch: an answer to a check

	// mu guards the maps below, and in every session what says so: addresses change rarely and must change
	// together. Media packets take it for reading, once each.
	mu      sync.RWMutex
	byUfrag map[string]*Session
	byAddr  map[netip.AddrPort]*Session // addresses that ICE has validated, each of one session
	checks  map[[12]byte]check          // our own connectivity checks that wait for their answer
}

// check is a connectivity check of ours.
type check struct {
	session *Session
	to      netip.AddrPort
}

// NewEndpoint prepares an endpoint. Its owner calls Poll until that fails, and Close.
func NewEndpoint(c Config) (*Endpoint, error) {
	if len(c.Advertise) == 0 {
		return nil, fmt.Errorf("no address to advertise")
	}
	e := &Endpoint{
		conn: c.Conn, advertise: c.Advertise, log: c.Log,
		byUfrag: map[string]*Session{}, byAddr: map[netip.AddrPort]*Session{}, checks: map[[12]byte]check{},
	}
	if e.log == nil {
		e.log = slog.Default()
	}
	if c.HandshakesMax == 0 {
		c.HandshakesMax = 1024
	}
	e.handshakes = make(chan struct{}, c.HandshakesMax)
	e.families = families(c.Advertise)
	for _, a := range c.Advertise {
		e.has4, e.has6 = e.has4 || a.Addr().Is4(), e.has6 || a.Addr().Is6()
	}
	e.integrity = newIntegrity()
	_, _ = rand.Read(e.tiebreaker[:]) // never fails
	var err error
	if e.cert, e.fingerprint, err = newCertificate(time.Now()); err != nil {
		return nil, err
	}
	if e.net, err = stdnet.NewNet(); err != nil {
		return nil, fmt.Errorf("read interfaces: %w", err)
	}
	return e, nil
}

func families(addrs []netip.AddrPort) (out []net.Addr) {
	for _, is4 := range []bool{true, false} {
		i := slices.IndexFunc(addrs, func(a netip.AddrPort) bool { return a.Addr().Is4() == is4 })
		if i >= 0 {
			out = append(out, net.UDPAddrFromAddrPort(addrs[i]))
		}
	}
	return out
}

// Fingerprint is the SHA-256 digest of the endpoint's certificate (RFC 8122 §5).
func (e *Endpoint) Fingerprint() []byte { return e.fingerprint[:] }

// Candidates are the host candidates to put into answers, best first.
func (e *Endpoint) Candidates() []netip.AddrPort { return e.advertise }

// Counters may be read by anyone.
func (e *Endpoint) Counters() *Counters { return &e.counters }

// NewSender makes a batch writer for one goroutine.
func (e *Endpoint) NewSender() (Sender, error) { return e.conn.NewSender() }

// Dest prepares an address for the endpoint's Senders.
func (e *Endpoint) Dest(to netip.AddrPort) Dest { return e.conn.Dest(to) }

// Interrupt makes the Poll under way, or else the next one, return.
func (e *Endpoint) Interrupt() { e.conn.Interrupt() }

// Close closes the socket; Poll fails from then on. The sessions are closed by their owners, before.
func (e *Endpoint) Close() error { return e.conn.Close() }

// Size tells how many sessions, addresses and checks the endpoint holds. All are zero when every session is closed.
func (e *Endpoint) Size() (sessions, addrs, checks int) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return len(e.byUfrag), len(e.byAddr), len(e.checks)
}

// Poll reads one batch, or waits until the deadline or an Interrupt, and hands each datagram on. It is called by
// one goroutine, which the sessions' Open methods belong to. The error is net.ErrClosed after Close.
func (e *Endpoint) Poll(deadline time.Time, r Receiver) error {
	batch, err := e.conn.ReadBatch(deadline)
	if err != nil {
		return err
	}
	if len(batch) == 0 {
		return nil
	}
	now := time.Now()
	e.counters.Datagrams.Add(uint64(len(batch)))
	for i := range batch {
		d := &batch[i]
		e.counters.Bytes.Add(uint64(len(d.Data)))
		kind := Classify(d.Data)
		e.counters.Kinds[kind].Add(1)
		if drop := e.take(kind, d, r, now); drop != DropNone {
			e.counters.drop(drop)
		}
	}
	return nil
}

func (e *Endpoint) take(kind Kind, d *Datagram, r Receiver, now time.Time) Drop {
	switch kind {
	case KindUnknown:
		return DropUnknownKind
	case KindSTUN:
		return e.takeSTUN(d, now)
	}
	s := e.sessionAt(d.From)
	if s == nil {
		return DropUnknownAddress
	}
	switch {
	case kind == KindDTLS:
		return s.takeDTLS(d.Data, now)
	case !s.secured.Load():
		return DropNotSecured
	case kind == KindRTP:
		s.from = d.From
		r.RTP(s, d.Data, now)
	default:
		s.from = d.From
		r.RTCP(s, d.Data, now)
	}
	return DropNone
}

// takeSTUN brings a request to the session that its USERNAME names, and a response to the one whose check it answers.
func (e *Endpoint) takeSTUN(d *Datagram, now time.Time) Drop {
	ufrag, ok := stunUfrag(d.Data)
	if !ok {
		if stunType(d.Data) == stunBindingSuccess {
			return e.takeAnswer(d)
		}
		return DropUnknownKind
	}
	var c credentials
	var kept, old bool
	e.mu.RLock()
	s := e.byUfrag[string(ufrag)]
	if s != nil {
		c, kept, old = s.credentials, s.kept, string(ufrag) != s.ufrag
		if old {
			c = s.before
		}
	}
	e.mu.RUnlock()
	switch {
	case s == nil:
		return DropUnknownUfrag
	case old:
		return e.keepOld(s, c, d, now)
	case kept:
		return e.keep(s, c, d, now)
	}
	return s.pushSTUN(d)
}

func (e *Endpoint) sessionAt(a netip.AddrPort) *Session {
	e.mu.RLock()
	s := e.byAddr[a]
	e.mu.RUnlock()
	return s
}
