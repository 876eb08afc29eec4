package engine

import (
	"stentor/engine/control"
	"stentor/forward"
)

// An "auto" room sends its listeners Packed60 while there are many of them or the shards are busy. Latency is what
// that costs, 60 ms on the way to people who only listen; those who may speak always get Live.
const (
	// From packAbove listeners on it pays: the fan-out's cost is then mostly packets, and a room of that size is a
	// talk, not a conversation. Below packBelow it is live again; the gap between keeps a room at the border from
	// changing with everyone who comes and goes.
	packAbove = 200
	packBelow = 150
)

// adapt chooses what an auto room gives its listeners, and tells when that changes. e.mu is held.
func (e *Engine) adapt(r *room) {
	if r.asked != control.RenditionAuto {
		return
	}
	listeners := 0
	for _, p := range r.peers {
		if !p.maySpeak {
			listeners++
		}
	}
	many := listeners >= packAbove || r.rendition != forward.Live && listeners > packBelow
	rend, why := forward.Live, control.RenditionByListeners
	switch {
	case many:
		rend = forward.Packed60
	case r.tenth < e.protection.auto.tenths:
		rend, why = forward.Packed60, control.RenditionByLoad
	case r.why == control.RenditionByLoad:
		why = control.RenditionByLoad // it was the load that is gone
	}
	if rend == r.rendition {
		return
	}
	r.rendition, r.why = rend, why
	for _, p := range r.peers {
		if p.joined {
			e.follow(p)
		}
	}
	e.events.Append(control.Event{Type: control.EventRoomRendition, Room: r.id, Rendition: rend.String(), Reason: why})
}

// rendition is what a peer is to be sent: what peer.update has asked for, else live for those who may speak and the
// room's for those who listen.
func (p *peer) rendition() forward.Rendition {
	if rend, ok := forward.ParseRendition(p.asked); ok && !(rend == forward.Mix && p.maySpeak) { // who has his own voice in it
		return rend
	}
	if p.maySpeak {
		return forward.Live
	}
	return p.room.rendition
}
