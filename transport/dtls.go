package transport

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v2"
	"github.com/pion/transport/v2/deadline"
)

const (
	// dtlsQueue is how many DTLS records wait for the handshake: the largest flight, a certificate chain in
	// fragments, sent twice.
	dtlsQueue = 16
	// alertsMax is how many alerts wait for the handshake's end. One is enough to leave.
	alertsMax = 2
	// handshakeTimeout is from the path to the first record, and from there to the keys. Flights are repeated after 1, 2, 4 s.
	handshakeTimeout = 15 * time.Second
)

// dtlsConn is what pion/dtls takes for its socket during the handshake: fed by the endpoint, writing to the session's
// path. It watches what is written, because the association that comes after goes on from there.
type dtlsConn struct {
	s      *Session
	in     chan []byte
	readBy *deadline.Deadline
	closed chan struct{}
	called chan struct{} // closed when the peer's first record has come
	first  sync.Once

	mu     sync.Mutex
	muted  bool     // nothing is sent any more
	next   uint64   // beyond the sequence numbers that were sent in epoch 1
	finale []byte   // the last flight
	alerts [][]byte // of epoch 1: for the association
}

func newDTLSConn(s *Session) *dtlsConn {
	return &dtlsConn{s: s, in: make(chan []byte, dtlsQueue), readBy: deadline.New(), closed: make(chan struct{}), called: make(chan struct{})}
}

// push hands a copy of one datagram to the handshake. An encrypted alert waits for the association instead: pion/dtls
// is closed soon, and might take it and not come to tell.
func (c *dtlsConn) push(b []byte) Drop {
	if b[0] == recordAlert && len(b) >= recordHeader && recordEpoch(b) == 1 {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.alerts) == alertsMax {
			return DropQueueFull
		}
		c.alerts = append(c.alerts, slices.Clone(b))
		return DropNone
	}
	select {
	case c.in <- slices.Clone(b):
		c.first.Do(func() { close(c.called) })
		return DropNone
	default:
		return DropQueueFull
	}
}

func (c *dtlsConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-c.in:
		return copy(b, p), c.RemoteAddr(), nil
	case <-c.readBy.Done():
		return 0, nil, c.readBy.Err()
	case <-c.closed:
		return 0, nil, net.ErrClosed
	}
}

func (c *dtlsConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	to := c.s.Path()
	if !to.IsValid() {
		return 0, errors.New("no path yet")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.muted {
		return len(b), nil
	}
	c.note(b)
	return len(b), c.s.endpoint.conn.WriteTo(b, to)
}

// note remembers what the association must know of a datagram. A server's last flight begins with its
// ChangeCipherSpec.
func (c *dtlsConn) note(b []byte) {
	if b[0] == recordCipherSpec {
		c.finale = slices.Clone(b)
	}
	for rec, rest := nextRecord(b); rec != nil; rec, rest = nextRecord(rest) {
		if recordEpoch(rec) == 1 {
			c.next = max(c.next, recordSeq(rec)+1)
		}
	}
}

// mute sends nothing from now on, so that pion/dtls can be closed without a word.
func (c *dtlsConn) mute() (next uint64, finale []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.muted = true
	return c.next, c.finale
}

// Close is called by pion/dtls alone, once.
func (c *dtlsConn) Close() error { close(c.closed); return nil }
func (c *dtlsConn) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(c.s.endpoint.conn.LocalAddr())
}
func (c *dtlsConn) RemoteAddr() net.Addr              { return net.UDPAddrFromAddrPort(c.s.Path()) }
func (c *dtlsConn) SetDeadline(t time.Time) error     { return c.SetReadDeadline(t) }
func (c *dtlsConn) SetReadDeadline(t time.Time) error { c.readBy.Set(t); return nil }
func (c *dtlsConn) SetWriteDeadline(time.Time) error  { return nil }

// srtpProfiles in the order in which we want them. GCM first: it is 0.2 µs a packet where CM-SHA1-80 is 0.9.
var srtpProfiles = []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80}

// errFingerprint refuses a certificate that the offer has not announced.
var errFingerprint = errors.New("certificate does not have the offer's fingerprint")

