package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"stentor/engine/control"
)

// conflictsMax is how many names are tried for one recording; used ones are left behind by a daemon that was restarted.
const conflictsMax = 5

// errNotTaken tells the host that his Space is not recorded although he chose it.
const errNotTaken = "This Space cannot be recorded right now. "

// taking is which recording of a Space should run, and which does. Part of the Space, under the same lock.
type taking struct {
	wanted  string // by the host; empty: none
	running string // as the engine told last; empty: none. What everybody is told
	others  string // one that somebody else started on the daemon: told to everybody, and stopped only by the host
	named   int    // names given so far
	refused int    // names in a row that the engine did not take
}

// Record switches the recording of the Space on or off.
func (s *Space) Record(by string, on bool) error {
	m := s.members[by]
	switch {
	case m == nil:
		return errNoMember
	case m.Role != RoleHost:
		return errNotHost
	case !on:
		s.take.wanted, s.take.others = "", ""
	case s.take.wanted == "" && s.take.running == "":
		s.nameTake()
	}
	return nil
}

// nameTake wants a recording under a name that was never used.
func (s *Space) nameTake() {
	s.take.named++
	s.take.wanted = fmt.Sprintf("%s-%d", s.ID, s.take.named)
}

// ownTake tells whether this app gave a recording its name.
func (s *Space) ownTake(recording string) bool { return strings.HasPrefix(recording, s.ID+"-") }

// runs takes over what the engine says is running.
func (s *Space) runs(recording string) {
	s.take.running = recording
	if recording != "" && !s.ownTake(recording) {
		s.take.others = recording
	}
}

// takeJob compares the recording that runs with the one that should.
func (s *Space) takeJob() job {
	switch t := &s.take; {
	case t.running == t.wanted, t.running != "" && t.running == t.others:
		return job{}
	case t.running != "":
		return job{kind: jobRecordStop, recording: t.running}
	default:
		return job{kind: jobRecordStart, recording: t.wanted}
	}
}

// recordStart is how this app has a room recorded: everybody's track, and the replay.
func recordStart(room, recording string) *control.RecordingStartParams {
	return &control.RecordingStartParams{Room: room, Recording: recording}
}

// startTake has the room recorded.
func (l *live) startTake(ctx context.Context, recording string) {
	rec, err := l.app.ctl.RecordingStart(ctx, recordStart(l.id, recording))
	if err == nil {
		l.began(rec)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &l.space.take
	switch reasonOf(err) {
	case "":
		l.log.Warn("recording does not start", "recording", recording, "error", err)
		l.pauseLocked()
		return
	case control.ReasonRoomNotFound:
		l.opened = false
		return
	case control.ReasonRecordingConflict:
		if t.refused++; t.refused < conflictsMax && t.wanted == recording {
			l.space.nameTake()
			return
		}
	}
	t.refused = 0
	if t.wanted == recording {
		t.wanted = ""
		l.tellHost(errNotTaken + explainTake(err))
	}
	l.changed()
}

// began takes over that a recording runs.
func (l *live) began(rec *control.Recording) {
	l.mu.Lock()
	l.space.take.refused = 0
	l.space.runs(rec.Recording)
	e := l.space.replay(rec)
	l.changed()
	l.mu.Unlock()
	l.app.archive.add(e)
}

// stopTake ends a recording.
func (l *live) stopTake(ctx context.Context, recording string) {
	_, err := l.app.ctl.RecordingStop(ctx, &control.RecordingParams{Recording: recording})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && reasonOf(err) != control.ReasonRecordingNotFound {
		l.log.Warn("recording does not stop", "recording", recording, "error", err)
		l.pauseLocked()
		return
	}
	if l.space.take.running == recording {
		l.space.take.running = ""
	}
	l.changed()
}

// takeEvent is what the engine tells of a recording of this Space. An answer may overtake its event, so that only those
// count that tell of the recording that is known to run, or of one that this app has not named. Under mu.
func (l *live) takeEvent(ev *control.Event) {
	t := &l.space.take
	switch {
	case ev.Type == control.EventRecordingStarted && !l.space.ownTake(ev.Recording):
		l.space.runs(ev.Recording)
	case ev.Type == control.EventRecordingStopped && t.running == ev.Recording:
		t.running = ""
		if t.wanted == ev.Recording && ev.Reason != control.RecordingShutdown && ev.Reason != control.RecordingRoomClosed {
			t.wanted = ""
			l.tellHost("The recording has stopped. " + whyStopped(ev.Reason))
		}
	default:
		return
	}
	l.changed()
	poke(l.work)
}

// tellHost says something to the host's page alone. Under mu.
func (l *live) tellHost(words string) {
	if h := l.space.host(); h != nil && l.pages[h.ID] != nil {
		l.pages[h.ID].send(note{Type: "error", For: "record", Reason: "recording", Message: words})
	}
}

// explainTake says to a person why nothing is recorded.
func explainTake(err error) string {
	switch reasonOf(err) {
	case control.ReasonRecordingUnavailable:
		return "The audio server has no place for recordings."
	case "":
		return "The audio server cannot be reached."
	}
	var e *control.Error
	errors.As(err, &e)
	return "The audio server says: " + e.Message + "."
}

// whyStopped says why a recording ended without the host.
func whyStopped(reason string) string {
	switch reason {
	case control.RecordingDiskFull:
		return "The server's disk is full. What was said before is kept."
	case control.RecordingDiskError:
		return "The server's disk does not work. What was said before is kept."
	}
	return ""
}
