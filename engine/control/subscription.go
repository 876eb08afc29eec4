package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Subscription receives events on a connection of its own. It keeps no events: what Next has not taken waits in the
// socket, and then in the daemon's log. A reader that takes nothing for ten seconds while the socket is full loses the
// connection, and continues with a new Subscribe after the last cursor; Watcher does that by itself.
type Subscription struct {
	wire *wire
}

// Subscribe calls events.subscribe. The result is the one before the first event that Next returns.
func (c *Client) Subscribe(ctx context.Context, p SubscribeParams) (*Subscription, *SubscribeResult, error) {
	conn, err := dialSocket(ctx, c.path)
	if err != nil {
		return nil, nil, err
	}
	s := &Subscription{wire: newWire(conn, clientMaxBytes, writeTimeout)}
	result, err := s.ask(ctx, p)
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("%s: %w", MethodEventsSubscribe, err)
	}
	return s, result, nil
}

// Next waits for the next event. Errors: ctx.Err() (nothing is lost, Next can be called again), *Error with reason
// cursor_expired (the subscription has ended, a snapshot is needed), ErrDisconnected. One goroutine at a time may call it.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		m, err := s.read(ctx)
		if err != nil {
			return Event{}, err
		}
		switch {
		case m.Method == NotifyEvent:
			var e Event
			if err := json.Unmarshal(m.Params, &e); err != nil {
				return Event{}, fmt.Errorf("an event that cannot be read: %w", err)
			}
			return e, nil
		case m.Method == NotifyExpired:
			return Event{}, errExpired()
		case len(m.Error) > 0:
			return Event{}, errorOf(m.Error)
		}
	}
}

// Close ends the subscription; a waiting Next returns ErrDisconnected.
func (s *Subscription) Close() error { return s.wire.conn.Close() }

func (s *Subscription) ask(ctx context.Context, p SubscribeParams) (*SubscribeResult, error) {
	params, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(message{Version: "2.0", ID: json.RawMessage("1"), Method: MethodEventsSubscribe, Params: params})
	if err != nil {
		return nil, err
	}
	// A daemon that turns the connection away may have closed it already; its reason is still there to be read.
	writeErr := s.wire.write(line)
	m, err := s.read(ctx)
	switch {
	case err != nil && writeErr != nil:
		return nil, fmt.Errorf("%w: %v", ErrDisconnected, writeErr)
	case err != nil:
		return nil, err
	case len(m.Error) > 0:
		return nil, errorOf(m.Error)
	}
	result := new(SubscribeResult)
	if err := json.Unmarshal(m.Result, result); err != nil {
		return nil, fmt.Errorf("a result that cannot be read: %w", err)
	}
	return result, nil
}

// read waits for a message. When ctx ends first, what has come of the line is kept for the next read.
func (s *Subscription) read(ctx context.Context) (m message, err error) {
	if err := ctx.Err(); err != nil {
		return m, err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = s.wire.conn.SetReadDeadline(time.Unix(1, 0)) // fails on a closed connection, whose read ends anyway
	})
	line, err := s.wire.readLine()
	if !stop() {
		<-interrupted
		_ = s.wire.conn.SetReadDeadline(time.Time{})
	}
	switch {
	case err == nil:
		if err := json.Unmarshal(line, &m); err != nil {
			return m, fmt.Errorf("a message that cannot be read: %w", err)
		}
		return m, nil
	case ctx.Err() != nil:
		return m, ctx.Err()
	case err == io.EOF:
		return m, ErrDisconnected
	}
	return m, fmt.Errorf("%w: %v", ErrDisconnected, err)
}
