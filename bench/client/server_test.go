package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"
	"github.com/pion/stun"
	"github.com/pion/transport/v2/packetio"

	"stentor/transport"
)

// server is the smallest thing that a client can talk to: an ICE-lite responder, a DTLS server and SRTP for one
// client. It shares no code with the client but the certificate's maker.
type server struct {
	t           testing.TB
	conn        transport.Conn
	certificate tls.Certificate
	fingerprint string // for the answer
	password    string
	ufrag       string
	offer       map[string]string // the first value of each attribute of the client's offer
	lines       int

	dtlsIn  *packetio.Buffer
	secured chan error // gets the handshake's result
	done    chan struct{}

	mu          sync.Mutex
	client      netip.AddrPort // sender of the last authentic check
	requests    []time.Time    // when authentic checks came
	replies     []*stun.Message
	association *dtls.Conn
	out, in     *srtp.Context
	media       []rtp.Packet
	reports     [][]rtcp.Packet
	reportedAt  []time.Time
	silent      bool // answers no checks
}

func serve(t testing.TB, conn transport.Conn) *server {
	t.Helper()
	cert, err := NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		t: t, conn: conn, certificate: cert, fingerprint: fingerprint(cert.Certificate[0]),
		ufrag: "srvu", password: "server-password-of-32-characters", dtlsIn: packetio.NewBuffer(),
		secured: make(chan error, 1), done: make(chan struct{}),
	}
	go s.read()
	t.Cleanup(s.stop)
	return s
}

func (s *server) stop() {
	s.mu.Lock()
	association := s.association
	s.mu.Unlock()
	if association != nil {
		association.Close()
	}
	s.dtlsIn.Close()
	s.conn.Close()
	<-s.done
}

// answerTo reads an offer and writes the answer; replacements are pairs of old and new texts.
func (s *server) answerTo(offer string, replacements ...string) string {
	s.t.Helper()
	attributes := map[string]string{}
	s.lines = 0
	for text := range strings.SplitSeq(offer, "\r\n") {
		if strings.HasPrefix(text, "m=audio 9 UDP/TLS/RTP/SAVPF 111 ") {
			s.lines++
		}
		name, value, _ := strings.Cut(strings.TrimPrefix(text, "a="), ":")
		if _, known := attributes[name]; !known {
			attributes[name] = value
		}
	}
	s.mu.Lock()
	s.offer = attributes
	s.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE 0\r\n")
	for i := range s.lines {
		fmt.Fprintf(&b, "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:%d\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", i, s.ufrag, s.password)
		fmt.Fprintf(&b, "a=fingerprint:%s\r\na=setup:passive\r\na=rtpmap:111 opus/48000/2\r\n", s.fingerprint)
		fmt.Fprintf(&b, "a=extmap:1 %s\r\na=extmap:4 %s\r\na=ssrc:%d cname:stentor\r\n", levelURI, midURI, lineSSRC(i))
		fmt.Fprintf(&b, "a=candidate:1 1 udp 2130706431 %s %d typ host\r\n", s.conn.LocalAddr().Addr(), s.conn.LocalAddr().Port())
	}
	return strings.NewReplacer(replacements...).Replace(b.String())
}

func lineSSRC(line int) uint32 { return 1000 + uint32(line) }

func (s *server) read() {
	defer close(s.done)
	for {
		batch, err := s.conn.ReadBatch(time.Time{})
		if err != nil {
			return
		}
		for _, d := range batch {
			switch transport.Classify(d.Data) {
			case transport.KindSTUN:
				s.check(d)
			case transport.KindDTLS:
				s.handshake(d)
			case transport.KindRTP:
				s.openRTP(d.Data)
			case transport.KindRTCP:
				s.openRTCP(d.Data)
			}
		}
	}
}

