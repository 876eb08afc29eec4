package client

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"

	"stentor/transport"
	"stentor/transport/sdp"
	"stentor/transport/simnet"
)

// echo is a transport.Endpoint that sends its one peer's packets back on the first slot's SSRC. It is the Owner of its
// session and the Receiver of its media.
type echo struct {
	t        *testing.T
	endpoint *transport.Endpoint
	session  *transport.Session
	secured  chan struct{}
	moved    chan netip.AddrPort
	ended    chan transport.EndReason
	done     chan struct{}
	plain    []byte
}

func (e *echo) Secured(*transport.Session)                                        { close(e.secured) }
func (e *echo) Moved(_ *transport.Session, to netip.AddrPort)                     { e.moved <- to }
func (e *echo) Ended(_ *transport.Session, reason transport.EndReason, err error) { e.ended <- reason }
func (e *echo) RTCP(*transport.Session, []byte, time.Time)                        {}

func (e *echo) RTP(s *transport.Session, packet []byte, now time.Time) {
	out, h, ok := s.OpenRTP(e.plain, packet, now)
	if !ok {
		e.t.Error("a packet was not opened")
		return
	}
	payload := out[h.MarshalSize():]
	back := rtp.Header{Version: 2, PayloadType: opusPayloadType, SequenceNumber: h.SequenceNumber, SSRC: lineSSRC(0), CSRC: []uint32{h.SSRC}}
	slot := make([]byte, transport.DatagramSize)
	n, err := back.MarshalTo(slot)
	if err != nil {
		e.t.Error(err)
		return
	}
	sender, err := e.endpoint.NewSender()
	if err != nil {
		e.t.Error(err)
		return
	}
	defer sender.Close()
	to := e.endpoint.Dest(s.Path())
	size := s.Egress().SealRTP(slot, n, payload, uint64(h.SequenceNumber))
	sender.Commit(copy(sender.Reserve(), slot[:size]), &to)
	sender.Flush()
}

func (e *echo) poll() {
	defer close(e.done)
	for e.endpoint.Poll(time.Time{}, e) == nil {
	}
}

// answer reads an offer as the engine does; a first offer makes the session.
func (e *echo) answer(offer string) string {
	e.t.Helper()
	o, err := sdp.ParseOffer(offer)
	if err != nil {
		e.t.Fatal(err)
	}
	if e.session == nil {
		e.session, err = e.endpoint.NewSession(transport.SessionConfig{
			Ufrag: o.Ufrag, Pwd: o.Pwd, FingerprintHash: o.FingerprintHash, Fingerprint: o.Fingerprint,
			SSRCs: o.Uplink().SSRCs, Owner: e,
		})
	} else {
		_, _, err = e.session.Restart(o.Ufrag, o.Pwd)
	}
	if err != nil {
		e.t.Fatal(err)
	}
	ufrag, pwd := e.session.Credentials()
	out, err := o.Answer(sdp.AnswerConfig{
		SessionID: 1, Version: 1, Ufrag: ufrag, Pwd: pwd, Fingerprint: e.endpoint.Fingerprint(),
		Candidates: e.endpoint.Candidates(), CNAME: "stentor", MaxSlots: 3,
		SSRCs: []uint32{lineSSRC(0), lineSSRC(1), lineSSRC(2)}, StreamID: "room",
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return out
}

// withEndpoint runs a story of a client and a real endpoint on a network in virtual time.
func withEndpoint(t *testing.T, cfg Config, story func(t *testing.T, n *simnet.Network, e *echo, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(3)
		defer n.Close()
		media, err := n.Listen(studio)
		if err != nil {
			t.Fatal(err)
		}
		e := &echo{
			t: t, secured: make(chan struct{}), moved: make(chan netip.AddrPort, 1), done: make(chan struct{}),
			ended: make(chan transport.EndReason, 1), plain: make([]byte, 0, transport.DatagramSize),
		}
		e.endpoint, err = transport.NewEndpoint(transport.Config{Conn: media, Advertise: []netip.AddrPort{studio}})
		if err != nil {
			t.Fatal(err)
		}
		go e.poll()
		if cfg.Conn, err = n.Listen(home); err != nil {
			t.Fatal(err)
		}
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		story(t, n, e, c)
		e.session.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		e.endpoint.Close()
		<-e.done
	})
}

// speakAndHear sends a frame and waits for its echo.
func speakAndHear(t *testing.T, c *Client, packets <-chan Packet, n uint32) {
	t.Helper()
	if err := c.Send(Frame{Payload: TestFrame(5, n, 90), LevelDBov: -20}); err != nil {
		t.Fatal(err)
	}
	p := <-packets
	if _, got, ok := ParseTestFrame(p.Payload); !ok || got != n || p.CSRC != c.SSRC() || p.Line != 0 {
		t.Errorf("heard %+v", p)
	}
}

func TestClientAndEndpointUnderstandEachOther(t *testing.T) {
	for _, cfg := range []Config{
		{Profiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM}},
		{Profiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}, NoSSRC: true, NoAudioLevel: true, TWCC: true, Lines: 1},
	} {
		var packets chan Packet
		cfg.OnPacket = func(p Packet) {
			p.Payload = append([]byte(nil), p.Payload...)
			packets <- p
		}
		withEndpoint(t, cfg, func(t *testing.T, n *simnet.Network, e *echo, c *Client) {
			packets = make(chan Packet, 1) // made in the bubble, as it must be
			if err := c.Connect(t.Context(), e.answer(c.Offer())); err != nil {
				t.Fatal(err)
			}
			<-e.secured
			speakAndHear(t, c, packets, 1)

			// Wi-Fi to mobile: the next consent check moves the session.
			mobile := netip.MustParseAddrPort("198.51.100.1:1234")
			if err := n.Rebind(c.cfg.Conn.(*simnet.Socket), mobile); err != nil {
				t.Fatal(err)
			}
			if to := <-e.moved; to != mobile {
				t.Errorf("moved to %s", to)
			}
			speakAndHear(t, c, packets, 2)

			if err := c.Restart(t.Context(), e.answer(c.RestartOffer())); err != nil {
				t.Fatal(err)
			}
			speakAndHear(t, c, packets, 3)
			e.session.Close()
			<-c.Closed()
			if st := c.Stats(); st.Packets != 3 || st.DecryptFailures != 0 || st.Strangers != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestEndpointHearsTheClientsGoodbye(t *testing.T) {
	withEndpoint(t, Config{}, func(t *testing.T, n *simnet.Network, e *echo, c *Client) {
		if err := c.Connect(t.Context(), e.answer(c.Offer())); err != nil {
			t.Fatal(err)
		}
		<-e.secured
		c.Close()
		if reason := <-e.ended; reason != transport.EndClosed {
			t.Errorf("ended by %d", reason)
		}
	})
}

func TestEndpointRefusesALyingOffer(t *testing.T) {
	lie := "sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":")
	withEndpoint(t, Config{Fingerprint: lie}, func(t *testing.T, n *simnet.Network, e *echo, c *Client) {
		if err := c.Connect(t.Context(), e.answer(c.Offer())); err == nil {
			// The client's side of a handshake is done before the server has looked at its certificate's digest.
			<-c.Closed()
		}
		if reason := <-e.ended; reason != transport.EndDTLSFailed {
			t.Errorf("ended by %d", reason)
		}
	})
}
