package forward

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp"
	"stentor/forward/opus"
	"stentor/forward/red"
	"stentor/transport"
)

const (
	// tickGrid is what the Reader's own deadlines are rounded up to, so that many sources do not wake it more than a
	// hundred times a second: half a packet's time.
	tickGrid = 10 * time.Millisecond
	// tickIdle is how often it wakes for nothing.
	tickIdle = time.Second
	// liveTime is how long after its last packet a source is looked after.
	liveTime = 2 * time.Second
	// reportEvery is the interval of receiver reports to those who send.
	reportEvery = time.Second
)

// Reader is the one goroutine that receives. It owns rooms and sources.
type Reader struct {
	plane  *Plane
	limits thresholds

	mu       sync.Mutex
	commands []func(now time.Time)
	stopped  bool
	done     chan struct{}

	// Owned by the Reader.
	live      []*source  // that send, and are looked after by tick
	due       time.Time  // when tick is wanted; zero: not at all
	published int        // since the last wake
	touched   []bool     // shards that have something to do, by number
	turns     turns      // how many of them it may serve itself
	packing   []*Room    // that somebody follows packed, or is about to
	scratch   []*pack    // of flushAll
	heard     Heard      // of tap
	red       red.Packet // of unpack
	rtcp      [transport.DatagramSize]byte
}

// run receives until the endpoint is closed.
func (rd *Reader) run() {
	defer close(rd.done)
	for {
		now := time.Now()
		rd.runCommands(now)
		rd.wake()
		wait := now.Add(tickIdle)
		if rd.due.Before(wait) && !rd.due.IsZero() {
			wait = rd.due
		}
		if err := rd.plane.endpoint.Poll(wait, rd); err != nil {
			break
		}
		if now = time.Now(); !rd.due.IsZero() && !now.Before(rd.due) {
			rd.due = time.Time{}
			rd.tick(now)
			rd.tickRooms(now)
			if !rd.due.IsZero() && !now.Before(rd.due) { // never twice in one moment
				rd.due = now.Add(tickGrid)
			}
		}
	}
	rd.mu.Lock()
	rd.stopped = true
	rd.mu.Unlock()
	rd.runCommands(time.Now())
	rd.wake()
}

// at asks for a tick at t, or a little later.
func (rd *Reader) at(t time.Time) {
	t = t.Add(tickGrid - 1).Truncate(tickGrid)
	if rd.due.IsZero() || t.Before(rd.due) {
		rd.due = t
	}
}

// do runs f on the Reader, soon. After the Reader has stopped nothing is left to run it on.
func (rd *Reader) do(f func(now time.Time)) {
	rd.mu.Lock()
	if !rd.stopped {
		rd.commands = append(rd.commands, f)
	}
	rd.mu.Unlock()
	rd.plane.endpoint.Interrupt()
}

// call runs f on the Reader and waits for it.
func (rd *Reader) call(f func(now time.Time)) {
	ran := make(chan struct{})
	rd.do(func(now time.Time) { f(now); close(ran) })
	select {
	case <-ran:
	case <-rd.done:
	}
}

func (rd *Reader) runCommands(now time.Time) {
	rd.mu.Lock()
	commands := rd.commands
	rd.commands = nil
	rd.mu.Unlock()
	for _, f := range commands {
		f(now)
	}
}

// wake has the shards served whose rooms have got packets.
func (rd *Reader) wake() {
	if rd.published == 0 {
		return
	}
	rd.plane.published.Add(uint64(rd.published))
	rd.published = 0
	rd.serve()
}

// RTP takes one media packet (transport.Receiver).
func (rd *Reader) RTP(s *transport.Session, packet []byte, now time.Time) {
	p, ok := s.User().(*Peer)
	if !ok || p.src.gone {
		return
	}
	src := &p.src
	plain, h, ok := s.OpenRTP(src.arena.reserve(len(packet)), packet, now)
	if !ok {
		return
	}
	rd.take(src, h, plain, now)
}

// take brings one decrypted packet to its source. plain is the whole packet, reserved in the source's arena.
func (rd *Reader) take(src *source, h *rtp.Header, plain []byte, now time.Time) {
	p := src.peer
	src.heard = now
	rd.lookAfter(src, now)
	rd.stamped(src, h, now)
	// Counted and extended before anything is refused: whoever is muted keeps his place in the sequence.
	seq, ts, restarted := src.rec.take(h, now)
	if restarted {
		rd.drain(src, now)
		src.window.jump()
		src.spurt, src.anew = true, true
	}
	p.Up.Packets.Add(1)
	payload, drop := rd.accept(src, h, plain)
	if drop != dropCount {
		rd.drop(src, drop)
		return
	}
	if len(payload) == 0 { // browsers probe the network with padding, by the numbers of their audio
		rd.makeRoom(src, seq, now)
		rd.order(src, frame{seq: seq, ts: ts, hollow: true}, false, 0, now)
		return
	}
	p.Up.Bytes.Add(uint64(len(payload)))
	redundant := h.PayloadType != p.config.PayloadType
	if redundant {
		if payload, drop = rd.unpack(src, payload); drop != dropCount {
			rd.drop(src, drop)
			return
		}
	}
	samples, ok := opus.Duration(payload)
	if !ok {
		rd.drop(src, DropMalformed)
		return
	}
	f := frame{seq: seq, ts: ts, payload: payload, samples: samples, level: rd.level(src, h)}
	rd.makeRoom(src, seq, now)
	restored := redundant && rd.restore(src, &f, now)
	rd.order(src, f, restored, len(plain), now)
}

