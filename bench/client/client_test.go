package client

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/stun"
	"go.uber.org/goleak"

	"stentor/transport"
	"stentor/transport/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	home   = netip.MustParseAddrPort("10.0.0.1:4000")
	studio = netip.MustParseAddrPort("10.9.9.9:7900")
)

// scene is a client and a server on a network in virtual time.
type scene struct {
	t      *testing.T
	net    *simnet.Network
	socket *simnet.Socket
	server *server
	client *Client
}

// play runs a story. The client is made but not connected.
func play(t *testing.T, cfg Config, story func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, net: simnet.New(1)}
		t.Cleanup(func() { s.net.Close() })
		socket, err := s.net.Listen(studio)
		if err != nil {
			t.Fatal(err)
		}
		s.server = serve(t, socket)
		if s.socket, err = s.net.Listen(home); err != nil {
			t.Fatal(err)
		}
		cfg.Conn = s.socket
		if s.client, err = New(cfg); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.client.Close() })
		story(t, s)
	})
}

// connect connects the client and waits for the server's side too.
func (s *scene) connect() {
	s.t.Helper()
	if err := s.client.Connect(s.t.Context(), s.server.answerTo(s.client.Offer())); err != nil {
		s.t.Fatal(err)
	}
	if err := <-s.server.secured; err != nil {
		s.t.Fatal(err)
	}
}

// heard collects what OnPacket gets.
type heard struct{ packets []Packet }

func (h *heard) take(p Packet) {
	p.Payload = bytes.Clone(p.Payload)
	h.packets = append(h.packets, p)
}

func TestMediaFlowsBothWaysWithEitherProfile(t *testing.T) {
	for _, profile := range []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80} {
		t.Run(profileName(profile), func(t *testing.T) {
			var h heard
			play(t, Config{Profiles: []dtls.SRTPProtectionProfile{profile}, OnPacket: h.take}, func(t *testing.T, s *scene) {
				s.connect()
				if chosen, _ := s.client.dtls.SelectedSRTPProtectionProfile(); chosen != profile {
					t.Errorf("profile %v", chosen)
				}
				for n := range uint32(3) {
					f := Frame{Payload: TestFrame(7, n, 80), Timestamp: 960 * n, Marker: n == 0, LevelDBov: -30, Voice: true}
					if err := s.client.Send(f); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				for n, p := range look(s.server, func() []rtp.Packet { return s.server.media }) {
					speaker, frame, ok := ParseTestFrame(p.Payload)
					if !ok || speaker != 7 || frame != uint32(n) || p.SSRC != s.client.SSRC() || p.Marker != (n == 0) || p.Timestamp != 960*uint32(n) {
						t.Errorf("packet %d: %v", n, p)
					}
					if !bytes.Equal(p.GetExtension(levelID), []byte{0x80 | 30}) || string(p.GetExtension(midID)) != "0" {
						t.Errorf("packet %d: level %x, mid %q", n, p.GetExtension(levelID), p.GetExtension(midID))
					}
				}
				if n := len(s.server.media); n != 3 {
					t.Errorf("%d packets came to the server", n)
				}
				p := rtp.Packet{Header: rtp.Header{SequenceNumber: 65535, Timestamp: 5, SSRC: lineSSRC(1), CSRC: []uint32{77}}, Payload: TestFrame(9, 1, 60)}
				p.SetExtension(levelID, []byte{12})
				s.server.sendRTP(p)
				synctest.Wait()
				if len(h.packets) != 1 {
					t.Fatalf("heard %v", h.packets)
				}
				got := h.packets[0]
				if speaker, n, ok := ParseTestFrame(got.Payload); !ok || speaker != 9 || n != 1 {
					t.Errorf("payload %x", got.Payload)
				}
				if got.Line != 1 || got.CSRC != 77 || !got.HasLevel || got.Level != -12 || got.Voice || got.Seq != 65535 || got.Timestamp != 5 {
					t.Errorf("heard %+v", got)
				}
			})
		})
	}
}

func profileName(p dtls.SRTPProtectionProfile) string {
	return map[dtls.SRTPProtectionProfile]string{dtls.SRTP_AEAD_AES_128_GCM: "GCM", dtls.SRTP_AES128_CM_HMAC_SHA1_80: "CM"}[p]
}

