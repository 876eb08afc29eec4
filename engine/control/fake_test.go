package control

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is an Engine that keeps rooms and peers and knows no media.
type fake struct {
	log *Log

	mu    sync.Mutex
	rooms map[string]Room
	peers map[PeerParams]Peer
	hold  func() // called by Info, outside mu
	last  any    // the parameters of the last call
}

func newFake(capacity int) *fake {
	return &fake{log: NewLog("fake", capacity), rooms: map[string]Room{}, peers: map[PeerParams]Peer{}}
}

func (f *fake) enter(p any) func() { f.mu.Lock(); f.last = p; return f.mu.Unlock }

func (f *fake) Info(context.Context) (*EngineInfo, error) {
	f.mu.Lock()
	hold := f.hold
	f.mu.Unlock()
	if hold != nil {
		hold()
	}
	return &EngineInfo{Version: "test", Protocol: 1, Node: "fake", Media: []string{"127.0.0.1:7900"}}, nil
}

func (f *fake) Drain(_ context.Context, p *DrainParams) (*Empty, error) {
	defer f.enter(*p)()
	f.log.Append(Event{Type: EventEngineDraining, DeadlineS: &p.DeadlineS})
	return &Empty{}, nil
}

func (f *fake) RoomOpen(_ context.Context, p *RoomOpenParams) (*Room, error) {
	defer f.enter(*p)()
	r, ok := f.rooms[p.Room]
	if ok && r.Slots != p.Slots {
		return nil, Errorf(ReasonRoomConflict, "room %s has other slots", p.Room).WithField("slots")
	}
	if !ok {
		r = Room{Room: p.Room, Slots: p.Slots, MaxPeers: p.MaxPeers, DefaultRendition: "live", Heard: []Slot{{}}}
		f.rooms[p.Room] = r
		f.log.Append(Event{Type: EventRoomOpened, Room: p.Room})
	}
	return &r, nil
}

func (f *fake) RoomClose(_ context.Context, p *RoomParams) (*Empty, error) {
	defer f.enter(*p)()
	delete(f.rooms, p.Room)
	return &Empty{}, nil
}

func (f *fake) RoomList(context.Context) (*RoomList, error) {
	defer f.enter(nil)()
	list := &RoomList{Rooms: []Room{}}
	for _, r := range f.rooms {
		list.Rooms = append(list.Rooms, r)
	}
	return list, nil
}

func (f *fake) RoomGet(_ context.Context, p *RoomParams) (*Room, error) {
	defer f.enter(*p)()
	r, ok := f.rooms[p.Room]
	if !ok {
		return nil, Errorf(ReasonRoomNotFound, "no room %s", p.Room)
	}
	return &r, nil
}

func (f *fake) PeerJoin(_ context.Context, p *PeerJoinParams) (*PeerJoinResult, error) {
	defer f.enter(*p)()
	f.peers[PeerParams{p.Room, p.Peer}] = Peer{Room: p.Room, Peer: p.Peer, MaySpeak: p.MaySpeak, AudioID: 7}
	return &PeerJoinResult{SDP: "answer to " + p.SDP, AudioID: 7}, nil
}

func (f *fake) PeerUpdate(_ context.Context, p *PeerUpdateParams) (*Peer, error) {
	defer f.enter(*p)()
	peer := f.peers[PeerParams{p.Room, p.Peer}]
	if p.Muted != nil {
		peer.Muted = *p.Muted
	}
	f.peers[PeerParams{p.Room, p.Peer}] = peer
	return &peer, nil
}

func (f *fake) PeerRestart(_ context.Context, p *PeerRestartParams) (*PeerRestartResult, error) {
	defer f.enter(*p)()
	return &PeerRestartResult{SDP: "again " + p.SDP}, nil
}

func (f *fake) PeerLeave(_ context.Context, p *PeerParams) (*Empty, error) {
	defer f.enter(*p)()
	delete(f.peers, *p)
	return &Empty{}, nil
}

func (f *fake) PeerList(_ context.Context, p *RoomParams) (*PeerList, error) {
	defer f.enter(*p)()
	list := &PeerList{Peers: []Peer{}}
	for k, peer := range f.peers {
		if k.Room == p.Room {
			list.Peers = append(list.Peers, peer)
		}
	}
	return list, nil
}

