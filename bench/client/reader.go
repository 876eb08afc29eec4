package client

import (
	"time"

	"stentor/transport"
)

// earlyLimit bounds the packets that are kept while the handshake's last flight is under way: 64 of them are over a
// second of one speaker. Browsers drop them; tests want to see a server's first packet.
const earlyLimit = 64

// read is the client's one goroutine: it waits for datagrams or the next timer, whatever comes first.
func (c *Client) read() {
	defer close(c.done)
	for {
		batch, err := c.cfg.Conn.ReadBatch(c.deadline())
		if err != nil {
			return
		}
		now := time.Now()
		c.openEarly(now)
		for i := range batch {
			c.receive(now, &batch[i])
		}
		c.send(c.ice.tick(now))
		c.feedBackIfDue(now)
		c.askIfDue(now)
		c.reportIfDue(now)
	}
}

// deadline is that of the earliest timer; zero when none is set.
func (c *Client) deadline() time.Time {
	return earlier(earlier(c.ice.deadline(), c.down.nacks.due()), earlier(c.down.feedback.due, c.down.reportDue))
}

// send sends what the ICE agent decided. A candidate of a family that the socket cannot reach is an error like a
// lost packet: the check is repeated and given up.
func (c *Client) send(messages []outgoing) {
	for _, m := range messages {
		_ = c.cfg.Conn.WriteTo(m.b, m.to)
	}
}

// receive goes by the first octet (RFC 7983). Only STUN, which proves itself, is taken from unknown addresses.
func (c *Client) receive(now time.Time, d *transport.Datagram) {
	kind := transport.Classify(d.Data)
	if kind == transport.KindSTUN {
		c.send(c.ice.receive(now, d.Data, d.From))
		return
	}
	if !c.ice.knows(d.From) {
		c.count.strangers.Add(1)
		return
	}
	switch kind {
	case transport.KindDTLS:
		c.wire.receive(d.Data)
	case transport.KindRTP, transport.KindRTCP:
		c.receiveMedia(now, kind, d.Data)
	default:
		c.count.unknown.Add(1)
	}
}

// receiveMedia opens a packet, or keeps it until there are keys.
func (c *Client) receiveMedia(now time.Time, kind transport.Kind, b []byte) {
	k := c.keys.Load()
	switch {
	case k == nil && len(c.down.early) < earlyLimit:
		c.down.early = append(c.down.early, append([]byte(nil), b...))
	case k == nil:
		c.count.early.Add(1)
	case kind == transport.KindRTP:
		c.openRTP(now, k.in, b)
	default:
		c.openRTCP(now, k.in, b)
	}
}

// openEarly opens what was kept, before anything newer, as soon as there are keys.
func (c *Client) openEarly(now time.Time) {
	if c.keys.Load() == nil {
		return
	}
	if c.cfg.AutoRTCP && c.down.reportDue.IsZero() {
		c.down.reportDue = now.Add(reportInterval)
	}
	early := c.down.early
	c.down.early = nil
	for _, b := range early {
		c.receiveMedia(now, transport.Classify(b), b)
	}
}
