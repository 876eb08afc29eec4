package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"time"

	"stentor/engine/control"
	"stentor/forward"
	"stentor/forward/cc"
	"stentor/transport"
	"stentor/transport/sdp"
)

// peer is one participant in the registry. Guarded by Engine.mu, but for what is said to be immutable.
type peer struct {
	engine  *Engine // Immutable.
	room    *room
	id      string
	params  control.PeerJoinParams // as given but for the offer, for telling a repetition from a conflict
	sdp     [sha256.Size]byte      // of the offer, which may be long: only its digest is kept
	audioID uint32

	ready chan struct{} // closed when the join is decided
	err   error         // why it failed. Immutable once ready

	// Immutable once ready.
	offer   *sdp.Offer
	answer  string
	fwd     *forward.Peer
	session *transport.Session

	joined   bool // peer.joined was told
	gone     bool // peer.left was told, or never joined
	state    string
	joinedAt time.Time
	maySpeak bool
	muted    bool
	priority bool
	speaking bool    // as told last
	rung     cc.Rung // likewise
	red      uint8
	copies   bool
	mixing   bool   // follows the mix
	asked    string // rendition that peer.update asked for; "": the room's

	restarting  chan struct{}     // non-nil while a restart is under way
	restartSDP  [sha256.Size]byte // of the last restart's offer
	restartTold string            // and its answer
	version     uint64            // of our SDP
}

// disconnectedAfter is how long nothing authentic may come before a peer counts as disconnected: browsers check
// consent every 2.5 to 6 s (RFC 7675 §5.1; Firefox is the slow one).
const disconnectedAfter = 10 * time.Second

