package transport

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v2"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"
)

// EndReason says why a session ended by itself.
type EndReason uint8

// Reasons of Owner.Ended.
const (
	EndClosed     EndReason = iota // the peer said close_notify
	EndDTLSFailed                  // no handshake, or not with the certificate that the offer names
)

// An Owner hears what becomes of a session. The calls come from the session's goroutines, one at a time for each
// kind, and must not call Session.Close. None comes after Close has returned.
type Owner interface {
	Secured(*Session)                 // keys are there: media can flow. Once
	Moved(*Session, netip.AddrPort)   // ICE has chosen another path than its first; maybe before Secured
	Ended(*Session, EndReason, error) // once, unless Close came first
}

// SessionConfig is what the offer says of a peer.
type SessionConfig struct {
	Ufrag, Pwd      string   // the peer's ICE credentials
	FingerprintHash string   // "sha-256", "sha-384" or "sha-512"
	Fingerprint     []byte   // digest of the peer's certificate
	SSRCs           []uint32 // the sources that the offer names; none: a few may show up
	Owner           Owner
	User            any // of the Receiver, for finding its state from the Session; immutable
}

// A Session is one peer's transport: ICE, DTLS and SRTP on one 5-tuple.
type Session struct {
	endpoint *Endpoint // Immutable.
	config   SessionConfig
	cancel   context.CancelFunc
	tasks    sync.WaitGroup // goroutines: run, and calls of the owner
	chosen   chan struct{}  // closed when there is a path

	agentMu sync.Mutex // lets Restart, Close and the end of the agent take turns: gathering never ends on a closed one
	agent   *ice.Agent // nil since the first path was chosen

	dtlsMu      sync.Mutex   // rarely taken: guards what follows
	dtls        *dtlsConn    // of the handshake, nil after it
	association *association // after it

	// Guarded by endpoint.mu.
	credentials
	before       credentials // of the generation before a restart, until the new one has found a path
	addrs        []address
	checks       [][12]byte // keys into endpoint.checks
	stun4, stun6 *agentConn
	kept         bool // the agent has done its work: see keeper.go
	closed       bool // no task begins any more
	asksSince    time.Time
	asks         int // checks since then

	moveMu sync.Mutex     // makes announcements of moves take turns
	told   netip.AddrPort // guarded by moveMu: the path that the owner knows
	path   atomic.Pointer[netip.AddrPort]

	// Atomic.
	seen     atomic.Int64 // when anything authentic came, UnixNano
	pathSeen atomic.Int64 // when anything authentic came on the path
	secured  atomic.Bool  // the fields below are set

	// Written before secured is.
	in      *ingress // Owned by the goroutine that calls Poll.
	out     *Egress  // Owned by whoever took it with Egress.
	profile srtp.ProtectionProfile

	from netip.AddrPort // Owned by the goroutine that calls Poll: sender of the packet under way.
}

// NewSession makes a session that waits for its peer: from now on STUN for it is answered.
func (e *Endpoint) NewSession(c SessionConfig) (*Session, error) {
	s := &Session{endpoint: e, config: c, chosen: make(chan struct{})}
	s.ufrag, s.pwd = newCredentials()
	s.remoteUfrag, s.remotePwd = c.Ufrag, c.Pwd
	s.dtls = newDTLSConn(s)
	s.seen.Store(time.Now().UnixNano())
	e.mu.Lock()
	e.byUfrag[s.ufrag] = s
	e.mu.Unlock()
	if err := s.newAgent(); err != nil {
		e.forget(s)
		return nil, fmt.Errorf("make ICE agent: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.tasks.Go(func() { s.run(ctx) })
	return s, nil
}

// never stands for "no timeout" where ice/v2 takes zero for "at once". Consent is watched by LastSeen, which counts
// media too.
var never = 24 * time.Hour

func (s *Session) newAgent() error {
	noKeepalive := time.Duration(0)
	agent, err := ice.NewAgent(&ice.AgentConfig{
		Lite:                  true,
		UDPMux:                agentMux{s},
		NetworkTypes:          []ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6},
		CandidateTypes:        []ice.CandidateType{ice.CandidateTypeHost},
		MulticastDNSMode:      ice.MulticastDNSModeDisabled,
		Net:                   s.endpoint.net,
		LocalUfrag:            s.ufrag,
		LocalPwd:              s.pwd,
		DisconnectedTimeout:   &never,
		FailedTimeout:         &never,
		KeepaliveInterval:     &noKeepalive,
		LoggerFactory:         quiet{},
		IncludeLoopback:       true,
		BindingRequestHandler: s.onRequest,
	})
	if err != nil {
		return err
	}
	s.agent = agent
	err = agent.OnSelectedCandidatePairChange(func(_, remote ice.Candidate) {
		if ip, err := netip.ParseAddr(remote.Address()); err == nil {
			s.setPath(netip.AddrPortFrom(ip.Unmap(), uint16(remote.Port())))
		}
	})
	if err == nil {
		err = s.gather()
	}
	if err == nil {
		err = s.accept()
	}
	if err != nil {
		_ = agent.GracefulClose()
	}
	return err
}

// gather lets the agent take its connections from the mux, and waits until it has: a check may come right behind
// the answer.
func (s *Session) gather() error {
	gathered := make(chan struct{})
	err := s.agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(gathered)
		}
	})
	if err == nil {
		err = s.agent.GatherCandidates()
	}
	if err == nil {
		<-gathered
	}
	return err
}

