package engine

import (
	"context"

	"stentor/engine/control"
)

func errNoRecorder() error {
	return control.Errorf(control.ReasonRecordingUnavailable, "this daemon does not record")
}

// RecordingStart starts to record a room, or returns the recording that runs under this name.
func (e *Engine) RecordingStart(_ context.Context, p *control.RecordingStartParams) (*control.Recording, error) {
	return nil, errNoRecorder()
}

// RecordingStop ends a recording.
func (e *Engine) RecordingStop(_ context.Context, p *control.RecordingParams) (*control.Recording, error) {
	return nil, errNoRecorder()
}

// RecordingList lists recordings by the time they began.
func (e *Engine) RecordingList(_ context.Context, p *control.RecordingListParams) (*control.RecordingList, error) {
	return nil, errNoRecorder()
}

// RecordingGet returns one recording.
func (e *Engine) RecordingGet(_ context.Context, p *control.RecordingParams) (*control.Recording, error) {
	return nil, errNoRecorder()
}

// RecordingDelete removes a recording.
func (e *Engine) RecordingDelete(_ context.Context, p *control.RecordingParams) (*control.Empty, error) {
	return nil, errNoRecorder()
}
