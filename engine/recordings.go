package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"stentor/engine/control"
	"stentor/forward"
	"stentor/recorder"
	"stentor/recorder/align"
	"stentor/recorder/manifest"
	"stentor/recorder/store"
)

// tap gives a room's packets to its desk. Its method is called by the Reader alone.
type tap struct {
	desk   *recorder.Desk
	packet align.Packet
}

// Hear implements forward.Tap.
func (t *tap) Hear(h *forward.Heard) {
	t.packet = align.Packet{
		Source: h.AudioID, Seq: h.Seq, TS: h.TS, At: h.At, Payload: h.Payload, Samples: h.Samples, Level: h.Level & 0x7f,
		Slot: h.Slot, Restart: h.Restart,
	}
	t.desk.Hear(&t.packet)
}

// told is what the recorder has told, until the engine's loop comes to it: the recorder must not wait.
type told struct {
	mu    sync.Mutex
	list  []recorder.Event
	ready chan struct{} // capacity 1
}

func (t *told) tell(ev recorder.Event) {
	t.mu.Lock()
	t.list = append(t.list, ev)
	t.mu.Unlock()
	select {
	case t.ready <- struct{}{}:
	default:
	}
}

func (t *told) take() []recorder.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.list
	t.list = nil
	return list
}

// openRecorder goes on with the recordings of an earlier run. Without it the daemon serves rooms and records none: people
// who talk are worth more than a disk that is not there.
func (e *Engine) openRecorder() {
	c := &e.config
	if c.Spool == "" {
		e.recorderErr = errors.New("no spool is set")
		return
	}
	rc := recorder.Config{
		Spool: c.Spool, Node: c.Node, RecoveryPoint: c.RecoveryPoint, Segment: c.Segment, Bitrate: c.MixBitrate,
		FreeMin: uint64(c.SpoolFreeMB) << 20, Retention: c.Retention, Log: e.log, Tell: e.told.tell,
	}
	if c.Store != "" {
		if rc.Store, e.recorderErr = store.Open(c.Store, store.Options{}); e.recorderErr != nil {
			e.log.Error("the store cannot be opened; this daemon does not record", "error", e.recorderErr)
			return
		}
		e.store = rc.Store
	}
	if e.recorder, e.recorderErr = recorder.New(rc); e.recorderErr != nil {
		e.log.Error("this daemon does not record", "error", e.recorderErr)
	}
}