func TestConnectsAcrossALossyNetwork(t *testing.T) {
	play(t, Config{}, func(t *testing.T, s *scene) {
		s.net.SetLink(netip.Addr{}, netip.Addr{}, simnet.Link{
			Delay: 80 * time.Millisecond, Jitter: 50 * time.Millisecond, Loss: 0.3, Duplicate: 0.1, Reorder: true})
		s.connect()
	})
}

func TestChecksFollowRFC8489AndGiveUp(t *testing.T) {
	play(t, Config{}, func(t *testing.T, s *scene) {
		s.server.silent = true
		start := time.Now()
		err := s.client.Connect(s.t.Context(), s.server.answerTo(s.client.Offer()))
		if !errors.Is(err, errNoCandidate) || time.Since(start) != 39500*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		want := []int{0, 500, 1500, 3500, 7500, 15500, 31500}
		var got []int
		for _, at := range look(s.server, func() []time.Time { return s.server.requests }) {
			got = append(got, int(at.Sub(start).Milliseconds()))
		}
		if !slices.Equal(got, want) {
			t.Errorf("checks at %v ms", got)
		}
	})
}

func TestConsentIsRenewedEveryFiveSecondsAndEnds(t *testing.T) {
	play(t, Config{}, func(t *testing.T, s *scene) {
		s.connect()
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := s.client.Stats(); st.ConsentSent != 12 || st.ConsentAnswered != 12 {
			t.Errorf("%d sent, %d answered", st.ConsentSent, st.ConsentAnswered)
		}
		s.net.SetLink(studio.Addr(), netip.Addr{}, simnet.Link{Down: true})
		time.Sleep(29 * time.Second)
		if err := s.client.Send(Frame{Payload: TestFrame(1, 1, 20)}); err != nil {
			t.Errorf("after 29 s: %v", err)
		}
		time.Sleep(time.Second)
		if err := s.client.Send(Frame{Payload: TestFrame(1, 2, 20)}); !errors.Is(err, ErrNoConsent) {
			t.Errorf("after 30 s: %v", err)
		}
		s.net.SetLink(studio.Addr(), netip.Addr{}, simnet.Link{})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if err := s.client.Send(Frame{Payload: TestFrame(1, 3, 20)}); err != nil {
			t.Errorf("after it came back: %v", err)
		}
	})
}

func TestFirstAnsweringCandidateWins(t *testing.T) {
	play(t, Config{}, func(t *testing.T, s *scene) {
		dead := "a=candidate:1 1 udp 2130706999 10.66.66.66 1 typ host\r\na=candidate:2 1 tcp 9 10.9.9.9 9 typ host\r\n" +
			"a=candidate:3 1 udp 9 x.local 9 typ host\r\na=candidate:"
		start := time.Now()
		answer := s.server.answerTo(s.client.Offer(), "a=candidate:", dead)
		if err := s.client.Connect(t.Context(), answer); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != paceInterval {
			t.Errorf("took %s", took)
		}
	})
}

func TestForgedAnswersSelectNothing(t *testing.T) {
	play(t, Config{}, func(t *testing.T, s *scene) {
		s.server.silent = true
		other, err := s.net.Listen(netip.MustParseAddrPort("10.3.3.3:3"))
		if err != nil {
			t.Fatal(err)
		}
		checks := make(chan []byte, requestCount)
		s.net.Tap(func(c simnet.Capture) {
			if c.From == home {
				checks <- bytes.Clone(c.Data)
			}
		})
		result := make(chan error, 1)
		go func() { result <- s.client.Connect(t.Context(), s.server.answerTo(s.client.Offer())) }()
		check := &stun.Message{Raw: <-checks}
		if err := check.Decode(); err != nil {
			t.Fatal(err)
		}
		reply := func(password string) []byte {
			return stun.MustBuild(stun.BindingSuccess, stun.NewTransactionIDSetter(check.TransactionID),
				stun.NewShortTermIntegrity(password), stun.Fingerprint).Raw
		}
		s.server.conn.WriteTo(reply("a guess"), home)
		other.WriteTo(reply(s.server.password), home)
		if err := <-result; !errors.Is(err, errNoCandidate) {
			t.Errorf("Connect: %v", err)
		}
	})
}

