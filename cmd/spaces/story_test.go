package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"stentor/engine/control"
)

type msg = map[string]any

func TestListenerIsCalledUpWithoutASecondJoin(t *testing.T) {
	s := newStageSet(t)
	id, host := s.start()
	host.offer(1, "offer of Ada")
	s.engine.await(t, fmt.Sprintf("join %s may_speak=true muted=false priority=true", host.You))

	ben := s.joined(id, "Ben")
	s.engine.await(t, fmt.Sprintf("join %s may_speak=false muted=false priority=false", ben.You))
	ben.say(msg{"type": "ask", "on": true})
	host.awaitPerson(ben.You, func(p personView) bool { return p.Hand })
	host.say(msg{"type": "admit", "member": ben.You})
	s.engine.await(t, fmt.Sprintf("update %s may_speak=true muted=false", ben.You))
	var you youView
	ben.await("you", &you, func() bool { return you.Role == RoleSpeaker && !you.Hand })
	host.awaitPerson(ben.You, func(p personView) bool { return p.Role == RoleSpeaker && p.AudioID != 0 })

	host.say(msg{"type": "mute", "member": ben.You})
	s.engine.await(t, fmt.Sprintf("update %s may_speak=true muted=true", ben.You))
	ben.await("you", &you, func() bool { return you.Muted })
	ben.say(msg{"type": "mic", "on": true})
	ben.await("you", &you, func() bool { return you.Role == RoleSpeaker && !you.Muted })
	host.say(msg{"type": "demote", "member": ben.You})
	s.engine.await(t, fmt.Sprintf("update %s may_speak=false muted=false", ben.You))
	if n := s.engine.count("join " + ben.You); n != 1 {
		t.Fatalf("%d joins", n)
	}
}

func TestListenerMayNotAdmitHimself(t *testing.T) {
	s := newStageSet(t)
	id, _ := s.start()
	ben := s.joined(id, "Ben")
	ben.say(msg{"type": "ask", "on": true})
	ben.say(msg{"type": "admit", "member": ben.You})
	var n note
	ben.await("error", &n, nil)
	if n.For != "admit" || n.Reason != "not_host" {
		t.Fatalf("%+v", n)
	}
	if c := s.engine.count("update " + ben.You); c != 0 {
		t.Fatalf("the engine was told %d times", c)
	}
}

func TestWhoSpeaksIsSeen(t *testing.T) {
	s := newStageSet(t)
	id, host := s.start()
	host.offer(1, "offer of Ada")
	ben := s.joined(id, "Ben")
	for _, on := range []bool{true, false, true} {
		s.engine.speaks(id, host.You, on)
		ben.awaitVoice(host.You, on)
	}
}

func TestPageComesBackToItsSeat(t *testing.T) {
	s := newStageSet(t)
	id, host := s.start()
	ben := s.joined(id, "Ben")
	ben.conn.CloseNow() // The network drops; the sound goes on.
	s.until("the page is missed", func() bool { return s.app.pageCount() == 1 })
	again := s.enter(id, msg{"name": "Ben", "session": ben.Session})
	if !again.Resumed || !again.Joined || again.You != ben.You {
		t.Fatalf("%+v", again.welcome)
	}
	again.say(msg{"type": "offer", "n": 2, "sdp": "new path", "restart": true})
	var a answer
	again.await("answer", &a, nil)
	if a.SDP != "answer to new path" || a.N != 2 {
		t.Fatalf("%+v", a)
	}
	s.engine.await(t, "restart "+ben.You)
	if n := s.engine.count("leave " + ben.You); n != 0 {
		t.Fatal("he was taken out of the engine")
	}
	host.awaitPerson(ben.You, func(p personView) bool { return p.Here })
}

func TestReloadedPageReplacesItsPeer(t *testing.T) {
	s := newStageSet(t)
	id, _ := s.start()
	ben := s.joined(id, "Ben")
	ben.say(msg{"type": "bye"})
	ben.awaitClose()
	again := s.enter(id, msg{"session": ben.Session})
	if a := again.offer(1, "after the reload"); a.SDP != "answer to after the reload" {
		t.Fatalf("%+v", a)
	}
	if n := s.engine.count("leave " + ben.You); n != 1 {
		t.Fatalf("%d leaves", n)
	}
}

func TestSecondTabTakesOver(t *testing.T) {
	s := newStageSet(t)
	id, _ := s.start()
	ben := s.joined(id, "Ben")
	s.enter(id, msg{"session": ben.Session})
	if code := ben.awaitClose(); code != closeReplaced {
		t.Fatalf("the first tab closes with %d", code)
	}
}

