// Package controltest reads the examples of docs/control-protocol.md and plays them against a server, so that the document
// cannot say what the daemon does not do. It is for tests.
package controltest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// Placeholders stand for values that vary. Each is a JSON string, so that the examples stay JSON.
const (
	AnyString = "…"   // a string that is not empty
	AnyNumber = "#"   // a number
	AnyArray  = "[…]" // an array
	AnyObject = "{…}" // an object
	// AnyMore as a member's name: the object may have members that the example leaves out.
	AnyMore = "…"
	// Offer stands in a request for a browser's offer.
	Offer = "<offer>"
)

// Example is a request and the lines that it brings about.
type Example struct {
	Line    int      // of the request in the document, from 1
	Request string   // JSON
	Answers []string // JSON: its response, and notifications
}

// Examples returns the examples of a document in their order: in its fenced blocks, lines that start with "-> " are requests
// and lines that start with "<- " are what comes back. Every such line must be JSON, and every request have an answer.
func Examples(markdown string) ([]Example, error) {
	var list []Example
	fenced := false
	for i, line := range strings.Split(markdown, "\n") {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		kind, text, ok := strings.Cut(line, " ")
		if !fenced || !ok || (kind != "->" && kind != "<-") {
			continue
		}
		if !json.Valid([]byte(text)) {
			return nil, fmt.Errorf("line %d is not JSON: %s", i+1, text)
		}
		if kind == "->" {
			list = append(list, Example{Line: i + 1, Request: text})
			continue
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("line %d answers no request", i+1)
		}
		last := &list[len(list)-1]
		last.Answers = append(last.Answers, text)
	}
	for _, e := range list {
		if len(e.Answers) == 0 {
			return nil, fmt.Errorf("the request in line %d has no answer", e.Line)
		}
	}
	return list, nil
}

// Match compares JSON that came with JSON that was expected and may hold placeholders. The error names the first member
// that differs.
func Match(want, got []byte) error {
	w, err := decode(want)
	if err != nil {
		return fmt.Errorf("expected JSON: %w", err)
	}
	g, err := decode(got)
	if err != nil {
		return fmt.Errorf("JSON that came: %w", err)
	}
	return match("", w, g)
}

// Replay sends the examples' requests on a fresh connection, one after the other, with each <offer> replaced by what
// offer returns for the request's method, room and peer, and compares what comes back. A response and the notifications among an example's
// answers may come in any order to each other, notifications among themselves in the document's.
func Replay(conn io.ReadWriter, examples []Example, offer func(method, room, peer string) string) error {
	in := bufio.NewReader(conn)
	for _, e := range examples {
		request, err := fill(e.Request, offer)
		if err != nil {
			return fmt.Errorf("line %d: %w", e.Line, err)
		}
		if _, err := conn.Write(append(request, '\n')); err != nil {
			return fmt.Errorf("line %d: %w", e.Line, err)
		}
		if err := compare(in, slices.Clone(e.Answers)); err != nil {
			return fmt.Errorf("the example in line %d, %s: %w", e.Line, e.Request, err)
		}
	}
	return nil
}

// compare reads as many lines as there are answers; each is held against the first remaining one of its kind.
func compare(in *bufio.Reader, answers []string) error {
	for len(answers) > 0 {
		got, err := in.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("%s does not come: %w", answers[0], err)
		}
		i := slices.IndexFunc(answers, func(a string) bool { return isNotification([]byte(a)) == isNotification(got) })
		if i < 0 {
			return fmt.Errorf("unexpected: %s", got)
		}
		if err := Match([]byte(answers[i]), got); err != nil {
			return fmt.Errorf("%w; what came is %s", err, got)
		}
		answers = slices.Delete(answers, i, i+1)
	}
	return nil
}

func isNotification(line []byte) bool {
	var m struct{ Method string }
	return json.Unmarshal(line, &m) == nil && m.Method != ""
}

// fill replaces the offer.
func fill(request string, offer func(method, room, peer string) string) ([]byte, error) {
	var r struct {
		Method string
		Params struct{ Room, Peer, SDP string }
	}
	if json.Unmarshal([]byte(request), &r) != nil || r.Params.SDP != Offer {
		return []byte(request), nil
	}
	sdp, err := json.Marshal(offer(r.Method, r.Params.Room, r.Params.Peer))
	if err != nil {
		return nil, err
	}
	return bytes.Replace([]byte(request), []byte(`"`+Offer+`"`), sdp, 1), nil
}

func decode(data []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // sequence numbers and audio ids must not become floats
	err = d.Decode(&v)
	return v, err
}

func match(path string, want, got any) error {
	switch w := want.(type) {
	case string:
		if ok, placeholder := matchPlaceholder(w, got); placeholder {
			if !ok {
				return fmt.Errorf("%s: %v is no %s", path, got, w)
			}
			return nil
		}
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return matchObject(path, w, g)
		}
	case []any:
		if g, ok := got.([]any); ok {
			return matchArray(path, w, g)
		}
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Errorf("%s: got %v, want %v", path, got, want)
	}
	return nil
}

func matchPlaceholder(want string, got any) (ok, placeholder bool) {
	switch want {
	case AnyString:
		s, ok := got.(string)
		return ok && s != "", true
	case AnyNumber:
		_, ok := got.(json.Number)
		return ok, true
	case AnyArray:
		_, ok := got.([]any)
		return ok, true
	case AnyObject:
		_, ok := got.(map[string]any)
		return ok, true
	}
	return false, false
}

func matchObject(path string, want, got map[string]any) error {
	_, more := want[AnyMore]
	for name, w := range want {
		if name == AnyMore {
			continue
		}
		g, ok := got[name]
		if !ok {
			return fmt.Errorf("%s.%s is missing", path, name)
		}
		if err := match(path+"."+name, w, g); err != nil {
			return err
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok && !more {
			return fmt.Errorf("%s.%s is not expected", path, name)
		}
	}
	return nil
}

func matchArray(path string, want, got []any) error {
	if len(want) != len(got) {
		return fmt.Errorf("%s has %d elements, want %d", path, len(got), len(want))
	}
	for i := range want {
		if err := match(fmt.Sprintf("%s[%d]", path, i), want[i], got[i]); err != nil {
			return err
		}
	}
	return nil
}
