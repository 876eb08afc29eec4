package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"

	"stentor/forward/red"
	"stentor/transport"
)

// linesDefault is what a page of a room with the default three slots offers.
const linesDefault = 3

// linesMax keeps every mid a single digit or two; no room has more slots.
const linesMax = 32

// Config says what kind of participant a client is. Only Conn is needed.
type Config struct {
	Conn        transport.Conn               // owned by the client from New on, if New succeeds
	Lines       int                          // audio lines, 1 … 32; 0 means 3. The first is sendrecv, the others recvonly
	Profiles    []dtls.SRTPProtectionProfile // in order of preference; nil means AEAD_AES_128_GCM, AES128_CM_HMAC_SHA1_80
	Certificate *tls.Certificate             // nil means the process's own
	Fingerprint string                       // "sha-256 AB:…" for the offer instead of the certificate's true one

	NoSSRC       bool // the offer names no a=ssrc
	NoAudioLevel bool // no RFC 6464 level is offered or sent
	NoRedundancy bool // RFC 2198 is not offered, as Firefox does not
	Redundancy   int  // earlier packets sent with each one where the answer takes them, 0 … red.DepthMax; Chromium sends 1
	TWCC         bool // transport-wide sequence numbers are offered, sent, and fed back every 100 ms when they come
	NACK         bool // generic NACKs are offered, and sent for what is missing
	NeverAsks    bool // of these none is sent, as Firefox does where a page has put them into its offer
	AutoRTCP     bool // a compound of SR or RR and SDES goes out every second, as a browser's does

	// OnPacket gets every RTP packet once, on the reader's goroutine; it must not block. Late and overtaken packets
	// come when they come.
	OnPacket func(Packet)
	// OnRTCP gets every compound RTCP packet, on the reader's goroutine; it must not block.
	OnRTCP func([]rtcp.Packet)
}

// A Client is one participant. Its methods are safe for concurrent use.
type Client struct {
	cfg         Config      // Immutable.
	certificate certificate // Immutable.
	ssrc        uint32      // Immutable. Of the uplink.
	cname       string      // Immutable.
	ctx         context.Context
	cancel      context.CancelFunc
	ice         *agent
	wire        *dtlsWire     // Immutable. What DTLS reads and writes.
	closed      chan struct{} // closed at the server's close_notify
	done        chan struct{} // closed when the reader has ended

	mu         sync.Mutex // guards what follows; never held while something waits
	session    uint64     // of the offer's o= line
	version    uint64     // of the offer's o= line
	connecting bool
	dtls       *dtls.Conn
	leaving    bool

	answer atomic.Pointer[answer]
	keys   atomic.Pointer[keys]
	up     uplink
	down   downlink
	count  counters
}

// ErrClosed is returned by methods of a client that was closed.
var ErrClosed = errors.New("client is closed")

// New makes a client and starts its reader. The client must be closed.
func New(cfg Config) (*Client, error) {
	if cfg.Conn == nil {
		return nil, errors.New("a client needs a Conn")
	}
	if cfg.Lines == 0 {
		cfg.Lines = linesDefault
	}
	if cfg.Lines < 0 || cfg.Lines > linesMax {
		return nil, fmt.Errorf("%d lines; want 1 to %d", cfg.Lines, linesMax)
	}
	if cfg.Redundancy < 0 || cfg.Redundancy > red.DepthMax {
		return nil, fmt.Errorf("redundancy of %d packets; want 0 to %d", cfg.Redundancy, red.DepthMax)
	}
	if cfg.Profiles == nil {
		cfg.Profiles = []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80}
	}
	cert, err := certificateOf(cfg.Certificate)
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, certificate: cert,
		ssrc: rand.Uint32() | 1, cname: token(16), session: rand.Uint64() >> 1, version: 2,
		closed: make(chan struct{}), done: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.ice = newAgent(cfg.Conn)
	c.wire = newDTLSWire(c.ice, c.serverClosed)
	c.up.init(cfg.Redundancy)
	c.down.init()
	go c.read()
	return c, nil
}

// SSRC is that of the client's uplink.
func (c *Client) SSRC() uint32 { return c.ssrc }

// Closed is closed when the server has ended the association by a DTLS close_notify or a fatal alert.
func (c *Client) Closed() <-chan struct{} { return c.closed }

