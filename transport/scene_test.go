package transport_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/stun"

	"stentor/bench/client"
	"stentor/transport"
	"stentor/transport/sdp"
	"stentor/transport/simnet"
)

var (
	studio = netip.MustParseAddrPort("10.0.0.1:7900")
	home   = netip.MustParseAddrPort("10.0.1.1:5000")
	cafe   = netip.MustParseAddrPort("10.0.2.1:5000")
	street = netip.MustParseAddrPort("10.0.3.1:5000")
)

// scene is an endpoint on a simulated network, in virtual time. It is the Receiver of its media.
type scene struct {
	*testing.T
	net      *simnet.Network
	endpoint *transport.Endpoint
	owners   []*owner
	close    []func()
	checks   atomic.Int64 // Binding requests that have left the endpoint

	plain []byte // Owned by the goroutine that polls.

	mu       sync.Mutex
	watch    func(simnet.Capture)      // sees every datagram before a link can lose it
	captured map[netip.AddrPort][]byte // the last Binding request that each address has sent
}

// onScene runs a story. When it returns, everybody leaves and nothing may be left of them.
func onScene(t *testing.T, story func(s *scene)) { onSceneAt(t, transport.Config{}, studio, story) }

func onSceneAt(t *testing.T, c transport.Config, at netip.AddrPort, story func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{T: t, net: simnet.New(1), plain: make([]byte, 0, transport.DatagramSize), captured: map[netip.AddrPort][]byte{}}
		var err error
		if c.Conn, err = s.net.Listen(at); err != nil {
			t.Fatal(err)
		}
		c.Advertise, c.Log = []netip.AddrPort{at}, slog.New(slog.DiscardHandler)
		s.endpoint, err = transport.NewEndpoint(c)
		s.must(err)
		s.net.Tap(func(d simnet.Capture) {
			s.mu.Lock()
			watch := s.watch
			s.mu.Unlock()
			if watch != nil {
				watch(d)
			}
			if transport.Classify(d.Data) != transport.KindSTUN || binary.BigEndian.Uint16(d.Data) != 1 {
				return
			}
			if d.From == at {
				s.checks.Add(1)
			}
			s.mu.Lock()
			s.captured[d.From] = slices.Clone(d.Data)
			s.mu.Unlock()
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for s.endpoint.Poll(time.Time{}, s) == nil {
			}
		}()
		defer func() { // also when the story has failed: a bubble must not be left with goroutines in it
			for _, o := range s.owners {
				o.session.Close()
			}
			for _, f := range s.close {
				f()
			}
			sessions, addrs, checks := s.endpoint.Size()
			if sessions+addrs+checks != 0 {
				t.Errorf("left behind: %d sessions, %d addresses, %d checks", sessions, addrs, checks)
			}
			s.endpoint.Close()
			<-done
			s.net.Close()
		}()
		story(s)
	})
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) RTP(session *transport.Session, packet []byte, now time.Time) {
	if _, _, ok := session.OpenRTP(s.plain, packet, now); ok {
		session.User().(*owner).heard.Add(1)
	}
}

func (s *scene) RTCP(session *transport.Session, packet []byte, now time.Time) {
	if _, ok := session.OpenRTCP(s.plain, packet, now); ok {
		session.User().(*owner).reports.Add(1)
	}
}

// watches shows every datagram from now on.
func (s *scene) watches(f func(simnet.Capture)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = f
}

// drops is what the endpoint has counted for a reason.
func (s *scene) drops(reason string) (count uint64) {
	s.Helper()
	found := false
	s.endpoint.Counters().Drops(func(r string, n uint64) {
		if r == reason {
			count, found = n, true
		}
	})
	if !found {
		s.Fatalf("no drop reason %q", reason)
	}
	return count
}

// settle lets everything happen that can happen now.
func (s *scene) settle() { synctest.Wait() }

// after lets time pass.
func (s *scene) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// owner is the Owner of one session, and its User.
type owner struct {
	session *transport.Session
	heard   atomic.Int64 // packets of RTP that opened
	reports atomic.Int64
	secured chan struct{}
	ended   chan struct{}
	busy    chan struct{} // not nil: Secured returns when it is closed

	mu    sync.Mutex
	story []string
}

func (o *owner) tell(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.story = append(o.story, fmt.Sprintf(format, args...))
}

