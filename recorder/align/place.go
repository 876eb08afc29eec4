package align

import "stentor/forward/opus"

// place lays a packet on the timeline:
//
//  1. What lies between the track's end and the packet's place is filled, by what it was: a pause, a loss, drift.
//  2. A packet whose place is taken is dropped, or shortened to what is left of it.
//  3. Else it goes to the track's end, which is at most hardError from its place.
func (t *Track) place(p *Packet, emit func(Piece)) {
	at := t.clock.place(p)
	hole, lost := t.hole(p)
	t.stats.Lost += lost
	gap := at - t.end
	switch {
	case lost > 0 && !t.quiet && !opus.IsDTX(t.last.Payload):
		t.lose(p, gap, emit)
	case hole || t.quiet || gap > conceal:
		t.still(Silence, gap+quantum/2, t.cut(p), emit)
	default:
		t.stretch(gap, tolerated(p), emit)
	}
	t.last, t.begun = *p, true
	if over := t.end - at; over > tolerated(p) {
		t.shorten(p, over, emit)
		return
	}
	t.stats.Packets++
	t.put(Piece{Samples: p.Samples, Payload: p.Payload, Kind: Audio, Slot: p.Slot, Level: p.Level, Source: p.Source}, emit)
}

// tolerated is how far from its place a packet may lie.
func tolerated(p *Packet) int64 {
	if p.Level >= quietLevel || opus.IsDTX(p.Payload) {
		return softError
	}
	return hardError
}

// hole tells whether the stream has a hole before p, and how many packets were lost in it: as many as are missing in the
// sequence, if there was room for them.
func (t *Track) hole(p *Packet) (hole bool, lost uint64) {
	if !t.begun {
		return true, 0
	}
	samples := int64(p.TS-t.last.TS) - int64(t.last.Samples)
	if samples <= 0 {
		return false, 0
	}
	room := uint64(samples+int64(p.Samples)-1) / uint64(p.Samples)
	return true, min(p.Seq-t.last.Seq-1, room)
}

// lose fills a loss within speech: what the decoder can conceal is left to it, the rest is silent.
func (t *Track) lose(p *Packet, gap int64, emit func(Piece)) {
	for left := rounded(min(gap, conceal)); left >= tenth; {
		left -= t.conceal(Lost, left, emit)
	}
	if gap > conceal {
		t.still(Lost, gap-conceal+quantum/2, t.cut(p), emit)
	}
}

// stretch makes up for a clock that is slower than the room's.
func (t *Track) stretch(gap, tolerated int64, emit func(Piece)) {
	if gap <= tolerated {
		return
	}
	for left := rounded(gap); left >= tenth; {
		n := t.conceal(Drift, left, emit)
		left -= n
		t.stats.Inserted += uint64(n)
	}
}

// shorten makes up for a clock that is faster than the room's: what is left of the packet in its place is for the decoder
// to conceal. Where silence lies in the place, the packet is too late.
func (t *Track) shorten(p *Packet, over int64, emit func(Piece)) {
	if t.quiet {
		t.stats.Late++
		return
	}
	t.stats.Removed += uint64(p.Samples)
	for left := rounded(int64(p.Samples) - over); left >= tenth; {
		n := t.conceal(Drift, left, emit)
		left -= n
		t.stats.Removed -= uint64(n)
	}
}

// rounded is samples to the nearest 10 ms; 0 for less than 5 ms and below.
func rounded(samples int64) int64 { return max(0, (samples+tenth/2)/tenth*tenth) }

// silence fills with silence up to a position, less than quantum short of it.
func (t *Track) silence(to int64, emit func(Piece)) { t.still(Silence, to-t.end, false, emit) }

// still fills with zeros, and a waker at the end if there is room.
func (t *Track) still(kind Kind, samples int64, wake bool, emit func(Piece)) {
	piece := Piece{Kind: kind, Slot: t.last.Slot, Level: 127, Source: t.last.Source}
	if kind == Silence {
		piece.Slot = -1
	}
	if wake = wake && samples >= wakerSamples; wake {
		samples -= wakerSamples
	}
	for samples >= quantum {
		piece.Payload, piece.Samples = quietPacket(samples)
		t.put(piece, emit)
		samples -= int64(piece.Samples)
	}
	if wake {
		piece.Payload, piece.Samples = waker, wakerSamples
		t.put(piece, emit)
	}
}

// conceal fills with one packet for the decoder to conceal, and returns its duration.
func (t *Track) conceal(kind Kind, samples int64, emit func(Piece)) int64 {
	payload, n := missing(t.last.Payload, samples)
	t.put(Piece{Samples: n, Payload: payload, Kind: kind, Slot: t.last.Slot, Level: 127, Source: t.last.Source}, emit)
	return int64(n)
}

func (t *Track) put(piece Piece, emit func(Piece)) {
	piece.At = t.end
	t.end += int64(piece.Samples)
	t.quiet = piece.Kind == Silence
	emit(piece)
}
