package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"stentor/engine/control"
	"stentor/forward"
	"stentor/recorder"
	"stentor/recorder/store"
	"stentor/transport"
)

// protocolVersion grows only when a client written for the last one would break.
const protocolVersion = 1

// Engine is a running daemon: sockets, data plane, registry. It implements control.Engine.
type Engine struct {
	config   Config // Immutable after New.
	log      *slog.Logger
	endpoint *transport.Endpoint
	plane    *forward.Plane
	events   *control.Log
	metrics  *metrics
	started  time.Time

	recorder    *recorder.Recorder // nil: recorderErr says why
	recorderErr error
	store       store.Store // nil: recordings stay in the spool
	told        told

	control net.Listener // nil: none
	http    net.Listener // nil: none

	drained  chan struct{}  // closed when a drain is over
	teardown sync.WaitGroup // peers on their way out

	mu       sync.Mutex
	rooms    map[string]*room
	peers    int // in all rooms, those that are joining included
	draining bool
	drainBy  time.Time
	closed   bool
	audioID  uint32 // last one given

	stats      func(now time.Time) forward.Stats // what load looks at: the data plane's
	load       load
	protection protection
}

// room is one Space in the registry. Guarded by Engine.mu.
type room struct {
	id        string
	params    control.RoomOpenParams // as given, for telling a repetition from a conflict
	slots     int
	maxPeers  int
	asked     string            // default_rendition, "auto" included
	rendition forward.Rendition // what it gives listeners now
	why       string            // reason of the last room.rendition
	tenth     int               // of all rooms, by its name: 0 … 9
	openedAt  time.Time
	fwd       *forward.Room
	peers     map[string]*peer

	desk           *recorder.Desk // nil: nobody needs one
	recording      string         // that runs, or is about to; "": none
	tracks, replay bool           // of it
	start          *start         // of it
	mixing         int            // peers that follow the mix
}

// New opens the sockets that the configuration names. Run serves them; an engine that is not run must be closed by
// running it with a context that has ended.
func New(c Config) (*Engine, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	conn, err := transport.ListenUDP(c.Media)
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	e, err := NewOn(c, conn)
	if err != nil {
		return nil, err
	}
	if err := e.listen(); err != nil {
		e.shutdown()
		return nil, err
	}
	return e, nil
}

// NewOn makes an engine on a connection that exists already, a simulated network's for example, without control
// socket and HTTP: its caller uses the methods. It owns the connection from now on, and is closed by Run.
func NewOn(c Config, conn transport.Conn) (*Engine, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Shards == 0 {
		c.Shards = runtime.GOMAXPROCS(0)
	}
	advertise, err := advertised(c.Advertise, conn.LocalAddr())
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("advertise: %w", err)
	}
	endpoint, err := transport.NewEndpoint(transport.Config{Conn: conn, Advertise: advertise, Log: c.Log})
	if err != nil {
		conn.Close()
		return nil, err
	}
	plane, err := forward.New(forward.Config{
		Endpoint: endpoint, Shards: c.Shards, Adapt: c.Adapt, OnsetLevel: c.OnsetLevelDBov, HoldLevel: c.HoldLevelDBov,
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	e := &Engine{
		config: c, log: c.Log, endpoint: endpoint, plane: plane, events: control.NewLog(c.Node, c.EventLog),
		started: time.Now(), drained: make(chan struct{}), rooms: map[string]*room{}, audioID: rand.Uint32(),
	}
	e.stats, e.protection = plane.Stats, newProtection(c.Shards)
	e.told.ready = make(chan struct{}, 1)
	e.metrics = newMetrics(e)
	e.openRecorder()
	return e, nil
}

// advertised turns the configured addresses into candidates, or finds some.
func advertised(list []string, local netip.AddrPort) ([]netip.AddrPort, error) {
	if len(list) == 0 {
		return transport.HostAddrs(local)
	}
	var out []netip.AddrPort
	for _, s := range list {
		ap, err := parseAdvertise(s, local.Port())
		if err != nil {
			return nil, err
		}
		if ap.Addr().Is6() && local.Addr().Is4() {
			return nil, fmt.Errorf("%s is IPv6, and the media socket %s is IPv4 alone", ap.Addr(), local)
		}
		if ap.Addr().Is4() && local.Addr().Is6() && !local.Addr().IsUnspecified() {
			return nil, fmt.Errorf("%s is IPv4, and the media socket %s is IPv6 alone", ap.Addr(), local)
		}
		out = append(out, ap)
	}
	return out, nil
}

// listen opens the control socket and the HTTP port.
func (e *Engine) listen() (err error) {
	if e.control, err = control.Listen(e.config.Control, e.config.ControlMode); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if e.config.HTTP != "" {
		if e.http, err = net.Listen("tcp", e.config.HTTP); err != nil {
			return fmt.Errorf("http: %w", err)
		}
	}
	return nil
}

// HTTPAddr is where /metrics and /healthz are, nil: nowhere.
func (e *Engine) HTTPAddr() net.Addr {
	if e.http == nil {
		return nil
	}
	return e.http.Addr()
}

// Run serves until the context ends or a drain is over, then leaves politely: every peer gets BYE and close_notify,
// every subscriber its last events. The error is nil then. It is called once.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var serving sync.WaitGroup
	server := control.NewServer(control.ServerConfig{
		Engine: e, MaxConnections: e.config.MaxConnections, MaxMessageBytes: e.config.MaxMessageBytes, Log: e.log,
		Observe: e.metrics.observe,
	})
	if e.control != nil {
		serving.Go(func() {
			if err := server.Serve(e.control); err != nil {
				cancel(fmt.Errorf("control socket: %w", err))
			}
		})
	}
	web := &http.Server{Handler: e.httpMux(), ReadHeaderTimeout: 5 * time.Second}
	if e.http != nil {
		serving.Go(func() {
			if err := web.Serve(e.http); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("http: %w", err))
			}
		})
	}
	serving.Go(func() { e.loop(ctx) })
	select {
	case <-ctx.Done():
	case <-e.drained:
	}
	err := context.Cause(ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	cancel(nil)
	e.leaveAll()
	server.Close() // after the last event, which its subscribers still get
	_ = web.Close()
	serving.Wait()
	return errors.Join(err, e.shutdown())
}