func (o *owner) Secured(*transport.Session) {
	o.tell("secured")
	close(o.secured)
	if o.busy != nil {
		<-o.busy
	}
}
func (o *owner) Moved(_ *transport.Session, to netip.AddrPort) {
	o.tell("moved to %s", to)
}

func (o *owner) Ended(_ *transport.Session, why transport.EndReason, err error) {
	o.tell("ended %s", map[transport.EndReason]string{transport.EndClosed: "by the peer", transport.EndDTLSFailed: "without DTLS"}[why])
	close(o.ended)
}

// told is what the owner has heard, in order.
func (o *owner) told() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.story)
}

func (s *scene) wantTold(o *owner, want ...string) {
	s.Helper()
	if got := o.told(); !slices.Equal(got, want) {
		s.Errorf("the owner was told %q, want %q", got, want)
	}
}

// admit makes a session. It is closed with the scene, if not before.
func (s *scene) admit(c transport.SessionConfig) *owner {
	s.Helper()
	o := &owner{secured: make(chan struct{}), ended: make(chan struct{})}
	c.Owner, c.User = o, o
	var err error
	o.session, err = s.endpoint.NewSession(c)
	s.must(err)
	s.owners = append(s.owners, o)
	return o
}

// guest is a client and its session.
type guest struct {
	*owner
	scene  *scene
	client *client.Client
	socket *simnet.Socket
	got    atomic.Int64 // packets that the client has heard
	seq64  uint64
}

const slotSSRC = 77

// comes brings a guest to an address, admitted and not yet connected; connect wants the answer.
func (s *scene) comes(at netip.AddrPort, c client.Config) (g *guest, answer string) {
	s.Helper()
	g = &guest{scene: s}
	var err error
	g.socket, err = s.net.Listen(at)
	s.must(err)
	c.Conn, c.OnPacket = g.socket, func(client.Packet) { g.got.Add(1) }
	g.client, err = client.New(c)
	s.must(err)
	s.close = append(s.close, func() { g.client.Close() })
	return g, g.answer(g.client.Offer())
}

// answer reads an offer as the engine does; a guest's first offer makes its session.
func (g *guest) answer(offer string) string {
	s := g.scene
	s.Helper()
	o, err := sdp.ParseOffer(offer)
	s.must(err)
	if g.owner == nil {
		g.owner = s.admit(transport.SessionConfig{
			Ufrag: o.Ufrag, Pwd: o.Pwd, FingerprintHash: o.FingerprintHash, Fingerprint: o.Fingerprint, SSRCs: o.Uplink().SSRCs,
		})
	} else {
		_, _, err = g.session.Restart(o.Ufrag, o.Pwd)
		s.must(err)
	}
	ufrag, pwd := g.session.Credentials()
	answer, err := o.Answer(sdp.AnswerConfig{
		SessionID: 1, Version: 1, Ufrag: ufrag, Pwd: pwd, Fingerprint: s.endpoint.Fingerprint(),
		Candidates: s.endpoint.Candidates(), CNAME: "stentor", MaxSlots: 3, SSRCs: []uint32{slotSSRC, slotSSRC + 1, slotSSRC + 2}, StreamID: "room",
	})
	s.must(err)
	return answer
}

// joins brings a guest who is connected.
func (s *scene) joins(at netip.AddrPort, c client.Config) *guest {
	s.Helper()
	g, answer := s.comes(at, c)
	s.must(g.client.Connect(s.Context(), answer))
	<-g.secured
	return g
}

// speakAndHear sends one packet in each direction, which must arrive.
func (g *guest) speakAndHear() {
	s := g.scene
	s.Helper()
	heard, got := g.heard.Load(), g.got.Load()
	s.must(g.client.Send(client.Frame{Payload: []byte("hello")}))
	g.tellClient()
	s.after(time.Second)
	if n := g.heard.Load() - heard; n != 1 {
		s.Errorf("the endpoint has heard %d packets of 1", n)
	}
	if n := g.got.Load() - got; n != 1 {
		s.Errorf("the client has heard %d packets of 1", n)
	}
}

