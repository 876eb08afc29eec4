package transport

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/stun"
)

// This file stands between the shared socket and one session's ICE agent. The agent sees STUN and nothing else, until it
// has chosen the first path; then keeper.go takes its place, by the same two grades of address.
//
// An address is *trusted* (media is taken from it) when a request from it was answered with success, which happens
// only after checking the request's MESSAGE-INTEGRITY. It is *verified* (media may go to it, even if it was
// another session's) when a check of ours was answered from it by someone who knows the peer's password: a request can
// be captured and sent again from somewhere else, even from where our check then arrives, but it cannot be answered.

const (
	// stunQueue is how many STUN packets wait for the agent. A browser sends one to each of our candidates every
	// 50 ms while it connects.
	stunQueue = 16
	// addrsMax is how many addresses a session keeps. A browser has a handful of candidates; an attacker who knows
	// the password gets no more than that.
	addrsMax = 8
	// checksMax is how many checks of ours a session may have under way.
	checksMax = 8
	// pathSilence is how long the path in use must have been silent before a request from elsewhere, without
	// USE-CANDIDATE, moves the session: less than the 2.5 s between a browser's consent checks (RFC 7675 §5.1), more
	// than jitter. It serves clients that do not nominate again after their NAT has given them a new port.
	pathSilence = 2 * time.Second
)

// address is what a session knows of one of its peer's addresses.
type address struct {
	addr      netip.AddrPort
	verified  bool
	nominated bool // since the agent is gone: it becomes the path when it is verified
	owned     bool // stands in Endpoint.byAddr for this session
}

// agentMux is the ice.UDPMux of one session.
type agentMux struct{ s *Session }

func (m agentMux) Close() error                   { return nil }
func (m agentMux) GetListenAddresses() []net.Addr { return m.s.endpoint.families }
func (m agentMux) RemoveConnByUfrag(string)       {} // the session outlives its agent
func (m agentMux) GetConn(_ string, a net.Addr) (net.PacketConn, error) {
	c := &agentConn{s: m.s, local: a, in: make(chan stunPacket, stunQueue), closed: make(chan struct{})}
	m.s.setAgentConn(a.(*net.UDPAddr).IP.To4() != nil, c)
	return c, nil
}

// stunPacket is a copy of one received STUN message.
type stunPacket struct {
	data []byte
	from netip.AddrPort
}

// agentConn is what the agent takes for its socket, one for each address family.
type agentConn struct {
	s      *Session
	local  net.Addr
	in     chan stunPacket
	closed chan struct{}
	once   sync.Once
}

func (c *agentConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-c.in:
		return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
	case <-c.closed:
		return 0, nil, io.EOF
	}
}

// WriteTo runs in the agent's only loop and never blocks.
func (c *agentConn) WriteTo(b []byte, a net.Addr) (int, error) {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("not UDP")
	}
	to := u.AddrPort()
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	switch stunType(b) {
	case stunBindingSuccess:
		c.s.trust(to)
	case stunBindingRequest:
		if !c.s.wantsCheck(to, stunTransaction(b)) {
			return len(b), nil // an ICE-lite agent checks the path once, not at every request
		}
	}
	if err := c.s.endpoint.conn.WriteTo(b, to); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (c *agentConn) Close() error                     { c.once.Do(func() { close(c.closed) }); return nil }
func (c *agentConn) LocalAddr() net.Addr              { return c.local }
func (c *agentConn) SetDeadline(time.Time) error      { return nil } // the socket is everybody's
func (c *agentConn) SetReadDeadline(time.Time) error  { return nil }
func (c *agentConn) SetWriteDeadline(time.Time) error { return nil }

func (s *Session) setAgentConn(v4 bool, c *agentConn) {
	s.endpoint.mu.Lock()
	defer s.endpoint.mu.Unlock()
	if v4 {
		s.stun4 = c
	} else {
		s.stun6 = c
	}
}

// pushSTUN hands a copy to the agent's reader, if there is an agent.
func (s *Session) pushSTUN(d *Datagram) Drop {
	s.endpoint.mu.RLock()
	c, kept := s.stun6, s.kept
	if d.From.Addr().Is4() {
		c = s.stun4
	}
	s.endpoint.mu.RUnlock()
	if kept {
		return DropNone
	}
	if c == nil { // a family that we do not advertise
		return DropUnknownUfrag
	}
	select {
	case c.in <- stunPacket{slices.Clone(d.Data), d.From}:
		return DropNone
	default:
		return DropQueueFull
	}
}

// onRequest is called in the agent's loop for each authentic request; true would move the session to the sender.
func (s *Session) onRequest(*stun.Message, ice.Candidate, ice.Candidate, *ice.CandidatePair) bool {
	s.seen.Store(time.Now().UnixNano())
	return false
}

