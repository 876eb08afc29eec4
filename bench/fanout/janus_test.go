//go:build linux

package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeJanus answers as Janus does, by packets on a Unix socket, and keeps what it was asked.
type fakeJanus struct {
	t    *testing.T
	conn net.Conn

	mu      sync.Mutex
	asked   []string // "janus" and, of messages, "request" and "ptype"
	refused int      // how often a subscriber is still to be told that there is no such feed
	last    uint64
}

// startFakeJanus returns a client of it.
func startFakeJanus(t *testing.T) (*fakeJanus, *janusAPI) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "api")
	l, err := net.Listen("unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeJanus{t: t}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if conn, err := l.Accept(); err == nil {
			f.conn = conn
			f.serve()
		}
	}()
	api, err := dialJanus(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		api.close()
		l.Close()
		<-served
	})
	return f, api
}

func (f *fakeJanus) serve() {
	defer f.conn.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := f.conn.Read(b)
		if err != nil || n == 0 {
			return
		}
		var q struct {
			Janus, Transaction string
			Body               struct{ Request, Ptype string }
			JSEP               *janusJSEP
		}
		if err := json.Unmarshal(b[:n], &q); err != nil {
			f.t.Errorf("%s: %v", b[:n], err)
			return
		}
		f.answer(q.Janus, strings.Trim(q.Body.Request+" "+q.Body.Ptype, " "), q.Transaction, q.JSEP)
	}
}

func (f *fakeJanus) answer(kind, request, transaction string, jsep *janusJSEP) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	f.asked = append(f.asked, strings.Trim(kind+" "+request, " "))
	say := func(format string, args ...any) {
		if _, err := fmt.Fprintf(f.conn, format, args...); err != nil {
			f.t.Error(err)
		}
	}
	offer, _ := json.Marshal(foreignOffer)
	switch {
	case kind != "message":
		say(`{"janus":"success","transaction":%q,"data":{"id":%d}}`, transaction, f.last)
	case request == "create":
		say(`{"janus":"success","transaction":%q,"plugindata":{"data":{"videoroom":"created"}}}`, transaction)
	case request == "join subscriber" && f.refused > 0:
		f.refused--
		say(`{"janus":"ack","transaction":%q}`, transaction)
		say(`{"janus":"event","transaction":%q,"plugindata":{"data":{"error_code":428,"error":"No such feed (1)"}}}`, transaction)
	case request == "start" && (jsep == nil || jsep.Type != "answer"):
		say(`{"janus":"event","transaction":%q,"plugindata":{"data":{"error_code":421,"error":"Missing JSEP"}}}`, transaction)
	default:
		say(`{"janus":"ack","transaction":%q}`, transaction)
		say(`{"janus":"webrtcup","session_id":1}`) // news that nobody waits for
		say(`{"janus":"event","transaction":%q,"plugindata":{"data":{}},"jsep":{"type":"offer","sdp":%s}}`, transaction, offer)
	}
}

func (f *fakeJanus) was() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.asked, ", ")
}

func TestASpeakerPublishesAndAListenerSubscribes(t *testing.T) {
	f, api := startFakeJanus(t)
	f.refused = 2
	j := &janus{api: api, load: Load{Speakers: 2, Listeners: 1, Talking: 1}}
	if err := j.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, speaks := range map[string]bool{"speaker-1": true} {
		if answer, err := j.Join(t.Context(), name, speaks, anOffer(t)); err != nil || !strings.Contains(answer, "a=ssrc:11 ") {
			t.Errorf("%s: %v, %s", name, err, answer)
		}
	}
	if answer, err := j.Join(t.Context(), "listener-0", false, anOffer(t)); err != nil || !strings.Contains(answer, "a=ssrc:22 ") {
		t.Errorf("%v, %s", err, answer)
	}
	const want = "create, attach, message create, create, attach, message joinandconfigure publisher, " +
		"create, attach, message join subscriber, message join subscriber, message join subscriber, message start"
	if f.was() != want {
		t.Errorf("Janus was asked %s", f.was())
	}
}

