package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"stentor/engine/control"
)

// patience is how long a story waits for what must come; it decides nothing when all is well.
const patience = time.Minute

// fakeEngine is a control.Engine that keeps rooms and peers, writes down what it is told, and knows no media.
type fakeEngine struct {
	control.Engine // The methods that the app never calls.
	log            *control.Log

	mu     sync.Mutex
	rooms  map[string]map[string]*control.Peer
	takes  map[string]*control.Recording // by name
	runs   map[string]string             // room -> the recording that runs
	unable error                         // of every recording.start
	calls  []string
	told   chan struct{} // One token: there is a new call.
	audio  uint32
}

func newFakeEngine() *fakeEngine {
	return &fakeEngine{
		log: control.NewLog("fake", 1024), rooms: make(map[string]map[string]*control.Peer), told: make(chan struct{}, 1),
		takes: make(map[string]*control.Recording), runs: make(map[string]string),
	}
}

// note writes a call down. Under mu.
func (f *fakeEngine) note(format string, args ...any) {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	poke(f.told)
}

func (f *fakeEngine) Events() *control.Log { return f.log }

func (f *fakeEngine) Snapshot(context.Context, []string) (*control.Snapshot, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &control.Snapshot{Rooms: []control.RoomSnapshot{}}
	for name, peers := range f.rooms {
		r := control.RoomSnapshot{Room: control.Room{Room: name, Heard: []control.Slot{}, Recording: f.runs[name]}, Participants: []control.Peer{}}
		for _, p := range peers {
			r.Participants = append(r.Participants, *p)
		}
		s.Rooms = append(s.Rooms, r)
	}
	return s, f.log.Cursor(), nil
}

func (f *fakeEngine) RoomOpen(_ context.Context, p *control.RoomOpenParams) (*control.Room, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("open %s", p.Room)
	if f.rooms[p.Room] == nil {
		f.rooms[p.Room] = make(map[string]*control.Peer)
		f.log.Append(control.Event{Type: control.EventRoomOpened, Room: p.Room})
	}
	return &control.Room{Room: p.Room, Slots: p.Slots, Heard: []control.Slot{}}, nil
}

func (f *fakeEngine) RoomClose(_ context.Context, p *control.RoomParams) (*control.Empty, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("close %s", p.Room)
	f.endTake(f.runs[p.Room], control.RecordingRoomClosed)
	delete(f.rooms, p.Room)
	f.log.Append(control.Event{Type: control.EventRoomClosed, Room: p.Room, Reason: control.LeftRoomClosed})
	return &control.Empty{}, nil
}

func (f *fakeEngine) PeerJoin(_ context.Context, p *control.PeerJoinParams) (*control.PeerJoinResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("join %s may_speak=%v muted=%v priority=%v %s", p.Peer, p.MaySpeak, p.Muted, p.Priority, p.SDP)
	switch peers := f.rooms[p.Room]; {
	case peers == nil:
		return nil, control.Errorf(control.ReasonRoomNotFound, "no room %s", p.Room)
	case peers[p.Peer] != nil:
		return nil, control.Errorf(control.ReasonPeerConflict, "%s is there", p.Peer)
	case p.SDP == "nonsense":
		return nil, control.Errorf(control.ReasonSDPInvalid, "line 1 is no SDP")
	}
	f.audio++
	f.rooms[p.Room][p.Peer] = &control.Peer{
		Room: p.Room, Peer: p.Peer, State: control.StateConnected, AudioID: f.audio,
		MaySpeak: p.MaySpeak, Muted: p.Muted, Priority: p.Priority,
	}
	f.log.Append(control.Event{Type: control.EventPeerJoined, Room: p.Room, Peer: p.Peer, AudioID: f.audio})
	f.log.Append(control.Event{Type: control.EventPeerConnected, Room: p.Room, Peer: p.Peer})
	return &control.PeerJoinResult{SDP: "answer to " + p.SDP, AudioID: f.audio}, nil
}

