//go:build linux

package fanout

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestALiveKitListenerNamesWhomHeWantsToHear joins a speaker and a listener at a server that looks at what LiveKit looks at.
func TestALiveKitListenerNamesWhomHeWantsToHear(t *testing.T) {
	wanted := map[string]string{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /whip/v1", func(w http.ResponseWriter, r *http.Request) {
		claims := checkToken(t, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		name := claims["sub"].(string)
		wanted[name] = r.Header.Get("X-LiveKit-ClientInfo")
		if may := claims["video"].(map[string]any)["canPublish"].(bool); may != strings.HasPrefix(name, "speaker") {
			t.Errorf("%s may publish: %t", name, may)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || !strings.Contains(string(body), "a=setup:active") || r.Header.Get("Content-Type") != "application/sdp" {
			t.Errorf("%v, %s", err, body)
		}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, "the answer")
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	l := &livekit{http: server.Listener.Addr().String(), load: Load{Speakers: 2, Talking: 2}}
	for name, speaks := range map[string]bool{"speaker-0": true, "listener-5": false} {
		if answer, err := l.Join(t.Context(), name, speaks, anOffer(t)); err != nil || answer != "the answer" {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
	}
	const want = `{"subscribedParticipantTrackNames":{"speaker-0":["synthesized-microphone"],"speaker-1":["synthesized-microphone"]}}`
	if wanted["speaker-0"] != "" || wanted["listener-5"] != want {
		t.Errorf("%q", wanted)
	}
}

// checkToken returns the claims of a token that the server's secret has signed.
func checkToken(t *testing.T, token string) map[string]any {
	t.Helper()
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		t.Fatalf("%q is no token", token)
	}
	text, signature := token[:dot], token[dot+1:]
	mac := hmac.New(sha256.New, []byte(livekitSecret))
	mac.Write([]byte(text))
	if signature != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
		t.Fatalf("%s is not signed", token)
	}
	_, body, _ := strings.Cut(text, ".")
	b, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(b, &claims); err != nil {
		t.Fatal(err)
	}
	if claims["exp"].(float64) < float64(time.Now().Unix()) || claims["nbf"].(float64) > float64(time.Now().Unix()) {
		t.Errorf("%v is not valid now", claims)
	}
	return claims
}

func TestARefusalOfLiveKitIsToldWithItsText(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no permissions to access the room", http.StatusUnauthorized)
	}))
	defer server.Close()
	l := &livekit{http: server.Listener.Addr().String()}
	if _, err := l.Join(t.Context(), "listener-0", false, anOffer(t)); err == nil || !strings.Contains(err.Error(), "no permissions") {
		t.Errorf("got %v", err)
	}
	if _, err := newLiveKit("/nowhere/livekit-server", t.TempDir()); err == nil || !strings.Contains(err.Error(), "--livekit") {
		t.Errorf("got %v", err)
	}
}
