package peers

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"stentor/engine/control"
)

const (
	levelURI        = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	spokenLevel     = 20  // dB below overload: a loud voice
	samplesPerFrame = 960 // 20 ms at 48 kHz
	frameTime       = 20 * time.Millisecond
)

// peer is a participant: a PeerConnection as a browser would have it, with one line to speak and hear and two to hear.
type peer struct {
	name    string
	pc      *webrtc.PeerConnection
	voice   *webrtc.TrackLocalStaticRTP
	sender  *webrtc.RTPSender
	ear     *ear
	audioID uint32
	states  chan webrtc.PeerConnectionState

	next     int           // number of the next frame
	stop     chan struct{} // nil: does not talk
	speaking sync.WaitGroup
}

// build is what differs between peers.
type build struct {
	ip      string
	profile dtls.SRTPProtectionProfile
	mux     ice.UDPMux // nil: sockets of its own, which pion/ice does not open on ::1
	asks    bool       // for what it misses (RFC 4585 §6.2.1)
	stays   bool       // does not close itself at close_notify
}

// onSocket makes a mux of one socket. What the test listens on, it closes.
func onSocket(t *testing.T, conn net.PacketConn) ice.UDPMux {
	t.Helper()
	mux := webrtc.NewICEUDPMux(logging.NewDefaultLeveledLoggerForScope("ice", logging.LogLevelDisabled, io.Discard), conn)
	t.Cleanup(func() { mux.Close() })
	return mux
}

// listen opens a socket for media on a free port.
func listen(t *testing.T, ip string) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// newPeer makes a peer whose traffic stays on one loopback address.
func newPeer(t *testing.T, name string, b build) *peer {
	t.Helper()
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetIPFilter(func(ip net.IP) bool { return ip.Equal(net.ParseIP(b.ip)) })
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	if b.profile != 0 {
		settings.SetSRTPProtectionProfiles(b.profile)
	}
	settings.DisableCloseByDTLS(b.stays)
	if b.mux != nil {
		settings.SetICEUDPMux(b.mux)
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(media(t, b.asks)),
		webrtc.WithInterceptorRegistry(reports(t, b.asks)))
	pc, err := api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{name: name, pc: pc, ear: newEar(), states: make(chan webrtc.PeerConnectionState, 16)}
	t.Cleanup(p.close)
	pc.OnTrack(p.ear.track)
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) { p.states <- s })
	p.lines(t)
	return p
}

// media knows Opus and the audio level.
func media(t *testing.T, asks bool) *webrtc.MediaEngine {
	t.Helper()
	m := &webrtc.MediaEngine{}
	opus := webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
	}}
	if asks {
		opus.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "nack"}}
	}
	if err := m.RegisterCodec(opus, webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: levelURI}, webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	return m
}

// reports lets a peer send sender and receiver reports, as browsers do, and NACKs if it asks.
func reports(t *testing.T, asks bool) *interceptor.Registry {
	t.Helper()
	r := &interceptor.Registry{}
	if err := webrtc.ConfigureRTCPReports(r); err != nil {
		t.Fatal(err)
	}
	if asks {
		generator, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(20 * time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		r.Add(generator)
	}
	return r
}

// lines adds one sendrecv and two recvonly lines.
func (p *peer) lines(t *testing.T) {
	t.Helper()
	var err error
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	if p.voice, err = webrtc.NewTrackLocalStaticRTP(opus, "voice", p.name); err != nil {
		t.Fatal(err)
	}
	both, err := p.pc.AddTransceiverFromTrack(p.voice, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendrecv})
	if err != nil {
		t.Fatal(err)
	}
	p.sender = both.Sender()
	for range 2 {
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := p.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, init); err != nil {
			t.Fatal(err)
		}
	}
}

// offer makes an offer with all candidates in it.
func (p *peer) offer(t *testing.T, options *webrtc.OfferOptions) string {
	t.Helper()
	o, err := p.pc.CreateOffer(options)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(o); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gathered:
	case <-time.After(patience):
		t.Fatalf("%s: candidates are not gathered within %v", p.name, patience)
	}
	return p.pc.LocalDescription().SDP
}

func (p *peer) answer(t *testing.T, sdp string) {
	t.Helper()
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		t.Fatalf("%s: the answer does not fit: %v\n%s", p.name, err, sdp)
	}
}

// join joins the room and waits until the daemon and the peer have their keys.
func (p *peer) join(t *testing.T, d *daemon, maySpeak bool) {
	t.Helper()
	events := d.follow(t, "")
	result, err := d.PeerJoin(t.Context(), &control.PeerJoinParams{
		Room: room, Peer: p.name, MaySpeak: maySpeak, SDP: p.offer(t, nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.audioID = result.AudioID
	p.answer(t, result.SDP)
	p.becomes(t, webrtc.PeerConnectionStateConnected)
	events.until(t, control.EventPeerConnected, p.name)
}

// becomes waits for a state of the connection.
func (p *peer) becomes(t *testing.T, want webrtc.PeerConnectionState) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case s := <-p.states:
			if s == want {
				return
			}
		case <-late:
			t.Fatalf("%s is not %v within %v", p.name, want, patience)
		}
	}
}

// talk sends a frame every 20 ms until hush, or until it has sent n of them. The first call starts with frame 0, each
// later one where the last one stopped.
func (p *peer) talk(n int) {
	stop := make(chan struct{})
	p.stop = stop
	levelID := p.levelID()
	p.speaking.Go(func() {
		tick := time.NewTicker(frameTime)
		defer tick.Stop()
		for ; n > 0; n-- {
			if p.say(levelID) != nil {
				return // the connection is closed
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
}

// always is more frames than any test waits for.
const always = 1 << 30

// hush stops talking, and returns how many frames were sent in all.
func (p *peer) hush() int {
	if p.stop != nil {
		close(p.stop)
		p.stop = nil
	}
	p.speaking.Wait()
	return p.next
}

func (p *peer) say(levelID uint8) error {
	packet := &rtp.Packet{
		Header: rtp.Header{
			Version: 2, SequenceNumber: uint16(65000 + p.next), Timestamp: 0xFFFFFF00 + uint32(p.next)*samplesPerFrame,
			Marker: p.next == 0,
		},
		Payload: frame(p.name, p.next),
	}
	if err := packet.SetExtension(levelID, []byte{0x80 | spokenLevel}); err != nil {
		return err
	}
	p.next++
	return p.voice.WriteRTP(packet)
}

// levelID is the id that the answer gave to the audio level.
func (p *peer) levelID() uint8 {
	for _, x := range p.sender.GetParameters().HeaderExtensions {
		if x.URI == levelURI {
			return uint8(x.ID)
		}
	}
	return 0
}

func (p *peer) close() {
	p.hush()
	_ = p.pc.GracefulClose() // it may be closed already
	p.ear.reading.Wait()
}

// frame is the n-th Opus packet of a speaker: the TOC of one mono CELT frame of 20 ms, and octets that no other has.
// Lengths differ, as those of real ones do.
func frame(speaker string, n int) []byte {
	b := append([]byte{31 << 3}, speaker...)
	b = append(b, '#')
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	for i := range 20 + n*7%61 {
		b = append(b, byte(n+i*31))
	}
	return b
}

// number tells which of a peer's frames a payload is; -1: none.
func (p *peer) number(payload []byte) int {
	i := 1 + len(p.name) + 1
	if len(payload) < i+4 {
		return -1
	}
	return int(binary.BigEndian.Uint32(payload[i:]))
}
