package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"stentor/engine/control"
)

// clock is what the tool takes for now.
var clock = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// fake is an engine with two rooms; the embedded interface fails for what the tool never calls.
type fake struct {
	control.Engine
	log  *control.Log
	hold chan struct{} // when not nil, Info answers only after it is closed

	location string   // of its recording; empty: a bucket
	deleted  []string // recordings
}

func (f *fake) Info(ctx context.Context) (*control.EngineInfo, error) {
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
		}
	}
	return &control.EngineInfo{
		Version: "v1.2.3", Protocol: 1, Node: "herald", UptimeS: 93784.5, Draining: true,
		Media:  []string{"192.0.2.1:7900", "[2001:db8::1]:7900"},
		Limits: control.Limits{Rooms: 10, Peers: 100, PeersPerRoom: 50, Slots: 8, MessageBytes: 262144, Connections: 64},
		Load:   control.Load{Rooms: 2, Peers: 3, Speaking: 1, Overload: control.OverloadPacking},
	}, nil
}

var lounge = control.Room{
	Room: "lounge", OpenedAt: clock.Add(-192 * time.Second), Slots: 3, DefaultRendition: "live", MaxPeers: 50, Peers: 3,
	Speakers: 2, Heard: []control.Slot{{Slot: 0, Peer: "ann", AudioID: 7}, {Slot: 1}, {Slot: 2, Peer: "bob", AudioID: 8}},
}

var attic = control.Room{
	Room: "attic", OpenedAt: clock.Add(-50 * time.Hour), Slots: 1, DefaultRendition: "live", MaxPeers: 10,
	Heard: []control.Slot{{Slot: 0}},
}

func (f *fake) RoomList(context.Context) (*control.RoomList, error) {
	return &control.RoomList{Rooms: []control.Room{lounge, attic}}, nil
}

func (f *fake) RoomGet(_ context.Context, p *control.RoomParams) (*control.Room, error) {
	if p.Room != "lounge" {
		return nil, control.Errorf(control.ReasonRoomNotFound, "no room %s is open", p.Room)
	}
	return &lounge, nil
}

func peer(name, state string, maySpeak bool) control.Peer {
	return control.Peer{Room: "lounge", Peer: name, State: state, JoinedAt: clock.Add(-100 * time.Second), AudioID: uint32(name[0]),
		MaySpeak: maySpeak, Priority: name == "ann", Muted: name == "bob", Speaking: name == "ann", Rendition: "live"}
}

func (f *fake) PeerList(_ context.Context, p *control.RoomParams) (*control.PeerList, error) {
	return &control.PeerList{Peers: []control.Peer{
		peer("cid", control.StateConnecting, false), peer("ann", control.StateConnected, true), peer("bob", control.StateDisconnected, true),
	}}, nil
}

func (f *fake) PeerGet(_ context.Context, p *control.PeerParams) (*control.Peer, error) {
	if p.Peer != "ann" {
		return nil, control.Errorf(control.ReasonPeerNotFound, "no peer %s in room %s", p.Peer, p.Room)
	}
	a := peer("ann", control.StateConnected, true)
	a.Path = &control.Path{Remote: "198.51.100.4:50000", SRTPProfile: "AEAD_AES_128_GCM", LastSeenS: 0.2}
	a.Uplink = &control.Uplink{Packets: 5000, Bytes: 400_000, Lost: 3, Recovered: 2, Dropped: 12, JitterMs: 1.25, LevelDBov: -24}
	a.Downlink = &control.Downlink{Packets: 9000, Bytes: 1_250_000, Lost: 1, Lines: 3, LossPercent: 0.4, JitterMs: 2.75}
	return &a, nil
}

func (f *fake) Snapshot(context.Context, []string) (*control.Snapshot, string, error) {
	return &control.Snapshot{Rooms: []control.RoomSnapshot{{Room: lounge, Participants: []control.Peer{}}}}, f.log.Cursor(), nil
}

func (f *fake) Events() *control.Log { return f.log }

// serveFake serves an engine on a socket until the test ends or stop is called.
func serveFake(t *testing.T, f *fake, path string) (stop func()) {
	t.Helper()
	l, err := control.Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := control.NewServer(control.ServerConfig{Engine: f, MaxConnections: 8, MaxMessageBytes: 1 << 18,
		Log: slog.New(slog.DiscardHandler)})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func newFake() *fake { return &fake{log: control.NewLog("herald", 16)} }

func socket(t *testing.T) string { return filepath.Join(t.TempDir(), "control.sock") }

func (f *fake) RecordingStart(_ context.Context, p *control.RecordingStartParams) (*control.Recording, error) {
	if p.Recording == "take-1" {
		return nil, control.Errorf(control.ReasonRecordingConflict, "there is a recording take-1 already")
	}
	return &control.Recording{Recording: p.Recording, Room: p.Room, State: control.RecordingRunning, Tracks: *p.Tracks, Replay: *p.Replay,
		StartedAt: clock, Location: "file:///spool/" + p.Recording}, nil
}

func (f *fake) RecordingStop(_ context.Context, p *control.RecordingParams) (*control.Recording, error) {
	r, err := f.recording(p.Recording)
	if err == nil {
		r.State, r.StoppedAt = control.RecordingFinishing, &clock
	}
	return r, err
}

func (f *fake) RecordingList(_ context.Context, p *control.RecordingListParams) (*control.RecordingList, error) {
	if p.Room != "" && p.Room != "town-hall" {
		return &control.RecordingList{Recordings: []control.Recording{}}, nil
	}
	one, _ := f.recording("take-1")
	two, _ := f.recording("take-1")
	two.Recording, two.State, two.Reason, two.Stored = "take-0", control.RecordingFailed, "disk_full", true
	two.StartedAt = one.StartedAt.Add(-time.Hour)
	return &control.RecordingList{Recordings: []control.Recording{*one, *two}}, nil
}

func (f *fake) RecordingGet(_ context.Context, p *control.RecordingParams) (*control.Recording, error) {
	r, err := f.recording(p.Recording)
	if err == nil {
		r.People = []control.RecordedPerson{
			{Peer: "ann", File: "tracks/ann.ogg", SpokenS: 95.2, Lost: 3, DriftPPM: 12.34},
			{Peer: "bob", File: "tracks/bob.ogg", SpokenS: 7, DriftPPM: -0.5},
		}
	}
	return r, err
}

func (f *fake) RecordingDelete(_ context.Context, p *control.RecordingParams) (*control.Empty, error) {
	f.deleted = append(f.deleted, p.Recording)
	return &control.Empty{}, nil
}

// recording is the one that this fake knows.
func (f *fake) recording(name string) (*control.Recording, error) {
	if name != "take-1" {
		return nil, control.Errorf(control.ReasonRecordingNotFound, "there is no recording %s", name)
	}
	location := f.location
	if location == "" {
		location = "s3://replays/take-1?endpoint=127.0.0.1:9000"
	}
	return &control.Recording{Recording: name, Room: "town-hall", State: control.RecordingRunning, Tracks: true, Replay: true,
		StartedAt: clock.Add(-192 * time.Second), DurationS: 192.4, SafeS: 191.9, Bytes: 2_345_678, Dropped: 7, Location: location}, nil
}
