package control

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/creachadair/jrpc2"
	"golang.org/x/sys/unix"
)

// inFlight bounds the requests of one connection that were read and not yet answered. Past it the session stops
// reading, and the client's socket fills up.
const inFlight = 64

// session is one control connection. The way of a request:
//
//  1. Recv reads a line, answers by itself what is no request, and waits for one of the inFlight tokens;
//  2. jrpc2 runs it through Assign and method.call, concurrently with others;
//  3. Send writes the response, gives the token back, and starts the feed if the request was events.subscribe.
//
// It implements jrpc2's channel.Channel and Assigner.
type session struct {
	server *Server
	wire   *wire
	tokens chan struct{}

	ctx    context.Context // Ends when the connection is of no use any more.
	cancel context.CancelFunc

	mu   sync.Mutex
	ids  map[string]bool // Ids of requests in flight.
	feed *feed           // The subscription, if there is one.

	subscribing sync.Mutex // One events.subscribe at a time. Taken before mu.
}

func newSession(s *Server, conn net.Conn) *session {
	c := &session{
		server: s, wire: newWire(conn, s.config.MaxMessageBytes, s.timeout),
		tokens: make(chan struct{}, inFlight), ids: make(map[string]bool),
	}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	return c
}

// run serves the connection until it ends, and leaves nothing behind.
func (c *session) run() {
	log := c.server.config.Log.With(credentials(c.wire.conn)...)
	log.Debug("control connection opened")
	// Whatever gives the session up closes the connection, which ends reads and writes.
	stop := context.AfterFunc(c.ctx, func() { c.wire.conn.Close() })
	rpc := jrpc2.NewServer(c, &jrpc2.ServerOptions{
		DisableBuiltin: true, Concurrency: inFlight,
		NewContext: func() context.Context { return c.ctx },
	}).Start(c)
	// jrpc2's Stop is never called: it races with its reader. The reader stops it when Recv fails.
	err := rpc.Wait()
	c.endFeed()
	stop()
	c.wire.conn.Close()
	c.cancel()
	log.Debug("control connection closed", "error", err)
}

// finish lets the session end by itself: nothing more is read, what was read is answered.
func (c *session) finish() { _ = c.wire.conn.SetReadDeadline(time.Now()) }

// Recv implements channel.Channel: it returns the next line that is a request.
func (c *session) Recv() ([]byte, error) {
	for {
		line, err := c.wire.readLine()
		if err != nil {
			return nil, c.ended(err)
		}
		if blank(line) {
			continue
		}
		r, err := parseRequest(line)
		if err == nil {
			err = c.admit(r.id)
		}
		if err == nil {
			return line, nil
		}
		if err := c.refuse(r.id, err); err != nil {
			return nil, err
		}
	}
}

// admit waits for a token, and enters the request's id among those in flight.
func (c *session) admit(id json.RawMessage) error {
	select {
	case c.tokens <- struct{}{}:
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids[string(id)] {
		<-c.tokens
		return invalidRequest("id", "a request with the id %s is still being answered", clip(string(id)))
	}
	c.ids[string(id)] = true
	return nil
}

// refuse answers a line that does not reach jrpc2.
func (c *session) refuse(id json.RawMessage, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err // the session was given up
	}
	c.server.config.Observe("", e.Reason, 0)
	return c.write(errorLine(id, e))
}

// ended waits for the answers under way after the last line was read, so that a client may send its requests, close its
// sending side and read on. It returns the error with which jrpc2 is to stop.
func (c *session) ended(err error) error {
	if errors.Is(err, errMessageTooLong) {
		_ = c.refuse(nil, Errorf(ReasonMessageTooLong, "a message may have %d bytes", c.wire.max)) // the end anyway
	}
	for range cap(c.tokens) {
		select {
		case c.tokens <- struct{}{}:
		case <-c.ctx.Done():
		}
	}
	return err
}

// Send implements channel.Channel: it writes the response to one request.
func (c *session) Send(response []byte) error {
	// The id is free before the client can know that it is; the feed is the one that this response announces, whatever
	// a next request with the same id does.
	id := responseID(response)
	c.mu.Lock()
	delete(c.ids, id)
	announced := c.feed
	c.mu.Unlock()
	err := c.write(response)
	select {
	case <-c.tokens: // taken by admit
	default: // an answer that jrpc2 made to no request of ours; there is none, and waiting for its token would never end
	}
	if err == nil && announced != nil && announced.id == id {
		c.startFeed(announced)
	}
	return err
}

// Close implements channel.Channel. jrpc2 calls it when Recv has failed; run closes the connection, once the feed has
// sent what it still has.
func (c *session) Close() error { return nil }

func (c *session) write(lines ...[]byte) error {
	err := c.wire.write(lines...)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.server.config.Log.Warn("control connection does not read what it is sent; closing it", "timeout", c.wire.timeout)
	}
	if err != nil {
		c.cancel()
	}
	return err
}

// credentials are the log attributes of the process at the other end (SO_PEERCRED, unix(7)), where there is one.
func credentials(conn net.Conn) []any {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil
	}
	var cred *unix.Ucred
	_ = raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if cred == nil || err != nil {
		return nil
	}
	return []any{"pid", cred.Pid, "uid", cred.Uid}
}