func (f *fakeEngine) PeerUpdate(_ context.Context, p *control.PeerUpdateParams) (*control.Peer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("update %s may_speak=%v muted=%v priority=%v", p.Peer, *p.MaySpeak, *p.Muted, *p.Priority)
	peer := f.rooms[p.Room][p.Peer]
	if peer == nil {
		return nil, control.Errorf(control.ReasonPeerNotFound, "no peer %s", p.Peer)
	}
	peer.MaySpeak, peer.Muted, peer.Priority = *p.MaySpeak, *p.Muted, *p.Priority
	return peer, nil
}

func (f *fakeEngine) PeerRestart(_ context.Context, p *control.PeerRestartParams) (*control.PeerRestartResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("restart %s", p.Peer)
	if f.rooms[p.Room][p.Peer] == nil {
		return nil, control.Errorf(control.ReasonPeerNotFound, "no peer %s", p.Peer)
	}
	return &control.PeerRestartResult{SDP: "answer to " + p.SDP}, nil
}

func (f *fakeEngine) PeerLeave(_ context.Context, p *control.PeerParams) (*control.Empty, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("leave %s", p.Peer)
	f.lose(p.Room, p.Peer, control.LeftByCall)
	return &control.Empty{}, nil
}

// lose takes a peer out. Under mu.
func (f *fakeEngine) lose(room, peer, reason string) {
	if f.rooms[room][peer] != nil {
		delete(f.rooms[room], peer)
		f.log.Append(control.Event{Type: control.EventPeerLeft, Room: room, Peer: peer, Reason: reason})
	}
}

// speaks is a peer that begins to speak or ends.
func (f *fakeEngine) speaks(room, peer string, on bool) {
	f.log.Append(control.Event{Type: control.EventPeerSpeaking, Room: room, Peer: peer, Speaking: &on})
}

// count says how many calls begin with a prefix.
func (f *fakeEngine) count(prefix string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// await waits for a call.
func (f *fakeEngine) await(t *testing.T, prefix string) {
	t.Helper()
	late := time.After(patience)
	for f.count(prefix) == 0 {
		select {
		case <-f.told:
		case <-late:
			f.mu.Lock()
			defer f.mu.Unlock()
			t.Fatalf("the engine was never told %q, only:\n%s", prefix, strings.Join(f.calls, "\n"))
		}
	}
}

// listenControl serves an engine on a socket until the returned func is called.
func (f *fakeEngine) listenControl(t *testing.T, path string) (stop func()) {
	t.Helper()
	ln, err := control.Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	srv := control.NewServer(control.ServerConfig{Engine: f, MaxConnections: 8, MaxMessageBytes: 256 << 10, Log: quiet()})
	go func() { _ = srv.Serve(ln) }()
	return sync.OnceFunc(func() { srv.Close() })
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// stageSet is the app with a fake engine and a web server.
type stageSet struct {
	t          *testing.T
	engine     *fakeEngine
	stopEngine func()
	path       string
	app        *app
	url        string
	data       string // the archive's directory
}

// newStageSet starts everything and waits until the app has found the engine.
func newStageSet(t *testing.T) *stageSet {
	t.Helper()
	s := &stageSet{t: t, engine: newFakeEngine(), path: filepath.Join(t.TempDir(), "c.sock")}
	s.stopEngine = s.engine.listenControl(t, s.path)
	ctl := &remote{path: s.path}
	s.data = t.TempDir()
	arch, err := openArchive(s.data, quiet())
	if err != nil {
		t.Fatal(err)
	}
	s.app = newApp(ctl, arch, newLibrary(arch, "", nil, quiet()), quiet(), time.Now)
	_, stopArchive := background(func(ctx context.Context) error { arch.run(ctx); return nil })
	_, stopWatch := background(func(ctx context.Context) error { return s.app.watch(ctx, s.path) })
	web := httptest.NewServer(s.app.routes())
	s.url = web.URL
	t.Cleanup(func() {
		s.app.stop()
		_ = stopWatch()
		_ = stopArchive()
		web.Close()
		ctl.close()
		s.stopEngine()
	})
	s.until("the app finds the engine", s.app.mayRecord)
	return s
}

// until waits for a condition of the app that makes no noise.
func (s *stageSet) until(what string, ok func() bool) {
	s.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("never came true: %s", what)
		}
	}
}

