package forward

import (
	"time"

	"stentor/forward/opus"
)

// mixLine is the stream that the mix is sent on: the first slot's, which every listener has a line for.
const mixLine = 0

// Mixed publishes a packet of the room's mix, for the legs that follow that rendition. It began at a position of the room's
// time; the payload is the data plane's from now on. Safe for use by any one goroutine.
func (r *Room) Mixed(at int64, payload []byte) {
	samples, ok := opus.Duration(payload)
	if !ok {
		return
	}
	rd := r.plane.reader
	rd.do(func(now time.Time) { rd.publishMix(r, at, samples, payload, now) })
}

// publishMix gives a packet of the mix its numbers. Its timestamp is that of the moment when it was made, so that a leg's
// clock stays where it is when it changes between the mix and what goes into it, and is late by what the mixer waits for.
func (rd *Reader) publishMix(r *Room, at int64, samples int, payload []byte, now time.Time) {
	m := &r.mix
	anew := m.seq == 0 || at != m.at
	if anew {
		m.lag = r.position(now) - at
	}
	r.mixMeter.count(0, len(payload), true, now)
	m.seq++
	m.at = at + int64(samples)
	rd.emit(r, &Packet{
		rendition: Mix, seq: m.seq, ts: uint32(r.base + uint64(at+m.lag)), slot: mixLine, level: levelUnknown, marker: anew,
		payload: payload, main: true, samples: uint16(samples),
	})
}

// mixing is a room's mix as the data plane sees it. Owned by the Reader.
type mixing struct {
	seq uint64 // last published
	at  int64  // where the next packet begins
	lag int64  // how late it is published, in samples
}
