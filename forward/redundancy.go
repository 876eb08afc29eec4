package forward

import (
	"slices"

	"stentor/forward/red"
)

// This file makes redundancy for listeners (RFC 2198), once per room: a packet with the one or two before it in the same
// slot and rendition. It has the number and the time of the plain packet, so that a leg may change from one to the other
// at any packet.

const (
	// depthMax is how many earlier packets go with one at most.
	depthMax = 2
	// redOpus is the payload type of Opus that blocks are given. Chromium, Safari and all that is built of libwebrtc
	// offer it, so it is right for nearly every leg; for others a copy is made.
	redOpus = 111
)

// guard is a room's redundancy. Owned by the Reader.
type guard struct {
	next  uint64                          // index of the packet that follows the last one seen
	past  [renditions][][depthMax]*Packet // of each slot, the newest first
	arena arena
}

// protect makes of a packet what legs want, before it is published.
func (rd *Reader) protect(r *Room, pk *Packet) {
	g := &r.guard
	head := r.program.head.Load()
	if g.next != head { // nobody wanted any for a while
		for _, slots := range g.past {
			clear(slots)
		}
	}
	g.next = head + 1
	if pk.bounds != 0 {
		return
	}
	if g.past[pk.rendition] == nil {
		g.past[pk.rendition] = make([][depthMax]*Packet, len(r.slots))
	}
	past := &g.past[pk.rendition][pk.slot]
	if pk.marker { // another speaker, whom the first one must not hear himself from, or another spurt
		*past = [depthMax]*Packet{}
	}
	if past[0] != nil {
		for depth := 1; depth <= depthMax; depth++ {
			if r.wantsDepth(pk.rendition, depth) {
				g.add(pk, past[:depth])
			}
		}
	}
	past[1], past[0] = past[0], pk
}

// wantsDepth tells whether a leg that follows a rendition wants so much redundancy.
func (r *Room) wantsDepth(rend Rendition, depth int) bool {
	for i := range r.follows {
		if r.follows[i].depths[rend][depth-1].Load() > 0 {
			return true
		}
	}
	return false
}

// add gives a packet the payload that carries the past ones too, as many as there are, and as fit.
func (g *guard) add(pk *Packet, past []*Packet) {
	var blocks [depthMax]red.Block
	at, size := depthMax, red.Size(nil, pk.payload)
	for _, was := range past {
		if was == nil {
			break
		}
		b := red.Block{PayloadType: redOpus, Offset: pk.ts - was.ts, Payload: was.payload}
		if size += red.Size([]red.Block{b}, nil) - red.Size(nil, nil); !b.Fits() || size > packMax {
			break
		}
		at--
		blocks[at] = b
	}
	if at == depthMax {
		return
	}
	size = red.Size(blocks[at:], pk.payload)
	payload := red.Append(g.arena.reserve(size), blocks[at:], redOpus, pk.payload)
	g.arena.keep(size)
	if pk.red == nil {
		pk.red = new([depthMax][]byte)
	}
	pk.red[len(past)-1] = slices.Clip(payload)
}

// protects counts a leg in or out of those that want redundancy.
func (f *follow) protects(l *leg, n int32) {
	if l.depth > 0 {
		f.depths[l.rendition][l.depth-1].Add(n)
		f.room.protected.Add(n)
	}
}

// protect changes how many earlier packets go with each one that a leg is sent. In the shard's turn.
func (s *shard) protect(l *leg, depth int) {
	if l.gone {
		return
	}
	f := &l.peer.room.follows[s.id]
	f.protects(l, -1)
	l.depth = l.depthFor(depth)
	f.protects(l, 1)
}

// depthFor is how much redundancy a leg gets that is to have a depth: none where no line has agreed to it.
func (l *leg) depthFor(depth int) uint8 {
	if !slices.ContainsFunc(l.lines, func(ln outLine) bool { return ln.redPT != 0 }) {
		return 0
	}
	return uint8(min(max(depth, 0), depthMax))
}

// protection is which of a packet's payloads a line is sent, counted from 1, and how many earlier packets are in it; 0: the
// plain one. It never repeats what the line has not been sent: another rendition, another speaker's slot, the peer's own
// voice.
func (l *leg) protection(ln *outLine, pk *Packet) (depth, cover uint8) {
	if pk.red == nil || ln.redPT == 0 {
		return 0, 0
	}
	for depth = l.depth; depth > 0; depth-- {
		payload := pk.red[depth-1]
		if payload == nil {
			continue
		}
		if n := red.Depth(payload); n <= int(ln.run) {
			return depth, uint8(n)
		}
	}
	return 0, 0
}

// protected is that payload, with the line's number of Opus in it.
func (l *leg) protected(ln *outLine, pk *Packet, depth uint8) []byte {
	payload := pk.red[depth-1]
	if ln.pt != redOpus {
		payload = l.shard.rtcp[:copy(l.shard.rtcp[:], payload)]
		red.Retype(payload, ln.pt)
	}
	return payload
}
