package forward

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"stentor/forward/cc"
	"stentor/forward/opus"
)

// Room is one Space in the data plane.
type Room struct {
	plane  *Plane // Immutable.
	user   any
	epoch  time.Time
	base   uint64   // the room's clock at epoch
	ssrcs  []uint32 // one a slot
	forbid uint8    // rungs that no leg may have, a bit each

	program Program
	follows []follow // one a shard

	sel      selection // Owned by the Reader.
	slots    []slot
	packing  packing
	guard    guard
	main     dominant
	meter    meter
	mixMeter meter
	losses   cc.Percentile // of what listeners report
	tap      Tap           // nil: none
	mix      mixing

	protected atomic.Int32 // legs that want redundancy

	noted bool // stands in the plane's list of changes, guarded by its lock

	heard [slotsMax]atomic.Pointer[Peer]
}

// slot is one of the room's virtual streams. Owned by the Reader.
type slot struct {
	seq    uint64 // last published
	end    uint64 // end of what was published, on the room's clock
	offset int64  // room's clock less the holder's clock
}

// lossMax is how much loss on the way in is passed on as a gap. More than two seconds is a break, which receivers
// need not wait for.
const lossMax = 100

// strayMax is how far a slot's timestamps may be from the room's clock, in samples: 5 s, more than a stalled network
// holds back.
const strayMax = 5 * opus.SampleRate

// OpenRoom makes a room with 1 to 16 slots. Of the rungs in forbid, a bit each, no listener is ever put. user is the engine's.
func (p *Plane) OpenRoom(slots int, forbid uint8, user any) *Room {
	r := &Room{
		plane: p, user: user, forbid: forbid, epoch: time.Now(), program: newProgram(slots),
		base:  1<<32 | uint64(rand.Uint32()), // RFC 3550 §5.1: unpredictable; the rest keeps differences positive
		slots: make([]slot, slots), sel: selection{places: make([]place, slots)},
		follows: make([]follow, len(p.shards)), main: dominant{slot: -1, challenger: -1},
		meter: meter{octets: make([]int, slots)}, mixMeter: meter{octets: make([]int, 1)},
	}
	for len(r.ssrcs) < slots {
		r.ssrcs = append(r.ssrcs, newSSRC(r.ssrcs))
	}
	for i := range r.follows {
		r.follows[i] = follow{room: r, shard: p.shards[i]}
	}
	return r
}

// newSSRC picks an SSRC that is not taken and not zero.
func newSSRC(taken []uint32) uint32 {
	for {
		ssrc := rand.Uint32()
		ok := ssrc != 0
		for _, t := range taken {
			ok = ok && t != ssrc
		}
		if ok {
			return ssrc
		}
	}
}

// SSRCs are the slots' streams. Shared, not to be changed.
func (r *Room) SSRCs() []uint32 { return r.ssrcs }

// User is what OpenRoom was given.
func (r *Room) User() any { return r.user }

// Heard is who is heard in a slot, nil: nobody.
func (r *Room) Heard(slot int) *Peer { return r.heard[slot].Load() }

// since is how old the room is.
func (r *Room) since(now time.Time) time.Duration { return now.Sub(r.epoch) }

// clock is the room's time in samples.
func (r *Room) clock(now time.Time) uint64 {
	// Split, because nanoseconds times 48000 overflow 64 bits after two days.
	d := r.since(now)
	s, rest := d/time.Second, d%time.Second
	return r.base + uint64(s)*opus.SampleRate + uint64(rest)*opus.SampleRate/uint64(time.Second)
}

// hear takes a source's next frame in order, for the room and for whoever records it.
func (rd *Reader) hear(src *source, f *frame, lost int, now time.Time) {
	rd.tap(src, f, rd.route(src, f, lost, now))
}

