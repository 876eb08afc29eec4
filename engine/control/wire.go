package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// writeTimeout is how long a peer of the connection may leave what it is sent unread. A Unix socket buffers some
	// 200 kB, so whoever does not read for so long is stuck, and its memory is the daemon's.
	writeTimeout = 10 * time.Second
	// writeChunk is what must have gone within writeTimeout. A snapshot of a full daemon has tens of megabytes; its
	// reader may be slow, but has to make progress.
	writeChunk = 64 << 10
	// lineKeep is the line buffer that a connection keeps between messages; longer ones are given back.
	lineKeep = 64 << 10
)

// errMessageTooLong is what readLine returns for a line longer than the limit. Nothing after it can be read.
var errMessageTooLong = errors.New("the message is too long")

// wire reads and writes lines on a connection. One goroutine may read; any may write.
type wire struct {
	conn    net.Conn
	max     int           // Immutable. Longest line read, without its end, in bytes.
	timeout time.Duration // Immutable. For each chunk written.

	in    *bufio.Reader
	line  []byte // The line so far: it outlives a read that was interrupted by a deadline.
	whole bool   // line was returned, and the next read starts anew.

	mu  sync.Mutex // One writer at a time.
	out []byte
}

func newWire(conn net.Conn, max int, timeout time.Duration) *wire {
	return &wire{conn: conn, max: max, timeout: timeout, in: bufio.NewReader(conn)}
}

// readLine returns the next line without its end, valid until the next call. The last line of a stream may lack its end.
func (w *wire) readLine() ([]byte, error) {
	if w.whole {
		w.whole = false
		if w.line = w.line[:0]; cap(w.line) > lineKeep {
			w.line = nil
		}
	}
	for {
		part, err := w.in.ReadSlice('\n')
		w.line = append(w.line, part...)
		text := bytes.TrimSuffix(w.line, []byte("\n"))
		if len(text) > w.max {
			return nil, errMessageTooLong
		}
		switch {
		case err == nil, err == io.EOF && len(text) > 0:
			w.whole = true
			return text, nil
		case err != bufio.ErrBufferFull:
			return nil, err
		}
	}
}

// blank says whether a line holds nothing, as people at a terminal send it.
func blank(line []byte) bool { return len(bytes.Trim(line, " \t\r\n")) == 0 }

// write sends lines, each message followed by its line end, as one write where they fit one chunk. After an error the
// connection is of no use any more: part of a line may have gone.
func (w *wire) write(messages ...[]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = w.out[:0]
	for _, m := range messages {
		w.out = append(append(w.out, m...), '\n')
	}
	for rest := w.out; len(rest) > 0; {
		n := min(len(rest), writeChunk)
		if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return err
		}
		if _, err := w.conn.Write(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if cap(w.out) > lineKeep {
		w.out = nil
	}
	return nil
}

// message is any line of the protocol, as the client reads it, and as the server writes what jrpc2 does not.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// errorLine is an error response; a nil id becomes null, which says that the request's id was not legible.
func errorLine(id json.RawMessage, e *Error) []byte {
	if id == nil {
		id = json.RawMessage("null")
	}
	body, _ := json.Marshal(wireError(e))                                 // strings and numbers cannot fail
	line, _ := json.Marshal(message{Version: "2.0", ID: id, Error: body}) // nor can valid JSON
	return line
}

// notification is a message from the daemon that answers nothing.
func notification(method string, params any) ([]byte, error) {
	body, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	return json.Marshal(message{Version: "2.0", Method: method, Params: body})
}

// responseID reads the id of a response without looking at the rest, which may be long.
func responseID(line []byte) string {
	d := json.NewDecoder(bytes.NewReader(line))
	for {
		t, err := d.Token()
		if err != nil {
			return ""
		}
		if t == "id" {
			var id json.RawMessage
			_ = d.Decode(&id) // our own output
			return string(id)
		}
	}
}
