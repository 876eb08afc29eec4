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

// stampJump is how far a number may lie from the highest one that feedback has told, or from the first one. Farther ones begin
// anew: a sender that jumps to and fro would have us search and keep 32,768 of them for each packet, 12 µs and 256 KB instead of
// 66 ns. Distances between packets that come one after the other bound nothing: steps of 1000 come to 32,768 in half a second.
const stampJump = 1000

// feedback keeps what a speaker is to hear of his packets. Owned by the Reader.
type feedback struct {
	recorder *twcc.Recorder // nil until a stamped packet comes
	high     uint16         // the highest number so far, as far as the account goes
	told     uint16         // what it was when feedback was last due, or the account began: it never goes back
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
	if jump := int16(number - f.told); f.recorder == nil || jump > stampJump || jump < -stampJump {
		f.recorder, f.due = twcc.NewRecorder(src.peer.room.ssrcs[0]), now.Add(feedbackEvery)
		f.high, f.told = number, number
	}
	if int16(number-f.high) > 0 {
		f.high = number
	}
	f.recorder.Record(h.SSRC, number, src.peer.room.since(now).Microseconds())
	if now.Before(f.due) {
		return
	}
	f.due, f.told = now.Add(feedbackEvery), f.high
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
