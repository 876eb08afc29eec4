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
	// spread is a third form, besides depth 1 and 2: two earlier packets, but not the last two. Where losses come three in a
	// row both of those are lost with the packet in 44 % of the cases, the second and the fourth one in 22 %. It takes a
	// receiver 40 ms more to have them.
	spread   = depthMax + 1
	formsMax = spread
	// redOpus is the payload type of Opus that blocks are given. Chromium, Safari and all that is built of libwebrtc
	// offer it, so it is right for nearly every leg; for others a copy is made.
	redOpus = 111
)

// behind is which earlier packets go with one in each form, counted back from it, the next one first.
var behind = [formsMax + 1][]uint8{1: {1}, depthMax: {1, 2}, spread: {2, 4}}

// reach is how far back that goes at most.
const reach = 4

// covers is the same as cc counts it: bit i is the packet i+1 places back. n is how many there are room for.
func covers(form uint8, n int) (mask uint8) {
	for _, back := range behind[form][:n] {
		mask |= 1 << (back - 1)
	}
	return mask
}

// guard is a room's redundancy. Owned by the Reader.
type guard struct {
	next  uint64                       // index of the packet that follows the last one seen
	past  [renditions][][reach]*Packet // of each slot, the newest first
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
		g.past[pk.rendition] = make([][reach]*Packet, len(r.slots))
	}
	past := &g.past[pk.rendition][pk.slot]
	if pk.marker { // another speaker, whom the first one must not hear himself from, or another spurt
		*past = [reach]*Packet{}
	}
	for form := uint8(1); past[0] != nil && form <= formsMax; form++ {
		if r.wantsForm(pk.rendition, form) {
			g.add(pk, past, form)
		}
	}
	copy(past[1:], past[:])
	past[0] = pk
}

// wantsForm tells whether a leg that follows a rendition wants redundancy in a form.
func (r *Room) wantsForm(rend Rendition, form uint8) bool {
	for i := range r.follows {
		if r.follows[i].forms[rend][form-1].Load() > 0 {
			return true
		}
	}
	return false
}

// add gives a packet the payload that carries past ones too, as many of the form's as there are, and as fit.
func (g *guard) add(pk *Packet, past *[reach]*Packet, form uint8) {
	var blocks [depthMax]red.Block
	at, size := depthMax, red.Size(nil, pk.payload)
	for _, back := range behind[form] {
		was := past[back-1]
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
		pk.red = new([formsMax][]byte)
	}
	pk.red[form-1] = slices.Clip(payload)
}

// protects counts a leg in or out of those that want redundancy.
func (f *follow) protects(l *leg, n int32) {
	if l.form > 0 {
		f.forms[l.rendition][l.form-1].Add(n)
		f.room.protected.Add(n)
	}
}

// protect changes which earlier packets go with each one that a leg is sent. In the shard's turn.
func (s *shard) protect(l *leg, form int) {
	if l.gone {
		return
	}
	f := &l.peer.room.follows[s.id]
	f.protects(l, -1)
	l.form = l.formFor(form)
	f.protects(l, 1)
}

// formFor is the redundancy that a leg gets that is to have some: none where no line has agreed to it.
func (l *leg) formFor(form int) uint8 {
	if !slices.ContainsFunc(l.lines, func(ln outLine) bool { return ln.redPT != 0 }) {
		return 0
	}
	return uint8(min(max(form, 0), formsMax))
}

// protection is in which form a line is sent a packet, and which earlier ones are in it; 0: the plain one. It never repeats
// what the line has not been sent: another rendition, another speaker's slot, the peer's own voice.
func (l *leg) protection(ln *outLine, pk *Packet) (redForm, cover uint8) {
	if pk.red == nil || ln.redPT == 0 {
		return 0, 0
	}
	for redForm = l.form; redForm > 0; redForm-- {
		payload := pk.red[redForm-1]
		if payload == nil {
			continue
		}
		if n := red.Depth(payload); behind[redForm][n-1] <= ln.run {
			return redForm, covers(redForm, n)
		}
	}
	return 0, 0
}

// protected is that payload, with the line's number of Opus in it.
func (l *leg) protected(ln *outLine, pk *Packet, redForm uint8) []byte {
	payload := pk.red[redForm-1]
	if ln.pt != redOpus {
		payload = l.shard.rtcp[:copy(l.shard.rtcp[:], payload)]
		red.Retype(payload, ln.pt)
	}
	return payload
}
