package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/creachadair/jrpc2"
)

// clientMaxBytes bounds one message from the daemon. The longest is the snapshot of a full one: 100000 peers of some
// 350 B are 35 MB, and the limit of peers can be raised.
const clientMaxBytes = 512 << 20

// ErrDisconnected is wrapped by the error of a call whose connection ended before its answer came. Whether the command was
// carried out is not known; repeating it is safe.
var ErrDisconnected = errors.New("the connection to stentord has ended")

// Client calls a daemon. Its methods are those of Engine, are safe for concurrent use, and return errors of the daemon as
// *Error (see ReasonOf). A connection that ended is made again by the next call; a call under way fails with
// ErrDisconnected.
type Client struct {
	path string // Immutable.

	mu     sync.Mutex
	link   *link // Nil before the first call after a failure.
	closed bool
}

// link is one connection of a Client.
type link struct {
	*wire
	rpc    *jrpc2.Client
	broken chan struct{} // Closed when nothing more can be read.
	fatal  error         // Written before broken is closed: why.
}

// Dial connects to the daemon whose control socket is at path.
func Dial(ctx context.Context, path string) (*Client, error) {
	c := &Client{path: path}
	if _, err := c.connected(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Close ends the connection; calls under way return ErrDisconnected. It may be called more than once.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.drop()
	return nil
}

// Info calls engine.info.
func (c *Client) Info(ctx context.Context) (*EngineInfo, error) {
	return call[EngineInfo](ctx, c, MethodEngineInfo, Empty{})
}

// Drain calls engine.drain.
func (c *Client) Drain(ctx context.Context, p *DrainParams) (*Empty, error) {
	return call[Empty](ctx, c, MethodEngineDrain, p)
}

// RoomOpen calls room.open.
func (c *Client) RoomOpen(ctx context.Context, p *RoomOpenParams) (*Room, error) {
	return call[Room](ctx, c, MethodRoomOpen, p)
}

// RoomClose calls room.close.
func (c *Client) RoomClose(ctx context.Context, p *RoomParams) (*Empty, error) {
	return call[Empty](ctx, c, MethodRoomClose, p)
}

// RoomList calls room.list.
func (c *Client) RoomList(ctx context.Context) (*RoomList, error) {
	return call[RoomList](ctx, c, MethodRoomList, Empty{})
}

// RoomGet calls room.get.
func (c *Client) RoomGet(ctx context.Context, p *RoomParams) (*Room, error) {
	return call[Room](ctx, c, MethodRoomGet, p)
}

// PeerJoin calls peer.join.
func (c *Client) PeerJoin(ctx context.Context, p *PeerJoinParams) (*PeerJoinResult, error) {
	return call[PeerJoinResult](ctx, c, MethodPeerJoin, p)
}

// PeerUpdate calls peer.update.
func (c *Client) PeerUpdate(ctx context.Context, p *PeerUpdateParams) (*Peer, error) {
	return call[Peer](ctx, c, MethodPeerUpdate, p)
}

// PeerRestart calls peer.restart.
func (c *Client) PeerRestart(ctx context.Context, p *PeerRestartParams) (*PeerRestartResult, error) {
	return call[PeerRestartResult](ctx, c, MethodPeerRestart, p)
}

// PeerLeave calls peer.leave.
func (c *Client) PeerLeave(ctx context.Context, p *PeerParams) (*Empty, error) {
	return call[Empty](ctx, c, MethodPeerLeave, p)
}

// PeerList calls peer.list.
func (c *Client) PeerList(ctx context.Context, p *RoomParams) (*PeerList, error) {
	return call[PeerList](ctx, c, MethodPeerList, p)
}

// PeerGet calls peer.get.
func (c *Client) PeerGet(ctx context.Context, p *PeerParams) (*Peer, error) {
	return call[Peer](ctx, c, MethodPeerGet, p)
}

// RecordingStart calls recording.start.
func (c *Client) RecordingStart(ctx context.Context, p *RecordingStartParams) (*Recording, error) {
	return call[Recording](ctx, c, MethodRecordingStart, p)
}

// RecordingStop calls recording.stop.
func (c *Client) RecordingStop(ctx context.Context, p *RecordingParams) (*Recording, error) {
	return call[Recording](ctx, c, MethodRecordingStop, p)
}

// RecordingList calls recording.list.
func (c *Client) RecordingList(ctx context.Context, p *RecordingListParams) (*RecordingList, error) {
	return call[RecordingList](ctx, c, MethodRecordingList, p)
}

// RecordingGet calls recording.get.
func (c *Client) RecordingGet(ctx context.Context, p *RecordingParams) (*Recording, error) {
	return call[Recording](ctx, c, MethodRecordingGet, p)
}

// RecordingDelete calls recording.delete.
func (c *Client) RecordingDelete(ctx context.Context, p *RecordingParams) (*Empty, error) {
	return call[Empty](ctx, c, MethodRecordingDelete, p)
}

// call makes one call. Parameters are encoded here, so that whatever jrpc2 fails with has to do with the connection.
func call[R any](ctx context.Context, c *Client, name string, params any) (*R, error) {
	body, err := json.Marshal(params)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	response, err := l.rpc.Call(ctx, name, json.RawMessage(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, l.explain(ctx, err))
	}
	result := new(R)
	if err := response.UnmarshalResult(result); err != nil {
		return nil, fmt.Errorf("%s: a result that cannot be read: %w", name, err)
	}
	return result, nil
}

// connected returns the connection, or makes it.
func (c *Client) connected(ctx context.Context) (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fmt.Errorf("%w: the client is closed", ErrDisconnected)
	}
	if c.link != nil && c.link.alive() {
		return c.link, nil
	}
	c.drop()
	conn, err := dialSocket(ctx, c.path)
	if err != nil {
		return nil, err
	}
	l := &link{wire: newWire(conn, clientMaxBytes, writeTimeout), broken: make(chan struct{})}
	l.rpc = jrpc2.NewClient(l, nil)
	c.link = l
	return l, nil
}