// Offer writes the client's SDP offer, in Chromium's shape: one bundle, mids 0 to Lines-1, Opus as 111. Until
// RestartOffer it is always the same.
func (c *Client) Offer() string {
	c.mu.Lock()
	version := c.version
	c.mu.Unlock()
	return c.writeOffer(c.ice.localCredentials(), version)
}

// Connect takes the answer and returns when media can flow in both directions. It fails when the answer cannot be used,
// when no candidate answers within 39.5 s (RFC 8489 §6.2.1), when the handshake fails (a server whose certificate is not the
// answer's included), when ctx ends, and with ErrClosed. It can be called once.
func (c *Client) Connect(ctx context.Context, sdp string) error {
	a, err := c.readAnswer(sdp)
	if err != nil {
		return err
	}
	c.mu.Lock()
	again := c.connecting
	c.connecting = true
	c.mu.Unlock()
	if again {
		return errors.New("Connect was called before")
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	c.answer.Store(a)
	if err := c.check(ctx, a); err != nil {
		return err
	}
	return c.shakeHands(ctx, a)
}

// readAnswer parses an answer and compares it with the offer (RFC 3264 §6, RFC 8285 §5).
func (c *Client) readAnswer(sdp string) (*answer, error) {
	a, err := parseAnswer(sdp)
	switch {
	case err != nil:
		return nil, fmt.Errorf("answer: %w", err)
	case len(a.mids) != c.cfg.Lines:
		return nil, fmt.Errorf("answer: %d m= lines for %d offered", len(a.mids), c.cfg.Lines)
	case a.level != 0 && c.cfg.NoAudioLevel, a.twcc != 0 && !c.cfg.TWCC:
		return nil, errors.New("answer: a header extension that was not offered")
	case a.nack && !c.cfg.NACK:
		return nil, errors.New("answer: NACKs, which were not offered")
	case a.red && c.cfg.NoRedundancy:
		return nil, errors.New("answer: redundancy, which was not offered")
	}
	for i, mid := range a.mids {
		if mid != "" && mid != strconv.Itoa(i) {
			return nil, fmt.Errorf("answer: line %d has mid %q", i, mid)
		}
	}
	return a, nil
}

// bound makes ctx end with the client.
func (c *Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// check runs connectivity checks and waits for the first that succeeds.
func (c *Client) check(ctx context.Context, a *answer) error {
	result, err := c.ice.start(time.Now(), a.remote)
	if err != nil {
		return err
	}
	c.cfg.Conn.Interrupt() // the reader has a new deadline
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("check connectivity: %w", context.Cause(ctx))
	}
}

// RestartOffer writes an offer with new ICE credentials (RFC 8445 §9); media and consent go on with the old ones until
// Restart.
func (c *Client) RestartOffer() string {
	c.mu.Lock()
	c.version++
	version := c.version
	c.mu.Unlock()
	return c.writeOffer(c.ice.renewCredentials(), version)
}

// Restart takes the answer to RestartOffer and returns when a candidate has answered. The DTLS association, keys and
// sequence go on; media keeps its path until the new one is found.
func (c *Client) Restart(ctx context.Context, sdp string) error {
	a, err := c.readAnswer(sdp)
	if err != nil {
		return err
	}
	if c.keys.Load() == nil {
		return ErrNotConnected
	}
	if a.fingerprint != c.answer.Load().fingerprint {
		return errors.New("answer: another fingerprint; a restart keeps the DTLS association")
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	c.answer.Store(a)
	return c.check(ctx, a)
}

// SendRaw sends any datagram from the client's socket to the server.
func (c *Client) SendRaw(b []byte) error {
	to := c.ice.destination()
	if !to.IsValid() {
		return errNoPath
	}
	return c.cfg.Conn.WriteTo(b, to)
}

var errNoPath = errors.New("no path to the server yet")

// Close says goodbye by a DTLS close_notify, closes the Conn and waits for the reader.
func (c *Client) Close() error { return c.leave(true) }

// Abort leaves as a crashed browser or a lost phone does: without a word.
func (c *Client) Abort() error { return c.leave(false) }

func (c *Client) leave(politely bool) error {
	c.mu.Lock()
	again, association := c.leaving, c.dtls
	c.leaving = true
	c.mu.Unlock()
	if again {
		<-c.done
		return nil
	}
	if !politely {
		c.wire.mute()
	}
	c.cancel()
	if association != nil {
		_ = association.Close() // the socket may be gone; what can be said was said
	}
	c.wire.Close()
	err := c.cfg.Conn.Close()
	<-c.done
	return err
}