func TestOnlyAuthenticChecksAreAnswered(t *testing.T) {
	play(t, Config{}, func(t *testing.T, s *scene) {
		s.connect()
		s.server.triggeredCheck("not-the-password")
		synctest.Wait()
		if st := s.client.Stats(); st.RequestsRefused != 1 || st.RequestsAnswered != 0 || len(s.server.replies) != 0 {
			t.Errorf("a forged check: %+v, %d replies", st, len(s.server.replies))
		}
		s.server.triggeredCheck(s.server.offer["ice-pwd"])
		synctest.Wait()
		if st := s.client.Stats(); st.RequestsAnswered != 1 || len(s.server.replies) != 1 {
			t.Errorf("an authentic check: %+v, %d replies", st, len(s.server.replies))
		}
	})
}

func TestWrongServerCertificateIsRefused(t *testing.T) {
	play(t, Config{}, func(t *testing.T, s *scene) {
		other, err := NewCertificate()
		if err != nil {
			t.Fatal(err)
		}
		s.server.fingerprint = fingerprint(other.Certificate[0])
		err = s.client.Connect(t.Context(), s.server.answerTo(s.client.Offer()))
		if !errors.Is(err, errFingerprint) {
			t.Errorf("connected: %v", err)
		}
		if err := s.client.Send(Frame{Payload: TestFrame(1, 1, 20)}); !errors.Is(err, ErrNotConnected) {
			t.Errorf("sent: %v", err)
		}
	})
}

func TestLyingFingerprintIsNoticedByTheServer(t *testing.T) {
	lie := "sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":")
	play(t, Config{Fingerprint: lie}, func(t *testing.T, s *scene) {
		result := make(chan error, 1)
		go func() { result <- s.client.Connect(t.Context(), s.server.answerTo(s.client.Offer())) }()
		if err := <-s.server.secured; err == nil || !strings.Contains(err.Error(), "not the certificate") {
			t.Errorf("the server says %v", err)
		}
		if err := <-result; err == nil {
			t.Error("the client connected")
		}
	})
}

