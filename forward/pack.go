package forward

import (
	"cmp"
	"slices"
	"time"

	"stentor/forward/opus"
)

// This file makes the packed renditions, once per room. A slot's frames are collected and published as one packet at
// the room's next boundary. Earlier goes what must not be merged: what another speaker, a pause, a loss or a change of
// configuration stands behind, and a sign of silence, which is one only when it is alone.

// pack collects one slot's frames for one packed rendition. Owned by the Reader.
type pack struct {
	merger opus.Merger
	seq    uint64  // last published
	ts     uint64  // of the first frame, on the room's clock
	end    uint64  // of the last frame
	first  *Packet // that the first frames came from
	level  uint8   // of the loudest
	lost   bool    // frames are missing before the first one
	full   bool    // was flushed since the last boundary because no frame would fit
}

// packing is a room's packed renditions. Owned by the Reader.
type packing struct {
	wanted    [renditions]int // legs that follow, or are about to
	switching int             // legs that wait for a boundary
	phase     int64           // of the room's boundaries, in steps of the Reader's grid
	bound     int64           // number of the last boundary
	pending   bool            // a boundary is wanted: frames or legs wait for it
	packs     [renditions][]pack
	arena     arena
	listed    bool // stands in Reader.packing
}

func (p *packing) active() bool { return p.wanted[Packed60]+p.wanted[Packed120]+p.switching > 0 }

// want counts legs in and out of a rendition, and those that wait for a boundary.
func (rd *Reader) want(r *Room, rend Rendition, legs, switching int, now time.Time) {
	p := &r.packing
	p.wanted[rend] += legs
	p.switching += switching
	if rend.packed() {
		switch {
		case p.wanted[rend] == 0:
			p.packs[rend] = nil
		case p.packs[rend] == nil:
			p.packs[rend] = make([]pack, len(r.slots))
			for i := range p.packs[rend] {
				p.packs[rend][i].merger.SizeMax = packMax
			}
		}
	}
	if p.active() && !p.listed {
		// One after the other, five steps on, as far apart as few rooms can be; not drawn, so that a run can be had again.
		p.listed, p.pending, p.phase = true, false, int64(len(rd.packing))*5%packPhases
		rd.packing = append(rd.packing, r)
	}
	if p.switching > 0 {
		rd.pend(r, now)
	}
}

// pend asks for the room's next boundary.
func (rd *Reader) pend(r *Room, now time.Time) {
	if p := &r.packing; !p.pending {
		p.pending, p.bound = true, p.number(now)
		rd.at(p.next())
	}
}

// number is that of the boundary before now.
func (p *packing) number(now time.Time) int64 {
	return (now.UnixMilli()/tickGrid.Milliseconds() - p.phase) / packPhases
}

// next is the time of the boundary after the last one.
func (p *packing) next() time.Time {
	return time.UnixMilli(((p.bound+1)*packPhases + p.phase) * tickGrid.Milliseconds())
}

// waiting tells whether frames or legs wait for a boundary.
func (p *packing) waiting() bool {
	for _, packs := range p.packs {
		for i := range packs {
			if !packs[i].merger.Empty() {
				return true
			}
		}
	}
	return p.switching > 0
}

// pack adds a packet that has just been published to the packed renditions that somebody follows.
func (rd *Reader) pack(r *Room, pk *Packet, ts uint64, samples int, lost bool, now time.Time) {
	if r.packing.packs[Packed60] == nil && r.packing.packs[Packed120] == nil {
		return
	}
	rd.pend(r, now)
	for rend := Packed60; rend <= Packed120; rend++ {
		if packs := r.packing.packs[rend]; packs != nil {
			rd.packInto(r, rend, &packs[pk.slot], pk, ts, samples, lost)
		}
	}
}

