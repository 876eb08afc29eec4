package control

import (
	"encoding/json"
	"errors"

	"github.com/creachadair/jrpc2"
)

// codes gives each reason its JSON-RPC code. The first five are the specification's (§5.1), the rest lie in its range for
// servers, -32000 … -32099, of which jrpc2 keeps -32096 and below for itself.
var codes = map[Reason]jrpc2.Code{
	ReasonParseError:     jrpc2.ParseError,
	ReasonInvalidRequest: jrpc2.InvalidRequest,
	ReasonUnknownMethod:  jrpc2.MethodNotFound,
	ReasonInvalidParams:  jrpc2.InvalidParams,
	ReasonInternal:       jrpc2.InternalError,
	ReasonMessageTooLong: -32000,
	ReasonBusy:           -32001,
	ReasonDraining:       -32002,
	ReasonRoomNotFound:   -32010,
	ReasonRoomConflict:   -32011,
	ReasonRoomFull:       -32012,
	ReasonPeerNotFound:   -32020,
	ReasonPeerConflict:   -32021,
	ReasonSDPInvalid:     -32030,
	ReasonSDPUnsupported: -32031,
	ReasonCursorExpired:  -32040,

	ReasonRecordingNotFound:    -32050,
	ReasonRecordingConflict:    -32051,
	ReasonRecordingUnavailable: -32052,
}

// hints are given with errors that bring none of their own, so that every error says what to do.
var hints = map[Reason]string{
	ReasonParseError:           "send one JSON object a line, in UTF-8",
	ReasonInvalidRequest:       `send {"jsonrpc":"2.0","id":1,"method":"…","params":{…}}`,
	ReasonUnknownMethod:        "see the list of methods in docs/control-protocol.md",
	ReasonInvalidParams:        "see the method's parameters in docs/control-protocol.md",
	ReasonInternal:             "the daemon's log says more; repeating the call is safe",
	ReasonMessageTooLong:       "connect again; engine.info tells the limit as limits.message_bytes",
	ReasonBusy:                 "try later or on another node",
	ReasonDraining:             "use another node",
	ReasonRoomNotFound:         "open the room first with room.open",
	ReasonRoomConflict:         "repeat with the same parameters, or close the room first with room.close",
	ReasonRoomFull:             "wait until a peer leaves; max_peers is fixed when the room is opened",
	ReasonPeerNotFound:         "the peer has left or never joined; join with peer.join",
	ReasonPeerConflict:         "peer.leave first, or peer.restart for new ICE credentials",
	ReasonSDPInvalid:           "send the browser's offer as it came, with its line ends",
	ReasonSDPUnsupported:       "offer at least one audio line with Opus, BUNDLE and rtcp-mux",
	ReasonRecordingNotFound:    "recording.list tells which there are",
	ReasonRecordingConflict:    "recording names are never used twice; recording.stop ends the one that runs",
	ReasonRecordingUnavailable: "set spool in the daemon's configuration to a directory with room",
	ReasonCursorExpired:        "subscribe with snapshot true, and replace what you know by the snapshot",
}

// ReasonOf returns the reason of a failed call. It is empty for nil and for errors that did not come from the daemon,
// such as a connection that broke.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// errorData is the data member of an error response.
type errorData struct {
	Reason Reason `json:"reason"`
	Field  string `json:"field,omitempty"`
	Hint   string `json:"hint,omitempty"`
}

// wireError is an Error in JSON-RPC's form.
func wireError(e *Error) *jrpc2.Error {
	code, ok := codes[e.Reason]
	if !ok {
		code = jrpc2.InternalError
	}
	hint := e.Hint
	if hint == "" {
		hint = hints[e.Reason]
	}
	message := e.Message
	if message == "" {
		message = string(e.Reason)
	}
	data, _ := json.Marshal(errorData{e.Reason, e.Field, hint}) // strings cannot fail
	return &jrpc2.Error{Code: code, Message: message, Data: data}
}

// fromWire is the way back. An error of a foreign server, without our data, gets the reason of its code.
func fromWire(w *jrpc2.Error) *Error {
	var d errorData
	if json.Unmarshal(w.Data, &d) == nil && d.Reason != "" {
		return &Error{Reason: d.Reason, Message: w.Message, Field: d.Field, Hint: d.Hint}
	}
	for reason, code := range codes {
		if code == w.Code {
			return &Error{Reason: reason, Message: w.Message}
		}
	}
	return &Error{Reason: ReasonInternal, Message: w.Message}
}