func TestCloseNotifyGoesBothWays(t *testing.T) {
	play(t, Config{}, func(t *testing.T, s *scene) {
		s.connect()
		s.server.association.Close()
		<-s.client.Closed()
		if !s.client.Stats().CloseNotify {
			t.Error("not in the statistics")
		}
	})
	for _, politely := range []bool{true, false} {
		play(t, Config{}, func(t *testing.T, s *scene) {
			s.connect()
			ended := make(chan error, 1)
			go func() {
				_, err := s.server.association.Read(make([]byte, 100))
				ended <- err
			}()
			if politely {
				s.client.Close()
			} else {
				s.client.Abort()
			}
			synctest.Wait()
			select {
			case <-ended:
				if !politely {
					t.Error("the server heard an Abort")
				}
			default:
				if politely {
					t.Error("the server heard no close_notify")
				}
			}
			select {
			case <-s.client.Closed():
				t.Error("the client takes its own goodbye for the server's")
			default:
			}
			if err := s.client.Send(Frame{}); !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}

func TestCloseEndsConnect(t *testing.T) {
	play(t, Config{}, func(t *testing.T, s *scene) {
		s.server.silent = true
		time.AfterFunc(time.Second, func() { s.client.Close() })
		if err := s.client.Connect(t.Context(), s.server.answerTo(s.client.Offer())); !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
	})
	play(t, Config{}, func(t *testing.T, s *scene) {
		s.net.SetLink(studio.Addr(), netip.Addr{}, simnet.Link{MTU: 300}) // checks pass, the server's flight does not
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := s.client.Connect(ctx, s.server.answerTo(s.client.Offer())); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestRestartKeepsKeysAndMovesThePath(t *testing.T) {
	var h heard
	play(t, Config{OnPacket: h.take}, func(t *testing.T, s *scene) {
		first := s.client.Offer()
		s.connect()
		if err := s.net.Rebind(s.socket, netip.MustParseAddrPort("198.51.100.7:1")); err != nil {
			t.Fatal(err)
		}
		offer := s.client.RestartOffer()
		was, is := attributesOf(first), attributesOf(offer)
		if was["ice-ufrag"] == is["ice-ufrag"] || was["ice-pwd"] == is["ice-pwd"] {
			t.Error("the credentials are the old ones")
		}
		if was["fingerprint"] != is["fingerprint"] || was["ssrc"] != is["ssrc"] || offer != s.client.Offer() {
			t.Error("more than the credentials changed")
		}
		s.server.ufrag, s.server.password = "srv2", "another-password-of-32-characters"
		if err := s.client.Restart(t.Context(), s.server.answerTo(offer)); err != nil {
			t.Fatal(err)
		}
		if s.server.client != s.socket.LocalAddr() {
			t.Errorf("the server's path is %s", s.server.client)
		}
		if err := s.client.Send(Frame{Payload: TestFrame(1, 1, 20)}); err != nil {
			t.Fatal(err)
		}
		s.server.sendRTP(rtp.Packet{Header: rtp.Header{SSRC: lineSSRC(0)}, Payload: TestFrame(2, 1, 20)})
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if len(s.server.media) != 1 || len(h.packets) != 1 || s.client.Stats().ConsentAnswered != 1 {
			t.Errorf("%d up, %d down, %+v", len(s.server.media), len(h.packets), s.client.Stats())
		}
	})
}

func TestOldCredentialsHoldUntilTheRestartIsAnswered(t *testing.T) {
	play(t, Config{}, func(t *testing.T, s *scene) {
		s.connect()
		s.client.RestartOffer()
		s.server.triggeredCheck(s.server.offer["ice-pwd"])
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if st := s.client.Stats(); st.RequestsAnswered != 1 || st.ConsentAnswered != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestLatePacketsBeyondALongGapAreNotDuplicates(t *testing.T) {
	var h heard
	play(t, Config{OnPacket: h.take}, func(t *testing.T, s *scene) {
		s.connect()
		padded := rtp.Packet{Header: rtp.Header{SSRC: lineSSRC(0), SequenceNumber: windowSize, Padding: true, PaddingSize: 5}, Payload: []byte{1, 2}}
		for _, seq := range []uint16{0, windowSize + 500} {
			s.server.sendRTP(rtp.Packet{Header: rtp.Header{SSRC: lineSSRC(0), SequenceNumber: seq}})
		}
		s.server.sendRTP(padded)
		synctest.Wait()
		st := s.client.Stats()
		if st.Duplicates != 0 || st.Packets != 3 || st.Lost != windowSize+500-2 {
			t.Errorf("%+v", st.StreamStats)
		}
		if last := h.packets[len(h.packets)-1]; !bytes.Equal(last.Payload, []byte{1, 2}) {
			t.Errorf("payload %x with its padding", last.Payload)
		}
	})
}

func attributesOf(sdp string) map[string]string {
	out := map[string]string{}
	for text := range strings.SplitSeq(sdp, "\r\n") {
		name, value, _ := strings.Cut(text, ":")
		if _, known := out[strings.TrimPrefix(name, "a=")]; !known {
			out[strings.TrimPrefix(name, "a=")] = value
		}
	}
	return out
}

func TestReportsGoOutEverySecond(t *testing.T) {
	var got [][]rtcp.Packet
	play(t, Config{AutoRTCP: true, OnRTCP: func(p []rtcp.Packet) { got = append(got, p) }}, func(t *testing.T, s *scene) {
		s.connect()
		for _, seq := range []uint16{65534, 65535, 1, 2} { // 0 is lost
			s.server.sendRTP(rtp.Packet{Header: rtp.Header{SSRC: lineSSRC(0), SequenceNumber: seq}})
		}
		s.server.sendRTCP(&rtcp.SenderReport{SSRC: lineSSRC(0), NTPTime: 0x1122334455667788})
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		if len(s.server.reports) != 3 {
			t.Fatalf("%d reports in 3.5 s", len(s.server.reports))
		}
		rr, ok := s.server.reports[0][0].(*rtcp.ReceiverReport)
		if !ok || len(rr.Reports) != 1 || rr.SSRC != s.client.SSRC() {
			t.Fatalf("first report %v", s.server.reports[0])
		}
		want := rtcp.ReceptionReport{SSRC: lineSSRC(0), FractionLost: 51, TotalLost: 1, LastSequenceNumber: 65538,
			LastSenderReport: 0x33445566, Delay: 65536}
		if rr.Reports[0] != want {
			t.Errorf("block %+v", rr.Reports[0])
		}
		if _, ok := s.server.reports[0][1].(*rtcp.SourceDescription); !ok {
			t.Errorf("no SDES in %v", s.server.reports[0])
		}
		if later := s.server.reports[1][0].(*rtcp.ReceiverReport).Reports[0]; later.FractionLost != 0 || later.TotalLost != 1 {
			t.Errorf("second block %+v", later)
		}
		if err := s.client.Send(Frame{Payload: TestFrame(1, 1, 40), Timestamp: 1000}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		sr, ok := s.server.reports[3][0].(*rtcp.SenderReport)
		if !ok || sr.PacketCount != 1 || sr.OctetCount != 40 || sr.RTPTime != 1000+24000 || len(sr.Reports) != 1 {
			t.Errorf("sender report %v", s.server.reports[3])
		}
		s.server.sendRTCP(&rtcp.ReceiverReport{SSRC: 1}, &rtcp.Goodbye{Sources: []uint32{1, 2}})
		synctest.Wait()
		if st := s.client.Stats(); st.RTCP != 2 || st.SenderReports != 1 || st.ReceiverReports != 1 || st.Byes != 2 || len(got) != 2 {
			t.Errorf("%+v, %d compounds", st, len(got))
		}
	})
}

func TestStatisticsTellLossFromDisorder(t *testing.T) {
	var h heard
	play(t, Config{OnPacket: h.take}, func(t *testing.T, s *scene) {
		s.connect()
		for _, seq := range []uint16{10, 11, 13, 12, 12, 16} {
			s.server.sendRTP(rtp.Packet{Header: rtp.Header{SSRC: lineSSRC(2), SequenceNumber: seq}, Payload: []byte{1, 2}})
		}
		s.server.sendRTP(rtp.Packet{Header: rtp.Header{SSRC: 5555}})
		forged := make([]byte, 60)
		forged[0], forged[1] = 0x80, opusPayloadType
		copy(forged[8:], []byte{0, 0, 0x03, 0xE8}) // SSRC 1000
		s.server.conn.WriteTo(forged, home)
		s.server.conn.WriteTo([]byte("what is this?"), home)
		stranger, err := s.net.Listen(netip.MustParseAddrPort("10.3.3.3:3"))
		if err != nil {
			t.Fatal(err)
		}
		stranger.WriteTo(forged, home)
		synctest.Wait()
		st := s.client.Stats()
		want := StreamStats{SSRC: lineSSRC(2), Line: 2, Packets: 5, Bytes: 10, Lost: 2, Duplicates: 1, OutOfOrder: 1}
		if len(st.Streams) != 1 || st.Streams[0] != want {
			t.Errorf("streams %+v", st.Streams)
		}
		if st.Packets != 5 || st.UnknownSSRC != 1 || st.DecryptFailures != 1 || st.Unknown != 1 || st.Strangers != 1 {
			t.Errorf("%+v", st)
		}
		var order []uint16
		for _, p := range h.packets {
			order = append(order, p.Seq)
		}
		if !slices.Equal(order, []uint16{10, 11, 13, 12, 16}) {
			t.Errorf("heard %v", order)
		}
	})
}

func TestOfferSaysWhatTheConfigSays(t *testing.T) {
	play(t, Config{Lines: 4, NoSSRC: true, NoAudioLevel: true, TWCC: true}, func(t *testing.T, s *scene) {
		offer := s.client.Offer()
		for text, count := range map[string]int{
			"m=audio 9 UDP/TLS/RTP/SAVPF 111 ": 4, "a=sendrecv\r\n": 1, "a=recvonly\r\n": 3, "a=group:BUNDLE 0 1 2 3\r\n": 1,
			"a=ssrc:": 0, levelURI: 0, twccURI: 4, "a=rtcp-fb:111 transport-cc\r\n": 4, midURI: 4, "a=setup:actpass\r\n": 4,
		} {
			if n := strings.Count(offer, text); n != count {
				t.Errorf("%q is there %d times, not %d", text, n, count)
			}
		}
	})
}

func TestBadAnswersAreRefusedWithTheReason(t *testing.T) {
	play(t, Config{}, func(t *testing.T, s *scene) {
		offer := s.client.Offer()
		for _, c := range []struct{ old, new, reason string }{
			{"a=setup:passive", "a=setup:active", "DTLS client"},
			{"a=candidate:", "a=candy:", "no candidate"},
			{"a=fingerprint:sha-256", "a=fingerprint:sha-512", "no sha-256 fingerprint"},
			{"a=ice-pwd:", "a=x:", "credentials"},
			{"a=mid:1", "a=mid:9", "mid"},
			{"m=audio 9", "m=audio 0", "rejected"},
			{"a=extmap:1 ", "a=extmap:2 ", "offered as 1"},
			{"a=extmap:1 " + levelURI, "a=extmap:3 " + twccURI, "not offered"},
			{"a=ssrc:1001", "a=ssrc:1000", "lines 0 and 1"},
			{"m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=audio", "short"},
		} {
			err := s.client.Connect(t.Context(), s.server.answerTo(offer, c.old, c.new))
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%q for %q: %v", c.new, c.old, err)
			}
		}
		s.connect() // none of them was the one Connect that a client has
	})
}

func TestFramesWithTheirOwnSequenceAndSize(t *testing.T) {
	play(t, Config{NoAudioLevel: true}, func(t *testing.T, s *scene) {
		answer := s.server.answerTo(s.client.Offer(), "a=extmap:1 "+levelURI+"\r\n", "")
		if err := s.client.Connect(t.Context(), answer); err != nil {
			t.Fatal(err)
		}
		if err := <-s.server.secured; err != nil {
			t.Fatal(err)
		}
		seq := uint16(65535)
		for _, f := range []Frame{{Payload: []byte{1}, Seq: &seq}, {Payload: []byte{2}, SSRC: 99}} {
			if err := s.client.Send(f); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.client.Send(Frame{Payload: make([]byte, transport.DatagramSize)}); err == nil {
			t.Error("1500 octets of payload were sent")
		}
		synctest.Wait()
		m := s.server.media
		if len(m) != 2 || m[0].SequenceNumber != 65535 || m[1].SequenceNumber != 0 || m[1].SSRC != 99 || m[0].GetExtension(levelID) != nil {
			t.Errorf("came %v", m)
		}
	})
}

func TestMediaThatOvertakesTheHandshakeIsKept(t *testing.T) {
	var h heard
	play(t, Config{OnPacket: h.take}, func(t *testing.T, s *scene) {
		s.net.SetLink(studio.Addr(), netip.Addr{}, simnet.Link{Delay: 10 * time.Millisecond, Jitter: 80 * time.Millisecond, Reorder: true})
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			if <-s.server.secured != nil {
				return
			}
			for n := range uint16(20) {
				s.server.sendRTP(rtp.Packet{Header: rtp.Header{SSRC: lineSSRC(0), SequenceNumber: n}})
			}
		}()
		if err := s.client.Connect(t.Context(), s.server.answerTo(s.client.Offer())); err != nil {
			t.Fatal(err)
		}
		<-sent
		time.Sleep(time.Second)
		synctest.Wait()
		if st := s.client.Stats(); st.Packets != 20 || st.Lost != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestOverRealSockets(t *testing.T) {
	conn, err := transport.ListenUDP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, conn)
	own, err := transport.ListenUDP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan uint32, 1)
	c, err := New(Config{Conn: own, OnPacket: func(p Packet) {
		_, n, _ := ParseTestFrame(p.Payload)
		arrived <- n
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Connect(t.Context(), s.answerTo(c.Offer())); err != nil {
		t.Fatal(err)
	}
	if err := <-s.secured; err != nil {
		t.Fatal(err)
	}
	s.sendRTP(rtp.Packet{Header: rtp.Header{SSRC: lineSSRC(0)}, Payload: TestFrame(1, 42, 100)})
	if n := <-arrived; n != 42 {
		t.Errorf("heard frame %d", n)
	}
}

func TestTestFramesAreRecognised(t *testing.T) {
	for _, size := range []int{0, TestFrameMin, 80, 1276, 5000} {
		b := TestFrame(300, 70000, size)
		if want := min(max(size, TestFrameMin), 1276); len(b) != want {
			t.Errorf("size %d for %d", len(b), size)
		}
		if speaker, n, ok := ParseTestFrame(b); !ok || speaker != 300 || n != 70000 {
			t.Errorf("size %d: %d, %d, %v", size, speaker, n, ok)
		}
		for i := range b {
			b[i] ^= 1
			if _, _, ok := ParseTestFrame(b); ok {
				t.Errorf("octet %d was changed and nobody noticed", i)
			}
			b[i] ^= 1
		}
	}
	if _, _, ok := ParseTestFrame(nil); ok {
		t.Error("nothing is a frame")
	}
}