func TestWhoStaysAwayLosesHisSeat(t *testing.T) {
	s := newStageSet(t)
	id, host := s.start()
	ben := s.joined(id, "Ben")
	host.awaitPerson(ben.You, func(p personView) bool { return p.Here })
	ben.say(msg{"type": "bye"})
	ben.awaitClose()
	l := s.app.find(id)
	s.until("he is seen to be gone", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !l.space.members[ben.You].Attached
	})
	l.sweep(time.Now().Add(graceClosed))
	s.engine.await(t, "leave "+ben.You)
	var v stateView
	host.await("state", &v, func() bool { return v.ListenerCount == 0 })
}

func TestRemovedAndLeavingPeopleAreTold(t *testing.T) {
	s := newStageSet(t)
	id, host := s.start()
	ben, cem := s.joined(id, "Ben"), s.joined(id, "Cem")
	host.say(msg{"type": "remove", "member": ben.You})
	if code := ben.awaitClose(); code != closeRemoved {
		t.Fatalf("the removed one: %d", code)
	}
	s.engine.await(t, "leave "+ben.You)
	cem.say(msg{"type": "leave"})
	if code := cem.awaitClose(); code != closeLeft {
		t.Fatalf("the leaving one: %d", code)
	}
	s.engine.await(t, "leave "+cem.You)
	var v stateView
	host.await("state", &v, func() bool { return v.ListenerCount == 0 })
}

func TestHostEndsForEveryone(t *testing.T) {
	s := newStageSet(t)
	id, host := s.start()
	ben := s.joined(id, "Ben")
	host.say(msg{"type": "end"})
	var n note
	ben.await("ended", &n, nil)
	if code := ben.awaitClose(); code != closeEnded {
		t.Fatalf("closes with %d", code)
	}
	s.engine.await(t, "close "+id)
	res, err := http.Get(s.url + "/api/spaces/" + id)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Fatalf("its link answers %d", res.StatusCode)
	}
	if code := s.dial(id).awaitClose(); code != closeNoSpace {
		t.Fatalf("a late comer is closed with %d", code)
	}
}

func TestStoppedServerTellsPagesAndClosesRooms(t *testing.T) {
	s := newStageSet(t)
	id, host := s.start()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.app.stop()
	}()
	var n note
	host.await("ended", &n, nil)
	if code := host.awaitClose(); code != closeEnded {
		t.Fatalf("closes with %d", code)
	}
	<-stopped
	s.engine.await(t, "close "+id)
}

func TestLostDaemonIsFoundAgainAndEverybodyRejoins(t *testing.T) {
	s := newStageSet(t)
	id, host := s.start()
	host.offer(1, "offer of Ada")
	ben := s.joined(id, "Ben")
	s.stopEngine()
	var v stateView
	host.await("state", &v, func() bool { return !v.Media })
	if status, a := s.post(`{"title":"","name":"Dan"}`); status != http.StatusServiceUnavailable || a["reason"] != "media_down" {
		t.Fatalf("a start meanwhile: %d %v", status, a)
	}

	next := newFakeEngine() // It remembers nothing.
	t.Cleanup(next.listenControl(t, s.path))
	next.await(t, "open "+id)
	var n note
	ben.await("rejoin", &n, nil)
	ben.offer(2, "offer again")
	host.await("rejoin", &n, nil)
	host.offer(2, "offer again")
	next.await(t, fmt.Sprintf("join %s may_speak=true muted=false priority=true", host.You))
}

func TestPeerThatTheEngineLostMakesANewOne(t *testing.T) {
	s := newStageSet(t)
	id, _ := s.start()
	ben := s.joined(id, "Ben")
	s.engine.mu.Lock()
	s.engine.lose(id, ben.You, control.LeftConsentLost)
	s.engine.mu.Unlock()
	var n note
	ben.await("rejoin", &n, nil)
	if n.Reason != control.LeftConsentLost {
		t.Fatalf("%+v", n)
	}
	ben.offer(2, "offer again")
}

func TestBadOfferIsExplained(t *testing.T) {
	s := newStageSet(t)
	id, _ := s.start()
	ben := s.enter(id, msg{"name": "Ben"})
	ben.say(msg{"type": "offer", "n": 7, "sdp": "nonsense"})
	var n note
	ben.await("refused", &n, nil)
	if n.N != 7 || n.Reason != "sdp_invalid" || !strings.Contains(n.Message, "line 1") {
		t.Fatalf("%+v", n)
	}
	ben.offer(8, "a good one")
}

