package engine

import (
	"stentor/engine/control"
	"stentor/forward/cc"
)

// tellQuality appends peer.quality when a peer is sent something else than was told. e.mu is held.
func (e *Engine) tellQuality(p *peer) {
	q := p.fwd.Quality()
	if q == nil || p.gone || q.Rung == p.rung && q.RED == p.red {
		return
	}
	p.rung, p.red = q.Rung, q.RED
	e.events.Append(control.Event{
		Type: control.EventPeerQuality, Room: p.room.id, Peer: p.id, Quality: qualityOf(q), Reason: q.Why.String(),
	})
}

// qualityOf is a decision in the protocol's words.
func qualityOf(q *cc.Decision) *control.Quality {
	return &control.Quality{
		Rung: q.Rung.String(), Redundancy: int(q.RED), Why: q.Why.String(), EstimateBps: q.Estimate, Watched: q.Stamp,
	}
}
