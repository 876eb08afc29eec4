package forward

import (
	"time"

	"stentor/forward/opus"
	"stentor/forward/red"
)

// This file gives back what the network has lost of a speaker: packets that carry earlier ones (RFC 2198). What comes
// back is a packet like any other from then on, for listeners and for whoever records. A packet brings what was lost
// directly before it, so a gap is closed in the moment when it would show, and nothing waits longer than without.

// unpack takes a redundant payload apart and returns its own packet.
func (rd *Reader) unpack(src *source, payload []byte) ([]byte, Drop) {
	if !rd.red.Parse(payload) {
		return nil, DropMalformed
	}
	if rd.red.PayloadType != src.peer.config.PayloadType {
		return nil, DropPayloadType
	}
	return rd.red.Primary, dropCount
}

// restore puts into the window what it lacks of the packets before f that came with f. It tells whether there was any.
// A block's number is not sent: it is counted back from f's in steps of the block's own duration, as its timestamp asks
// for; padding has numbers too, and no blocks. Where that does not come out even, no more is believed.
func (rd *Reader) restore(src *source, f *frame, now time.Time) bool {
	var found [red.DepthMax]frame
	n := 0
	seq, offset := f.seq, uint32(0)
	for i := len(rd.red.Redundant) - 1; i >= 0; i-- {
		b := &rd.red.Redundant[i]
		samples, ok := opus.Duration(b.Payload)
		if !ok || !b.Fits() || b.PayloadType != src.peer.config.PayloadType {
			continue
		}
		back := int(b.Offset) - int(offset)
		if back <= 0 || back%samples != 0 {
			break
		}
		seq, offset = seq-uint64(back/samples), b.Offset
		for src.window.pads(seq) {
			seq--
		}
		if ts := f.ts - uint64(offset); src.window.lacks(seq, ts, samples) {
			found[n] = frame{seq: seq, ts: ts, payload: b.Payload, samples: samples, level: f.level, restored: true}
			n++
		}
	}
	for i := n - 1; i >= 0; i-- { // the oldest first
		src.window.put(found[i], now)
	}
	src.peer.Up.Recovered.Add(uint64(n))
	rd.plane.recovered.Add(uint64(n))
	return n > 0
}
