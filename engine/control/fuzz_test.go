package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// pipes is a listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

const fuzzLimit = 4096

// FuzzServerLine sends arbitrary bytes as lines: each line that is not blank gets one answer, each answer is JSON-RPC, and
// each error has a reason of the closed list with its code. Only a line that is too long ends the connection.
func FuzzServerLine(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"engine.info"}`,
		`{"jsonrpc":"2.0","id":"é","method":"room.open","params":{"room":"a","slots":3,"max_peers":9}}` + "\n" + `{"jsonrpc":"2.0","id":1.5e3,"method":"room.get","params":{"room":"a"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"peer.join","params":{"room":"a","peer":"p","may_speak":true,"muted":false,"priority":true,"sdp":"v=0"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"peer.update","params":{"room":"a","peer":"p","muted":true,"rendition":"live"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{"after":"0000000000000000.1","rooms":["a","b"],"snapshot":true}}`,
		`{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}` + "\n" + `{"jsonrpc":"2.0","id":2,"method":"engine.drain","params":{"deadline_s":1}}`,
		`{"jsonrpc":"2.0","id":1,"method":"peer.get","params":{"room":"a","peer":"panic"}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"engine.info"},7]`, `[[[`, `{"id":1,"id":2}`, "\xff", "\n\r\n \t", `{"jsonrpc":"2.0","method":"engine.info"}`,
		`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`,
	} {
		f.Add([]byte(s))
	}
	engine := newFake(256)
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := NewServer(ServerConfig{Engine: engine, MaxConnections: 1 << 20, MaxMessageBytes: fuzzLimit, Log: quiet()})
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(l) }()
	f.Cleanup(func() { s.Close(); <-ended })
	f.Fuzz(func(t *testing.T, data []byte) {
		client, server := net.Pipe()
		defer client.Close()
		l.conns <- server
		_ = client.SetDeadline(time.Now().Add(30 * time.Second)) // a hang becomes a failure
		data = append(data, "\n"+`{"jsonrpc":"2.0","id":"the last","method":"room.list"}`+"\n"...)
		want, fits := expected(data)
		go func() { _, _ = client.Write(data) }() // ends early when the server closes
		in := bufio.NewReader(client)
		for answers := 0; answers < want; {
			line, err := in.ReadBytes('\n')
			if err == io.EOF && !fits {
				return
			}
			if err != nil {
				t.Fatalf("%d of %d answers: %v", answers, want, err)
			}
			if isAnswer(t, line) {
				answers++
			}
		}
	})
}

// expected counts the lines to be answered, up to and with the first that is too long.
func expected(data []byte) (n int, fits bool) {
	for _, line := range bytes.Split(data, []byte("\n")) {
		if len(line) > fuzzLimit {
			return n + 1, false
		}
		if !blank(line) {
			n++
		}
	}
	return n, true
}

// isAnswer checks a line from the server, and tells answers from notifications.
func isAnswer(t *testing.T, line []byte) bool {
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	switch {
	case a.JSONRPC != "2.0":
		t.Fatalf("%q has no version", line)
	case a.Method != "":
		return false
	case len(a.ID) == 0 && !bytes.Contains(line, []byte(`"id":null`)):
		t.Fatalf("%q has no id", line)
	case (a.Error == nil) == (a.Result == nil):
		t.Fatalf("%q is neither result nor error", line)
	case a.Error != nil && int(codes[a.Error.Data.Reason]) != a.Error.Code:
		t.Fatalf("%q: the code is not the reason's", line)
	}
	return true
}