func TestARefusalIsToldByItsReason(t *testing.T) {
	_, api := startFakeJanus(t)
	h, err := api.attach(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.ask(t.Context(), map[string]any{"request": "start"}, nil)
	var refused janusError
	if !errors.As(err, &refused) || refused.code != 421 || !strings.Contains(err.Error(), "Missing JSEP") {
		t.Errorf("got %v", err)
	}
}

func TestASubscriberDoesNotWaitForEver(t *testing.T) {
	f, api := startFakeJanus(t)
	f.refused = 1 << 30
	j := &janus{api: api, load: Load{Speakers: 1}}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := j.Join(ctx, "listener-0", false, anOffer(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAJanusThatHangsUpIsTold(t *testing.T) {
	f, api := startFakeJanus(t)
	if _, err := api.attach(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	f.conn.Close()
	if _, err := api.attach(t.Context(), 0); err == nil {
		t.Error("an answer came from nowhere")
	}
}

func TestJanusGetsNoMoreThanItsRoomNeeds(t *testing.T) {
	j := &janus{dir: filepath.Join(t.TempDir(), "janus"), parts: [2]string{"/x/libjanus_videoroom.so", "/x/libjanus_pfunix.so"}}
	for range 2 { // the second time over what the first has left
		if err := j.configure(); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"plugins/libjanus_videoroom.so", "transports/libjanus_pfunix.so"} {
		if to, err := os.Readlink(filepath.Join(j.dir, sub)); err != nil || !strings.HasPrefix(to, "/x/") {
			t.Errorf("%s leads to %q, %v", sub, to, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(j.dir, "janus.jcfg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ice_lite = true", `ice_enforce_list = "` + spareAddress + `"`, `plugins_folder = "` + j.dir + `/plugins"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	if _, err := newJanus("/nowhere/janus", t.TempDir()); err == nil || !strings.Contains(err.Error(), "apt-get install janus") {
		t.Errorf("janus: %v", err)
	}
	empty := t.TempDir()
	t.Setenv("PATH", empty)
	if _, err := newMediasoup(t.Context(), empty); err == nil || !strings.Contains(err.Error(), "install Node.js") {
		t.Errorf("node: %v", err)
	}
	if err := os.WriteFile(filepath.Join(empty, "node"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := newMediasoup(t.Context(), empty); err == nil || !strings.Contains(err.Error(), "npm install mediasoup@3") {
		t.Errorf("mediasoup: %v", err)
	}
	if err := new(hostAddress).open(t.Context()); err == nil || !strings.Contains(err.Error(), "unshare") { // no "ip" in that PATH
		t.Errorf("address: %v", err)
	}
}

func TestMediasoupNamesItsProcesses(t *testing.T) {
	pids, err := parsePIDs([]byte(`{"pids":[7,8]}`))
	if err != nil || len(pids) != 2 || pids[1] != 8 {
		t.Errorf("%v, %v", pids, err)
	}
	for _, bad := range []string{"", "{}", `{"pids":"x"}`} {
		if _, err := parsePIDs([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestAStillbornJanusIsStartedAgain(t *testing.T) {
	for text, want := range map[string]int{janusStillborn: janusStarts, "no such option": 1} {
		dir := t.TempDir()
		script := "#!/bin/sh\necho start >> " + dir + "/starts\necho '" + text + "'\nexit 1\n"
		if err := os.WriteFile(filepath.Join(dir, "janus"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		j := &janus{binary: filepath.Join(dir, "janus"), dir: dir}
		if err := j.launchAgain(t.Context()); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v", err)
		}
		starts, err := os.ReadFile(filepath.Join(dir, "starts"))
		if n := strings.Count(string(starts), "start"); err != nil || n != want {
			t.Errorf("%q: %d starts, %v", text, n, err)
		}
	}
}
