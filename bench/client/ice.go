package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/stun"

	"stentor/transport"
)

const (
	// RFC 8489 §6.2.1: a request is sent at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s, and given up 8 s (16 RTO) later.
	rto             = 500 * time.Millisecond
	requestCount    = 7
	lastRequestWait = 16 * rto

	// paceInterval lies between the first checks of two candidates: Ta of RFC 8445 §14.2.
	paceInterval = 50 * time.Millisecond

	// RFC 7675 §5.1: consent is renewed about every 5 s and lost after 30 s. Its requests are not repeated.
	consentInterval = 5 * time.Second
	consentLifetime = 30 * time.Second

	// checkPriority is that of a peer-reflexive candidate of component 1 (RFC 8445 §5.1.2.1).
	checkPriority = 110<<24 | 65535<<8 | 255
)

// errNoCandidate is Connect's when no check was answered in time.
var errNoCandidate = errors.New("no candidate of the server answered")

// agent is a controlling ICE agent that nominates the first candidate to answer, by USE-CANDIDATE in every check. What
// decides takes now and returns what to send.
type agent struct {
	conn       transport.Conn // Immutable.
	tiebreaker uint64         // Immutable.

	mu       sync.Mutex
	offered  credentials // of the last offer
	local    credentials // of the run under way
	remote   remote      // of the run under way
	known    map[netip.AddrPort]bool
	checks   []check
	result   chan error // of the run under way, buffered; nil once told
	selected netip.AddrPort

	consentDue time.Time // zero: none
	consentID  [stun.TransactionIDSize]byte
	consentAt  time.Time // the last answer's
	counters   iceCounters
}

type iceCounters struct {
	checksSent, consentSent, consentAnswered, requestsAnswered, requestsRefused uint64
}

// check is a connectivity check under way.
type check struct {
	to      netip.AddrPort
	id      [stun.TransactionIDSize]byte
	message []byte
	sent    int       // how often
	due     time.Time // when to send it again, or to give up
}

// outgoing is a message to send when the lock is free.
type outgoing struct {
	b  []byte
	to netip.AddrPort
}

func newAgent(conn transport.Conn) *agent {
	a := &agent{conn: conn, tiebreaker: rand.Uint64(), known: map[netip.AddrPort]bool{}}
	a.offered = credentials{token(4), token(24)} // as long as Chromium's
	a.local = a.offered
	return a
}

func (a *agent) localCredentials() credentials {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.offered
}

// renewCredentials makes those of a restart's offer. Requests for the old ones are answered until start.
func (a *agent) renewCredentials() credentials {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offered = credentials{token(4), token(24)}
	return a.offered
}

// destination is where everything but checks goes: the selected candidate, or before that the best one.
func (a *agent) destination() netip.AddrPort {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.selected.IsValid() && len(a.remote.candidates) > 0 {
		return a.remote.candidates[0]
	}
	return a.selected
}

// knows tells whether the server named an address in an answer.
func (a *agent) knows(addr netip.AddrPort) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[addr]
}

// consents tells whether the server agreed to receive within the last 30 s (RFC 7675 §5.1).
func (a *agent) consents(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return now.Sub(a.consentAt) < consentLifetime
}

// start prepares the checks of a run; the reader sends them. The channel gets nil at the first answer, or an error when
// every check was given up or another run began.
func (a *agent) start(now time.Time, r remote) (<-chan error, error) {
	checks := make([]check, 0, len(r.candidates))
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, to := range r.candidates {
		m, err := a.request(a.offered, r.credentials)
		if err != nil {
			return nil, fmt.Errorf("make a connectivity check: %w", err)
		}
		checks = append(checks, check{to: to, id: m.TransactionID, message: m.Raw, due: now.Add(time.Duration(i) * paceInterval)})
	}
	a.tell(errors.New("another run of checks began"))
	a.local, a.remote, a.checks = a.offered, r, checks
	a.consentDue = time.Time{}
	for _, to := range r.candidates {
		a.known[to] = true
	}
	a.result = make(chan error, 1)
	return a.result, nil
}

// tell ends a run. Called with mu held.
func (a *agent) tell(err error) {
	if a.result != nil {
		a.result <- err
		a.result = nil
	}
}