func (rd *Reader) packInto(r *Room, rend Rendition, p *pack, pk *Packet, ts uint64, samples int, lost bool) {
	if !p.merger.Empty() && (pk.origin != p.first.origin || pk.marker || lost || ts != p.end) {
		rd.flushPack(r, rend, p, 0)
	}
	if opus.IsDTX(pk.payload) {
		rd.flushPack(r, rend, p, 0)
		rd.alone(r, rend, p, pk)
		return
	}
	if !p.merger.Add(pk.payload) {
		p.full = true
		rd.flushPack(r, rend, p, 0)
		if !p.merger.Add(pk.payload) { // longer than packMax by itself
			rd.alone(r, rend, p, pk)
			return
		}
	}
	if p.first == nil {
		p.first, p.ts, p.level, p.lost = pk, ts, pk.level, lost
	}
	p.level = louder(p.level, pk.level)
	p.end = ts + uint64(samples)
}

// louder is the RFC 6464 octet of the louder of two packets, with a voice flag if either has it.
func louder(a, b uint8) uint8 { return min(a&0x7f, b&0x7f) | (a|b)&0x80 }

// alone publishes a packet as it is in a packed rendition.
func (rd *Reader) alone(r *Room, rend Rendition, p *pack, pk *Packet) {
	p.seq++
	same := *pk
	same.rendition, same.seq = rend, p.seq
	rd.emit(r, &same)
}

// flushPack publishes what a pack holds, padded to size octets if that is more than it has.
func (rd *Reader) flushPack(r *Room, rend Rendition, p *pack, size int) {
	if p.merger.Empty() {
		return
	}
	size = max(size, p.merger.Size())
	payload, _ := p.merger.AppendPadded(r.packing.arena.reserve(size), size)
	r.packing.arena.keep(len(payload))
	p.seq++
	if p.lost { // one packet that did not come, however many frames it would have had
		p.seq++
	}
	rd.emit(r, &Packet{
		rendition: rend, seq: p.seq, ts: uint32(p.ts), csrc: p.first.csrc, origin: p.first.origin, slot: p.first.slot,
		level: p.level, marker: p.first.marker, main: p.first.main, samples: uint16(p.end - p.ts), payload: slices.Clip(payload),
	})
	p.merger.Reset()
	p.first = nil
}

// flushAll publishes all packs of a rendition, the largest first, padded to one size where padMax allows: a listener's
// packets are then of one size but for the last one, which may be shorter, and UDP GSO joins them.
func (rd *Reader) flushAll(r *Room, rend Rendition) {
	order := rd.scratch[:0]
	for i := range r.packing.packs[rend] {
		p := &r.packing.packs[rend][i]
		// A boundary too early by jitter finds one frame more than a packet of 120 ms holds. It waits for the next
		// boundary rather than go alone; but not if legs wait for a clean one.
		carry := p.full && r.packing.switching == 0
		p.full = false
		if !p.merger.Empty() && !carry {
			order = append(order, p)
		}
	}
	rd.scratch = order
	slices.SortStableFunc(order, func(a, b *pack) int { return cmp.Compare(b.merger.Size(), a.merger.Size()) })
	size := 0
	for i, p := range order {
		own := p.merger.Size()
		if size-own > padMax || i == 0 || i == len(order)-1 {
			size = own
		}
		rd.flushPack(r, rend, p, size)
	}
	clear(order)
}

// boundary publishes what was packed, and, if legs wait for it, the place where they may change.
func (rd *Reader) boundary(r *Room, both bool) {
	b := bounds(1<<Live | 1<<Packed60 | 1<<Mix)
	rd.flushAll(r, Packed60)
	if both {
		b |= 1 << Packed120
		rd.flushAll(r, Packed120)
	}
	if r.packing.switching > 0 {
		rd.emit(r, &Packet{bounds: b})
	}
}

// tickRooms gives the rooms that wait for one their boundaries.
func (rd *Reader) tickRooms(now time.Time) {
	rd.packing = slices.DeleteFunc(rd.packing, func(r *Room) bool {
		p := &r.packing
		if n := p.number(now); p.pending && n != p.bound {
			p.bound = n
			rd.boundary(r, n%2 == 0)
			p.pending = p.waiting()
		}
		if p.pending {
			rd.at(p.next())
		}
		p.listed = p.active()
		return !p.listed
	})
}
