package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v2"
	"github.com/pion/transport/v2/packetio"
)

const (
	// wireQueue bounds what waits for pion's DTLS. A flight has at most a handful of datagrams.
	wireQueue = 64

	// flightInterval is before the first repetition of a flight; it doubles. Browsers begin with 50 ms, which a server in a
	// join storm answers twice; RFC 6347 §4.2.4.1 advises 1 s.
	flightInterval = 200 * time.Millisecond
)

// keys are the SRTP contexts of a direction each.
type keys struct {
	in  *srtp.Context // Owned by the reader.
	out *srtp.Context // Guarded by uplink.mu.
}

// dtlsWire is the net.PacketConn under pion's DTLS: the reader fills it, and it writes to the agent's destination.
type dtlsWire struct {
	agent   *agent           // Immutable.
	in      *packetio.Buffer // Immutable.
	onClose func()           // Immutable.
	muted   atomic.Bool
	ended   atomic.Bool
}

func newDTLSWire(a *agent, onClose func()) *dtlsWire {
	w := &dtlsWire{agent: a, in: packetio.NewBuffer(), onClose: onClose}
	w.in.SetLimitCount(wireQueue)
	return w
}

// receive takes a datagram from the reader; it is dropped when DTLS does not keep up, and sent again by the server.
func (w *dtlsWire) receive(b []byte) { _, _ = w.in.Write(b) }

func (w *dtlsWire) mute() { w.muted.Store(true) }

func (w *dtlsWire) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := w.in.Read(b)
	return n, w.remote(), err
}

func (w *dtlsWire) remote() net.Addr { return net.UDPAddrFromAddrPort(w.agent.destination()) }

func (w *dtlsWire) WriteTo(b []byte, _ net.Addr) (int, error) {
	if w.muted.Load() {
		return len(b), nil
	}
	return len(b), w.agent.conn.WriteTo(b, w.agent.destination())
}

// Close is called by pion when the server has ended the association, and by ourselves.
func (w *dtlsWire) Close() error {
	if !w.ended.Swap(true) {
		w.onClose()
	}
	return w.in.Close()
}

func (w *dtlsWire) LocalAddr() net.Addr                { return net.UDPAddrFromAddrPort(w.agent.conn.LocalAddr()) }
func (w *dtlsWire) SetReadDeadline(t time.Time) error  { return w.in.SetReadDeadline(t) }
func (w *dtlsWire) SetWriteDeadline(_ time.Time) error { return nil } // writing never blocks
func (w *dtlsWire) SetDeadline(t time.Time) error      { return w.in.SetReadDeadline(t) }

// shakeHands runs the handshake as DTLS client and takes the SRTP keys from it.
func (c *Client) shakeHands(ctx context.Context, a *answer) error {
	association, err := dtls.ClientWithOptions(c.wire, c.wire.remote(), c.dtlsOptions(a)...)
	if err != nil {
		return fmt.Errorf("prepare DTLS: %w", err)
	}
	c.mu.Lock()
	c.dtls = association
	c.mu.Unlock()
	if err := association.HandshakeContext(ctx); err != nil {
		_ = association.Close() // says nothing that err does not
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("DTLS handshake: %w", err)
	}
	k, err := exportKeys(association)
	if err != nil {
		return err
	}
	c.keys.Store(k)
	if c.wire.ended.Load() { // said goodbye before the keys were there
		c.serverClosed()
	}
	c.cfg.Conn.Interrupt() // the reader opens what came early, and begins to report
	return nil
}

func (c *Client) dtlsOptions(a *answer) []dtls.ClientOption {
	verify := func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) == 0 || fingerprint(raw[0]) != a.fingerprint {
			return errFingerprint
		}
		return nil
	}
	return []dtls.ClientOption{
		dtls.WithCertificates(c.certificate.tls),
		dtls.WithSRTPProtectionProfiles(c.cfg.Profiles...),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithInsecureSkipVerify(true), // the fingerprint takes the place of an authority
		dtls.WithVerifyPeerCertificate(verify),
		dtls.WithFlightInterval(flightInterval),
	}
}

var errFingerprint = errors.New("the server's certificate is not the one that the answer names")

// exportKeys makes the SRTP contexts (RFC 5764 §4.2). Duplicates are told apart by the streams, so SRTP's replay
// protection stays off and a repeated packet is counted as what it is.
func exportKeys(association *dtls.Conn) (*keys, error) {
	profile, ok := association.SelectedSRTPProtectionProfile()
	if !ok {
		return nil, errors.New("the server chose no SRTP profile")
	}
	state, ok := association.ConnectionState()
	if !ok {
		return nil, errors.New("the DTLS association has no state")
	}
	cfg := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, true); err != nil {
		return nil, fmt.Errorf("export SRTP keys: %w", err)
	}
	in, err := srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, cfg.Profile)
	if err != nil {
		return nil, fmt.Errorf("make the receiving SRTP context: %w", err)
	}
	out, err := srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, cfg.Profile)
	if err != nil {
		return nil, fmt.Errorf("make the sending SRTP context: %w", err)
	}
	return &keys{in: in, out: out}, nil
}

// serverClosed tells the world once that the server has ended a finished association.
func (c *Client) serverClosed() {
	c.mu.Lock()
	leaving := c.leaving
	c.mu.Unlock()
	if leaving || c.keys.Load() == nil || c.count.closeNotify.Swap(true) {
		return
	}
	close(c.closed)
}
