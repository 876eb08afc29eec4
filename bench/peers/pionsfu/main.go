// Pionsfu is the plainest SFU that pion/webrtc makes, to compare costs with. It is the forwarding of pion's own sfu-ws example:
// each speaker's packets are written to one TrackLocalStaticRTP, which pion encrypts and sends to every peer that has it.
// Codecs and interceptors are pion's defaults, as in a PeerConnection that nobody has configured.
//
//	POST /join {"speaks": bool, "sdp": offer} -> answer, with all candidates
//	GET /healthz
//
// There are as many tracks as -tracks says. The first speaker to join feeds the first track, and so on; everybody gets all tracks but
// his own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/pion/webrtc/v4"
)

// sfu is one room.
type sfu struct {
	api *webrtc.API

	mu       sync.Mutex
	tracks   []*webrtc.TrackLocalStaticRTP
	speakers int
	peers    []*webrtc.PeerConnection
}

func main() {
	addr := flag.String("http", "127.0.0.1:0", "address to listen on")
	tracks := flag.Int("tracks", 3, "how many speakers are heard")
	flag.Parse()
	if err := run(*addr, *tracks); err != nil {
		log.Fatal(err)
	}
}

func run(addr string, tracks int) error {
	s, err := newSFU(tracks)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /join", s.serveJoin)
	server := http.Server{Addr: addr, Handler: mux}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // ListenAndServe tells
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return s.close()
}

func newSFU(tracks int) (*sfu, error) {
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() && ip.To4() != nil })
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if err := settings.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, err
	}
	s := &sfu{api: webrtc.NewAPI(webrtc.WithSettingEngine(settings))}
	for i := range tracks {
		opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
		t, err := webrtc.NewTrackLocalStaticRTP(opus, fmt.Sprintf("speaker-%d", i), "room")
		if err != nil {
			return nil, err
		}
		s.tracks = append(s.tracks, t)
	}
	return s, nil
}

func (s *sfu) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, p := range s.peers {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

func (s *sfu) serveJoin(w http.ResponseWriter, r *http.Request) {
	var offer struct {
		Speaks bool
		SDP    string
	}
	if err := json.NewDecoder(r.Body).Decode(&offer); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := s.join(offer.Speaks, offer.SDP)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, answer) // whoever asked may have gone
}

// join makes a PeerConnection of an offer.
func (s *sfu) join(speaks bool, offer string) (string, error) {
	peer, err := s.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	own := s.add(peer, speaks)
	if own != nil {
		peer.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { forward(remote, own) })
	}
	if err := peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fmt.Errorf("offer: %w", err)
	}
	for _, t := range s.tracks {
		if t == own {
			continue
		}
		sender, err := peer.AddTrack(t)
		if err != nil {
			return "", fmt.Errorf("add a track: %w", err)
		}
		go drain(sender)
	}
	return answer(peer)
}

// add books a peer, and gives a speaker the next track that nobody feeds.
func (s *sfu) add(peer *webrtc.PeerConnection, speaks bool) *webrtc.TrackLocalStaticRTP {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers = append(s.peers, peer)
	if !speaks || s.speakers == len(s.tracks) {
		return nil
	}
	s.speakers++
	return s.tracks[s.speakers-1]
}

// answer waits for all candidates, which are there at once on loopback.
func answer(peer *webrtc.PeerConnection) (string, error) {
	a, err := peer.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("answer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(a); err != nil {
		return "", fmt.Errorf("answer: %w", err)
	}
	<-gathered
	return peer.LocalDescription().SDP, nil
}

// forward is the SFU: each packet to everybody who has the track.
func forward(from *webrtc.TrackRemote, to *webrtc.TrackLocalStaticRTP) {
	buffer := make([]byte, 1500)
	for {
		n, _, err := from.Read(buffer)
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			log.Print(err)
		}
	}
}

// drain reads RTCP, without which interceptors do not see it.
func drain(sender *webrtc.RTPSender) {
	buffer := make([]byte, 1500)
	for {
		if _, _, err := sender.Read(buffer); err != nil {
			return
		}
	}
}
