package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// warningsTo is a logger whose warnings go to a channel.
func warningsTo(c chan<- string) *slog.Logger {
	return slog.New(slog.NewTextHandler(writerFunc(func(p []byte) { c <- string(p) }), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type writerFunc func([]byte)

func (w writerFunc) Write(p []byte) (int, error) { w(p); return len(p), nil }

// isReset: a daemon that closes a connection with unread requests resets it, after its last line.
func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }

const info = `{"jsonrpc":"2.0","id":%d,"method":"engine.info"}`

func TestEveryMistakeIsNamed(t *testing.T) {
	path, _ := serve(t, newFake(16), nil)
	long := strings.Repeat("x", 129)
	p := func(method, params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`
	}
	for _, c := range []struct {
		line   string
		code   int
		reason Reason
		field  string
		id     string
	}{
		{`nonsense`, -32700, ReasonParseError, "", "null"},
		{`{"jsonrpc":"2.0","id":1,"method":"engine.info"} {}`, -32700, ReasonParseError, "", "null"},
		{"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"engine.info\"}", -32700, ReasonParseError, "", "null"},
		{`7`, -32600, ReasonInvalidRequest, "", "null"},
		{`[]`, -32600, ReasonInvalidRequest, "", "null"},
		{`[{"jsonrpc":"2.0","id":1,"method":"engine.info"}]`, -32600, ReasonInvalidRequest, "", "null"},
		{`{}`, -32600, ReasonInvalidRequest, "id", "null"},
		{`{"jsonrpc":"2.0","method":"engine.info"}`, -32600, ReasonInvalidRequest, "id", "null"},
		{`{"jsonrpc":"2.0","id":null,"method":"engine.info"}`, -32600, ReasonInvalidRequest, "id", "null"},
		{`{"jsonrpc":"2.0","id":{},"method":"engine.info"}`, -32600, ReasonInvalidRequest, "id", "null"},
		{`{"id":"a","method":"engine.info"}`, -32600, ReasonInvalidRequest, "jsonrpc", `"a"`},
		{`{"jsonrpc":2.0,"id":1,"method":"engine.info"}`, -32600, ReasonInvalidRequest, "jsonrpc", "1"},
		{`{"jsonrpc":"2.0","id":1}`, -32600, ReasonInvalidRequest, "method", "1"},
		{`{"jsonrpc":"2.0","id":1,"method":1}`, -32600, ReasonInvalidRequest, "method", "1"},
		{`{"jsonrpc":"2.0","id":1,"method":"engine.info","more":1}`, -32600, ReasonInvalidRequest, "more", "1"},
		{`{"jsonrpc":"2.0","id":1,"method":"engine.info","id":1}`, -32600, ReasonInvalidRequest, "id", "null"},
		{`{"jsonrpc":"2.0","id":1,"result":{}}`, -32600, ReasonInvalidRequest, "result", "1"},
		{p("engine.fly", `{}`), -32601, ReasonUnknownMethod, "", "1"},
		{p("rpc.serverInfo", `{}`), -32601, ReasonUnknownMethod, "", "1"},
		{p("engine.info", `[]`), -32602, ReasonInvalidParams, "params", "1"},
		{p("engine.info", `null`), -32602, ReasonInvalidParams, "params", "1"},
		{p("engine.info", `{"a":1}`), -32602, ReasonInvalidParams, "a", "1"},
		{p("room.get", `{}`), -32602, ReasonInvalidParams, "room", "1"},
		{p("room.get", `{"room":""}`), -32602, ReasonInvalidParams, "room", "1"},
		{p("room.get", `{"room":"a b"}`), -32602, ReasonInvalidParams, "room", "1"},
		{p("room.get", `{"room":"a\n"}`), -32602, ReasonInvalidParams, "room", "1"},
		{p("room.get", `{"room":"`+long+`"}`), -32602, ReasonInvalidParams, "room", "1"},
		{p("room.get", `{"room":null}`), -32602, ReasonInvalidParams, "room", "1"},
		{p("room.get", `{"room":7}`), -32602, ReasonInvalidParams, "room", "1"},
		{p("room.get", `{"Room":"a"}`), -32602, ReasonInvalidParams, "Room", "1"},
		{p("room.get", `{"room":"a","room":"b"}`), -32602, ReasonInvalidParams, "room", "1"},
		{p("room.open", `{"room":"a","slots":-1}`), -32602, ReasonInvalidParams, "slots", "1"},
		{p("room.open", `{"room":"a","slots":1.5}`), -32602, ReasonInvalidParams, "slots", "1"},
		{p("room.open", `{"room":"a","slots":99999999999999999999}`), -32602, ReasonInvalidParams, "slots", "1"},
		{p("room.open", `{"room":"a","slots":"3"}`), -32602, ReasonInvalidParams, "slots", "1"},
		{p("room.open", `{"room":"a","max_peers":-1}`), -32602, ReasonInvalidParams, "max_peers", "1"},
		{p("room.open", `{"room":"a","default_rendition":"loud"}`), -32602, ReasonInvalidParams, "default_rendition", "1"},
		{p("peer.join", `{"room":"a","sdp":"x"}`), -32602, ReasonInvalidParams, "peer", "1"},
		{p("peer.join", `{"room":"a","peer":"p"}`), -32602, ReasonInvalidParams, "sdp", "1"},
		{p("peer.join", `{"room":"a","peer":"p","sdp":"x","may_speak":"yes"}`), -32602, ReasonInvalidParams, "may_speak", "1"},
		{p("peer.update", `{"room":"a","peer":"p","muted":null}`), -32602, ReasonInvalidParams, "muted", "1"},
		{p("peer.update", `{"room":"a","peer":"p","rendition":""}`), -32602, ReasonInvalidParams, "rendition", "1"},
		{p("peer.restart", `{"room":"a","peer":"p"}`), -32602, ReasonInvalidParams, "sdp", "1"},
		{p("engine.drain", `{"deadline_s":-1}`), -32602, ReasonInvalidParams, "deadline_s", "1"},
		{p("engine.drain", `{"deadline_s":86401}`), -32602, ReasonInvalidParams, "deadline_s", "1"},
		{p("engine.drain", `{"deadline_s":1e999}`), -32602, ReasonInvalidParams, "deadline_s", "1"},
		{p("events.subscribe", `{"after":"nonsense"}`), -32602, ReasonInvalidParams, "after", "1"},
		{p("events.subscribe", `{"after":"0000000000000000.1"}`), -32040, ReasonCursorExpired, "", "1"},
		{p("events.subscribe", `{"after":"0000000000000000.1","snapshot":true}`), -32602, ReasonInvalidParams, "after", "1"},
		{p("events.subscribe", `{"rooms":["a","b c"]}`), -32602, ReasonInvalidParams, "rooms[1]", "1"},
		{p("events.subscribe", `{"rooms":["a",null]}`), -32602, ReasonInvalidParams, "rooms[1]", "1"},
		{p("events.subscribe", `{"rooms":"a"}`), -32602, ReasonInvalidParams, "rooms", "1"},
		{p("room.get", `{"room":"absent"}`), -32010, ReasonRoomNotFound, "", "1"},
		{p("peer.get", `{"room":"a","peer":"panic"}`), -32603, ReasonInternal, "", "1"},
		{p("peer.get", `{"room":"a","peer":"fault"}`), -32603, ReasonInternal, "", "1"},
	} {
		t.Run(c.line[:min(len(c.line), 80)], func(t *testing.T) {
			r := dialRaw(t, path)
			r.send(c.line)
			a := r.read()
			if a.Error == nil {
				t.Fatalf("it was taken: %s", a.Result)
			}
			same(t, "code", a.Error.Code, c.code)
			same(t, "reason", a.Error.Data.Reason, c.reason)
			same(t, "field", a.Error.Data.Field, c.field)
			same(t, "id", string(a.ID), c.id)
			if a.Error.Data.Hint == "" || a.Error.Message == "" {
				t.Errorf("no hint or no message: %+v", a.Error)
			}
			r.send(fmt.Sprintf(info, 2)) // the connection goes on
			same(t, "next id", string(r.read().ID), "2")
		})
	}
}

func TestWhatIsNoMistake(t *testing.T) {
	path, _ := serve(t, newFake(16), nil)
	for _, line := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"engine.info"}`,
		`{"jsonrpc":"2.0","id":1,"method":"engine.info","params":{}}`,
		"  {\"method\" : \"engine.info\",\"id\":1,\t\"jsonrpc\":\"2.0\"}\r",
		"\n\r\n" + `{"jsonrpc":"2.0","id":1,"method":"room.list"}`,
		`{"jsonrpc":"2.0","id":1,"method":"room.open","params":{"room":"` + strings.Repeat("a", 119) + `0.9_:@+=-"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"engine.drain","params":{"deadline_s":1.5e1}}`,
		`{"jsonrpc":"2.0","id":1,"method":"engine.drain"}`,
		`{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}`,
	} {
		r := dialRaw(t, path)
		r.send(line)
		if a := r.read(); a.Error != nil || string(a.ID) != "1" || len(a.Result) == 0 {
			t.Errorf("%s: %+v", line, a)
		}
	}
}

func TestAMessageTooLongEndsTheConnection(t *testing.T) {
	const limit = 1000
	path, _ := serve(t, newFake(16), func(c *ServerConfig) { c.MaxMessageBytes = limit })
	r := dialRaw(t, path)
	fits := fmt.Sprintf(info, 1)
	fits += strings.Repeat(" ", limit-len(fits))
	r.send(fits)
	same(t, "id of a message at the limit", string(r.read().ID), "1")
	r.send(fits + " ")
	a := r.read()
	same(t, "reason", a.Error.Data.Reason, ReasonMessageTooLong)
	same(t, "code", a.Error.Code, -32000)
	same(t, "id", string(a.ID), "null")
	r.ended()
}

func TestAnEndlessLineEndsTheConnection(t *testing.T) {
	path, _ := serve(t, newFake(16), nil)
	r := dialRaw(t, path)
	go func() { // fails once the daemon has closed
		for {
			if _, err := r.conn.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}()
	same(t, "reason", r.read().Error.Data.Reason, ReasonMessageTooLong)
	r.ended()
}

func TestOneConnectionTooManyIsToldSo(t *testing.T) {
	path, _ := serve(t, newFake(16), func(c *ServerConfig) { c.MaxConnections = 2 })
	a, b := dialRaw(t, path), dialRaw(t, path)
	for _, r := range []*raw{a, b} {
		r.send(fmt.Sprintf(info, 1))
		r.read()
	}
	c := dialRaw(t, path)
	busy := c.read()
	same(t, "reason", busy.Error.Data.Reason, ReasonBusy)
	same(t, "id", string(busy.ID), "null")
	c.ended()

	if _, err := dial(t, path).Info(t.Context()); ReasonOf(err) != ReasonBusy {
		t.Errorf("a client is told %v", err)
	}
	_, _, err := dial(t, path).Subscribe(t.Context(), SubscribeParams{})
	same(t, "reason for a subscriber", ReasonOf(err), ReasonBusy)
}

func TestRequestsBeforeTheEndAreAnswered(t *testing.T) {
	path, _ := serve(t, newFake(16), nil)
	r := dialRaw(t, path)
	for i := range 200 {
		r.send(fmt.Sprintf(info, i))
	}
	if err := r.conn.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 200 {
		seen[string(r.read().ID)] = true
	}
	same(t, "answers", len(seen), 200)
	r.ended()
}

func TestAFloodIsHeldBack(t *testing.T) {
	f := newFake(16)
	var mu sync.Mutex
	running, most := 0, 0
	full, release := make(chan struct{}), make(chan struct{})
	f.holdInfo(func() {
		mu.Lock()
		running++
		most = max(most, running)
		if running == inFlight {
			close(full)
		}
		mu.Unlock()
		<-release
	})
	path, _ := serve(t, f, nil)
	r := dialRaw(t, path)
	for i := range inFlight + 30 {
		r.send(fmt.Sprintf(info, i))
	}
	<-full
	f.holdInfo(nil)
	other := dialRaw(t, path) // another connection is served meanwhile
	other.send(fmt.Sprintf(info, 1))
	other.read()
	close(release)
	for range inFlight + 30 {
		r.read()
	}
	same(t, "most at once", most, inFlight)
}

func TestAnIDInUseIsRefused(t *testing.T) {
	f := newFake(16)
	entered, release := make(chan struct{}, 1), make(chan struct{})
	f.holdInfo(func() { entered <- struct{}{}; <-release })
	path, _ := serve(t, f, nil)
	r := dialRaw(t, path)
	r.send(fmt.Sprintf(info, 1))
	<-entered
	f.holdInfo(nil)
	r.send(fmt.Sprintf(info, 1))
	a := r.read()
	same(t, "reason", a.Error.Data.Reason, ReasonInvalidRequest)
	same(t, "field", a.Error.Data.Field, "id")
	close(release)
	if a := r.read(); a.Error != nil {
		t.Errorf("the first request failed: %+v", a.Error)
	}
	r.send(fmt.Sprintf(info, 1)) // free again
	if a := r.read(); a.Error != nil {
		t.Errorf("the id is still taken: %+v", a.Error)
	}
}

func TestASubscriberWhoDoesNotReadIsClosed(t *testing.T) {
	f := newFake(1 << 16)
	warned := make(chan string, 8)
	path := t.TempDir() + "/s"
	l, err := Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(ServerConfig{Engine: f, MaxConnections: 2, MaxMessageBytes: 4096, Log: warningsTo(warned)})
	s.timeout = 20 * time.Millisecond
	go s.Serve(l)
	defer s.Close()
	r := dialRaw(t, path)
	r.send(`{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}`)
	r.read()
	for i := range 1 << 14 { // some 2 MB, a socket takes 200 kB
		f.event(i)
	}
	if w := <-warned; !strings.Contains(w, "does not read") {
		t.Errorf("the log says %q", w)
	}
	read := 0
	for _, err = r.in.ReadString('\n'); err == nil; _, err = r.in.ReadString('\n') {
		read++
	}
	if read >= 1<<14 {
		t.Errorf("all %d events came", read)
	}
}

func TestTheResultComesBeforeTheFirstEvent(t *testing.T) {
	f := newFake(1 << 14)
	path, _ := serve(t, f, nil)
	for i := range 30 {
		r := dialRaw(t, path)
		r.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{"snapshot":%v}}`, i%2 == 0))
		appended := make(chan struct{})
		go func() { // meanwhile
			defer close(appended)
			for n := range 300 {
				f.event(n)
			}
		}()
		a := r.read()
		var result SubscribeResult
		if err := json.Unmarshal(a.Result, &result); err != nil {
			t.Fatalf("the first line is %+v", a)
		}
		same(t, "snapshot", result.Snapshot != nil, i%2 == 0)
		_, seq, _ := parseCursor(result.Cursor)
		<-appended
		f.event(0)
		for seq < f.log.newest {
			e := r.read()
			same(t, "method", e.Method, NotifyEvent)
			seq++
			same(t, "seq", e.Params.Seq, seq)
		}
		r.conn.Close()
	}
}

func TestASecondSubscriptionReplacesTheFirst(t *testing.T) {
	f := newFake(64)
	path, _ := serve(t, f, nil)
	r := dialRaw(t, path)
	r.send(`{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{"rooms":["r"]}}`)
	r.read()
	r.send(`{"jsonrpc":"2.0","id":2,"method":"events.subscribe","params":{"after":"nonsense"}}`)
	same(t, "reason", r.read().Error.Data.Reason, ReasonInvalidParams)
	first := f.event(1)
	same(t, "a refused subscription leaves the first", r.read().Params.Seq, first.Seq)
	r.send(`{"jsonrpc":"2.0","id":3,"method":"events.subscribe","params":{"rooms":["other"]}}`)
	same(t, "id", string(r.read().ID), "3")
	f.event(2)
	want := f.log.Append(Event{Type: EventRoomOpened, Room: "other"})
	same(t, "event", r.read().Params.Seq, want.Seq)
}

func TestAnOvertakenSubscriptionSaysSo(t *testing.T) {
	f := newFake(16)
	path, _ := serve(t, f, nil)
	r := dialRaw(t, path)
	r.send(`{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}`)
	r.read()
	for i := range 1 << 15 { // more than the socket takes, so the feed must wait and the ring goes round
		f.event(i)
	}
	var a answer
	for a = r.read(); a.Method == NotifyEvent; a = r.read() {
	}
	same(t, "method", a.Method, NotifyExpired)
	if a.Params.Cursor == "" {
		t.Error("it names no cursor")
	}
	r.send(`{"jsonrpc":"2.0","id":2,"method":"events.subscribe","params":{"snapshot":true}}`)
	same(t, "id", string(r.read().ID), "2")
	want := f.event(1)
	same(t, "event", r.read().Params.Seq, want.Seq)
}

func TestCloseSendsWhatIsUnderWay(t *testing.T) {
	f := newFake(1024)
	entered, release := make(chan struct{}, 1), make(chan struct{})
	path, s := serve(t, f, nil)
	sub, call := dialRaw(t, path), dialRaw(t, path)
	sub.send(`{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}`)
	sub.read()
	f.holdInfo(func() { entered <- struct{}{}; <-release })
	call.send(fmt.Sprintf(info, 1))
	<-entered
	for i := range 500 {
		f.event(i)
	}
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }()
	close(release)
	same(t, "answer", string(call.read().ID), "1")
	for i := range 500 {
		same(t, "event", sub.read().Params.AudioID, uint32(i))
	}
	sub.ended()
	call.ended()
	<-closed
	s.Close() // again, without harm
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("the socket is still there")
	}
}

func TestEachRequestIsObserved(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	path, s := serve(t, newFake(16), func(c *ServerConfig) {
		c.Observe = func(method string, reason Reason, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, method+"/"+string(reason))
		}
	})
	r := dialRaw(t, path)
	for _, line := range []string{
		fmt.Sprintf(info, 1), `junk`, `{"jsonrpc":"2.0","id":1,"method":"engine.fly"}`,
		`{"jsonrpc":"2.0","id":1,"method":"room.get","params":{"room":"x"}}`,
	} {
		r.send(line)
		r.read()
	}
	s.Close()
	if want := []string{"engine.info/", "/parse_error", "/unknown_method", "room.get/room_not_found"}; !slices.Equal(seen, want) {
		t.Errorf("observed %q, want %q", seen, want)
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	f := newFake(1 << 14)
	path, _ := serve(t, f, nil)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			c, err := Dial(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for n := range 20 {
				room := fmt.Sprintf("room-%d-%d", i, n)
				if r, err := c.RoomOpen(t.Context(), &RoomOpenParams{Room: room}); err != nil || r.Room != room {
					t.Errorf("%s: %v, %v", room, r, err)
				}
			}
		})
	}
	wg.Wait()
	list, err := dial(t, path).RoomList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "rooms", len(list.Rooms), 32*20)
}