// check answers a check that has all that RFC 8445 asks of a controlling agent.
func (s *server) check(d transport.Datagram) {
	m := &stun.Message{Raw: append([]byte(nil), d.Data...)}
	if err := m.Decode(); err != nil {
		s.t.Errorf("STUN: %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Type.Class == stun.ClassSuccessResponse {
		s.replies = append(s.replies, m)
		return
	}
	var name stun.Username
	if err := name.GetFrom(m); err != nil || name.String() != s.ufrag+":"+s.offer["ice-ufrag"] {
		return // of an earlier run
	}
	for _, want := range []stun.AttrType{stun.AttrPriority, stun.AttrUseCandidate, stun.AttrICEControlling} {
		if !m.Contains(want) {
			s.t.Errorf("a check without %s", want)
		}
	}
	if err := errors.Join(stun.Fingerprint.Check(m), stun.NewShortTermIntegrity(s.password).Check(m)); err != nil {
		s.t.Errorf("check: %v", err)
		return
	}
	s.requests = append(s.requests, time.Now())
	if s.silent {
		return
	}
	s.client = d.From
	reply := stun.MustBuild(stun.BindingSuccess, stun.NewTransactionIDSetter(m.TransactionID),
		&stun.XORMappedAddress{IP: d.From.Addr().AsSlice(), Port: int(d.From.Port())},
		stun.NewShortTermIntegrity(s.password), stun.Fingerprint)
	s.conn.WriteTo(reply.Raw, d.From)
}

// triggeredCheck sends a check as the server's agent would.
func (s *server) triggeredCheck(password string) {
	s.mu.Lock()
	name, to := s.offer["ice-ufrag"]+":"+s.ufrag, s.client
	s.mu.Unlock()
	m := stun.MustBuild(stun.BindingRequest, stun.TransactionID, stun.NewUsername(name),
		stun.NewShortTermIntegrity(password), stun.Fingerprint)
	s.conn.WriteTo(m.Raw, to)
}

// handshake feeds DTLS, and begins it with the first datagram.
func (s *server) handshake(d transport.Datagram) {
	s.dtlsIn.Write(d.Data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.association != nil {
		return
	}
	want := s.offer["fingerprint"]
	association, err := dtls.ServerWithOptions(serverWire{s}, net.UDPAddrFromAddrPort(d.From),
		dtls.WithCertificates(s.certificate),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerify(true),
		dtls.WithInsecureSkipVerifyHello(true),
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
			if fingerprint(raw[0]) != want {
				return errors.New("not the certificate that the offer names")
			}
			return nil
		}))
	if err != nil {
		s.secured <- err
		return
	}
	s.association = association
	go s.secure(association)
}

func (s *server) secure(association *dtls.Conn) {
	err := association.HandshakeContext(context.Background())
	if err == nil {
		profile, _ := association.SelectedSRTPProtectionProfile()
		state, _ := association.ConnectionState()
		cfg := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
		err = cfg.ExtractSessionKeysFromDTLS(&state, false)
		s.mu.Lock()
		s.in, _ = srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, cfg.Profile)
		s.out, _ = srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, cfg.Profile)
		s.mu.Unlock()
	}
	s.secured <- err
}

// serverWire is the net.PacketConn of the server's DTLS.
type serverWire struct{ s *server }

func (w serverWire) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := w.s.dtlsIn.Read(b)
	return n, &net.UDPAddr{}, err
}

func (w serverWire) WriteTo(b []byte, _ net.Addr) (int, error) {
	w.s.mu.Lock()
	to := w.s.client
	w.s.mu.Unlock()
	return len(b), w.s.conn.WriteTo(b, to)
}
func (w serverWire) Close() error                       { return w.s.dtlsIn.Close() }
func (w serverWire) LocalAddr() net.Addr                { return &net.UDPAddr{} }
func (w serverWire) SetDeadline(t time.Time) error      { return w.s.dtlsIn.SetReadDeadline(t) }
func (w serverWire) SetReadDeadline(t time.Time) error  { return w.s.dtlsIn.SetReadDeadline(t) }
func (w serverWire) SetWriteDeadline(_ time.Time) error { return nil }

func (s *server) openRTP(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	plain, err := s.in.DecryptRTP(nil, b, nil)
	var p rtp.Packet
	if err = errors.Join(err, p.Unmarshal(plain)); err != nil {
		s.t.Errorf("RTP from the client: %v", err)
		return
	}
	s.media = append(s.media, p)
}

func (s *server) openRTCP(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	plain, err := s.in.DecryptRTCP(nil, b, nil)
	if err != nil {
		s.t.Errorf("RTCP from the client: %v", err)
		return
	}
	packets, err := rtcp.Unmarshal(plain)
	if err != nil {
		s.t.Errorf("RTCP from the client: %v", err)
	}
	s.reports = append(s.reports, packets)
	s.reportedAt = append(s.reportedAt, time.Now())
}

// sendRTP seals a packet and sends it to the client.
func (s *server) sendRTP(p rtp.Packet) {
	s.t.Helper()
	sealed := s.seal(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.WriteTo(sealed, s.client)
}

func (s *server) seal(p rtp.Packet) []byte {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Version, p.PayloadType = 2, opusPayloadType
	plain, err := p.Marshal()
	if err != nil {
		s.t.Fatal(err)
	}
	sealed, err := s.out.EncryptRTP(nil, plain, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return sealed
}

func (s *server) sendRTCP(packets ...rtcp.Packet) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	plain, err := rtcp.Marshal(packets)
	if err != nil {
		s.t.Fatal(err)
	}
	sealed, err := s.out.EncryptRTCP(nil, plain, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.conn.WriteTo(sealed, s.client)
}

// look reads what the server has seen.
func look[T any](s *server, f func() T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}
