package main

import (
	"bytes"
	"fmt"
)

// sdpBytesMax bounds an offer, which has some 10 KB. It goes to the engine in one control message of at most 256 KiB, in
// which JSON may write one byte as six: 6 × 32 KiB fit.
const sdpBytesMax = 32 << 10

// request is anything a page may say. Which fields belong to which type is checked by check.
type request struct {
	Type    string `json:"type"`
	Name    string `json:"name,omitempty"`    // hello
	Session string `json:"session,omitempty"` // hello: resumes a member
	Host    string `json:"host,omitempty"`    // hello: the host token
	SDP     string `json:"sdp,omitempty"`     // offer
	Restart bool   `json:"restart,omitempty"` // offer: an ICE restart
	N       int    `json:"n,omitempty"`       // offer: comes back with the answer
	Member  string `json:"member,omitempty"`  // admit, decline, mute, demote, remove
	On      *bool  `json:"on,omitempty"`      // ask, mic, record
}

// hello is how a page enters.
type hello struct{ session, host, name string }

// welcome answers hello.
type welcome struct {
	Type    string `json:"type"` // "welcome"
	You     string `json:"you"`  // the member's id
	Session string `json:"session"`
	Role    Role   `json:"role"`
	Title   string `json:"title"`
	Slots   int    `json:"slots"`   // how many lines to receive on
	Resumed bool   `json:"resumed"` // the member was there before
	Joined  bool   `json:"joined"`  // the engine still has his peer: a running connection may go on
}

// answer is the engine's SDP answer.
type answer struct {
	Type    string `json:"type"` // "answer"
	N       int    `json:"n"`
	SDP     string `json:"sdp"`
	AudioID uint32 `json:"audio_id,omitempty"`
}

// note is everything else that is said to one page: rejoin, refused, error, removed, replaced, ended, left.
type note struct {
	Type    string `json:"type"`
	For     string `json:"for,omitempty"` // error: the type of the request
	N       int    `json:"n,omitempty"`   // refused: the offer
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// parseRequest reads one message strictly: one JSON object, no unknown field, nothing after it.
func parseRequest(data []byte) (*request, error) {
	var r request
	if err := decodeStrictly(bytes.NewReader(data), &r); err != nil {
		return nil, err
	}
	return &r, r.check()
}

// check says which field is missing.
func (r *request) check() error {
	switch r.Type {
	case "hello", "leave", "end", "bye":
		return nil
	case "offer":
		if r.SDP == "" {
			return fmt.Errorf("offer: sdp is missing")
		}
		if len(r.SDP) > sdpBytesMax {
			return fmt.Errorf("offer: sdp has %d bytes, at most %d are taken", len(r.SDP), sdpBytesMax)
		}
	case "ask", "mic", "record":
		if r.On == nil {
			return fmt.Errorf("%s: on is missing", r.Type)
		}
	case "admit", "decline", "mute", "demote", "remove":
		if r.Member == "" {
			return fmt.Errorf("%s: member is missing", r.Type)
		}
	default:
		return fmt.Errorf("type %.20q is unknown", r.Type)
	}
	return nil
}
