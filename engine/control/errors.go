package control

import "fmt"

// Reason says in one word why a call failed. The list is closed: a new reason is a change of the protocol.
type Reason string

// Reasons. docs/control-protocol.md says when each is given and what to do.
const (
	ReasonParseError           Reason = "parse_error"      // not JSON
	ReasonInvalidRequest       Reason = "invalid_request"  // JSON, but no JSON-RPC 2.0 request
	ReasonUnknownMethod        Reason = "unknown_method"   //
	ReasonInvalidParams        Reason = "invalid_params"   // Field names what is wrong
	ReasonMessageTooLong       Reason = "message_too_long" // the connection is closed after it
	ReasonRoomNotFound         Reason = "room_not_found"
	ReasonRoomConflict         Reason = "room_conflict" // open, with other parameters
	ReasonPeerNotFound         Reason = "peer_not_found"
	ReasonPeerConflict         Reason = "peer_conflict" // joined, with other parameters
	ReasonRoomFull             Reason = "room_full"     // the room's max_peers
	ReasonBusy                 Reason = "busy"          // the daemon's limits; try another node or later
	ReasonDraining             Reason = "draining"
	ReasonSDPInvalid           Reason = "sdp_invalid"     // not SDP, or contradicts itself; the message names the line
	ReasonSDPUnsupported       Reason = "sdp_unsupported" // SDP, but nothing here that can be served
	ReasonCursorExpired        Reason = "cursor_expired"  // take a snapshot
	ReasonRecordingNotFound    Reason = "recording_not_found"
	ReasonRecordingConflict    Reason = "recording_conflict"    // the name is taken, or the room is being recorded
	ReasonRecordingUnavailable Reason = "recording_unavailable" // this daemon does not record, or its disk is full
	ReasonInternal             Reason = "internal"              // a fault of the daemon; its log has more
)

// Error is a failed call: what a client gets back, and what the engine returns to the server.
type Error struct {
	Reason  Reason // one of the closed list
	Message string // for people
	Field   string // the parameter that is wrong, where one is
	Hint    string // what to do, where that helps
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Errorf makes an Error without field and hint.
func Errorf(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Message: fmt.Sprintf(format, args...)}
}

// WithField names the parameter that is wrong.
func (e *Error) WithField(f string) *Error { e.Field = f; return e }

// WithHint says what to do.
func (e *Error) WithHint(h string) *Error { e.Hint = h; return e }
