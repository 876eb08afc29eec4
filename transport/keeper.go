package transport

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/pion/stun"
)

// This file does an established session's ICE, in the goroutine that calls Poll. The agent finds the first path; then
// it is closed, and what remains of a lite agent's work (RFC 8445 §7.3, RFC 7675) is this:
//
//  1. A check whose USERNAME or MESSAGE-INTEGRITY is wrong is not answered.
//  2. Any other is answered with success, and its sender trusted.
//  3. A sender that is not verified is asked by a check of ours, and is verified by its answer.
//  4. A verified sender becomes the path if it has nominated itself (USE-CANDIDATE), or if the path is silent.

const (
	// asksPerSecond bounds the checks of ours that requests can cause, should someone send captured ones again from
	// many addresses. A browser that changes its network has a handful.
	asksPerSecond = 20
	// askPriority is what our candidate would have as a peer-reflexive one (RFC 8445 §5.1.2.1, §7.1.1).
	askPriority = 110<<24 | 65535<<8 | 255
)

// credentials are both sides' of one ICE generation.
type credentials struct {
	ufrag, pwd             string // ours
	remoteUfrag, remotePwd string
}

// named tells whether a USERNAME is for this generation (RFC 8445 §7.2.2).
func (c *credentials) named(username []byte) bool {
	n := len(c.ufrag)
	return len(username) == n+1+len(c.remoteUfrag) &&
		string(username[:n]) == c.ufrag && username[n] == ':' && string(username[n+1:]) == c.remoteUfrag
}

// keep takes a check for a session whose agent has done its work.
func (e *Endpoint) keep(s *Session, c credentials, d *Datagram, now time.Time) Drop {
	m, ok := parseSTUN(d.Data)
	switch {
	case !ok:
		return DropMalformed
	case !e.advertises(d.From): // a family that no answer has named
		return DropUnknownUfrag
	case !c.named(m.username) || !e.integrity.holds(&m, c.pwd):
		return DropUnauthentic
	case m.controlled:
		_ = e.conn.WriteTo(e.integrity.roleConflict(e.answer[:0], d.Data, c.pwd), d.From)
		return DropNone
	}
	s.seen.Store(now.UnixNano())
	ask, move := false, false
	if !s.onPath(d.From, now) {
		ask, move = s.meet(d.From, m.nominates, now) // before the answer, so that what it makes the peer send finds its way
	}
	_ = e.conn.WriteTo(e.integrity.success(e.answer[:0], d.Data, d.From, c.pwd), d.From)
	if ask {
		e.ask(s, c, d.From)
	}
	if move {
		s.setPath(d.From)
	}
	return DropNone
}

// keepOld takes a check of the generation before a restart. The old path stays in use until the new generation has
// found one (RFC 8445 §9), so the peer's consent for it is renewed; nothing else is decided by old credentials.
func (e *Endpoint) keepOld(s *Session, c credentials, d *Datagram, now time.Time) Drop {
	m, ok := parseSTUN(d.Data)
	switch {
	case !ok:
		return DropMalformed
	case d.From != s.Path():
		return DropUnknownUfrag
	case !c.named(m.username) || !e.integrity.holds(&m, c.pwd):
		return DropUnauthentic
	}
	s.seen.Store(now.UnixNano())
	s.pathSeen.Store(now.UnixNano())
	_ = e.conn.WriteTo(e.integrity.success(e.answer[:0], d.Data, d.From, c.pwd), d.From)
	return DropNone
}

func (e *Endpoint) advertises(a netip.AddrPort) bool {
	if a.Addr().Is4() {
		return e.has4
	}
	return e.has6
}

// onPath tells whether a check came from where media goes, and nothing is left to find out: nearly all do.
func (s *Session) onPath(from netip.AddrPort, now time.Time) bool {
	if from != s.Path() {
		return false
	}
	s.pathSeen.Store(now.UnixNano())
	s.endpoint.mu.RLock()
	defer s.endpoint.mu.RUnlock()
	i := s.addrIndex(from)
	return i >= 0 && s.addrs[i].verified
}

// meet decides about the sender of an authentic check: whether to ask it, and whether it becomes the path.
func (s *Session) meet(from netip.AddrPort, nominates bool, now time.Time) (ask, move bool) {
	s.trust(from)
	s.endpoint.mu.Lock()
	defer s.endpoint.mu.Unlock()
	i := s.addrIndex(from)
	if i < 0 { // closed
		return false, false
	}
	a := &s.addrs[i]
	if a.verified {
		return false, nominates || now.Sub(time.Unix(0, s.pathSeen.Load())) > pathSilence
	}
	a.nominated = a.nominated || nominates
	return s.mayAsk(now), false
}

// mayAsk counts the checks of the current second. The endpoint is locked.
func (s *Session) mayAsk(now time.Time) bool {
	if now.Sub(s.asksSince) >= time.Second {
		s.asksSince, s.asks = now, 0
	}
	s.asks++
	return s.asks <= asksPerSecond
}

// ask sends a check of ours (RFC 8445 §7.2.2).
func (e *Endpoint) ask(s *Session, c credentials, to netip.AddrPort) {
	m, err := stun.Build(stun.BindingRequest, stun.TransactionID,
		stun.NewUsername(c.remoteUfrag+":"+c.ufrag),
		stun.RawAttribute{Type: stun.AttrICEControlled, Value: e.tiebreaker[:]},
		stun.RawAttribute{Type: stun.AttrPriority, Value: binary.BigEndian.AppendUint32(nil, askPriority)},
		stun.NewShortTermIntegrity(c.remotePwd), stun.Fingerprint)
	if err == nil && s.wantsCheck(to, m.TransactionID) {
		_ = e.conn.WriteTo(m.Raw, to)
	}
}
