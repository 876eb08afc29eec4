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
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v2"
	"github.com/pion/transport/v2/deadline"
)

const (
	// dtlsQueue is how many DTLS records wait for the handshake: the largest flight, a certificate chain in
	// fragments, sent twice.
	dtlsQueue = 16
	// handshakeTimeout is from the first nominated pair to the keys. Flights are repeated after 1, 2, 4 s.
	handshakeTimeout = 15 * time.Second
)

// dtlsConn is what pion/dtls takes for its socket: fed by the endpoint, writing to the session's path.
type dtlsConn struct {
	s      *Session
	in     chan []byte
	readBy *deadline.Deadline
	closed chan struct{}
}

func newDTLSConn(s *Session) *dtlsConn {
	return &dtlsConn{s: s, in: make(chan []byte, dtlsQueue), readBy: deadline.New(), closed: make(chan struct{})}
}

// push hands a copy of one datagram to the association.
func (c *dtlsConn) push(b []byte) Drop {
	select {
	case c.in <- slices.Clone(b):
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
	return len(b), c.s.endpoint.conn.WriteTo(b, to)
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

// handshake makes the association as its server (the answer says setup:passive) and returns the media keys. The
// address is proven by ICE, so no HelloVerifyRequest is sent (RFC 6347 §4.2.1 lets a server choose).
func (s *Session) handshake(ctx context.Context) (*dtls.Conn, keys, error) {
	e := s.endpoint
	select {
	case e.handshakes <- struct{}{}:
		defer func() { <-e.handshakes }()
	case <-ctx.Done():
		return nil, keys{}, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := dtls.ServerWithOptions(s.dtls, s.dtls.RemoteAddr(),
		dtls.WithCertificates(e.cert),
		dtls.WithSRTPProtectionProfiles(srtpProfiles...),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerify(true), // the fingerprint decides, not an authority (RFC 8122)
		dtls.WithVerifyPeerCertificate(s.verify),
		dtls.WithInsecureSkipVerifyHello(true),
		dtls.WithLoggerFactory(quiet{}),
	)
	if err != nil {
		return nil, keys{}, err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return conn, keys{}, err
	}
	k, err := exportKeys(conn)
	return conn, k, err
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

// exportKeys takes the SRTP keys out of a finished handshake (RFC 5764 §4.2).
func exportKeys(conn *dtls.Conn) (keys, error) {
	profile, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return keys{}, errors.New("no SRTP protection profile in common")
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return keys{}, errors.New("no state after the handshake")
	}
	c := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := c.ExtractSessionKeysFromDTLS(&state, false); err != nil {
		return keys{}, fmt.Errorf("export media keys: %w", err)
	}
	k := c.Keys
	return keys{c.Profile, k.LocalMasterKey, k.LocalMasterSalt, k.RemoteMasterKey, k.RemoteMasterSalt}, nil
}