func TestBadMessagesAreNamed(t *testing.T) {
	s := newStageSet(t)
	id, _ := s.start()
	ben := s.joined(id, "Ben")
	for bad, want := range map[string]string{
		`{`:                                 "not a request",
		`[]`:                                "not a request",
		`{"type":"dance"}`:                  "unknown",
		`{"type":"ask"}`:                    "on is missing",
		`{"type":"ask","on":"yes"}`:         "not a request",
		`{"type":"ask","on":true,"loud":1}`: "loud",
		`{"type":"ask","on":true}{}`:        "more after",
		`{"type":"mute"}`:                   "member is missing",
		`{"type":"offer"}`:                  "sdp is missing",
		`{"type":"offer","sdp":"` + strings.Repeat("x", sdpBytesMax+1) + `"}`: "at most",
		`{"type":"hello"}`: "already",
	} {
		ben.raw([]byte(bad))
		var n note
		ben.await("error", &n, nil)
		if n.Reason != "bad_message" || !strings.Contains(n.Message, want) {
			t.Errorf("%.60s: %+v, want %q", bad, n, want)
		}
	}
	ben.offer(2, "still here")
}

func TestFirstWordMustBeHello(t *testing.T) {
	s := newStageSet(t)
	id, _ := s.start()
	for _, first := range []string{`{"type":"ask","on":true}`, `nonsense`} {
		b := s.dial(id)
		b.raw([]byte(first))
		if code := b.awaitClose(); code != websocket.StatusPolicyViolation {
			t.Errorf("%s: closed with %d", first, code)
		}
	}
	nameless := s.dial(id)
	nameless.raw([]byte(`{"type":"hello","name":" "}`))
	var n note
	nameless.await("error", &n, nil)
	if n.Reason != "name_missing" {
		t.Errorf("%+v", n)
	}
}

func TestFloodIsCutOff(t *testing.T) {
	s := newStageSet(t)
	id, _ := s.start()
	ben := s.enter(id, msg{"name": "Ben"})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range messageBurst * 3 {
		if ben.conn.Write(ctx, websocket.MessageText, []byte(`{"type":"ask","on":true}`)) != nil {
			break // Cut off already.
		}
	}
	if code := ben.awaitClose(); code != websocket.StatusPolicyViolation {
		t.Fatalf("closed with %d", code)
	}
}

func TestLongMessageIsCutOff(t *testing.T) {
	s := newStageSet(t)
	id, _ := s.start()
	ben := s.enter(id, msg{"name": "Ben"})
	ben.raw([]byte(`{"type":"offer","sdp":"` + strings.Repeat("x", messageBytesMax) + `"}`))
	if code := ben.awaitClose(); code != websocket.StatusMessageTooBig {
		t.Fatalf("closed with %d", code)
	}
}

func TestOtherSitesAreKeptOut(t *testing.T) {
	s := newStageSet(t)
	id, _ := s.start()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, res, err := websocket.Dial(ctx, strings.Replace(s.url, "http", "ws", 1)+"/s/"+id+"/ws",
		&websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}}})
	if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Fatalf("WebSocket: %v, %v", res, err)
	}
	req, _ := http.NewRequest(http.MethodPost, s.url+"/api/spaces", strings.NewReader(`{"title":"x","name":"x"}`))
	req.Header.Set("Origin", "https://elsewhere.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	post, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	post.Body.Close()
	if post.StatusCode != http.StatusForbidden {
		t.Fatalf("start: %d", post.StatusCode)
	}
}

func TestPageAsksNothingOfOtherSites(t *testing.T) {
	s := newStageSet(t)
	id, _ := s.start()
	for _, path := range []string{"/", "/s/" + id} {
		res, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		csp := res.Header.Get("Content-Security-Policy")
		if res.StatusCode != http.StatusOK || !strings.Contains(csp, "default-src 'self'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %d, policy %q", path, res.StatusCode, csp)
		}
	}
	for name, f := range staticFiles() {
		if strings.HasPrefix(name, "hls.") {
			continue // Another project's: its licence and its comments name their addresses.
		}
		text := strings.ReplaceAll(string(f.body), "http://www.w3.org/2000/svg", "") // A name, not an address.
		if strings.Contains(text, "http://") || strings.Contains(text, "https://") {
			t.Errorf("%s names another site", name)
		}
		if f.kind == "" {
			t.Errorf("%s has no type", name)
		}
	}
}

func TestStartIsStrict(t *testing.T) {
	s := newStageSet(t)
	for body, reason := range map[string]string{
		`{"title":"x"}`:                     "name_missing",
		`{"title":"x","name":"A","role":1}`: "bad_message",
		`{`:                                 "bad_message",
	} {
		if status, a := s.post(body); status != http.StatusBadRequest || a["reason"] != reason {
			t.Errorf("%s: %d %v", body, status, a)
		}
	}
	_, a := s.post(`{"title":"","name":"Ada"}`)
	if len(s.app.cards()) != 0 {
		t.Errorf("an empty Space is listed: %+v", s.app.cards())
	}
	ben := s.enter(a["id"], msg{"name": "Ben"})
	if ben.Title != "Ada’s Space" || s.app.cards()[0].People != 1 {
		t.Errorf("a Space without a title is %q, listed %+v", ben.Title, s.app.cards())
	}
}