// route publishes a frame and returns its slot, or drops it with a reason and returns -1.
func (rd *Reader) route(src *source, f *frame, lost int, now time.Time) int {
	r := src.peer.room
	dtx := opus.IsDTX(f.payload)
	was := src.speech.active
	src.speech.hear(f.level, dtx, rd.limits, now)
	if src.speech.over(now) {
		rd.endSpurt(src, now)
	}
	if !src.speech.active {
		if dtx {
			rd.drop(src, DropDTX)
		} else {
			rd.drop(src, DropSilence)
		}
		return -1
	}
	if !was {
		rd.at(now.Add(hangover))
		src.spurt = true
		rd.setSpeaking(src, true)
	}
	if dtx && src.dtx {
		rd.drop(src, DropDTX)
		return src.slot
	}
	slot, got := r.sel.offer(src, now)
	if slot < 0 {
		rd.drop(src, DropNotHeard)
		return -1
	}
	if got {
		rd.setHeard(r, slot, src.peer)
	}
	rd.publish(src, slot, f, got || src.spurt, lost, now)
	src.spurt, src.dtx = dtx, dtx // what follows a sign of silence starts again
	return slot
}

// publish writes the slot's sequence and the room's clock, once for all listeners. anchored frames set the relation
// between the source's clock and the room's anew: the speaker has changed, or has paused, so that nobody hears the
// jump, and drift between the two is corrected.
func (rd *Reader) publish(src *source, slot int, f *frame, anchor bool, lost int, now time.Time) {
	r := src.peer.room
	st := &r.slots[slot]
	ts := uint64(int64(f.ts) + st.offset)
	// A peer's clock may say anything: a step back, or away from ours by more than any network's delay, is not
	// passed on.
	clock := r.clock(now)
	if anchor || ts < st.end || ts > clock+strayMax || ts+strayMax < clock {
		ts = max(clock, st.end)
		st.offset = int64(ts) - int64(f.ts)
		lost = 0
	}
	st.seq += 1 + uint64(min(lost, lossMax))
	// Whoever sends faster than time passes must not drag the slot away from those who speak in it next.
	st.end = min(ts+uint64(f.samples), clock+strayMax)
	src.end = f.ts + uint64(f.samples)
	main := r.main.hear(slot, r.sel.level, now)
	r.meter.count(slot, len(f.payload), main, now)
	pk := &Packet{
		main: main, samples: uint16(f.samples),
		seq: st.seq, ts: uint32(ts), csrc: src.peer.config.AudioID, origin: src.peer, slot: uint8(slot),
		level: f.level, marker: anchor, payload: f.payload,
	}
	rd.emit(r, pk)
	rd.pack(r, pk, ts, f.samples, lost > 0, now)
}

// emit appends to the program and marks the shards that have legs to send it to.
func (rd *Reader) emit(r *Room, pk *Packet) {
	pk.red = nil
	if r.protected.Load() > 0 {
		rd.protect(r, pk)
	}
	r.program.publish(pk)
	rd.published++
	for i := range r.follows {
		if f := &r.follows[i]; f.wants(pk) {
			f.shard.mark(f)
			rd.touched[i] = true
		}
	}
}

// endSpurt closes what a source has said: listeners get a sign of silence if it has not sent one itself, and the
// slot is free.
func (rd *Reader) endSpurt(src *source, now time.Time) {
	if !src.speech.active {
		return
	}
	src.speech.stop()
	if slot := src.slot; slot >= 0 {
		if !src.dtx { // silence itself, or the comfort noise would be what was said last
			rd.close(src, slot, opus.Quiet, now)
			rd.close(src, slot, opus.Silence(opus.Quiet), now)
		}
		r := src.peer.room
		r.main.leave(slot)
		r.sel.release(src, now)
		rd.setHeard(r, slot, nil)
	}
	src.spurt, src.dtx = false, false
	rd.setSpeaking(src, false)
}

// close publishes a packet that no peer has sent, behind the last one of a spurt.
func (rd *Reader) close(src *source, slot int, p []byte, now time.Time) {
	n, _ := opus.Duration(p)
	rd.publish(src, slot, &frame{ts: src.end, payload: p, samples: n, level: silent}, false, 0, now)
}

func (rd *Reader) setSpeaking(src *source, on bool) {
	src.peer.speaking.Store(on)
	rd.plane.changes.peer(src.peer)
}

func (rd *Reader) setHeard(r *Room, slot int, p *Peer) {
	r.heard[slot].Store(p)
	rd.plane.changes.room(r)
}