// tellClient sends a packet along the session's path.
func (g *guest) tellClient() {
	s := g.scene
	s.Helper()
	sender, err := s.endpoint.NewSender()
	s.must(err)
	defer sender.Close()
	g.seq64++
	to := s.endpoint.Dest(g.session.Path())
	slot := sender.Reserve()
	n, err := rtp.Header{Version: 2, SSRC: slotSSRC, SequenceNumber: uint16(g.seq64)}.MarshalTo(slot)
	s.must(err)
	sender.Commit(g.session.Egress().SealRTP(slot, n, []byte("hello"), g.seq64), &to)
	sender.Flush()
}

// caller speaks ICE and nothing else, from as many addresses as it likes.
type caller struct {
	*owner
	scene      *scene
	ufrag, pwd string      // of the caller
	answers    atomic.Bool // whether it answers checks
	withPwd    string      // what it answers them with; empty: without MESSAGE-INTEGRITY
	checks     atomic.Int64
	welcomes   atomic.Int64 // successes
	refusals   chan []byte  // errors
	unanswered chan []byte  // checks that it has not answered
}

// calls makes a session for a caller that answers checks.
func (s *scene) calls() *caller {
	s.Helper()
	c := &caller{scene: s, ufrag: "caller", pwd: "a password of the caller", unanswered: make(chan []byte, 100), refusals: make(chan []byte, 100)}
	c.withPwd = c.pwd
	c.answers.Store(true)
	c.owner = s.admit(transport.SessionConfig{Ufrag: c.ufrag, Pwd: c.pwd, FingerprintHash: "sha-256", Fingerprint: make([]byte, 32)})
	return c
}

// at opens a socket for the caller.
func (c *caller) at(addr netip.AddrPort) *simnet.Socket {
	s := c.scene
	s.Helper()
	socket, err := s.net.Listen(addr)
	s.must(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			batch, err := socket.ReadBatch(time.Time{})
			if err != nil {
				return
			}
			for _, d := range batch {
				c.receive(socket, d)
			}
		}
	}()
	s.close = append(s.close, func() { socket.Close(); <-done })
	return socket
}

func (c *caller) receive(socket *simnet.Socket, d transport.Datagram) {
	if transport.Classify(d.Data) != transport.KindSTUN {
		return
	}
	switch binary.BigEndian.Uint16(d.Data) {
	case 0x0101:
		c.welcomes.Add(1)
	case 0x0111:
		c.refusals <- slices.Clone(d.Data)
	case 0x0001:
		c.checks.Add(1)
		if !c.answers.Load() {
			c.unanswered <- slices.Clone(d.Data)
			return
		}
		_ = socket.WriteTo(answerTo(d.Data, c.withPwd), d.From)
	}
}

// answerTo is a success for a check.
func answerTo(check []byte, pwd string) []byte {
	var id [stun.TransactionIDSize]byte
	copy(id[:], check[8:])
	setters := []stun.Setter{stun.BindingSuccess, stun.NewTransactionIDSetter(id)}
	if pwd != "" {
		setters = append(setters, stun.NewShortTermIntegrity(pwd))
	}
	m, err := stun.Build(append(setters, stun.Fingerprint)...)
	if err != nil {
		panic(err)
	}
	return m.Raw
}

// check is a connectivity check of the caller's.
func (c *caller) check(nominate bool) []byte {
	ufrag, pwd := c.session.Credentials()
	return bindingRequest(ufrag+":"+c.ufrag, pwd, nominate)
}

func bindingRequest(name, pwd string, nominate bool) []byte {
	return bindingRequestAs(stun.AttrICEControlling, name, pwd, nominate)
}

func bindingRequestAs(role stun.AttrType, name, pwd string, nominate bool) []byte {
	setters := []stun.Setter{
		stun.BindingRequest, stun.TransactionID, stun.NewUsername(name),
		stun.RawAttribute{Type: role, Value: make([]byte, 8)},
		stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{110, 255, 255, 255}},
	}
	if nominate {
		setters = append(setters, stun.RawAttribute{Type: stun.AttrUseCandidate})
	}
	m, err := stun.Build(append(setters, stun.NewShortTermIntegrity(pwd), stun.Fingerprint)...)
	if err != nil {
		panic(err)
	}
	return m.Raw
}

// sends lets a socket send something to the endpoint, and what follows happen.
func (s *scene) sends(from *simnet.Socket, b []byte) {
	s.Helper()
	s.must(from.WriteTo(b, s.endpoint.Candidates()[0]))
	s.settle()
}
