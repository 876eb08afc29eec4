package control

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"
)

// The client can stand where the engine stands, but for its events.
var _ interface {
	Info(context.Context) (*EngineInfo, error)
	Drain(context.Context, *DrainParams) (*Empty, error)
	RoomOpen(context.Context, *RoomOpenParams) (*Room, error)
	RoomClose(context.Context, *RoomParams) (*Empty, error)
	RoomList(context.Context) (*RoomList, error)
	RoomGet(context.Context, *RoomParams) (*Room, error)
	PeerJoin(context.Context, *PeerJoinParams) (*PeerJoinResult, error)
	PeerUpdate(context.Context, *PeerUpdateParams) (*Peer, error)
	PeerRestart(context.Context, *PeerRestartParams) (*PeerRestartResult, error)
	PeerLeave(context.Context, *PeerParams) (*Empty, error)
	PeerList(context.Context, *RoomParams) (*PeerList, error)
	PeerGet(context.Context, *PeerParams) (*Peer, error)
} = (*Client)(nil)

func TestEveryMethodThereAndBack(t *testing.T) {
	f := newFake(64)
	path, _ := serve(t, f, nil)
	c, ctx := dial(t, path), t.Context()
	yes, live := true, "live"
	open := RoomOpenParams{Room: "r", Slots: 3, DefaultRendition: "live", MaxPeers: 9}
	room := Room{Room: "r", Slots: 3, MaxPeers: 9, DefaultRendition: "live", Heard: []Slot{{}}}
	join := PeerJoinParams{Room: "r", Peer: "p", MaySpeak: true, Muted: true, Priority: true, SDP: "v=0\r\n<é>"}
	peer := Peer{Room: "r", Peer: "p", MaySpeak: true, AudioID: 7}
	muted := peer
	muted.Muted = true
	update := PeerUpdateParams{Room: "r", Peer: "p", MaySpeak: &yes, Muted: &yes, Priority: &yes, Rendition: &live}
	restart := PeerRestartParams{Room: "r", Peer: "p", SDP: "x"}
	name := PeerParams{Room: "r", Peer: "p"}
	start := RecordingStartParams{Room: "r", Recording: "t", Replay: &yes}
	take := Recording{Recording: "t", Room: "town-hall", State: RecordingRunning, Tracks: true, Replay: true}
	first := take
	first.Recording = "take-1"
	for _, s := range []struct {
		method string
		call   func() (any, error)
		params any // as the engine got them
		want   any
	}{
		{MethodEngineInfo, func() (any, error) { return c.Info(ctx) }, nil,
			&EngineInfo{Version: "test", Protocol: 1, Node: "fake", Media: []string{"127.0.0.1:7900"}}},
		{MethodRoomOpen, func() (any, error) { return c.RoomOpen(ctx, &open) }, open, &room},
		{MethodRoomGet, func() (any, error) { return c.RoomGet(ctx, &RoomParams{"r"}) }, RoomParams{"r"}, &room},
		{MethodRoomList, func() (any, error) { return c.RoomList(ctx) }, nil, &RoomList{[]Room{room}}},
		{MethodPeerJoin, func() (any, error) { return c.PeerJoin(ctx, &join) }, join, &PeerJoinResult{"answer to v=0\r\n<é>", 7}},
		{MethodPeerGet, func() (any, error) { return c.PeerGet(ctx, &name) }, name, &peer},
		{MethodPeerUpdate, func() (any, error) { return c.PeerUpdate(ctx, &update) }, update, &muted},
		{MethodPeerList, func() (any, error) { return c.PeerList(ctx, &RoomParams{"r"}) }, RoomParams{"r"}, &PeerList{[]Peer{muted}}},
		{MethodPeerRestart, func() (any, error) { return c.PeerRestart(ctx, &restart) }, restart, &PeerRestartResult{"again x"}},
		{MethodRecordingStart, func() (any, error) { return c.RecordingStart(ctx, &start) }, start, &take},
		{MethodRecordingGet, func() (any, error) { return c.RecordingGet(ctx, &RecordingParams{"t"}) }, RecordingParams{"t"}, &take},
		{MethodRecordingList, func() (any, error) { return c.RecordingList(ctx, &RecordingListParams{"r"}) }, RecordingListParams{"r"},
			&RecordingList{[]Recording{first}}},
		{MethodRecordingStop, func() (any, error) { return c.RecordingStop(ctx, &RecordingParams{"t"}) }, RecordingParams{"t"}, &take},
		{MethodRecordingDelete, func() (any, error) { return c.RecordingDelete(ctx, &RecordingParams{"t"}) }, RecordingParams{"t"}, &Empty{}},
		{MethodPeerLeave, func() (any, error) { return c.PeerLeave(ctx, &name) }, name, &Empty{}},
		{MethodRoomClose, func() (any, error) { return c.RoomClose(ctx, &RoomParams{"r"}) }, RoomParams{"r"}, &Empty{}},
		{MethodEngineDrain, func() (any, error) { return c.Drain(ctx, &DrainParams{2.5}) }, DrainParams{2.5}, &Empty{}},
	} {
		got, err := s.call()
		if err != nil {
			t.Fatalf("%s: %v", s.method, err)
		}
		same(t, s.method, got, s.want)
		if last := f.lastParams(); s.params != nil && !reflect.DeepEqual(last, s.params) {
			t.Errorf("%s: the engine got %+v, want %+v", s.method, last, s.params)
		}
	}
}

