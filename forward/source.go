package forward

import (
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"stentor/forward/opus"
)

// source is the audio that one peer publishes. Owned by the Reader.
type source struct {
	peer *Peer

	// What the peer may do, set by the control plane's commands.
	maySpeak, muted, priority bool
	gone                      bool // left: packets that are still under way are ignored

	arena    arena
	window   window
	rec      reception
	feedback feedback
	speech   speech

	slot   int       // -1: not heard
	spurt  bool      // the next published frame is the first of a spurt
	dtx    bool      // the last published frame was a sign of silence
	anew   bool      // the next frame is the first of a stream
	end    uint64    // end of the last published frame on the source's clock
	live   bool      // stands in the Reader's list of sources that send
	heard  time.Time // last packet
	report time.Time // when the next receiver report is due
}

// due is when tick has something to do for the source.
func (src *source) due() time.Time {
	due := src.report
	earlier := func(t time.Time) {
		if t.Before(due) {
			due = t
		}
	}
	earlier(src.heard.Add(liveTime))
	if src.speech.active {
		earlier(src.speech.voiced.Add(hangover))
	}
	if src.window.held > 0 {
		earlier(src.window.due())
	}
	return due
}

// Uplink is what came from a peer. Atomic.
type Uplink struct {
	Packets atomic.Uint64
	Bytes   atomic.Uint64 // RTP payload
	Lost    atomic.Uint64 // never came, or too late
	Dropped atomic.Uint64 // came and was not forwarded
	Jitter  atomic.Uint32 // RFC 3550 §6.4.1, in samples at 48 kHz
	Level   atomic.Uint32 // last RFC 6464 level, decibels below overload

	Recovered atomic.Uint64 // had not come when redundancy brought it
}

// reception keeps the sequence, clock and statistics of an RTP stream (RFC 3550 §6.4.1, A.1, A.3, A.8).
type reception struct {
	ssrc    uint32
	started bool
	seq     uint64 // highest so far, extended
	ts      uint64 // likewise
	base    uint64 // first sequence number

	received                     uint64
	receivedPrior, expectedPrior uint64
	jitter                       float64
	transit                      int64

	sr   uint32 // middle 32 bits of the last sender report's NTP time
	srAt time.Time
}

// Extended numbers start well above zero, so that reordering at the start cannot take them below it.
const (
	seqStart = 1 << 32
	tsStart  = 1 << 40
)

// restartGap is a sequence jump that is no loss but a new stream: MAX_DROPOUT of RFC 3550 A.1, a minute of audio.
const restartGap = 3000

// take extends a packet's sequence and timestamp and counts it. restarted: it begins a new stream.
func (r *reception) take(h *rtp.Header, now time.Time) (seq, ts uint64, restarted bool) {
	step := int16(h.SequenceNumber - uint16(r.seq))
	arrival := now.UnixMicro() * (opus.SampleRate / 1000) / 1000
	if !r.started || h.SSRC != r.ssrc || step > restartGap || step < -restartGap {
		*r = reception{ssrc: h.SSRC, started: true, seq: seqStart | uint64(h.SequenceNumber), ts: tsStart | uint64(h.Timestamp)}
		r.base, r.received, r.transit = r.seq, 1, arrival-int64(r.ts)
		return r.seq, r.ts, true
	}
	seq = r.seq + uint64(int64(step))
	ts = r.ts + uint64(int64(int32(h.Timestamp-uint32(r.ts))))
	r.seq, r.ts = max(r.seq, seq), max(r.ts, ts)
	r.received++
	transit := arrival - int64(ts)
	d := transit - r.transit
	r.jitter += (float64(max(d, -d)) - r.jitter) / 16
	r.transit = transit
	return seq, ts, false
}

// lost is how many packets have not come so far (RFC 3550 A.3); duplicates do not reach us.
func (r *reception) lost() uint64 {
	if expected := r.seq - r.base + 1; expected > r.received {
		return expected - r.received
	}
	return 0
}

// fraction is the loss since the last call in units of 1/256 (RFC 3550 A.3).
func (r *reception) fraction() uint8 {
	expected := r.seq - r.base + 1
	de, dr := expected-r.expectedPrior, r.received-r.receivedPrior
	r.expectedPrior, r.receivedPrior = expected, r.received
	if de == 0 || dr >= de {
		return 0
	}
	return uint8(min((de-dr)*256/de, 255))
}
