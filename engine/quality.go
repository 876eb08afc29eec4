package engine

import (
	"time"

	"stentor/engine/control"
	"stentor/forward/cc"
)

// tellQuality appends peer.quality when a peer is sent something else than was told. e.mu is held.
func (e *Engine) tellQuality(p *peer) {
	q := p.fwd.Quality()
	if q == nil || p.gone || q.Rung == p.rung && q.RED == p.red && q.Copies == p.copies {
		return
	}
	p.rung, p.red, p.copies = q.Rung, q.RED, q.Copies
	e.events.Append(control.Event{
		Type: control.EventPeerQuality, Room: p.room.id, Peer: p.id, Quality: qualityOf(q), Reason: q.Why.String(),
	})
}

// qualityOf is a decision in the protocol's words.
func qualityOf(q *cc.Decision) *control.Quality {
	said := &control.Quality{
		Rung: q.Rung.String(), Redundancy: int(q.RED), Copies: q.Copies, Why: q.Why.String(), EstimateBps: q.Estimate, Watched: q.Stamp,
	}
	if q.Copies {
		said.Redundancy = 1
	}
	return said
}

// addStatistics adds what peer.get tells beside the state.
func (p *peer) addStatistics(st *control.Peer, now time.Time) {
	const samplesPerMs = 48
	if path := p.session.Path(); path.IsValid() {
		st.Path = &control.Path{
			Remote: path.String(), SRTPProfile: p.session.Profile(), LastSeenS: max(0, now.Sub(p.session.LastSeen()).Seconds()),
		}
	}
	if q := p.fwd.Quality(); q != nil {
		st.Quality = qualityOf(q)
	}
	up, down := &p.fwd.Up, &p.fwd.Down
	st.Uplink = &control.Uplink{
		Packets: up.Packets.Load(), Bytes: up.Bytes.Load(), Lost: up.Lost.Load(), Dropped: up.Dropped.Load(),
		Recovered: up.Recovered.Load(),
		JitterMs:  float64(up.Jitter.Load()) / samplesPerMs, LevelDBov: -int(up.Level.Load()),
	}
	st.Downlink = &control.Downlink{
		Packets: down.Packets.Load(), Bytes: down.Bytes.Load(), Lost: down.Lost.Load(),
		Lines:       min(len(p.offer.Downlinks(p.room.slots)), p.room.slots),
		LossPercent: float64(down.Loss.Load()) * 100 / 256, JitterMs: float64(down.Jitter.Load()) / samplesPerMs,
		RTTMs: float64(down.RTT.Load()) / 1e6,
		Nacks: down.Nacked.Load(), Resent: down.Resent.Load(), Saved: down.Saved.Load(),
	}
}
