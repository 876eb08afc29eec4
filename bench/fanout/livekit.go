//go:build linux

package fanout

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// livekit is livekit-server, started by the bench. Participants join by its WHIP end point (RFC 9725), which takes an offer and returns the
// answer, and to which LiveKit lets a participant name the tracks that he wants to hear. Speakers do not hear each other: whoever joins
// first would have to wait for those who come later.
type livekit struct {
	process
	binary, dir string
	http        string
	load        Load
}

// newLiveKit finds the program.
func newLiveKit(binary, dir string) (*livekit, error) {
	found, err := exec.LookPath(binary)
	if err != nil {
		return nil, fmt.Errorf("--against livekit: %w; --livekit wants the path of livekit-server", err)
	}
	return &livekit{binary: found, dir: dir}, nil
}

func (l *livekit) Name() string { return "livekit" }

// The key and secret are of a server that lives for a minute on loopback.
const (
	livekitKey    = "bench"
	livekitSecret = "only for a server that nobody else can reach"
)

// livekitConfig has one UDP port for all, on loopback alone.
const livekitConfig = `port: %s
bind_addresses: [127.0.0.1]
keys: {%s: %s}
rtc:
  udp_port: %s
  tcp_port: 0
  node_ip: 127.0.0.1
  use_external_ip: false
  enable_loopback_candidate: true
  interfaces: {includes: [lo]}
  ips: {includes: [127.0.0.1/32]}
logging: {level: error}
`

func (l *livekit) Start(ctx context.Context, load Load) (err error) {
	l.load = load
	if l.http, err = freePort("tcp"); err != nil {
		return err
	}
	media, err := freePort("udp")
	if err != nil {
		return err
	}
	_, httpPort, _ := net.SplitHostPort(l.http) // both are of our own making
	_, mediaPort, _ := net.SplitHostPort(media)
	path := filepath.Join(l.dir, "livekit.yaml")
	text := fmt.Sprintf(livekitConfig, httpPort, livekitKey, livekitSecret, mediaPort)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if err := l.start(l.binary, "--config", path); err != nil {
		return err
	}
	return l.until(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.http+"/", nil)
		if err != nil {
			return err
		}
		_, err = answerOf(req, http.StatusOK)
		return err
	})
}

// livekitTrack is the name that LiveKit gives to the track of a WHIP participant.
const livekitTrack = "synthesized-microphone"

// Join posts the offer. Who offers is DTLS client here as elsewhere, which LiveKit does not choose by itself.
func (l *livekit) Join(ctx context.Context, name string, speaks bool, offer string) (string, error) {
	offer = strings.ReplaceAll(offer, "a=setup:actpass", "a=setup:active")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.http+"/whip/v1", strings.NewReader(offer))
	if err != nil {
		return "", err
	}
	token, err := livekitToken(name, speaks, time.Now())
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/sdp")
	if !speaks {
		wanted, err := json.Marshal(map[string]any{"subscribedParticipantTrackNames": l.wanted()})
		if err != nil {
			return "", err
		}
		req.Header.Set("X-LiveKit-ClientInfo", string(wanted))
	}
	answer, err := answerOf(req, http.StatusCreated)
	return string(answer), err
}

// wanted are the tracks of the first speakers, as many as a listener has lines.
func (l *livekit) wanted() map[string][]string {
	tracks := map[string][]string{}
	for i := range min(l.load.Speakers, l.load.slots()) {
		tracks[fmt.Sprintf("speaker-%d", i)] = []string{livekitTrack}
	}
	return tracks
}

// livekitToken makes a JSON Web Token (RFC 7519, HS256) that lets a participant into the room for an hour.
func livekitToken(name string, speaks bool, now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"iss": livekitKey, "sub": name, "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
		"video": map[string]any{"room": room, "roomJoin": true, "canPublish": speaks, "canSubscribe": !speaks, "canPublishData": false},
	})
	if err != nil {
		return "", err
	}
	code := base64.RawURLEncoding.EncodeToString
	text := code([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + code(claims)
	mac := hmac.New(sha256.New, []byte(livekitSecret))
	mac.Write([]byte(text)) // never fails
	return text + "." + code(mac.Sum(nil)), nil
}

// answerOf sends a request on a connection of its own, and returns the body of an answer of the right status.
func answerOf(req *http.Request, want int) ([]byte, error) {
	req.Close = true // no connection that idles on both sides
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != want {
		err = fmt.Errorf("%s: %s", res.Status, answer)
	}
	return answer, err
}

// Metrics are none.
func (l *livekit) Metrics(context.Context) (map[string]float64, error) { return nil, nil }

func (l *livekit) Stop() error {
	return errors.Join(l.process.Stop(), os.RemoveAll(filepath.Join(l.dir, "livekit.yaml")))
}