// post starts a Space.
func (s *stageSet) post(body string) (status int, answer map[string]string) {
	s.t.Helper()
	res, err := http.Post(s.url+"/api/spaces", "application/json", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, answer
}

// start starts a Space and lets its host in.
func (s *stageSet) start() (id string, host *browser) {
	s.t.Helper()
	status, a := s.post(`{"title":"Evening talk","name":"Ada"}`)
	if status != http.StatusCreated {
		s.t.Fatalf("start: %d %v", status, a)
	}
	return a["id"], s.enter(a["id"], map[string]any{"name": "Ada", "host": a["host"]})
}

// browser is a page.
type browser struct {
	t    *testing.T
	conn *websocket.Conn
	got  []string
	welcome
}

// dial connects a page without a word.
func (s *stageSet) dial(id string) *browser {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, strings.Replace(s.url, "http", "ws", 1)+"/s/"+id+"/ws", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	s.t.Cleanup(func() { conn.CloseNow() })
	return &browser{t: s.t, conn: conn}
}

// enter connects a page and says hello.
func (s *stageSet) enter(id string, hello map[string]any) *browser {
	s.t.Helper()
	b := s.dial(id)
	hello["type"] = "hello"
	b.say(hello)
	b.await("welcome", &b.welcome, nil)
	return b
}

// joined enters and has its offer answered.
func (s *stageSet) joined(id, name string) *browser {
	s.t.Helper()
	b := s.enter(id, map[string]any{"name": name})
	b.offer(1, "offer of "+name)
	return b
}

// offer makes an offer and waits for the answer.
func (b *browser) offer(n int, sdp string) answer {
	b.t.Helper()
	b.say(map[string]any{"type": "offer", "n": n, "sdp": sdp})
	var a answer
	b.await("answer", &a, func() bool { return a.N == n })
	return a
}

// say sends a message.
func (b *browser) say(m any) {
	b.t.Helper()
	b.raw(encode(m))
}

func (b *browser) raw(data []byte) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.conn.Write(ctx, websocket.MessageText, data); err != nil {
		b.t.Fatal(err)
	}
}

// read gives the next message of any kind.
func (b *browser) read() (kind string, data []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, data, err = b.conn.Read(ctx); err != nil {
		return "", nil, err
	}
	var m struct{ Type string }
	err = json.Unmarshal(data, &m)
	b.got = append(b.got, string(data))
	return m.Type, data, err
}

// await reads until a message of that kind for which ok holds, and leaves it in v, a pointer.
func (b *browser) await(kind string, v any, ok func() bool) {
	b.t.Helper()
	for {
		reflect.ValueOf(v).Elem().SetZero() // What a message leaves out is not what the last one said.
		got, data, err := b.read()
		if err != nil {
			b.t.Fatalf("waiting for %s: %v; so far:\n%s", kind, err, strings.Join(b.got[max(0, len(b.got)-10):], "\n"))
		}
		if got != kind {
			continue
		}
		if err := json.Unmarshal(data, v); err != nil {
			b.t.Fatal(err)
		}
		if ok == nil || ok() {
			return
		}
	}
}

// awaitPerson reads until a state shows a person so.
func (b *browser) awaitPerson(id string, ok func(personView) bool) {
	b.t.Helper()
	var v stateView
	b.await("state", &v, func() bool {
		return slices.ContainsFunc(slices.Concat(v.Stage, v.Listeners), func(p personView) bool { return p.ID == id && ok(p) })
	})
}

// awaitVoice reads until the page is told that a person speaks, or no longer does, alone or with other news.
func (b *browser) awaitVoice(id string, on bool) {
	b.t.Helper()
	for {
		_, data, err := b.read()
		if err != nil {
			b.t.Fatalf("waiting for the voice: %v", err)
		}
		var m struct {
			Type  string
			IDs   []string
			Stage []personView
		}
		if err := json.Unmarshal(data, &m); err != nil {
			b.t.Fatal(err)
		}
		speaks := slices.Contains(m.IDs, id) || slices.ContainsFunc(m.Stage, func(p personView) bool { return p.ID == id && p.Speaking })
		if (m.Type == "speaking" || m.Type == "state") && speaks == on {
			return
		}
	}
}

// awaitClose reads to the end of the connection and gives its code.
func (b *browser) awaitClose() closeCode {
	for {
		if _, _, err := b.read(); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}