func TestErrorsComeBackWithReasonFieldAndHint(t *testing.T) {
	path, _ := serve(t, newFake(64), nil)
	c, ctx := dial(t, path), t.Context()
	if _, err := c.RoomOpen(ctx, &RoomOpenParams{Room: "r", Slots: 1}); err != nil {
		t.Fatal(err)
	}
	_, err := c.RoomOpen(ctx, &RoomOpenParams{Room: "r", Slots: 2})
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("not an *Error: %v", err)
	}
	same(t, "error", *e, Error{ReasonRoomConflict, "room r has other slots", "slots", hints[ReasonRoomConflict]})
	_, err = c.RoomGet(ctx, &RoomParams{Room: "no such"})
	same(t, "reason", ReasonOf(err), ReasonInvalidParams)
	if _, err := c.Drain(ctx, &DrainParams{DeadlineS: math.NaN()}); err == nil || ReasonOf(err) != "" {
		t.Errorf("parameters that are no JSON: %v", err)
	}
	same(t, "reason of nil", ReasonOf(nil), Reason(""))
}

func TestACallEndsWithItsContext(t *testing.T) {
	f := newFake(16)
	entered, release := make(chan struct{}), make(chan struct{})
	f.holdInfo(func() { close(entered); <-release })
	path, _ := serve(t, f, nil)
	c := dial(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if _, err := c.Info(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
	f.holdInfo(nil)
	if _, err := c.Info(t.Context()); err != nil { // while the first is still running
		t.Errorf("the call after it: %v", err)
	}
	close(release)
}

func TestTheClientComesBackAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := serveAt(t, path, newFake(16), nil)
	c := dial(t, path)
	if _, err := c.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := c.Info(t.Context()); err == nil || ReasonOf(err) != "" {
		t.Errorf("a call without a daemon: %v", err)
	}
	serveAt(t, path, newFake(16), nil)
	if _, err := c.Info(t.Context()); err != nil {
		t.Errorf("a call after the restart: %v", err)
	}
	c.Close()
	if _, err := c.Info(t.Context()); !errors.Is(err, ErrDisconnected) {
		t.Errorf("a call of a closed client: %v", err)
	}
}

func TestACallUnderWayFailsWithTheConnection(t *testing.T) {
	f := newFake(16)
	path, _ := serve(t, f, nil)
	c := dial(t, path)
	entered, release := make(chan struct{}), make(chan struct{})
	f.holdInfo(func() { close(entered); <-release })
	go func() { <-entered; c.Close() }()
	if _, err := c.Info(t.Context()); !errors.Is(err, ErrDisconnected) {
		t.Errorf("a call that was cut off: %v", err)
	}
	close(release)
}

func TestAMessageTooLongIsToldToTheClient(t *testing.T) {
	path, _ := serve(t, newFake(16), func(c *ServerConfig) { c.MaxMessageBytes = 512 })
	_, err := dial(t, path).PeerJoin(t.Context(), &PeerJoinParams{Room: "r", Peer: "p", SDP: string(make([]byte, 1<<20))})
	same(t, fmt.Sprintf("reason of %v", err), ReasonOf(err), ReasonMessageTooLong)
}

func TestASubscriptionResumesAfterItsCursor(t *testing.T) {
	f := newFake(64)
	path, _ := serve(t, f, nil)
	c, ctx := dial(t, path), t.Context()
	sub, result, err := c.Subscribe(ctx, SubscribeParams{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "cursor", result.Cursor, f.log.Cursor())
	want := f.event(0)
	got, err := sub.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "event", got, want)

	short, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := sub.Next(short); !errors.Is(err, context.Canceled) {
		t.Errorf("Next with a context that has ended: %v", err)
	}
	sub.Close()
	if _, err := sub.Next(ctx); !errors.Is(err, ErrDisconnected) {
		t.Errorf("Next of a closed subscription: %v", err)
	}
	for i := 1; i <= 40; i++ {
		f.event(i)
	}
	sub, _, err = c.Subscribe(ctx, SubscribeParams{After: got.Cursor})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for i := 1; i <= 40; i++ {
		if got, err = sub.Next(ctx); err != nil || got.AudioID != uint32(i) {
			t.Fatalf("event %d: %+v, %v", i, got, err)
		}
	}
	for i := range 100 {
		f.event(i)
	}
	if _, _, err = c.Subscribe(ctx, SubscribeParams{After: got.Cursor}); ReasonOf(err) != ReasonCursorExpired {
		t.Errorf("a cursor that has left the ring: %v", err)
	}
}

// TestNextLosesNothingWhenInterrupted cuts Next off again and again while events come.
func TestNextLosesNothingWhenInterrupted(t *testing.T) {
	const events = 3000
	f := newFake(events)
	path, _ := serve(t, f, nil)
	sub, _, err := dial(t, path).Subscribe(t.Context(), SubscribeParams{})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	go func() {
		for i := range events {
			f.event(i)
		}
	}()
	for want := 0; want < events; {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Microsecond)
		e, err := sub.Next(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		if err != nil || e.AudioID != uint32(want) {
			t.Fatalf("event %d: %+v, %v", want, e, err)
		}
		want++
	}
}

// collector keeps what a Watcher hands over.
type collector struct {
	mu    sync.Mutex
	items []WatchItem
	more  chan struct{}
}

func (c *collector) take(i WatchItem) error {
	c.mu.Lock()
	c.items = append(c.items, i)
	c.mu.Unlock()
	c.more <- struct{}{}
	return nil
}

// wait returns the items once there are n.
func (c *collector) wait(t *testing.T, n int) []WatchItem {
	t.Helper()
	for {
		c.mu.Lock()
		items := c.items
		c.mu.Unlock()
		if len(items) >= n {
			return items[:n]
		}
		select {
		case <-c.more:
		case <-time.After(30 * time.Second):
			t.Fatalf("%d items of %d came: %+v", len(items), n, items)
		}
	}
}

func watching(t *testing.T, w *Watcher) (*collector, func() error) {
	t.Helper()
	c := &collector{more: make(chan struct{}, 4096)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	w.BackoffMin, w.BackoffMax = time.Millisecond, 5*time.Millisecond
	go func() { ended <- w.Watch(ctx, c.take) }()
	var once sync.Once
	var err error
	stop := func() error { once.Do(func() { cancel(); err = <-ended }); return err }
	t.Cleanup(func() { stop() })
	return c, stop
}

func TestAWatcherMissesNothingWhileTheSocketIsAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	f := newFake(1024)
	if _, err := f.RoomOpen(t.Context(), &RoomOpenParams{Room: "r"}); err != nil {
		t.Fatal(err)
	}
	down := make(chan error, 4096)
	s := serveAt(t, path, f, nil)
	c, stop := watching(t, &Watcher{Path: path, Down: func(err error) { down <- err }})
	if first := c.wait(t, 1)[0]; first.Snapshot == nil || len(first.Snapshot.Rooms) != 1 || first.Cursor != f.log.Cursor() {
		t.Fatalf("the first item is %+v", first)
	}
	n := 0
	for range 5 {
		f.event(n)
		n++
		c.wait(t, 1+n)
		s.Close()
		<-down
		for range 20 { // while nobody listens
			f.event(n)
			n++
		}
		s = serveAt(t, path, f, nil)
	}
	for i, item := range c.wait(t, 1+n)[1:] {
		if item.Event == nil || item.Event.AudioID != uint32(i) || item.Cursor != item.Event.Cursor {
			t.Fatalf("item %d is %+v", i, item)
		}
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch: %v", err)
	}
}

func TestAWatcherTakesASnapshotOfAnotherRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	f := newFake(64)
	s := serveAt(t, path, f, nil)
	c, _ := watching(t, &Watcher{Path: path, After: f.log.Cursor()})
	f.event(1)
	if items := c.wait(t, 1); items[0].Event == nil {
		t.Fatalf("with a cursor, the first item is %+v", items[0])
	}
	s.Close()
	other := newFake(64)
	other.event(8)
	serveAt(t, path, other, nil)
	items := c.wait(t, 2)
	if items[1].Snapshot == nil || items[1].Cursor != other.log.Cursor() {
		t.Fatalf("after the restart came %+v", items[1])
	}
	other.event(9)
	if e := c.wait(t, 3)[2].Event; e == nil || e.AudioID != 9 {
		t.Fatalf("then came %+v", e)
	}
}

func TestAWatcherStopsWhenRefused(t *testing.T) {
	path, _ := serve(t, newFake(64), nil)
	w := Watcher{Path: path, Rooms: []string{"no such"}}
	same(t, "reason", ReasonOf(w.Watch(t.Context(), func(WatchItem) error { return nil })), ReasonInvalidParams)
	enough := errors.New("enough")
	w = Watcher{Path: path}
	if err := w.Watch(t.Context(), func(WatchItem) error { return enough }); err != enough {
		t.Errorf("Watch: %v", err)
	}
}

func TestAWatcherFromNowTakesNoSnapshot(t *testing.T) {
	f := newFake(64)
	path, _ := serve(t, f, nil)
	up := make(chan struct{}, 1)
	c, _ := watching(t, &Watcher{Path: path, FromNow: true, Up: func() { up <- struct{}{} }})
	<-up
	f.event(3)
	if e := c.wait(t, 1)[0].Event; e == nil || e.AudioID != 3 {
		t.Fatalf("the first item is %+v", e)
	}
}