// PeerJoin answers a browser's offer. Repeated with the same parameters it gives the same answer.
func (e *Engine) PeerJoin(ctx context.Context, params *control.PeerJoinParams) (*control.PeerJoinResult, error) {
	p, mine, err := e.reserve(params)
	if err != nil {
		return nil, err
	}
	if mine {
		e.connect(p, params.SDP)
	}
	select {
	case <-p.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.err != nil {
		return nil, p.err
	}
	return &control.PeerJoinResult{SDP: p.answer, AudioID: p.audioID}, nil
}

// reserve takes the peer's place in the registry; mine: the caller must connect it.
func (e *Engine) reserve(given *control.PeerJoinParams) (p *peer, mine bool, err error) {
	sum, params := sha256.Sum256([]byte(given.SDP)), *given
	params.SDP = ""
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.rooms[params.Room]
	if r == nil {
		return nil, false, errNoRoom(params.Room)
	}
	if p := r.peers[params.Peer]; p != nil {
		if p.params != params || p.sdp != sum {
			return nil, false, control.Errorf(control.ReasonPeerConflict, "peer %q has joined with other parameters", params.Peer).
				WithHint("peer.leave first; peer.update changes rights; peer.restart takes an ICE-restart offer")
		}
		return p, false, nil
	}
	switch {
	case e.draining:
		return nil, false, errDraining()
	case len(r.peers) >= r.maxPeers:
		return nil, false, control.Errorf(control.ReasonRoomFull, "room %q has its %d peers", r.id, r.maxPeers)
	case e.protection.refuses:
		return nil, false, control.Errorf(control.ReasonBusy, "this daemon's cores are busy").
			WithHint("use another node, or try again in some seconds")
	case e.peers >= e.config.MaxPeers:
		return nil, false, control.Errorf(control.ReasonBusy, "this daemon has its %d peers", e.config.MaxPeers).
			WithHint("use another node, or try later")
	}
	if e.audioID++; e.audioID == 0 {
		e.audioID++
	}
	p = &peer{
		engine: e, room: r, id: params.Peer, params: params, sdp: sum, audioID: e.audioID, ready: make(chan struct{}),
		state: control.StateConnecting, joinedAt: time.Now().UTC(),
		maySpeak: params.MaySpeak, muted: params.Muted, priority: params.Priority,
	}
	r.peers[p.id] = p
	e.peers++
	return p, true, nil
}

// connect does the work of a join outside of the lock, and decides it.
func (e *Engine) connect(p *peer, text string) {
	err := p.open(text)
	e.mu.Lock()
	defer e.mu.Unlock()
	defer close(p.ready)
	switch {
	case err != nil:
		p.err = err
		e.forget(p)
	case p.gone: // the room was closed, or the peer taken out, meanwhile
		p.err = control.Errorf(control.ReasonPeerNotFound, "peer %q left while it was joining", p.id)
		e.dismiss(p)
	default:
		p.joined = true
		e.follow(p)
		e.tell(control.Event{
			Type: control.EventPeerJoined, Room: p.room.id, Peer: p.id, AudioID: p.audioID,
			MaySpeak: ptr(p.maySpeak), Muted: ptr(p.muted), Priority: ptr(p.priority), Rendition: p.rendition().String(),
		})
	}
}

func ptr[T any](v T) *T { return &v }

// open reads the offer, makes the session and writes the answer.
func (p *peer) open(text string) error {
	offer, err := sdp.ParseOffer(text)
	if err != nil {
		return sdpError(err)
	}
	p.offer = offer
	p.fwd = p.room.fwd.Join(p.media())
	p.session, err = p.engine.endpoint.NewSession(transport.SessionConfig{
		Ufrag: offer.Ufrag, Pwd: offer.Pwd, FingerprintHash: offer.FingerprintHash, Fingerprint: offer.Fingerprint,
		SSRCs: announced(offer), Owner: p, User: p.fwd,
	})
	if err != nil {
		return err
	}
	if p.answer, err = p.answerTo(offer); err != nil {
		p.session.Close()
		return sdpError(err)
	}
	return nil
}

// media tells the data plane what the offer has agreed to.
func (p *peer) media() forward.PeerConfig {
	c := forward.PeerConfig{
		AudioID: p.audioID, User: p,
		MaySpeak: p.params.MaySpeak, Muted: p.params.Muted, Priority: p.params.Priority,
	}
	if up := p.offer.Uplink(); up != nil {
		c.PayloadType, c.RedundancyPT, c.UplinkLevelID = up.OpusPT, up.RedPT, up.LevelID
		if up.TWCC {
			c.UplinkTWCCID = up.TWCCID
		}
	}
	for _, i := range p.offer.Downlinks(p.room.slots) {
		l := &p.offer.Lines[i]
		c.Lines = append(c.Lines, forward.Line{PayloadType: l.OpusPT, RedundancyPT: l.RedPT, LevelID: l.LevelID, TWCCID: pick(l.TWCC, l.TWCCID, 0), NACK: l.NACK})
	}
	return c
}

// announced are the sources that the uplink's line names.
func announced(o *sdp.Offer) []uint32 {
	if up := o.Uplink(); up != nil {
		return up.SSRCs
	}
	return nil
}

func (p *peer) answerTo(offer *sdp.Offer) (string, error) {
	e := p.engine
	ufrag, pwd := p.session.Credentials()
	p.version++
	return offer.Answer(sdp.AnswerConfig{
		SessionID: uint64(p.audioID), Version: p.version, Ufrag: ufrag, Pwd: pwd,
		Fingerprint: e.endpoint.Fingerprint(), Candidates: e.endpoint.Candidates(), CNAME: forward.CNAME,
		MaxSlots: p.room.slots, SSRCs: p.room.fwd.SSRCs(), StreamID: "stentor",
	})
}

// sdpError gives an SDP error its reason.
func sdpError(err error) error {
	var bad *sdp.Error
	if !errors.As(err, &bad) {
		return err
	}
	reason := control.ReasonSDPInvalid
	if bad.Unsupported {
		reason = control.ReasonSDPUnsupported
	}
	return control.Errorf(reason, "sdp: %v", bad).WithField("sdp")
}

// find returns a peer that has joined. e.mu is held.
func (e *Engine) find(room, id string) (*peer, error) {
	r := e.rooms[room]
	if r == nil {
		return nil, errNoRoom(room)
	}
	p := r.peers[id]
	if p == nil || !p.joined {
		return nil, control.Errorf(control.ReasonPeerNotFound, "there is no peer %q in room %q", id, room)
	}
	return p, nil
}

// PeerUpdate changes what a peer may do. The peer's browser is not involved.
func (e *Engine) PeerUpdate(_ context.Context, u *control.PeerUpdateParams) (*control.Peer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, err := e.find(u.Room, u.Peer)
	if err != nil {
		return nil, err
	}
	was, wasAsked := [3]bool{p.maySpeak, p.muted, p.priority}, p.asked
	if u.Rendition != nil {
		p.asked = *u.Rendition
		if p.asked == control.RenditionDefault {
			p.asked = ""
		}
	}
	for _, f := range []struct {
		to   *bool
		from *bool
	}{{&p.maySpeak, u.MaySpeak}, {&p.muted, u.Muted}, {&p.priority, u.Priority}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if was != [3]bool{p.maySpeak, p.muted, p.priority} || wasAsked != p.asked {
		p.room.noteUpdate(p, was[0], was[1]) // before packets come that it allows
		p.fwd.Set(p.maySpeak, p.muted, p.priority)
		e.follow(p)
		e.events.Append(control.Event{
			Type: control.EventPeerUpdated, Room: p.room.id, Peer: p.id,
			MaySpeak: ptr(p.maySpeak), Muted: ptr(p.muted), Priority: ptr(p.priority), Rendition: p.rendition().String(),
		})
	}
	st := p.tell()
	return &st, nil
}

// PeerRestart answers an ICE-restart offer; keys, SSRCs and sequence numbers go on. Repeated with the same offer it
// gives the same answer.
func (e *Engine) PeerRestart(ctx context.Context, params *control.PeerRestartParams) (*control.PeerRestartResult, error) {
	p, err := e.claimRestart(ctx, params)
	if err != nil {
		return nil, err
	}
	answer, offer, err := p.restart(params.SDP)
	e.mu.Lock()
	defer e.mu.Unlock()
	done := p.restarting
	p.restarting = nil
	close(done)
	if err != nil {
		return nil, err
	}
	if offer != nil {
		p.offer, p.restartSDP, p.restartTold = offer, sha256.Sum256([]byte(params.SDP)), answer
	}
	return &control.PeerRestartResult{SDP: answer}, nil
}

// claimRestart waits its turn: one restart of a peer at a time.
func (e *Engine) claimRestart(ctx context.Context, params *control.PeerRestartParams) (*peer, error) {
	for {
		e.mu.Lock()
		p, err := e.find(params.Room, params.Peer)
		if err != nil {
			e.mu.Unlock()
			return nil, err
		}
		busy := p.restarting
		if busy == nil {
			p.restarting = make(chan struct{})
			e.mu.Unlock()
			return p, nil
		}
		e.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// restart does the work outside of the lock; offer is nil when it was a repetition. Whoever has claimed the restart
// may read and write offer and version.
func (p *peer) restart(text string) (answer string, offer *sdp.Offer, err error) {
	if p.restartTold != "" && sha256.Sum256([]byte(text)) == p.restartSDP {
		return p.restartTold, nil, nil
	}
	if offer, err = sdp.ParseOffer(text); err != nil {
		return "", nil, sdpError(err)
	}
	if err := p.offer.CheckRestart(offer); err != nil {
		return "", nil, sdpError(err)
	}
	if _, _, err = p.session.Restart(offer.Ufrag, offer.Pwd); err != nil {
		return "", nil, err
	}
	if answer, err = p.answerTo(offer); err != nil {
		return "", nil, sdpError(err)
	}
	return answer, offer, nil
}

// PeerLeave takes a peer out. A peer that is not there has left already.
func (e *Engine) PeerLeave(_ context.Context, params *control.PeerParams) (*control.Empty, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.rooms[params.Room]; r != nil {
		if p := r.peers[params.Peer]; p != nil {
			e.left(p, control.LeftByCall)
		}
	}
	return &control.Empty{}, nil
}

// left tells that a peer has left, and lets go of it. e.mu is held.
func (e *Engine) left(p *peer, reason string) {
	if p.gone {
		return
	}
	e.forget(p)
	if !p.joined {
		return // connect is at work on it, and will see
	}
	if p.speaking {
		p.speaking = false
		e.tell(control.Event{Type: control.EventPeerSpeaking, Room: p.room.id, Peer: p.id, Speaking: ptr(false)})
	}
	if p.maySpeak && p.room.desk != nil {
		p.room.exit(p, reason)
	}
	e.countMix(p, false)
	e.events.Append(control.Event{Type: control.EventPeerLeft, Room: p.room.id, Peer: p.id, Reason: reason})
	e.dismiss(p)
}

// forget takes a peer out of the registry. e.mu is held.
func (e *Engine) forget(p *peer) {
	if p.gone {
		return
	}
	p.gone = true
	delete(p.room.peers, p.id)
	e.peers--
}

// dismiss takes a peer out of the data plane, then off the network, in the background: both wait for other
// goroutines.
func (e *Engine) dismiss(p *peer) {
	e.teardown.Go(func() {
		p.fwd.Leave()
		p.session.Close()
	})
}

// PeerList lists a room's peers by id.
func (e *Engine) PeerList(_ context.Context, params *control.RoomParams) (*control.PeerList, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.rooms[params.Room]
	if r == nil {
		return nil, errNoRoom(params.Room)
	}
	return &control.PeerList{Peers: r.peerStates()}, nil
}

// PeerGet returns one peer with its live statistics.
func (e *Engine) PeerGet(_ context.Context, params *control.PeerParams) (*control.Peer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, err := e.find(params.Room, params.Peer)
	if err != nil {
		return nil, err
	}
	st := p.tell()
	p.addStatistics(&st, time.Now())
	return &st, nil
}

func (p *peer) tell() control.Peer {
	return control.Peer{
		Room: p.room.id, Peer: p.id, State: p.state, JoinedAt: p.joinedAt, AudioID: p.audioID, MaySpeak: p.maySpeak,
		Muted: p.muted, Priority: p.priority, Speaking: p.speaking, Rendition: p.rendition().String(),
	}
}

// Secured attaches the peer to the data plane (transport.Owner).
func (p *peer) Secured(s *transport.Session) {
	e := p.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.gone {
		return
	}
	p.fwd.Attach(s)
	e.setState(p, control.StateConnected, control.EventPeerConnected)
}

// Moved sends to another address (transport.Owner).
func (p *peer) Moved(s *transport.Session, to netip.AddrPort) {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	if !p.gone {
		p.fwd.Move(s)
		p.engine.log.Debug("peer has moved", "room", p.room.id, "peer", p.id, "to", to)
	}
}

// Ended takes out a peer whose transport has ended by itself (transport.Owner).
func (p *peer) Ended(_ *transport.Session, why transport.EndReason, err error) {
	e := p.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.gone {
		return
	}
	reason := control.LeftClosed
	if why == transport.EndDTLSFailed {
		reason = control.LeftDTLSFailed
		e.log.Warn("DTLS handshake failed", "room", p.room.id, "peer", p.id, "error", err)
	}
	e.left(p, reason)
}

// sweepPeer applies the times to one peer. e.mu is held.
func (e *Engine) sweepPeer(p *peer, now time.Time) {
	if !p.joined {
		return
	}
	if p.state == control.StateConnecting {
		if now.Sub(p.joinedAt) > e.config.ConnectTimeout {
			e.left(p, control.LeftConnectTimeout)
		}
		return
	}
	silent := now.Sub(p.session.LastSeen())
	switch {
	case silent > e.config.ConsentTimeout:
		e.left(p, control.LeftConsentLost)
	case silent > min(disconnectedAfter, e.config.ConsentTimeout/2):
		e.setState(p, control.StateDisconnected, control.EventPeerDisconnected)
	default:
		e.setState(p, control.StateConnected, control.EventPeerConnected)
	}
}

// setState tells a change of state. e.mu is held.
func (e *Engine) setState(p *peer, state, event string) {
	if p.state != state {
		p.state = state
		e.events.Append(control.Event{Type: event, Room: p.room.id, Peer: p.id})
	}
}
