package control

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	// closeGrace is how long Close lets connections finish: answers under way, and events up to the last.
	closeGrace = time.Second
	// acceptPause is waited after accept has failed, for example for want of file descriptors.
	acceptPause = time.Second
	// refuseTimeout is for the one line to a connection too many; accepting waits for it.
	refuseTimeout = 100 * time.Millisecond
)

// ServerConfig is what a Server needs.
type ServerConfig struct {
	Engine          Engine
	MaxConnections  int // at once; at least 1
	MaxMessageBytes int // of one line without its end; at least 1
	Log             *slog.Logger

	// Observe is called after each request, for metrics: the method (empty for what is none of the protocol's), the
	// reason ("" = it succeeded) and how long it took. Nil: nobody counts.
	Observe func(method string, reason Reason, took time.Duration)
}

// Server serves the control protocol to any number of listeners.
type Server struct {
	config  ServerConfig      // Immutable after NewServer.
	methods map[string]method // Immutable after NewServer.
	timeout time.Duration     // Immutable after NewServer. For writes.

	ctx    context.Context // Ends when Close has waited long enough.
	cancel context.CancelFunc
	wg     sync.WaitGroup // Serve calls and connections.

	mu        sync.Mutex
	closed    chan struct{} // Closed under mu.
	listeners map[net.Listener]bool
	sessions  map[*session]bool
	refused   int // connections since there was room for one
}

// NewServer makes a server; Serve starts it.
func NewServer(c ServerConfig) *Server {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Observe == nil {
		c.Observe = func(string, Reason, time.Duration) {}
	}
	s := &Server{
		config: c, timeout: writeTimeout, methods: methodsOf(c.Engine), closed: make(chan struct{}),
		listeners: make(map[net.Listener]bool), sessions: make(map[*session]bool),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve accepts connections until Close, and returns nil then. It returns an error when the listener is closed by
// somebody else. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.enter(l) {
		return nil
	}
	defer s.wg.Done()
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			s.attach(conn)
		case s.isClosed():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			s.config.Log.Warn("cannot accept a control connection", "error", err)
			select {
			case <-time.After(acceptPause):
			case <-s.closed:
			}
		}
	}
}

// Close stops listening and lets each connection finish, for a second at most: requests that were read are answered, and
// subscribers get the events up to the newest. Then it closes the connections, and returns when all is over. It may be
// called more than once.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.isClosed() {
		close(s.closed)
	}
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.sessions {
		c.finish()
	}
	s.mu.Unlock()
	grace := time.AfterFunc(closeGrace, s.cancel)
	s.wg.Wait()
	grace.Stop()
	s.cancel()
}

func (s *Server) enter(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed() {
		return false
	}
	s.listeners[l] = true
	s.wg.Add(1)
	return true
}

func (s *Server) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// attach gives a connection its session, or the reason why there is none.
func (s *Server) attach(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed() {
		conn.Close()
		return
	}
	if len(s.sessions) >= s.config.MaxConnections {
		s.turnAway(conn)
		return
	}
	c := newSession(s, conn)
	s.sessions[c] = true
	s.wg.Go(func() {
		c.run()
		s.mu.Lock()
		s.detach(c)
		s.mu.Unlock()
	})
}

// detach forgets a session that has ended. The caller holds mu.
func (s *Server) detach(c *session) {
	delete(s.sessions, c)
	if s.refused > 0 {
		s.config.Log.Warn("there is room for control connections again", "refused", s.refused)
		s.refused = 0
	}
}

// turnAway answers a connection that is one too many. A fresh socket's buffer takes the line at once. The first is
// logged, the others are counted. The caller holds mu.
func (s *Server) turnAway(conn net.Conn) {
	e := Errorf(ReasonBusy, "%d control connections are open, which is the limit", s.config.MaxConnections).
		WithHint("close connections that are no longer used, or raise max_connections")
	_ = newWire(conn, 0, refuseTimeout).write(errorLine(nil, e)) // whoever has gone again needs no answer
	conn.Close()
	if s.refused++; s.refused == 1 {
		s.config.Log.Warn("control connections are refused", "limit", s.config.MaxConnections)
	}
	s.config.Observe("", ReasonBusy, 0)
}
