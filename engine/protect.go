package engine

import (
	"stentor/engine/control"
	"stentor/forward/cc"
)

// The node protects itself before it drops anything, in two steps. A shard above packHigh sends those who only listen packed
// packets, whatever their rooms say, which cost a third; below packLow it does so no more. If a shard is above fullLoad all
// the same for fullSeconds, the daemon takes no more peers until it is below roomLoad. All of it is told by engine.overload.
const (
	packHigh = 0.85
	packLow  = 0.25 // below a third of packHigh, or packing and not packing would take turns
	fullLoad = 0.95
	roomLoad = 0.80
	// fullSeconds is longer than packing takes to work: a boundary, and the load's next look.
	fullSeconds = 3
)

// protection is what a daemon does about its load. Guarded by Engine.mu.
type protection struct {
	packing []bool // by shard
	full    int    // seconds above fullLoad
	refuses bool
}

// protect looks at the load of the shards, once a second. e.mu is held.
func (e *Engine) protect() {
	p := &e.protection
	if p.packing == nil {
		p.packing = make([]bool, len(e.load.each))
	}
	packed, packs := false, false
	for i, load := range e.load.each {
		was := p.packing[i]
		p.packing[i] = load > packHigh || was && load > packLow
		if p.packing[i] != was {
			e.plane.Limit(i, pick(p.packing[i], cc.Packed60, cc.Live))
		}
		packed, packs = packed || was, packs || p.packing[i]
	}
	if e.load.max > fullLoad {
		p.full++
	} else {
		p.full = 0
	}
	refused := p.refuses
	p.refuses = p.full >= fullSeconds || p.refuses && e.load.max > roomLoad
	if packs == packed && p.refuses == refused {
		return
	}
	reason := control.OverloadOver
	switch {
	case p.refuses:
		reason = control.OverloadRefusing
	case packs:
		reason = control.OverloadPacking
	}
	e.log.Warn("load", "now", reason, "busiest_shard", e.load.max)
	e.events.Append(control.Event{Type: control.EventEngineOverload, Reason: reason})
}
