package engine

import (
	"time"

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
	// The busiest shard above loadHigh packs in every auto room, below loadLow again not. A shard that packs works at
	// a third of its load or less, so loadLow must be below a third of loadHigh, or the two would take turns.
	loadHigh = 0.70
	loadLow  = 0.20
)

// load is how busy the shards are.
type load struct {
	at   time.Time
	busy []time.Duration // of each shard so far
	each []float64       // share of the last second that each shard was busy
	max  float64         // of the busiest, 0 … 1, over the last second
	high bool            // with hysteresis
}

// look takes the shards' counters.
func (l *load) look(st forward.Stats, now time.Time) {
	if l.busy == nil {
		l.busy, l.each = make([]time.Duration, len(st.Shards)), make([]float64, len(st.Shards))
	}
	past := now.Sub(l.at)
	l.at, l.max = now, 0
	for i, s := range st.Shards {
		l.each[i] = float64(s.Busy-l.busy[i]) / float64(max(past, time.Millisecond))
		l.max = max(l.max, l.each[i])
		l.busy[i] = s.Busy
	}
	l.high = l.max > loadHigh || l.high && l.max > loadLow
}

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
	case e.load.high:
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
