package control

import "context"

// Engine is what a Server drives. Every method is idempotent and safe for concurrent use. Errors are *Error;
// any other error reaches the caller as reason "internal". Parameters arrive decoded strictly and with their
// required fields present (see Validate); the engine checks them against its state and limits.
type Engine interface {
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

	RecordingStart(context.Context, *RecordingStartParams) (*Recording, error)
	RecordingStop(context.Context, *RecordingParams) (*Recording, error)
	RecordingList(context.Context, *RecordingListParams) (*RecordingList, error)
	RecordingGet(context.Context, *RecordingParams) (*Recording, error)
	RecordingDelete(context.Context, *RecordingParams) (*Empty, error)

	// Snapshot returns the state and the cursor at which it is true.
	Snapshot(ctx context.Context, rooms []string) (*Snapshot, string, error)
	// Events is the log that events.subscribe follows.
	Events() *Log
}