// closeRecorder ends recordings and tells what comes of it.
func (e *Engine) closeRecorder() {
	if e.recorder != nil {
		if err := e.recorder.Close(); err != nil {
			e.log.Error("close the recorder", "error", err)
		}
	}
	if e.store != nil {
		_ = e.store.Close()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tellRecordings()
}

func (e *Engine) errNoRecorder() error {
	return control.Errorf(control.ReasonRecordingUnavailable, "this daemon does not record: %v", e.recorderErr)
}

func errNoRecording(name string) error {
	return control.Errorf(control.ReasonRecordingNotFound, "there is no recording %q", name)
}

// RecordingStart starts to record a room, or returns the recording that runs under this name.
func (e *Engine) RecordingStart(_ context.Context, p *control.RecordingStartParams) (*control.Recording, error) {
	if e.recorder == nil {
		return nil, e.errNoRecorder()
	}
	tracks, replay := p.Tracks == nil || *p.Tracks, p.Replay == nil || *p.Replay
	r, start, mine, err := e.claimRecording(p, tracks, replay)
	if err != nil {
		return nil, err
	}
	if mine {
		e.record(r, start, p.Recording, tracks, replay)
	}
	<-start.done
	if start.err != nil {
		return nil, start.err
	}
	return e.tellRecording(p.Recording)
}

// start is the beginning of a recording, for which others may wait.
type start struct {
	done chan struct{}
	err  error // Immutable once done.
}

// claimRecording has a room recorded under a name from now on; mine: the caller must start it.
func (e *Engine) claimRecording(p *control.RecordingStartParams, tracks, replay bool) (r *room, s *start, mine bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r = e.rooms[p.Room]; r == nil {
		return nil, nil, false, errNoRoom(p.Room)
	}
	if r.recording == p.Recording && r.tracks == tracks && r.replay == replay {
		return r, r.start, false, nil
	}
	if r.recording != "" {
		return nil, nil, false, control.Errorf(control.ReasonRecordingConflict, "room %q is being recorded as %q", r.id, r.recording)
	}
	return r, e.claim(r, p.Recording, tracks, replay), true, nil
}

// claim marks a room as recorded. e.mu is held; whoever has claimed must call record.
func (e *Engine) claim(r *room, name string, tracks, replay bool) *start {
	r.recording, r.tracks, r.replay, r.start = name, tracks, replay, &start{done: make(chan struct{})}
	e.needDesk(r)
	return r.start
}

// record starts a recording that has been claimed.
func (e *Engine) record(r *room, s *start, name string, tracks, replay bool) {
	e.mu.Lock()
	desk, notes := r.desk, r.notes()
	e.mu.Unlock()
	err := errors.New("the room was closed")
	if desk != nil {
		err = e.recorder.Start(desk, recorder.Start{Recording: name, Room: r.id, Tracks: tracks, Replay: replay, Notes: notes})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	defer close(s.done)
	switch {
	case err == nil && r.recording != name: // stopped meanwhile, or the room was closed
		_ = e.recorder.Stop(name, control.RecordingByCall)
	case errors.Is(err, recorder.ErrConflict):
		s.err = control.Errorf(control.ReasonRecordingConflict, "the recording %q has been made already", name)
	case err != nil:
		e.log.Error("a recording cannot begin", "room", r.id, "recording", name, "error", err)
		s.err = control.Errorf(control.ReasonRecordingUnavailable, "the recording cannot begin: %v", err)
	}
	if s.err != nil && r.start == s {
		e.recordingEnded(r)
	}
}

// recordWithRoom starts the recording that room.open asks for. e.mu is not held.
func (e *Engine) recordWithRoom(r *room) error {
	if e.recorder == nil {
		return e.errNoRecorder()
	}
	name := r.id + "." + r.openedAt.Format("20060102T150405Z")
	e.mu.Lock()
	if r.recording != "" || e.rooms[r.id] != r { // somebody was faster
		e.mu.Unlock()
		return nil
	}
	s := e.claim(r, name, true, true)
	e.mu.Unlock()
	e.record(r, s, name, true, true)
	return s.err
}

// RecordingStop ends a recording.
func (e *Engine) RecordingStop(_ context.Context, p *control.RecordingParams) (*control.Recording, error) {
	if e.recorder == nil {
		return nil, e.errNoRecorder()
	}
	e.mu.Lock()
	e.stopRecording(p.Recording, control.RecordingByCall)
	e.mu.Unlock()
	return e.tellRecording(p.Recording)
}

// stopRecording ends a recording, and its room's if it runs. e.mu is held.
func (e *Engine) stopRecording(name, reason string) {
	_ = e.recorder.Stop(name, reason) // an error: there is none
	for _, r := range e.rooms {
		if r.recording == name {
			e.recordingEnded(r)
		}
	}
}

// recordingEnded lets a room be recorded again. e.mu is held.
func (e *Engine) recordingEnded(r *room) {
	r.recording, r.start = "", nil
	e.dropDesk(r)
}

// RecordingList lists recordings by the time they began.
func (e *Engine) RecordingList(_ context.Context, p *control.RecordingListParams) (*control.RecordingList, error) {
	if e.recorder == nil {
		return nil, e.errNoRecorder()
	}
	list := &control.RecordingList{Recordings: []control.Recording{}}
	for _, s := range e.recorder.List(p.Room) {
		list.Recordings = append(list.Recordings, recordingOf(&s))
	}
	return list, nil
}

// RecordingGet returns one recording with its people.
func (e *Engine) RecordingGet(_ context.Context, p *control.RecordingParams) (*control.Recording, error) {
	if e.recorder == nil {
		return nil, e.errNoRecorder()
	}
	s, err := e.recorder.Get(p.Recording)
	if err != nil {
		return nil, errNoRecording(p.Recording)
	}
	rec := recordingOf(&s)
	for _, t := range s.Manifest.Tracks {
		rec.People = append(rec.People, control.RecordedPerson{
			Peer: t.Person, File: t.Path, SpokenS: t.Spoken.Seconds(), Lost: uint64(t.Lost), DriftPPM: t.DriftPPM,
		})
	}
	return &rec, nil
}

// RecordingDelete removes a recording, running or not.
func (e *Engine) RecordingDelete(_ context.Context, p *control.RecordingParams) (*control.Empty, error) {
	if e.recorder == nil {
		return nil, e.errNoRecorder()
	}
	e.mu.Lock()
	for _, r := range e.rooms {
		if r.recording == p.Recording {
			_ = e.recorder.Stop(p.Recording, control.RecordingByCall)
			e.recordingEnded(r)
		}
	}
	e.mu.Unlock()
	if err := e.recorder.Delete(p.Recording); err != nil {
		return nil, fmt.Errorf("delete recording %s: %w", p.Recording, err)
	}
	return &control.Empty{}, nil
}

func (e *Engine) tellRecording(name string) (*control.Recording, error) {
	s, err := e.recorder.Get(name)
	if err != nil {
		return nil, errNoRecording(name)
	}
	rec := recordingOf(&s)
	return &rec, nil
}

// recordingOf is a recording in the protocol's words.
func recordingOf(s *recorder.Status) control.Recording {
	m := &s.Manifest
	rec := control.Recording{
		Recording: m.Recording, Room: m.Room, State: stateOf(m), Reason: m.Reason, Tracks: m.TracksWanted, Replay: m.ReplayWanted,
		StartedAt: m.StartedAt, DurationS: m.Duration.Seconds(), SafeS: m.Safe.Seconds(), Bytes: s.Bytes, Dropped: s.Dropped,
		Stored: s.Stored, Location: s.Location,
	}
	if !m.StoppedAt.IsZero() {
		rec.StoppedAt = &m.StoppedAt
	}
	return rec
}

// stateOf differs from the manifest in that a recording is ready only when it is where it belongs.
func stateOf(m *manifest.Manifest) string {
	switch {
	case m.State == manifest.Recording:
		return control.RecordingRunning
	case !m.ReadyTold:
		return control.RecordingFinishing
	case m.State == manifest.Failed:
		return control.RecordingFailed
	}
	return control.RecordingReady
}

// recordingEvents are the types in the protocol's words.
var recordingEvents = map[recorder.EventType]string{
	recorder.Started: control.EventRecordingStarted, recorder.Gap: control.EventRecordingGap,
	recorder.Stopped: control.EventRecordingStopped, recorder.Ready: control.EventRecordingReady,
	recorder.Failed: control.EventRecordingFailed, recorder.Deleted: control.EventRecordingDeleted,
}

// tellRecordings appends an event for each thing that the recorder has told. e.mu is held.
func (e *Engine) tellRecordings() {
	for _, ev := range e.told.take() {
		if r := e.rooms[ev.Room]; ev.Type == recorder.Stopped && r != nil && r.recording == ev.Recording {
			e.recordingEnded(r) // by its disk
		}
		e.events.Append(control.Event{
			Type: recordingEvents[ev.Type], Room: ev.Room, Recording: ev.Recording, Reason: ev.Reason, DurationS: ev.Duration,
			Location: ev.Location, Dropped: ev.Dropped,
		})
	}
}

// needDesk gives a room a desk. e.mu is held.
func (e *Engine) needDesk(r *room) {
	if r.desk != nil {
		return
	}
	r.desk = recorder.NewDesk(recorder.DeskConfig{Position: r.fwd.Position, Mixed: r.fwd.Mixed, Bitrate: e.config.MixBitrate})
	for _, p := range r.peers {
		if p.joined && p.maySpeak {
			r.desk.Join(p.audioID, p.id)
		}
	}
	r.fwd.Tap(&tap{desk: r.desk})
}

// dropDesk takes a room's desk away if nothing needs it any more. e.mu is held.
func (e *Engine) dropDesk(r *room) {
	if r.desk == nil || r.recording != "" || r.mixing > 0 {
		return
	}
	desk := r.desk
	r.desk = nil
	r.fwd.Tap(nil)
	e.teardown.Go(desk.Close)
}

// notes are what a timeline begins with: who may speak now.
func (r *room) notes() []manifest.Line {
	var lines []manifest.Line
	for _, p := range r.sortedPeers() {
		if !p.joined || !p.maySpeak {
			continue
		}
		lines = append(lines, manifest.Line{Type: manifest.Joined, Person: p.id, AudioID: p.audioID})
		if p.muted {
			lines = append(lines, manifest.Line{Type: manifest.Muted, Person: p.id})
		}
		if p.speaking {
			lines = append(lines, manifest.Line{Type: manifest.Speaking, Person: p.id})
		}
	}
	return append(lines, r.heardNote())
}

func (r *room) heardNote() manifest.Line {
	l := manifest.Line{Type: manifest.Heard}
	for _, s := range r.heard() {
		l.Slots = append(l.Slots, s.Peer)
	}
	return l
}

// tell appends an event, and notes it in the room's timeline if it concerns those who may speak. Who only listens is in no
// recording: there may be hundreds of thousands, and it is nobody's business afterwards. e.mu is held.
func (e *Engine) tell(ev control.Event) {
	e.events.Append(ev)
	r := e.rooms[ev.Room]
	if r == nil || r.desk == nil {
		return
	}
	p := r.peers[ev.Peer]
	switch ev.Type {
	case control.EventSlotsChanged:
		r.desk.Note(r.heardNote())
	case control.EventPeerSpeaking:
		r.desk.Note(manifest.Line{Type: pick(*ev.Speaking, manifest.Speaking, manifest.Quiet), Person: ev.Peer})
	case control.EventPeerJoined:
		if p.maySpeak {
			r.enter(p)
		}
	}
}

// enter tells a room's desk of somebody who may speak from now on.
func (r *room) enter(p *peer) {
	r.desk.Join(p.audioID, p.id)
	r.desk.Note(manifest.Line{Type: manifest.Joined, Person: p.id, AudioID: p.audioID})
	if p.muted {
		r.desk.Note(manifest.Line{Type: manifest.Muted, Person: p.id})
	}
}

// exit tells it of somebody who may speak no longer.
func (r *room) exit(p *peer, why string) {
	r.desk.Leave(p.audioID)
	r.desk.Note(manifest.Line{Type: manifest.Left, Person: p.id, Why: why})
}

// noteUpdate tells a room's desk what peer.update has changed. e.mu is held.
func (r *room) noteUpdate(p *peer, maySpoke, wasMuted bool) {
	switch {
	case r.desk == nil:
	case p.maySpeak && !maySpoke:
		r.enter(p)
	case !p.maySpeak && maySpoke:
		r.exit(p, "listener")
	case p.maySpeak && p.muted != wasMuted:
		r.desk.Note(manifest.Line{Type: pick(p.muted, manifest.Muted, manifest.Unmuted), Person: p.id})
	}
}

func pick[T any](which bool, yes, no T) T {
	if which {
		return yes
	}
	return no
}

// follow has a peer sent the rendition that it is to have. e.mu is held.
func (e *Engine) follow(p *peer) {
	rend := p.rendition()
	p.fwd.Follow(rend)
	e.countMix(p, rend == forward.Mix)
}

// countMix makes a room's mix while somebody follows it. e.mu is held.
func (e *Engine) countMix(p *peer, on bool) {
	r := p.room
	if on == p.mixing {
		return
	}
	p.mixing = on
	r.mixing += pick(on, 1, -1)
	switch {
	case on && r.mixing == 1:
		e.needDesk(r)
		r.desk.Follow(true)
	case !on && r.mixing == 0:
		r.desk.Follow(false)
		e.dropDesk(r)
	}
}