// makeRoom makes a sequence number fit into the window.
func (rd *Reader) makeRoom(src *source, seq uint64, now time.Time) {
	if !src.window.fits(seq) {
		rd.drain(src, now)
	}
	if !src.window.fits(seq) {
		src.window.skip(seq)
	}
}

// accept applies the gate at the ingress and takes the payload out of a packet, which is empty if there was nothing but
// padding; dropCount stands for "accepted".
func (rd *Reader) accept(src *source, h *rtp.Header, plain []byte) ([]byte, Drop) {
	switch {
	case !src.maySpeak:
		return nil, DropNotAllowed
	case src.muted:
		return nil, DropMuted
	case !src.peer.config.sends(h.PayloadType):
		return nil, DropPayloadType
	}
	payload := plain[headerLength(plain):]
	if len(payload) == 0 {
		return nil, DropMalformed
	}
	if h.Padding {
		pad := int(payload[len(payload)-1])
		if pad == 0 || pad > len(payload) {
			return nil, DropMalformed
		}
		payload = payload[:len(payload)-pad]
	}
	return slices.Clip(payload), dropCount
}

// headerLength is where the payload of a packet begins (RFC 3550 §5.1, §5.3.1). The parsed header does not tell:
// it has forgotten the padding that may stand between extensions (RFC 8285 §4.1.1).
func headerLength(packet []byte) int {
	n := 12 + 4*int(packet[0]&0x0f)
	if packet[0]&0x10 != 0 {
		n += 4 + 4*int(binary.BigEndian.Uint16(packet[n+2:]))
	}
	return n
}

// level reads the audio level of a packet.
func (rd *Reader) level(src *source, h *rtp.Header) uint8 {
	id := src.peer.config.UplinkLevelID
	if id == 0 {
		return levelUnknown
	}
	ext := h.GetExtension(id)
	if len(ext) == 0 {
		return levelUnknown
	}
	src.peer.Up.Level.Store(uint32(ext[0] & 0x7f))
	return ext[0]
}

// order puts a frame into the window and hears what is in order by now. size is what it holds of the arena, or what those
// hold that it has restored.
func (rd *Reader) order(src *source, f frame, restored bool, size int, now time.Time) {
	put := src.window.put(f, now)
	if !put {
		rd.drop(src, DropLate)
	}
	if !put && !restored {
		return
	}
	src.arena.keep(size)
	for {
		f, lost, ok := src.window.pop(now, false)
		if !ok {
			break
		}
		rd.hear(src, &f, lost, now)
	}
	if src.window.held > 0 {
		rd.at(src.window.due())
	}
}

// drain hears all that the window holds, without waiting for what is missing.
func (rd *Reader) drain(src *source, now time.Time) {
	for {
		f, lost, ok := src.window.pop(now, true)
		if !ok {
			return
		}
		rd.hear(src, &f, lost, now)
	}
}

// discard drops all that the window holds. What is refused from now on does not come into it, so the order begins anew
// when the peer may be heard again.
func (rd *Reader) discard(src *source, why Drop) {
	for range src.window.held {
		rd.drop(src, why)
	}
	src.window.jump()
}

func (rd *Reader) drop(src *source, d Drop) {
	rd.plane.drops[d].Add(1)
	src.peer.Up.Dropped.Add(1)
}

// lookAfter puts a source on the list of those that tick visits.
func (rd *Reader) lookAfter(src *source, now time.Time) {
	if !src.live {
		src.live, src.report = true, now.Add(reportEvery)
		rd.live = append(rd.live, src)
		rd.at(src.report)
	}
}

// tick does what no packet does: releases frames that waited long enough, ends spurts, reports.
func (rd *Reader) tick(now time.Time) {
	rd.live = slices.DeleteFunc(rd.live, func(src *source) bool {
		if src.gone || now.Sub(src.heard) >= liveTime {
			rd.drain(src, now)
			rd.endSpurt(src, now)
			src.live = false
			return true
		}
		for {
			f, lost, ok := src.window.pop(now, false)
			if !ok {
				break
			}
			rd.hear(src, &f, lost, now)
		}
		if src.speech.over(now) {
			rd.endSpurt(src, now)
		}
		if !now.Before(src.report) {
			src.report = now.Add(reportEvery)
			rd.reportTo(src, now)
		}
		rd.at(src.due())
		return false
	})
}
