package client

import (
	"time"

	"github.com/pion/rtcp"
)

// reportInterval is that of Chromium's audio reports, without its random part: a test can count them.
const reportInterval = time.Second

// reportIfDue sends a compound report every second once something was sent or received.
func (c *Client) reportIfDue(now time.Time) {
	if c.down.reportDue.IsZero() || now.Before(c.down.reportDue) {
		return
	}
	c.down.reportDue = now.Add(reportInterval)
	blocks := c.down.report(now)
	sender := c.up.report(now, c.ssrc, blocks)
	if sender == nil && len(blocks) == 0 {
		return
	}
	description := &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
		Source: c.ssrc,
		Items:  []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: c.cname}},
	}}}
	if sender != nil {
		_ = c.SendRTCP(sender, description) // a report that cannot be sent is followed by another
		return
	}
	_ = c.SendRTCP(&rtcp.ReceiverReport{SSRC: c.ssrc, Reports: blocks}, description)
}

// report collects a block for each SSRC, at most the 31 that a report holds (RFC 3550 §6.4.1).
func (d *downlink) report(now time.Time) []rtcp.ReceptionReport {
	d.mu.Lock()
	defer d.mu.Unlock()
	blocks := make([]rtcp.ReceptionReport, 0, len(d.order))
	for _, ssrc := range d.order[:min(len(d.order), 31)] {
		blocks = append(blocks, d.streams[ssrc].report(now))
	}
	return blocks
}

// report makes a sender report if something was sent since the last one; nil if not.
func (u *uplink) report(now time.Time, ssrc uint32, blocks []rtcp.ReceptionReport) rtcp.Packet {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.packets == u.reported {
		return nil
	}
	u.reported = u.packets
	return &rtcp.SenderReport{
		SSRC: ssrc, NTPTime: ntp(now), PacketCount: uint32(u.packets), OctetCount: uint32(u.octets), Reports: blocks,
		RTPTime: u.timestamp + uint32(now.Sub(u.sentAt)*opusClock/time.Second),
	}
}

// ntp is a time in NTP's 32.32 format, which counts from 1900 (RFC 3550 §4).
func ntp(t time.Time) uint64 {
	const unixEpoch = 2208988800 // 1970 in seconds since 1900
	fraction := uint64(t.Nanosecond()) << 32 / uint64(time.Second)
	return uint64(t.Unix()+unixEpoch)<<32 | fraction
}
