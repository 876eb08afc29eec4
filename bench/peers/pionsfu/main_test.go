package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEverybodyHearsTheSpeakerButHimself joins a speaker and two listeners, and lets the speaker talk until both have
// heard him.
func TestEverybodyHearsTheSpeakerButHimself(t *testing.T) {
	s, err := newSFU(3)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(s.serveJoin))
	var peers []*webrtc.PeerConnection
	defer func() {
		for _, p := range peers {
			p.Close()
		}
		s.close()
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	}()

	heard := make(chan int, 1000)
	join := func(who int, speech webrtc.TrackLocal) {
		peer, err := s.api.NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			t.Fatal(err)
		}
		peers = append(peers, peer)
		addLines(t, peer, speech)
		peer.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
			for {
				p, _, err := track.ReadRTP()
				if err != nil {
					return
				}
				if bytes.Equal(p.Payload, said) {
					select {
					case heard <- who:
					default: // enough was heard
					}
				}
			}
		})
		connect(t, peer, server.URL, speech != nil)
	}
	speech, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	join(0, speech)
	join(1, nil)
	join(2, nil)

	ears := map[int]bool{}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := uint16(0); !ears[1] || !ears[2]; n++ {
		if err := speech.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Timestamp: uint32(n) * 960}, Payload: said}); err != nil {
			t.Fatal(err)
		}
		select {
		case who := <-heard:
			ears[who] = true
		case <-tick.C:
		}
	}
	if ears[0] {
		t.Error("the speaker hears himself")
	}
}

var said = []byte{15 << 3, 1, 2, 3, 4}

// addLines offers three audio lines, the first of which may send.
func addLines(t *testing.T, peer *webrtc.PeerConnection, speech webrtc.TrackLocal) {
	t.Helper()
	for i := range 3 {
		var err error
		if i == 0 && speech != nil {
			_, err = peer.AddTransceiverFromTrack(speech)
		} else {
			_, err = peer.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// connect posts the offer and waits until the peer is connected.
func connect(t *testing.T, peer *webrtc.PeerConnection, url string, speaks bool) {
	t.Helper()
	connected := make(chan struct{})
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	offer, err := peer.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	body, err := json.Marshal(map[string]any{"speaks": speaks, "sdp": peer.LocalDescription().SDP})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", res.Status, answer, err)
	}
	if err := peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)}); err != nil {
		t.Fatal(err)
	}
	<-connected
}
