package client

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"

	"stentor/forward/red"
	"stentor/transport"
)

// Packet is a received RTP packet, or what another one has brought of an earlier one that has not come (RFC 2198).
type Packet struct {
	At        time.Time
	Line      int // of the offer, by mid or announced SSRC; -1 if neither is known
	SSRC      uint32
	Seq       uint16
	Timestamp uint32
	Marker    bool
	CSRC      uint32 // the first; 0: none
	HasLevel  bool
	Level     int    // dBov, -127 … 0 (RFC 6464)
	Voice     bool   // RFC 6464's V bit
	TWCC      uint16 // transport-wide sequence number
	HasTWCC   bool
	Payload   []byte // Opus; borrowed until OnPacket returns; without padding

	PayloadType uint8
	Redundant   bool // came with earlier ones, or could have
	Recovered   bool // has not come itself; Seq and what is not of the payload are those of the packet that brought it
}

// downlink is the receiving side.
type downlink struct {
	// Owned by the reader.
	header    rtp.Header
	plain     []byte
	plainRTCP []byte
	early     [][]byte
	reportDue time.Time // zero: no reports
	feedback  feedback
	nacks     nacks
	red       red.Packet

	mu      sync.Mutex
	streams map[uint32]*stream
	order   []uint32 // SSRCs in the order in which they came
}

func (d *downlink) init() {
	d.streams = map[uint32]*stream{}
	d.plain = make([]byte, 0, transport.DatagramSize)
	d.plainRTCP = make([]byte, 0, transport.DatagramSize)
}

// openRTP decrypts a packet, books it and gives it to OnPacket unless it came before.
func (c *Client) openRTP(now time.Time, in *srtp.Context, b []byte) {
	d := &c.down
	size, err := d.header.Unmarshal(b)
	if err != nil {
		c.count.unknown.Add(1)
		return
	}
	a := c.answer.Load()
	if _, announced := a.ssrcs[d.header.SSRC]; !announced && len(a.ssrcs) > 0 {
		c.count.unknownSSRC.Add(1) // srtp/v2 would keep state for it even if it is forged
		return
	}
	out, err := in.DecryptRTP(d.plain, b, &d.header)
	if err != nil {
		c.count.decryptFailures.Add(1)
		return
	}
	d.plain = out[:0]
	payload := out[size:]
	if d.header.Padding && len(payload) > 0 {
		payload = payload[:max(0, len(payload)-int(payload[len(payload)-1]))]
	}
	p := c.describe(now, a, payload)
	if !d.book(&p, a.nack && !c.cfg.NeverAsks) {
		return
	}
	if p.HasTWCC {
		d.feedback.note(&p)
	}
	if p.Redundant && !c.unpack(&p) {
		return
	}
	if c.cfg.OnPacket != nil {
		c.cfg.OnPacket(p)
	}
}

// unpack takes a redundant packet apart, and gives OnPacket what had not come before it, oldest first.
func (c *Client) unpack(p *Packet) bool {
	d := &c.down
	if !d.red.Parse(p.Payload) || d.red.PayloadType != opusPayloadType {
		c.count.unknown.Add(1)
		return false
	}
	p.Payload = d.red.Primary
	for _, b := range d.red.Redundant {
		if !b.Fits() || b.PayloadType != opusPayloadType || !d.recovers(p, b.Offset) {
			continue
		}
		was := *p
		was.Timestamp, was.Payload, was.Recovered = p.Timestamp-b.Offset, b.Payload, true
		was.Marker, was.HasLevel, was.HasTWCC = false, false, false
		if c.cfg.OnPacket != nil {
			c.cfg.OnPacket(was)
		}
	}
	return true
}

// recovers tells whether the frame an offset before a packet is new, and books it.
func (d *downlink) recovers(p *Packet, offset uint32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.streams[p.SSRC].recovers(p.Timestamp - offset)
}

// describe reads the header that openRTP has just parsed.
func (c *Client) describe(now time.Time, a *answer, payload []byte) Packet {
	h := &c.down.header
	p := Packet{
		At: now, SSRC: h.SSRC, Seq: h.SequenceNumber, Timestamp: h.Timestamp, Marker: h.Marker, Payload: payload,
		PayloadType: h.PayloadType, Redundant: h.PayloadType == redPayloadType && a.red,
	}
	if len(h.CSRC) > 0 {
		p.CSRC = h.CSRC[0]
	}
	if a.level != 0 {
		if e := h.GetExtension(a.level); len(e) == 1 {
			p.HasLevel, p.Level, p.Voice = true, -int(e[0]&0x7F), e[0]&0x80 != 0
		}
	}
	if a.twcc != 0 {
		if e := h.GetExtension(a.twcc); len(e) == 2 {
			p.HasTWCC, p.TWCC = true, uint16(e[0])<<8|uint16(e[1])
		}
	}
	var mid []byte
	if a.mid != 0 {
		mid = h.GetExtension(a.mid)
	}
	p.Line = a.line(mid, p.SSRC)
	return p
}

// book tells whether a packet is new, and with nack what is missing before it.
func (d *downlink) book(p *Packet, nack bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.streams[p.SSRC]
	if s == nil {
		s = &stream{ssrc: p.SSRC, line: p.Line}
		d.streams[p.SSRC] = s
		d.order = append(d.order, p.SSRC)
	}
	highest, started := s.highest, s.started
	fresh := s.take(p)
	if fresh && nack {
		d.nacks.book(p, highest, started)
	}
	return fresh
}

// openRTCP decrypts a compound packet and counts what is in it.
func (c *Client) openRTCP(now time.Time, in *srtp.Context, b []byte) {
	out, err := in.DecryptRTCP(c.down.plainRTCP, b, nil)
	if err != nil {
		c.count.decryptFailures.Add(1)
		return
	}
	c.down.plainRTCP = out[:0]
	packets, err := rtcp.Unmarshal(out)
	if err != nil {
		c.count.unknown.Add(1)
		return
	}
	c.count.rtcp.Add(1)
	for _, p := range packets {
		c.countRTCP(now, p)
	}
	if c.cfg.OnRTCP != nil {
		c.cfg.OnRTCP(packets)
	}
}

func (c *Client) countRTCP(now time.Time, p rtcp.Packet) {
	switch p := p.(type) {
	case *rtcp.SenderReport:
		c.count.senderReports.Add(1)
		c.down.mu.Lock()
		if s := c.down.streams[p.SSRC]; s != nil {
			s.lastReport, s.lastReportAt = uint32(p.NTPTime>>16), now
		}
		c.down.mu.Unlock()
	case *rtcp.ReceiverReport:
		c.count.receiverReports.Add(1)
	case *rtcp.TransportLayerCC:
		c.count.twccFeedback.Add(1)
		c.count.twccCame.Add(uint64(len(p.RecvDeltas)))
		c.count.twccLost.Add(uint64(int(p.PacketStatusCount) - len(p.RecvDeltas)))
	case *rtcp.Goodbye:
		c.count.byes.Add(uint64(len(p.Sources)))
	}
}