func (f *fake) PeerGet(_ context.Context, p *PeerParams) (*Peer, error) {
	defer f.enter(*p)()
	peer, ok := f.peers[*p]
	switch {
	case p.Peer == "panic":
		panic("the engine fell over")
	case p.Peer == "fault":
		return nil, io.ErrUnexpectedEOF
	case !ok:
		return nil, Errorf(ReasonPeerNotFound, "no peer %s", p.Peer)
	}
	return &peer, nil
}

func (f *fake) Snapshot(_ context.Context, rooms []string) (*Snapshot, string, error) {
	defer f.enter(rooms)()
	s := &Snapshot{Rooms: []RoomSnapshot{}}
	for _, r := range f.rooms {
		s.Rooms = append(s.Rooms, RoomSnapshot{Room: r, Participants: []Peer{}})
	}
	return s, f.log.Cursor(), nil
}

func (f *fake) Events() *Log { return f.log }

func (f *fake) holdInfo(hold func()) { f.mu.Lock(); f.hold = hold; f.mu.Unlock() }

func (f *fake) lastParams() any { f.mu.Lock(); defer f.mu.Unlock(); return f.last }

// event appends the i-th of a test's events.
func (f *fake) event(i int) Event {
	return f.log.Append(Event{Type: EventPeerJoined, Room: "r", AudioID: uint32(i)})
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serve runs a server on a socket until the test ends, and returns the socket's path.
func serve(t *testing.T, e Engine, change func(*ServerConfig)) (path string, s *Server) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "control.sock")
	return path, serveAt(t, path, e, change)
}

func serveAt(t *testing.T, path string, e Engine, change func(*ServerConfig)) *Server {
	t.Helper()
	l, err := Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	config := ServerConfig{Engine: e, MaxConnections: 64, MaxMessageBytes: 16 << 10, Log: quiet()}
	if change != nil {
		change(&config)
	}
	s := NewServer(config)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// raw is a client that sends what it likes.
type raw struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func dialRaw(t testing.TB, path string) *raw {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	// Not a measure of speed: it turns a hang into a failure.
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &raw{t, conn, bufio.NewReader(conn)}
}

func (r *raw) send(lines ...string) {
	r.t.Helper()
	for _, l := range lines {
		if _, err := io.WriteString(r.conn, l+"\n"); err != nil {
			r.t.Fatalf("send: %v", err)
		}
	}
}

func (r *raw) line() string {
	r.t.Helper()
	s, err := r.in.ReadString('\n')
	if err != nil {
		r.t.Fatalf("read: %v (after %q)", err, s)
	}
	return s
}

// answer is a line from the server, taken apart.
type answer struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  Event           `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Code    int       `json:"code"`
		Message string    `json:"message"`
		Data    errorData `json:"data"`
	} `json:"error"`
}

func (r *raw) read() answer {
	r.t.Helper()
	var a answer
	line := r.line()
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		r.t.Fatalf("%q: %v", line, err)
	}
	return a
}

func (r *raw) ended() {
	r.t.Helper()
	if rest, err := io.ReadAll(r.in); len(rest) > 0 || (err != nil && !isReset(err)) {
		r.t.Fatalf("the connection goes on: %q, %v", rest, err)
	}
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: got %+v, want %+v", what, got, want)
	}
}

func (f *fake) RecordingStart(_ context.Context, p *RecordingStartParams) (*Recording, error) {
	return f.recording(p.Recording, *p), nil
}

func (f *fake) RecordingStop(_ context.Context, p *RecordingParams) (*Recording, error) {
	return f.recording(p.Recording, *p), nil
}

func (f *fake) RecordingList(_ context.Context, p *RecordingListParams) (*RecordingList, error) {
	return &RecordingList{Recordings: []Recording{*f.recording("take-1", *p)}}, nil
}

func (f *fake) RecordingGet(_ context.Context, p *RecordingParams) (*Recording, error) {
	return f.recording(p.Recording, *p), nil
}

func (f *fake) RecordingDelete(_ context.Context, p *RecordingParams) (*Empty, error) {
	f.recording(p.Recording, *p)
	return &Empty{}, nil
}

// recording is the one that this fake knows, under any name.
func (f *fake) recording(name string, params any) *Recording {
	defer f.enter(params)()
	return &Recording{Recording: name, Room: "town-hall", State: RecordingRunning, Tracks: true, Replay: true}
}