// accept lets the agent answer checks. It is called here and not where the first pair is waited for, so that no Restart
// can come before it; the wait that belongs to it is broken off at once, because the callback tells of the pair.
func (s *Session) accept() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.agent.Accept(ctx, s.config.Ufrag, s.config.Pwd)
	if errors.Is(err, ice.ErrCanceledByCaller) {
		return nil
	}
	return err
}

// run takes a session from its first check to its keys.
func (s *Session) run(ctx context.Context) {
	defer s.cancel() // what hangs on ctx can go
	select {
	case <-s.chosen:
	case <-ctx.Done():
		return
	}
	s.keepAlone()
	conn, err := s.handshake(ctx)
	var a *association
	if err == nil {
		a, err = s.secure(conn)
	}
	if err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		if ctx.Err() == nil { // else Close has broken it off
			s.endpoint.counters.HandshakesFailed.Add(1)
			s.config.Owner.Ended(s, EndDTLSFailed, err)
		}
		return
	}
	s.endpoint.counters.Handshakes.Add(1)
	s.config.Owner.Secured(s)
	s.settle(conn, a)
}

// keepAlone closes the agent: from now on checks are keeper.go's.
func (s *Session) keepAlone() {
	s.agentMu.Lock()
	defer s.agentMu.Unlock()
	s.endpoint.mu.Lock()
	s.kept, s.stun4, s.stun6 = true, nil, nil
	s.endpoint.mu.Unlock()
	_ = s.agent.GracefulClose()
	s.agent = nil
}

// task runs f on a goroutine that Close waits for; not at all when Close has begun.
func (s *Session) task(f func()) {
	s.endpoint.mu.Lock()
	defer s.endpoint.mu.Unlock()
	if !s.closed {
		s.tasks.Go(f)
	}
}

// secure makes the contexts of both directions.
func (s *Session) secure(conn *dtls.Conn) (*association, error) {
	k, a, err := exportKeys(conn)
	if err != nil {
		return nil, err
	}
	if s.in, err = newIngress(k, s.config.SSRCs); err != nil {
		return nil, err
	}
	if s.out, err = newEgress(k); err != nil {
		return nil, err
	}
	s.profile = k.profile
	s.seen.Store(time.Now().UnixNano())
	s.secured.Store(true)
	return a, nil
}

// Close ends the session with close_notify and waits until nothing of it is left. Whoever sends must have stopped.
func (s *Session) Close() {
	s.endpoint.mu.Lock()
	s.closed = true
	s.endpoint.mu.Unlock()
	s.cancel()
	s.tasks.Wait()
	s.sayGoodbye()
	s.agentMu.Lock()
	defer s.agentMu.Unlock()
	if s.agent != nil {
		_ = s.agent.GracefulClose()
	}
	s.endpoint.forget(s)
}

