package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/creachadair/jrpc2"
)

// method decodes parameters, checks them and calls the engine.
type method func(ctx context.Context, c *session, id string, params json.RawMessage) (any, error)

// methodsOf is the protocol: each method's name and what it calls.
func methodsOf(e Engine) map[string]method {
	return map[string]method{
		MethodEngineInfo:      on(func(ctx context.Context, _ *Empty) (*EngineInfo, error) { return e.Info(ctx) }),
		MethodEngineDrain:     on(e.Drain),
		MethodRoomOpen:        on(e.RoomOpen),
		MethodRoomClose:       on(e.RoomClose),
		MethodRoomList:        on(func(ctx context.Context, _ *Empty) (*RoomList, error) { return e.RoomList(ctx) }),
		MethodRoomGet:         on(e.RoomGet),
		MethodPeerJoin:        on(e.PeerJoin),
		MethodPeerUpdate:      on(e.PeerUpdate),
		MethodPeerRestart:     on(e.PeerRestart),
		MethodPeerLeave:       on(e.PeerLeave),
		MethodPeerList:        on(e.PeerList),
		MethodPeerGet:         on(e.PeerGet),
		MethodRecordingStart:  on(e.RecordingStart),
		MethodRecordingStop:   on(e.RecordingStop),
		MethodRecordingList:   on(e.RecordingList),
		MethodRecordingGet:    on(e.RecordingGet),
		MethodRecordingDelete: on(e.RecordingDelete),
		MethodEventsSubscribe: func(ctx context.Context, c *session, id string, params json.RawMessage) (any, error) {
			var p SubscribeParams
			if err := take(params, &p); err != nil {
				return nil, err
			}
			return c.subscribe(ctx, id, &p)
		},
	}
}

// on makes a method of an engine's function.
func on[P, R any](call func(context.Context, *P) (R, error)) method {
	return func(ctx context.Context, _ *session, _ string, params json.RawMessage) (any, error) {
		var p P
		if err := take(params, &p); err != nil {
			return nil, err
		}
		return call(ctx, &p)
	}
}

// take decodes and checks parameters.
func take(params json.RawMessage, dst any) error {
	if err := decodeParams(params, dst); err != nil {
		return err
	}
	if v, ok := dst.(validator); ok {
		return v.Validate()
	}
	return nil
}

// Assign implements jrpc2.Assigner. It never returns nil: jrpc2's own answer to an unknown method has no reason.
func (c *session) Assign(context.Context, string) jrpc2.Handler {
	return func(ctx context.Context, r *jrpc2.Request) (any, error) {
		start := time.Now()
		name, call := r.Method(), c.server.methods[r.Method()]
		if call == nil {
			call, name = unknown(name), ""
		}
		result, err := c.call(ctx, call, r)
		if err != nil {
			e := c.outcome(r.Method(), err)
			c.server.config.Observe(name, e.Reason, time.Since(start))
			return nil, wireError(e)
		}
		c.server.config.Observe(name, "", time.Since(start))
		return result, nil
	}
}

// call runs a method and encodes its result, here because jrpc2's answer to a result that cannot be encoded has no
// reason. A panic ends the call and not the daemon.
func (c *session) call(ctx context.Context, call method, r *jrpc2.Request) (result json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.server.config.Log.Error("panic in a control call", "method", r.Method(), "panic", p, "stack", string(debug.Stack()))
			result, err = nil, Errorf(ReasonInternal, "%s failed by a fault of the daemon", r.Method())
		}
	}()
	v, err := call(ctx, c, r.ID(), json.RawMessage(r.ParamString()))
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// outcome makes an *Error of any error. What is not one already is a fault: its text is for the log.
func (c *session) outcome(method string, err error) *Error {
	var e *Error
	if errors.As(err, &e) && e != nil {
		return e
	}
	c.server.config.Log.Error("control call failed", "method", method, "error", fmt.Sprint(err))
	return Errorf(ReasonInternal, "%s failed by a fault of the daemon", method)
}

func unknown(name string) method {
	return func(context.Context, *session, string, json.RawMessage) (any, error) {
		return nil, Errorf(ReasonUnknownMethod, "there is no method %s", clip(name))
	}
}