// addrIndex finds an address of this session, -1: unknown. The endpoint is locked.
func (s *Session) addrIndex(a netip.AddrPort) int {
	return slices.IndexFunc(s.addrs, func(x address) bool { return x.addr == a })
}

// trust takes media from an address from now on, unless it is another session's. The request is answered after
// this, so that what the peer sends on that answer finds its way.
func (s *Session) trust(a netip.AddrPort) {
	e := s.endpoint
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.addrIndex(a) >= 0 || s.closed {
		return
	}
	if len(s.addrs) == addrsMax {
		path := s.Path()
		oldest := slices.IndexFunc(s.addrs, func(x address) bool { return x.addr != path })
		if s.addrs[oldest].owned {
			delete(e.byAddr, s.addrs[oldest].addr)
		}
		s.addrs = slices.Delete(s.addrs, oldest, oldest+1)
	}
	owned := e.byAddr[a] == nil
	if owned {
		e.byAddr[a] = s
	}
	s.addrs = append(s.addrs, address{addr: a, owned: owned})
}

// wantsCheck decides whether a check of ours goes out, and remembers it if so. A verified address is checked
// until it is the path: the agent may have missed the answer (its queue was full, or it came after 4 s), and would
// then never nominate the pair.
func (s *Session) wantsCheck(to netip.AddrPort, id [12]byte) bool {
	e := s.endpoint
	e.mu.Lock()
	defer e.mu.Unlock()
	i := s.addrIndex(to)
	if i < 0 || s.addrs[i].verified && to == s.Path() || s.closed {
		return false
	}
	if len(s.checks) == checksMax {
		delete(e.checks, s.checks[0])
		s.checks = slices.Delete(s.checks, 0, 1)
	}
	s.checks = append(s.checks, id)
	e.checks[id] = check{s, to}
	return true
}

// takeAnswer brings the answer to a check of ours to the agent, or does what its sender has asked for meanwhile.
func (e *Endpoint) takeAnswer(d *Datagram) Drop {
	id := stunTransaction(d.Data)
	e.mu.RLock()
	c, ok := e.checks[id]
	pwd := ""
	if ok {
		pwd = c.session.remotePwd
	}
	e.mu.RUnlock()
	if !ok || c.to != d.From {
		return DropUnknownCheck
	}
	m, ok := parseSTUN(d.Data)
	if !ok || !e.integrity.holds(&m, pwd) {
		return DropUnknownCheck
	}
	s, move := e.verify(id, d.From)
	switch {
	case s == nil:
		return DropUnknownCheck
	case move:
		s.setPath(d.From)
	}
	return s.pushSTUN(d)
}

// verify takes note that a check was answered: its sender belongs to the session that had asked, and becomes its path
// if it was only waiting for that.
func (e *Endpoint) verify(id [12]byte, from netip.AddrPort) (s *Session, move bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.checks[id]
	if !ok {
		return nil, false
	}
	delete(e.checks, id)
	s = c.session
	s.checks = slices.DeleteFunc(s.checks, func(x [12]byte) bool { return x == id })
	i := s.addrIndex(from)
	if i < 0 { // newer addresses have displaced it
		return nil, false
	}
	if was := e.byAddr[from]; was != nil && was != s {
		was.addrs = slices.DeleteFunc(was.addrs, func(x address) bool { return x.addr == from })
	}
	delete(e.byUfrag, s.before.ufrag) // the new generation works
	s.before = credentials{}
	move = s.addrs[i].nominated
	s.addrs[i].verified, s.addrs[i].owned, s.addrs[i].nominated = true, true, false
	e.byAddr[from] = s
	return s, move
}

// renew begins a new ICE generation, in which all addresses are to be checked again. False: the session is closed.
func (s *Session) renew(c credentials) bool {
	e := s.endpoint
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.closed {
		return false
	}
	delete(e.byUfrag, s.before.ufrag)
	if s.kept {
		s.before = s.credentials
	} else {
		delete(e.byUfrag, s.ufrag) // an agent has one generation
	}
	s.credentials = c
	e.byUfrag[s.ufrag] = s
	for i := range s.addrs {
		s.addrs[i].verified, s.addrs[i].nominated = false, false
	}
	return true
}

// forget removes every trace of a session from the endpoint.
func (e *Endpoint) forget(s *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range s.addrs {
		if a.owned {
			delete(e.byAddr, a.addr)
		}
	}
	for _, id := range s.checks {
		delete(e.checks, id)
	}
	s.addrs, s.checks = nil, nil
	delete(e.byUfrag, s.ufrag)
	delete(e.byUfrag, s.before.ufrag)
}
