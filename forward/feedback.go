package forward

import (
	"encoding/binary"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// feedbackEvery is how often a speaker hears which of his packets have come, and when
// (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3): the usual interval, five packets of 20 ms. It is what a browser's own
// congestion control feeds on, so that it sends less before a thin uplink loses half of it.
const feedbackEvery = 100 * time.Millisecond

// stampJump is how far two numbers in a row may lie apart. Farther ones begin anew: a sender that jumps to and fro would have us
// search and keep 32,768 of them for each packet, 12 µs and 256 KB instead of 66 ns.
const stampJump = 1000

// feedback keeps what a speaker is to hear of his packets. Owned by the Reader.
type feedback struct {
	recorder *twcc.Recorder // nil until a stamped packet comes
	last     uint16         // the number that came last
	due      time.Time
}

// stamped takes note of a packet that bears a transport-wide sequence number, and sends feedback when it is due. What comes
// drives it, so a speaker who is silent costs nothing; who may not speak is told nothing. The muted are, so that what they know of
// their network is not old when they speak.
func (rd *Reader) stamped(src *source, h *rtp.Header, now time.Time) {
	id := src.peer.config.UplinkTWCCID
	if id == 0 || !src.maySpeak {
		return
	}
	ext := h.GetExtension(id)
	if len(ext) != 2 {
		return
	}
	f, number := &src.feedback, binary.BigEndian.Uint16(ext)
	if jump := int16(number - f.last); f.recorder == nil || jump > stampJump || jump < -stampJump {
		f.recorder, f.due = twcc.NewRecorder(src.peer.room.ssrcs[0]), now.Add(feedbackEvery)
	}
	f.last = number
	f.recorder.Record(h.SSRC, number, src.peer.room.since(now).Microseconds())
	if now.Before(f.due) {
		return
	}
	f.due = now.Add(feedbackEvery)
	rd.sendTo(src.peer, f.recorder.BuildFeedbackPacket())
}

// sendTo has a peer's shard send RTCP that the Reader has made.
func (rd *Reader) sendTo(p *Peer, packets []rtcp.Packet) {
	l := p.attached.Load()
	if l == nil || len(packets) == 0 {
		return
	}
	b, err := rtcp.Marshal(packets)
	if err != nil {
		return
	}
	sh := l.shard
	sh.do(func(time.Time) { sh.sendRTCP(l, b) })
}