// Restart begins a new ICE generation for an offer with new credentials (RFC 8445 §9) and returns ours. Media goes
// on along the old path until the new one is chosen; DTLS and SRTP do not notice. It fails after Close.
func (s *Session) Restart(ufrag, pwd string) (localUfrag, localPwd string, err error) {
	s.agentMu.Lock()
	defer s.agentMu.Unlock()
	c := credentials{remoteUfrag: ufrag, remotePwd: pwd}
	c.ufrag, c.pwd = newCredentials()
	if s.agent != nil {
		err = s.agent.Restart(c.ufrag, c.pwd)
	}
	if err == nil && !s.renew(c) {
		err = net.ErrClosed
	}
	if err == nil && s.agent != nil {
		err = errors.Join(s.agent.SetRemoteCredentials(ufrag, pwd), s.gather())
	}
	if err != nil {
		return "", "", fmt.Errorf("restart ICE: %w", err)
	}
	return c.ufrag, c.pwd, nil
}

// Credentials are our user fragment and password for the answer.
func (s *Session) Credentials() (ufrag, pwd string) {
	s.endpoint.mu.RLock()
	defer s.endpoint.mu.RUnlock()
	return s.ufrag, s.pwd
}

// Path is where media goes, the zero AddrPort before ICE has chosen.
func (s *Session) Path() netip.AddrPort {
	if p := s.path.Load(); p != nil {
		return *p
	}
	return netip.AddrPort{}
}

// setPath is called when a path was chosen. The owner hears of it on another goroutine, because this one is the agent's
// only loop or the one that reads for everybody.
func (s *Session) setPath(a netip.AddrPort) {
	old := s.path.Swap(&a)
	s.pathSeen.Store(time.Now().UnixNano())
	switch {
	case old == nil:
		s.moveMu.Lock()
		s.told = a
		s.moveMu.Unlock()
		close(s.chosen)
	case *old != a:
		s.endpoint.counters.Moves.Add(1)
		s.task(s.tellMove)
	}
}

// tellMove announces the path, unless that was done: of moves in quick succession the last one counts.
func (s *Session) tellMove() {
	s.moveMu.Lock()
	defer s.moveMu.Unlock()
	if a := s.Path(); a != s.told {
		s.told = a
		s.config.Owner.Moved(s, a)
	}
}

// User is what SessionConfig.User holds.
func (s *Session) User() any { return s.config.User }

// LastSeen is when anything authentic came from the peer: a STUN request, RTP or RTCP.
func (s *Session) LastSeen() time.Time { return time.Unix(0, s.seen.Load()) }

// Egress is the sealing side. It belongs to the caller from Secured on.
func (s *Session) Egress() *Egress { return s.out }

// Profile is the name of the SRTP protection profile (RFC 5764 §4.1.2, RFC 7714 §14.2), empty before Secured.
func (s *Session) Profile() string {
	if !s.secured.Load() {
		return ""
	}
	if s.profile == srtp.ProtectionProfileAeadAes128Gcm {
		return "AEAD_AES_128_GCM"
	}
	return "AES128_CM_HMAC_SHA1_80"
}

// OpenRTP decrypts a packet into dst, which needs the packet's length as capacity. It returns the whole packet and
// its parsed header, which is borrowed until the next call; or false when the packet is not the peer's, which is
// counted. For the goroutine that calls Poll.
func (s *Session) OpenRTP(dst, packet []byte, now time.Time) ([]byte, *rtp.Header, bool) {
	out, h, drop := s.in.openRTP(dst, packet, now)
	if drop != DropNone {
		s.endpoint.counters.drop(drop)
		return nil, nil, false
	}
	s.heard(now)
	return out, h, true
}

// OpenRTCP decrypts a compound packet into dst, which needs the packet's length as capacity. For the goroutine that
// calls Poll.
func (s *Session) OpenRTCP(dst, packet []byte, now time.Time) ([]byte, bool) {
	out, drop := s.in.openRTCP(dst[:len(packet)], packet, now)
	if drop != DropNone {
		s.endpoint.counters.drop(drop)
		return nil, false
	}
	s.heard(now)
	return out, true
}

// heard notes that the peer is alive, and on which path.
func (s *Session) heard(now time.Time) {
	t := now.UnixNano()
	s.seen.Store(t)
	if p := s.path.Load(); p != nil && *p == s.from {
		s.pathSeen.Store(t)
	}
}

// newCredentials makes a user fragment of 8 and a password of 26 ice-chars (RFC 8839 §5.4): 40 and 130 random bits,
// where RFC 8445 §5.3 wants 24 and 128.
func newCredentials() (ufrag, pwd string) {
	text := rand.Text() // 26 characters of base32
	return rand.Text()[:8], text
}
