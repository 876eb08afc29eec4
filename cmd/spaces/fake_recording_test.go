package main

import (
	"context"
	"time"

	"stentor/engine/control"
)

func (f *fakeEngine) RecordingStart(_ context.Context, p *control.RecordingStartParams) (*control.Recording, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("record %s in %s", p.Recording, p.Room)
	switch {
	case f.unable != nil:
		return nil, f.unable
	case f.rooms[p.Room] == nil:
		return nil, control.Errorf(control.ReasonRoomNotFound, "no room %s", p.Room)
	case f.runs[p.Room] == p.Recording:
		return f.takes[p.Recording], nil
	case f.runs[p.Room] != "" || f.takes[p.Recording] != nil:
		return nil, control.Errorf(control.ReasonRecordingConflict, "%s was there", p.Recording)
	}
	rec := &control.Recording{
		Recording: p.Recording, Room: p.Room, State: control.RecordingRunning, StartedAt: time.Now(), Location: "file:///nowhere/" + p.Recording,
	}
	f.runs[p.Room], f.takes[p.Recording] = p.Recording, rec
	f.log.Append(control.Event{Type: control.EventRecordingStarted, Room: p.Room, Recording: p.Recording})
	return rec, nil
}

func (f *fakeEngine) RecordingStop(_ context.Context, p *control.RecordingParams) (*control.Recording, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("stop %s", p.Recording)
	f.endTake(p.Recording, control.RecordingByCall)
	if rec := f.takes[p.Recording]; rec != nil {
		return rec, nil
	}
	return nil, control.Errorf(control.ReasonRecordingNotFound, "no recording %s", p.Recording)
}

func (f *fakeEngine) RecordingList(context.Context, *control.RecordingListParams) (*control.RecordingList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := &control.RecordingList{Recordings: []control.Recording{}}
	for _, rec := range f.takes {
		list.Recordings = append(list.Recordings, *rec)
	}
	return list, nil
}

func (f *fakeEngine) RecordingDelete(_ context.Context, p *control.RecordingParams) (*control.Empty, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("delete %s", p.Recording)
	f.endTake(p.Recording, control.RecordingByCall)
	delete(f.takes, p.Recording)
	f.log.Append(control.Event{Type: control.EventRecordingDeleted, Recording: p.Recording})
	return &control.Empty{}, nil
}

// endTake ends a recording that runs, and has it whole at once. Under mu.
func (f *fakeEngine) endTake(recording, reason string) {
	rec := f.takes[recording]
	if rec == nil || rec.State != control.RecordingRunning {
		return
	}
	delete(f.runs, rec.Room)
	ended := *rec // Answers that are under way keep the old one.
	ended.State, ended.Reason, ended.DurationS = control.RecordingReady, reason, 61.5
	f.takes[recording] = &ended
	f.log.Append(control.Event{Type: control.EventRecordingStopped, Room: rec.Room, Recording: recording, Reason: reason, DurationS: 61.5})
	f.log.Append(control.Event{Type: control.EventRecordingReady, Room: rec.Room, Recording: recording, Reason: reason, DurationS: 61.5, Location: rec.Location})
}
