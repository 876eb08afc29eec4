package forward

import "time"

// Heard is one packet as a peer sent it, after order has been mended and before anything is left out: what a recording
// is made of.
type Heard struct {
	AudioID uint32 // of the peer
	Seq, TS uint64 // extended, on the peer's own clock
	At      int64  // when it came, samples at 48 kHz since the room was opened
	Payload []byte // immutable
	Samples int    // its duration at 48 kHz
	Level   uint8  // RFC 6464 octet
	Slot    int8   // where the room heard it; -1: not
	Restart bool   // begins a new stream: Seq and TS have nothing to do with those before
}

// Tap gets every packet that the room's peers may send. Its method is called by the Reader between a packet's arrival
// and its fan-out: it must not wait, keep the Heard, or allocate.
type Tap interface{ Hear(h *Heard) }

// Tap sets who gets the room's packets from now on; nil: nobody.
func (r *Room) Tap(t Tap) {
	r.plane.reader.do(func(time.Time) { r.tap = t })
}

// Position is now on the room's own time, samples at 48 kHz since it was opened, as Heard has it.
func (r *Room) Position() int64 { return r.position(time.Now()) }

func (r *Room) position(t time.Time) int64 { return int64(r.clock(t) - r.base) }

// tap shows a frame to the room's tap. slot is where it was published, -1: nowhere.
func (rd *Reader) tap(src *source, f *frame, slot int) {
	r := src.peer.room
	if r.tap == nil {
		return
	}
	rd.heard = Heard{
		AudioID: src.peer.config.AudioID, Seq: f.seq, TS: f.ts, At: r.position(f.came), Payload: f.payload, Samples: f.samples,
		Level: f.level, Slot: int8(slot), Restart: src.anew,
	}
	src.anew = false
	r.tap.Hear(&rd.heard)
	rd.heard.Payload = nil
}