// drop ends the connection. The caller holds mu.
func (c *Client) drop() {
	if c.link != nil {
		_ = c.link.rpc.Close() // its error is that which the calls have had
		c.link = nil
	}
}

func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to stentord at %s: %w", path, err)
	}
	return conn, nil
}

// Recv implements channel.Channel. An error with a null id is the daemon's last word on the connection.
func (l *link) Recv() ([]byte, error) {
	line, err := l.readLine()
	if err == nil {
		if err = lastWord(line); err == nil {
			return line, nil
		}
	}
	l.fatal = err
	close(l.broken)
	return nil, err
}

// Send implements channel.Channel.
func (l *link) Send(line []byte) error {
	err := l.write(line)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		l.conn.Close()
	}
	return err
}

// Close implements channel.Channel.
func (l *link) Close() error { return l.conn.Close() }

// alive is false as soon as reading has failed: jrpc2 may be some time behind.
func (l *link) alive() bool {
	select {
	case <-l.broken:
		return false
	default:
		return !l.rpc.IsStopped()
	}
}

// explain finds out why a call failed: the daemon said so, the caller gave up, or the connection ended.
func (l *link) explain(ctx context.Context, err error) error {
	var w *jrpc2.Error
	if errors.As(err, &w) && len(w.Data) > 0 {
		return fromWire(w)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if w != nil && !l.rpc.IsStopped() {
		return fromWire(w)
	}
	// Writing may fail before the reader has come to the daemon's last word.
	select {
	case <-l.broken:
	case <-ctx.Done():
		return ctx.Err()
	}
	if ReasonOf(l.fatal) != "" {
		return l.fatal
	}
	return fmt.Errorf("%w: %v", ErrDisconnected, l.fatal)
}

// lastWord returns the *Error of an error response with a null id, and nil for all else.
func lastWord(line []byte) error {
	if len(line) > 4096 { // none of ours is so long, and decoding a snapshot twice is dear
		return nil
	}
	var m message
	if json.Unmarshal(line, &m) != nil || m.Method != "" || len(m.Error) == 0 || (m.ID != nil && string(m.ID) != "null") {
		return nil
	}
	return errorOf(m.Error)
}

func errorOf(body json.RawMessage) error {
	w := new(jrpc2.Error)
	if err := json.Unmarshal(body, w); err != nil {
		return fmt.Errorf("%w: an error that cannot be read: %v", ErrDisconnected, err)
	}
	return fromWire(w)
}
