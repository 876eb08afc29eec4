//go:build linux

package fanout

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stentor/engine/control"
)

// What becomes of the room's recording in a run.
const (
	RecordOff     = "off"     // there is none; no load says so by an empty name
	RecordOn      = "on"      // the room is recorded: tracks, mix and replay
	RecordStalled = "stalled" // and the recording's disk stands still for the first stallTime of each window
)

// Records are what a load may say.
var Records = []string{RecordOff, RecordOn, RecordStalled}

const (
	// recordingName is that of the one recording of a run.
	recordingName = "bench"
	// stallTime is how long the disk stands still: much longer than the kernel's dirty pages or one late fsync would hide.
	stallTime = 10 * time.Second
	// finishTimeout is for a recording that has been stopped to be ready: a second's work for each minute, if that.
	finishTimeout = time.Minute
)

func (l Load) recorded() bool { return l.Record == RecordOn || l.Record == RecordStalled }

// A recordable is a server that can record its room. Its methods are called one after the other.
type recordable interface {
	// StartRecording records the room from now on.
	StartRecording(ctx context.Context) error
	// FinishRecording ends the recording and waits until it is ready. files are valid until Stop.
	FinishRecording(ctx context.Context) (rec *control.Recording, files fs.FS, err error)
	// Stall has the recording's disk stand still until thaw is called. Only for a load that says so.
	Stall() (thaw func() error, err error)
}

func (s *stentord) StartRecording(ctx context.Context) error {
	_, err := s.control.RecordingStart(ctx, &control.RecordingStartParams{Room: room, Recording: recordingName})
	if err != nil {
		return fmt.Errorf("record the room: %w", err)
	}
	return nil
}

func (s *stentord) FinishRecording(ctx context.Context) (*control.Recording, fs.FS, error) {
	ctx, cancel := context.WithTimeout(ctx, finishTimeout)
	defer cancel()
	which := &control.RecordingParams{Recording: recordingName}
	rec, err := s.control.RecordingStop(ctx, which)
	for err == nil && rec.State != control.RecordingReady && rec.State != control.RecordingFailed {
		if err = sleep(ctx, 20*time.Millisecond); err == nil {
			rec, err = s.control.RecordingGet(ctx, which)
		}
	}
	if err == nil { // with its people
		rec, err = s.control.RecordingGet(ctx, which)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("finish the recording: %w", err)
	}
	return rec, os.DirFS(filepath.Join(s.spool, recordingName)), nil
}

func (s *stentord) Stall() (thaw func() error, err error) { return freeze(s.spool) }

// record begins the recording, if the load says so. Nobody has talked yet.
func (r *run) record(ctx context.Context) error {
	if !r.load.recorded() {
		return nil
	}
	return r.server.(recordable).StartRecording(ctx)
}

// stall has the disk stand still, if the load says so, until a while has passed or thaw is called.
func (r *run) stall() (thaw func() error, err error) {
	if r.load.Record != RecordStalled {
		return func() error { return nil }, nil
	}
	end, err := r.server.(recordable).Stall()
	if err != nil {
		return nil, err
	}
	early, done := make(chan struct{}), make(chan error, 1)
	go func() {
		timer := time.NewTimer(r.cfg.scaled(stallTime))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-early:
		}
		done <- end()
	}()
	return func() error { close(early); return <-done }, nil
}

// recorded ends the recording and tells what has become of it. One that is broken fails the run: what it cost says nothing.
func (r *run) recorded(ctx context.Context) error {
	if !r.load.recorded() {
		return nil
	}
	r.cfg.progress("finish the recording", 0, 1)
	rec, files, err := r.server.(recordable).FinishRecording(ctx)
	if err != nil {
		return err
	}
	if rec.State != control.RecordingReady {
		return fmt.Errorf("the recording is %s: %s", rec.State, rec.Reason)
	}
	r.f.RecordingSeconds, r.f.RecordingBytes, r.f.RecordingDropped = rec.DurationS, float64(rec.Bytes), float64(rec.Dropped)
	if err := r.complete(rec); err != nil {
		return err
	}
	if r.cfg.VerifyRecording != nil {
		if err := r.cfg.VerifyRecording(files); err != nil {
			return fmt.Errorf("the recording is not what it says it is: %w", err)
		}
	}
	r.cfg.progress("finish the recording", 1, 1)
	return nil
}

// complete holds the recording against what was said: each talker has a track, and it has every packet but one that may lie on the border.
func (r *run) complete(rec *control.Recording) error {
	if len(rec.People) != r.load.Talking {
		return fmt.Errorf("%d people are in the recording, and %d have talked", len(rec.People), r.load.Talking)
	}
	for _, p := range rec.People {
		r.f.RecordingSpokenS += p.SpokenS
		r.f.RecordingLost += float64(p.Lost)
	}
	said := float64(r.talk.sent()) * frameTime.Seconds()
	missing := said - r.f.RecordingSpokenS - (r.f.RecordingDropped+r.f.RecordingLost)*frameTime.Seconds()
	if missing > (float64(r.load.Talking)+0.5)*frameTime.Seconds() || missing < -0.001 {
		return fmt.Errorf("%.2f s are in the tracks, and %.2f s were said", r.f.RecordingSpokenS, said)
	}
	return nil
}