// handshake makes the association as its server (the answer says setup:passive). The address is proven by ICE, so no
// HelloVerifyRequest is sent (RFC 6347 §4.2.1 lets a server choose).
func (s *Session) handshake(ctx context.Context) (*dtls.Conn, error) {
	e := s.endpoint
	select { // who says nothing takes no place
	case <-s.dtls.called:
	case <-time.After(handshakeTimeout):
		return nil, errors.New("the peer has not begun the handshake")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case e.handshakes <- struct{}{}:
		defer func() { <-e.handshakes }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := dtls.ServerWithOptions(s.dtls, s.dtls.RemoteAddr(),
		dtls.WithCertificates(e.cert),
		dtls.WithCipherSuites(cipherSuites...),
		dtls.WithSRTPProtectionProfiles(srtpProfiles...),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerify(true), // the fingerprint decides, not an authority (RFC 8122)
		dtls.WithVerifyPeerCertificate(s.verify),
		dtls.WithInsecureSkipVerifyHello(true),
		dtls.WithLoggerFactory(quiet{}),
	)
	if err != nil {
		return nil, err
	}
	return conn, conn.HandshakeContext(ctx)
}

// verify compares the peer's certificate with the fingerprint that its offer names.
func (s *Session) verify(raw [][]byte, _ [][]*x509.Certificate) error {
	if len(raw) == 0 {
		return errFingerprint
	}
	var sum []byte
	switch s.config.FingerprintHash {
	case "sha-256":
		h := sha256.Sum256(raw[0])
		sum = h[:]
	case "sha-384":
		h := sha512.Sum384(raw[0])
		sum = h[:]
	case "sha-512":
		h := sha512.Sum512(raw[0])
		sum = h[:]
	default:
		return fmt.Errorf("fingerprint by %q: %w", s.config.FingerprintHash, errFingerprint)
	}
	if subtle.ConstantTimeCompare(sum, s.config.Fingerprint) != 1 {
		return errFingerprint
	}
	return nil
}

// exportKeys takes the SRTP keys out of a finished handshake (RFC 5764 §4.2), and what the association goes on with.
func exportKeys(conn *dtls.Conn) (keys, *association, error) {
	profile, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return keys{}, nil, errors.New("no SRTP protection profile in common")
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return keys{}, nil, errors.New("no state after the handshake")
	}
	c := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := c.ExtractSessionKeysFromDTLS(&state, false); err != nil {
		return keys{}, nil, fmt.Errorf("export media keys: %w", err)
	}
	a, err := newAssociation(&state)
	k := c.Keys
	return keys{c.Profile, k.LocalMasterKey, k.LocalMasterSalt, k.RemoteMasterKey, k.RemoteMasterSalt}, a, err
}

// settle closes pion/dtls without a word and goes on with the association alone.
func (s *Session) settle(conn *dtls.Conn, a *association) {
	a.next, a.finale = s.dtls.mute()
	_ = conn.Close()
	s.dtlsMu.Lock()
	alerts := s.dtls.alerts
	s.dtls, s.association = nil, a
	s.dtlsMu.Unlock()
	for _, b := range alerts {
		s.takeDTLS(b, time.Now())
	}
}

// takeDTLS brings a datagram to the handshake, or to what is left after it.
func (s *Session) takeDTLS(b []byte, now time.Time) Drop {
	s.dtlsMu.Lock()
	if s.dtls != nil {
		defer s.dtlsMu.Unlock()
		return s.dtls.push(b)
	}
	was := s.association.over
	answer, drop, ended := s.association.take(b, now)
	s.dtlsMu.Unlock()
	if answer != nil {
		_ = s.endpoint.conn.WriteTo(answer, s.Path()) // lost or not sent is the same
	}
	if ended != nil && !was {
		s.task(func() { s.config.Owner.Ended(s, EndClosed, ended) })
	}
	return drop
}

// sayGoodbye sends close_notify, if there is an association and it is not over.
func (s *Session) sayGoodbye() {
	s.dtlsMu.Lock()
	defer s.dtlsMu.Unlock()
	if s.association == nil {
		return
	}
	if b := s.association.goodbye(); b != nil {
		_ = s.endpoint.conn.WriteTo(b, s.Path())
	}
}
