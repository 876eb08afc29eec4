package engine

import (
	"time"

	"stentor/engine/control"
	"stentor/forward"
)

// The node protects itself before it drops anything:
//
//  1. A shard above packHigh sends those who only listen packed packets, whatever their rooms say, which cost a half to an
//     eighth. Below packLow it goes back, step by step (lever.go). Rooms that leave it to the daemon ("auto") are packed
//     before that, from autoHigh on.
//  2. If a shard is above fullLoad all the same for fullTime, the daemon takes no more peers, until all were below roomLoad
//     for as long.
//
// All of it is told by engine.overload.
//
// Is that in time? A shard that is asked for D times what it can do falls behind by 1-1/D of the time that passes. That it
// does is seen after a lookEvery, at the latest when the load over two of them is above packHigh: from an idle shard 0.5 s,
// from half a load 0.4 s and the wait for the look. Legs are told at once, and change at the next boundary, 60 ms later. A
// leg must first be sent what came before that boundary, which takes D times as long as it took to come: 0.7 s × D, and
// meanwhile 0.7 s × (D-1) of packets have come on top. A program keeps 2.3 s: that is enough up to D = 4, which is one who
// talks before a full shard, and three more at once. What the kernel has taken is not late: a socket's buffer of 4 MB holds
// 5,000 packets, 20 ms of a shard at full speed, and no time to react; what does not fit is dropped and counted, packed
// packets fill it half as fast.
//
// A shard's load is the time that somebody spends in its turn, by the wall clock. So it holds what other processes take while
// it is at work, as it should: what is late for that reason is as late. What they, the Reader or a handshake take while it
// waits to be at work it does not hold, and one CPU can be full of those; who counts as full without being busy is known by
// how far it is behind (behindMost).
const (
	packHigh, packLow = 0.85, 0.60
	autoHigh, autoLow = 0.70, 0.50
	fullLoad          = 0.90
	roomLoad          = 0.80
	// fullTime is longer than packing takes to work, so that nobody is refused whom that makes room for.
	fullTime = 2 * time.Second
)

// protection decides what a daemon does about its load. It has no clock. Guarded by Engine.mu.
type protection struct {
	shards  []lever   // what each shard packs
	auto    lever     // what "auto" rooms do
	turns   time.Time // since when the load asks for the other of refusing and not refusing; zero: it does not
	refuses bool
	told    string // reason of the last engine.overload; "": none yet
}

func newProtection(shards int) protection {
	p := protection{shards: make([]lever, shards), auto: lever{high: autoHigh, low: autoLow}}
	for i := range p.shards {
		p.shards[i] = lever{high: packHigh, low: packLow}
	}
	return p
}

// look weighs the load of each shard at a moment. It tells which shards' levers have moved, and whether that of auto rooms has.
func (p *protection) look(loads []float64, now time.Time) (shards []int, auto bool) {
	most := 0.0
	for i, load := range loads {
		if p.shards[i].pull(load, now) {
			shards = append(shards, i)
		}
		most = max(most, load)
	}
	p.admit(most, now)
	return shards, p.auto.pull(most, now)
}

// admit decides whether peers are taken.
func (p *protection) admit(most float64, now time.Time) {
	switch other := !p.refuses && most > fullLoad || p.refuses && most <= roomLoad; {
	case !other:
		p.turns = time.Time{}
	case p.turns.IsZero():
		p.turns = now
	case now.Sub(p.turns) >= fullTime:
		p.refuses, p.turns = !p.refuses, time.Time{}
	}
}

// state is what is to be told of it.
func (p *protection) state() string {
	if p.refuses {
		return control.OverloadRefusing
	}
	for i := range p.shards {
		if p.shards[i].tenths > 0 {
			return control.OverloadPacking
		}
	}
	return control.OverloadOver
}

// protect looks at the load, and does what is to be done about it. e.mu is held.
func (e *Engine) protect(st forward.Stats, now time.Time) {
	e.load.look(st, now)
	p := &e.protection
	shards, auto := p.look(e.load.each, now)
	for _, i := range shards {
		e.plane.Limit(i, p.shards[i].tenths)
		e.log.Debug("a shard packs for another share of who only listens", "shard", i, "tenths", p.shards[i].tenths, "load", e.load.each[i])
	}
	if auto {
		for _, r := range e.rooms {
			e.adapt(r)
		}
	}
	state := p.state()
	if state == p.told || p.told == "" && state == control.OverloadOver {
		return
	}
	p.told = state
	e.log.Warn("load", "now", state, "busiest_shard", e.load.max)
	e.events.Append(control.Event{Type: control.EventEngineOverload, Reason: state})
}
