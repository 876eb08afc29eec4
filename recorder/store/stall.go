package store

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

// transport makes connections that fail when nothing moves for so long. A limit on whole requests would have to know how
// large they are and how fast the way is.
func transport(secure bool, stall time.Duration) (*http.Transport, error) {
	t, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: stall, KeepAlive: stall}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &stallConn{c, stall}, nil
	}
	t.ResponseHeaderTimeout = 0 // stallConn sees to it
	t.TLSHandshakeTimeout = stall
	t.WriteBufferSize = 64 << 10  // of 4 KiB, a deadline would be set for each
	t.IdleConnTimeout = stall / 2 // before its pending Read runs into the deadline
	return t, nil
}

// stallConn moves its deadline with every Read and Write, and with both for either: while a long body is being written,
// a Read for the answer is already waiting.
type stallConn struct {
	net.Conn
	stall time.Duration
}

func (c *stallConn) Read(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *stallConn) Write(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
