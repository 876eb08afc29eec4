//go:build linux

package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
)

// janusAPI speaks Janus's JSON API over its Unix socket, where each message is a packet. Requests of many sessions share it; a request and
// what answers it have the same transaction. Nothing is polled, so that Janus pays for no request of ours while it is measured.
type janusAPI struct {
	conn *net.UnixConn
	done chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	last    int
	waiting map[string]chan *janusMessage
	err     error // why the reader has ended
}

// janusMessage is a request, or what answers it.
type janusMessage struct {
	Janus       string     `json:"janus"`
	Transaction string     `json:"transaction"`
	SessionID   uint64     `json:"session_id,omitempty"`
	HandleID    uint64     `json:"handle_id,omitempty"`
	Plugin      string     `json:"plugin,omitempty"`
	LoopIndex   *int       `json:"loop_index,omitempty"`
	Body        any        `json:"body,omitempty"`
	JSEP        *janusJSEP `json:"jsep,omitempty"`

	Data *struct {
		ID uint64 `json:"id"`
	} `json:"data,omitempty"`
	Error *struct {
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	} `json:"error,omitempty"`
	PluginData *struct {
		Data struct {
			Code  int    `json:"error_code"`
			Error string `json:"error"`
		} `json:"data"`
	} `json:"plugindata,omitempty"`
}

type janusJSEP struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

// janusError is a refusal of Janus or of its plugin.
type janusError struct {
	code   int
	reason string
}

func (e janusError) Error() string { return fmt.Sprintf("janus: %s (%d)", e.reason, e.code) }

// janusPacketMax is the largest message that is read: Janus's own limit for what it writes is lower.
const janusPacketMax = 256 << 10

func dialJanus(ctx context.Context, path string) (*janusAPI, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixpacket", path)
	if err != nil {
		return nil, err
	}
	a := &janusAPI{conn: conn.(*net.UnixConn), done: make(chan struct{}), waiting: map[string]chan *janusMessage{}}
	go a.read()
	return a, nil
}

// read hands answers to those who wait, and drops what nobody waits for: news of publishers, of media that begin, of peers that leave.
func (a *janusAPI) read() {
	defer close(a.done)
	b := make([]byte, janusPacketMax)
	for {
		n, err := a.conn.Read(b)
		m := new(janusMessage)
		if err == nil && n > 0 {
			err = json.Unmarshal(b[:n], m)
		}
		if err != nil {
			a.mu.Lock()
			a.err = err
			a.mu.Unlock()
			return
		}
		if m.Janus == "ack" { // the answer is to come
			continue
		}
		a.mu.Lock()
		to := a.waiting[m.Transaction]
		delete(a.waiting, m.Transaction)
		a.mu.Unlock()
		if to != nil {
			to <- m // has room for one, and gets one
		}
	}
}

// call sends a request and returns its answer, or the refusal as a janusError.
func (a *janusAPI) call(ctx context.Context, m janusMessage) (*janusMessage, error) {
	answer := make(chan *janusMessage, 1)
	a.mu.Lock()
	a.last++
	m.Transaction = strconv.Itoa(a.last)
	a.waiting[m.Transaction] = answer
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.waiting, m.Transaction)
		a.mu.Unlock()
	}()
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if _, err := a.conn.Write(b); err != nil {
		return nil, err
	}
	select {
	case r := <-answer:
		return r, r.refusal()
	case <-a.done:
		a.mu.Lock()
		defer a.mu.Unlock()
		return nil, fmt.Errorf("janus has hung up: %w", a.err)
	case <-ctx.Done():
		return nil, fmt.Errorf("janus does not answer %q: %w", m.Janus, context.Cause(ctx))
	}
}

func (m *janusMessage) refusal() error {
	switch {
	case m.Error != nil:
		return janusError{m.Error.Code, m.Error.Reason}
	case m.PluginData != nil && m.PluginData.Data.Code != 0:
		return janusError{m.PluginData.Data.Code, m.PluginData.Data.Error}
	}
	return nil
}

// janusHandle is a participant's place in the VideoRoom: a session of its own, as a page has it.
type janusHandle struct {
	api             *janusAPI
	session, handle uint64
}

// attach makes a session and a handle. loop is the event loop that is to serve it.
func (a *janusAPI) attach(ctx context.Context, loop int) (*janusHandle, error) {
	created, err := a.call(ctx, janusMessage{Janus: "create"})
	if err != nil {
		return nil, err
	}
	if created.Data == nil {
		return nil, errors.New("janus: a session without an id")
	}
	h := &janusHandle{api: a, session: created.Data.ID}
	attached, err := a.call(ctx, janusMessage{Janus: "attach", SessionID: h.session, Plugin: "janus.plugin.videoroom", LoopIndex: &loop})
	if err != nil {
		return nil, err
	}
	if attached.Data == nil {
		return nil, errors.New("janus: a handle without an id")
	}
	h.handle = attached.Data.ID
	return h, nil
}

// ask sends a request to the plugin and returns the description that comes with its answer, if one does.
func (h *janusHandle) ask(ctx context.Context, body any, jsep *janusJSEP) (sdp string, err error) {
	r, err := h.api.call(ctx, janusMessage{Janus: "message", SessionID: h.session, HandleID: h.handle, Body: body, JSEP: jsep})
	if err != nil {
		return "", err
	}
	if r.JSEP != nil {
		sdp = r.JSEP.SDP
	}
	return sdp, nil
}

func (a *janusAPI) close() {
	_ = a.conn.Close() // ends the reader
	<-a.done
}
