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

// feedback keeps what a speaker is to hear of his packets. Owned by the Reader.
type feedback struct {
	recorder *twcc.Recorder // nil until a stamped packet comes
	due      time.Time
}

// stamped takes note of a packet that bears a transport-wide sequence number, and sends feedback when it is due. What comes
// drives it, so a speaker who is silent costs nothing.
func (rd *Reader) stamped(src *source, h *rtp.Header, now time.Time) {
	id := src.peer.config.UplinkTWCCID
	if id == 0 {
		return
	}
	ext := h.GetExtension(id)
	if len(ext) != 2 {
		return
	}
	f := &src.feedback
	if f.recorder == nil {
		f.recorder, f.due = twcc.NewRecorder(src.peer.room.ssrcs[0]), now.Add(feedbackEvery)
	}
	f.recorder.Record(h.SSRC, binary.BigEndian.Uint16(ext), src.peer.room.since(now).Microseconds())
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
