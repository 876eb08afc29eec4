//go:build linux

package transport

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// TestADTLSQueueIsBounded: nobody reads, as while the handshake waits for its place.
func TestADTLSQueueIsBounded(t *testing.T) {
	c := newDTLSConn(&Session{endpoint: &Endpoint{conn: listen(t, "127.0.0.1:0")}})
	for i := range dtlsQueue {
		if d := c.push([]byte{byte(i)}); d != DropNone {
			t.Fatalf("record %d: %s", i, d)
		}
	}
	if d := c.push([]byte{22}); d != DropQueueFull {
		t.Errorf("%s", d)
	}
	b := make([]byte, 10)
	for i := range dtlsQueue {
		if n, _, err := c.ReadFrom(b); err != nil || n != 1 || b[0] != byte(i) {
			t.Fatalf("record %d: %v, %v", i, b[:n], err)
		}
	}
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadFrom(b); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, err := c.WriteTo(b, nil); err == nil {
		t.Error("a record is sent without a path")
	}
	c.SetDeadline(time.Time{})
	c.Close()
	if _, _, err := c.ReadFrom(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}