// leaveAll closes every room and waits until the data plane and the network know.
func (e *Engine) leaveAll() {
	e.mu.Lock()
	e.draining, e.closed = true, true
	for _, r := range e.rooms {
		e.closeRoom(r, control.LeftShutdown)
	}
	e.mu.Unlock()
	e.teardown.Wait()
	e.closeRecorder()
}

// shutdown closes the data plane and what New has opened and Run has not closed.
func (e *Engine) shutdown() error {
	if e.control != nil {
		e.control.Close()
	}
	if e.http != nil {
		e.http.Close()
	}
	return e.plane.Close()
}

// loop turns changes of the data plane into events, and watches time.
func (e *Engine) loop(ctx context.Context) {
	sweep := time.NewTicker(time.Second)
	defer sweep.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.plane.Changes():
			e.mu.Lock()
			e.tellChanges()
			e.mu.Unlock()
		case <-e.told.ready:
			e.mu.Lock()
			e.tellRecordings()
			e.mu.Unlock()
		case <-look.C:
			e.mu.Lock()
			now := time.Now() // not that of the tick: on a busy machine it is from before
			e.protect(e.stats(now), now)
			e.mu.Unlock()
		case now := <-sweep.C:
			if e.recorder != nil {
				e.recorder.Sweep(now)
			}
			e.mu.Lock()
			e.sweep(now)
			e.mu.Unlock()
		}
	}
}

// tellChanges appends an event for what differs from what was told last.
func (e *Engine) tellChanges() {
	for _, c := range e.plane.TakeChanges() {
		if c.Peer != nil {
			p := c.Peer.User().(*peer)
			if on := c.Peer.Speaking(); !p.gone && on != p.speaking {
				p.speaking = on
				e.tell(control.Event{Type: control.EventPeerSpeaking, Room: p.room.id, Peer: p.id, Speaking: &on})
			}
			e.tellQuality(p)
			continue
		}
		r := c.Room.User().(*room)
		if e.rooms[r.id] == r {
			e.tell(control.Event{Type: control.EventSlotsChanged, Room: r.id, Heard: r.heard()})
		}
	}
}

// sweep ends what has been silent for too long, and a drain that is over.
func (e *Engine) sweep(now time.Time) {
	for _, r := range e.rooms {
		for _, p := range r.peers {
			e.sweepPeer(p, now)
		}
		e.adapt(r)
	}
	if e.draining && (e.peers == 0 || !now.Before(e.drainBy)) {
		e.endDrain()
	}
}

func (e *Engine) endDrain() {
	select {
	case <-e.drained:
	default:
		close(e.drained)
	}
}

// Events is the log that events.subscribe follows.
func (e *Engine) Events() *control.Log { return e.events }

// Snapshot returns rooms and peers and the cursor at which they are so.
func (e *Engine) Snapshot(_ context.Context, rooms []string) (*control.Snapshot, string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	snap := &control.Snapshot{Rooms: []control.RoomSnapshot{}}
	for _, r := range e.sortedRooms() {
		if len(rooms) > 0 && !slices.Contains(rooms, r.id) {
			continue
		}
		snap.Rooms = append(snap.Rooms, control.RoomSnapshot{Room: r.tell(), Participants: r.peerStates()})
	}
	return snap, e.events.Cursor(), nil
}

// Info tells what this daemon is and how busy.
func (e *Engine) Info(context.Context) (*control.EngineInfo, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &e.config
	info := &control.EngineInfo{
		Version: Version, Protocol: protocolVersion, Node: c.Node, Draining: e.draining,
		UptimeS: time.Since(e.started).Seconds(),
		Limits: control.Limits{
			Rooms: c.MaxRooms, Peers: c.MaxPeers, PeersPerRoom: c.MaxPeersPerRoom, Slots: c.MaxSlots,
			MessageBytes: c.MaxMessageBytes, Connections: c.MaxConnections,
		},
		Load: control.Load{Rooms: len(e.rooms), Peers: e.peers, Overload: e.protection.told},
	}
	if info.Load.Overload == control.OverloadOver {
		info.Load.Overload = "" // it is no state
	}
	for _, a := range e.endpoint.Candidates() {
		info.Media = append(info.Media, a.String())
	}
	for _, r := range e.rooms {
		for _, s := range r.heard() {
			if s.AudioID != 0 {
				info.Load.Speaking++
			}
		}
	}
	return info, nil
}

// drainSame is how far apart two deadlines may be and still be one: a call that was repeated.
const drainSame = time.Second

// Drain refuses new rooms and peers from now on and ends Run when the last peer has left, or at the deadline.
func (e *Engine) Drain(_ context.Context, p *control.DrainParams) (*control.Empty, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	by := now.Add(time.Duration(p.DeadlineS * float64(time.Second)))
	if d := by.Sub(e.drainBy); !e.draining || d > drainSame || d < -drainSame {
		e.draining, e.drainBy = true, by
		e.events.Append(control.Event{Type: control.EventEngineDraining, DeadlineS: &p.DeadlineS})
	}
	return &control.Empty{}, nil
}