// request makes a check (RFC 8445 §7.2.2).
func (a *agent) request(local, remote credentials) (*stun.Message, error) {
	return stun.Build(stun.BindingRequest, stun.TransactionID,
		stun.NewUsername(remote.ufrag+":"+local.ufrag),
		stun.RawAttribute{Type: stun.AttrICEControlling, Value: binary.BigEndian.AppendUint64(nil, a.tiebreaker)},
		stun.RawAttribute{Type: stun.AttrPriority, Value: binary.BigEndian.AppendUint32(nil, checkPriority)},
		stun.RawAttribute{Type: stun.AttrUseCandidate},
		stun.NewShortTermIntegrity(remote.password), stun.Fingerprint)
}

// deadline is when tick has something to do; zero for never.
func (a *agent) deadline() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.consentDue
	for i := range a.checks {
		next = earlier(next, a.checks[i].due)
	}
	return next
}

// earlier of two times, where zero is never.
func earlier(x, y time.Time) time.Time {
	if x.IsZero() || !y.IsZero() && y.Before(x) {
		return y
	}
	return x
}

// tick returns the requests that are due.
func (a *agent) tick(now time.Time) []outgoing {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []outgoing
	kept := a.checks[:0]
	for _, c := range a.checks {
		if now.Before(c.due) {
			kept = append(kept, c)
			continue
		}
		if c.sent == requestCount {
			continue
		}
		out = append(out, outgoing{c.message, c.to})
		a.counters.checksSent++
		wait := rto << c.sent
		if c.sent++; c.sent == requestCount {
			wait = lastRequestWait
		}
		c.due = now.Add(wait)
		kept = append(kept, c)
	}
	a.checks = kept
	if len(kept) == 0 {
		a.tell(errNoCandidate)
	}
	if !a.consentDue.IsZero() && !now.Before(a.consentDue) {
		a.consentDue = now.Add(consentInterval)
		if m, err := a.request(a.local, a.remote.credentials); err == nil {
			a.consentID = m.TransactionID
			a.counters.consentSent++
			out = append(out, outgoing{m.Raw, a.selected})
		}
	}
	return out
}

// receive takes a STUN message and returns the answer to send, if any.
func (a *agent) receive(now time.Time, b []byte, from netip.AddrPort) []outgoing {
	m := &stun.Message{Raw: append([]byte(nil), b...)}
	if m.Decode() != nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch m.Type {
	case stun.BindingSuccess:
		a.succeed(now, m, from)
	case stun.BindingRequest:
		local, ok := a.authentic(m)
		if !ok {
			a.counters.requestsRefused++
			return nil
		}
		reply, err := stun.Build(stun.BindingSuccess, stun.NewTransactionIDSetter(m.TransactionID),
			&stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())},
			stun.NewShortTermIntegrity(local.password), stun.Fingerprint)
		if err != nil {
			return nil
		}
		a.counters.requestsAnswered++
		return []outgoing{{reply.Raw, from}}
	}
	return nil
}

// succeed takes the answer to a check or to a consent request. It must come from where the request went (RFC 8445
// §7.2.5.2.1). Called with mu held.
func (a *agent) succeed(now time.Time, m *stun.Message, from netip.AddrPort) {
	if stun.NewShortTermIntegrity(a.remote.password).Check(m) != nil {
		return
	}
	if m.TransactionID == a.consentID && from == a.selected && !a.consentDue.IsZero() {
		a.consentAt = now
		a.counters.consentAnswered++
		return
	}
	for i := range a.checks {
		if c := &a.checks[i]; c.id == m.TransactionID && c.to == from && c.sent > 0 {
			a.selected, a.checks = from, nil
			a.consentAt, a.consentDue = now, now.Add(consentInterval)
			a.tell(nil)
			return
		}
	}
}

// authentic finds the credentials that a request of the server proves to know. Called with mu held.
func (a *agent) authentic(m *stun.Message) (credentials, bool) {
	var name stun.Username
	if name.GetFrom(m) != nil || m.Contains(stun.AttrFingerprint) && stun.Fingerprint.Check(m) != nil {
		return credentials{}, false
	}
	ufrag, _, _ := strings.Cut(name.String(), ":")
	for _, local := range [2]credentials{a.local, a.offered} {
		if ufrag == local.ufrag && stun.NewShortTermIntegrity(local.password).Check(m) == nil {
			return local, true
		}
	}
	return credentials{}, false
}

func (a *agent) stats() (iceCounters, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counters, a.consentAt
}
