package sdp

import "strconv"

// Error says what is wrong with an offer, and where.
type Error struct {
	Unsupported bool   // well-formed SDP, but nothing here that can be served; false: the offer itself is wrong
	Line        int    // 1-based line of the offer; 0: the offer as a whole
	Msg         string // for people, on one line
}

// Error implements error: "line 12: a=fingerprint: …".
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Msg
	}
	return "line " + strconv.Itoa(e.Line) + ": " + e.Msg
}

func invalid(line int, msg string) *Error     { return &Error{Line: line, Msg: msg} }
func unsupported(line int, msg string) *Error { return &Error{Unsupported: true, Line: line, Msg: msg} }
