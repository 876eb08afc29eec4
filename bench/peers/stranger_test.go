package peers

import (
	"net"
	"slices"
	"sync"
	"testing"
)

// tap is a socket that keeps copies of the media that it sends.
type tap struct {
	net.PacketConn
	mu     sync.Mutex
	copies [][]byte
}

// WriteTo implements net.PacketConn.
func (c *tap) WriteTo(b []byte, to net.Addr) (int, error) {
	if len(b) > 12 && b[0]>>6 == 2 && b[1]&0x7f == 111 { // RTP version 2, payload type of Opus
		c.mu.Lock()
		c.copies = append(c.copies, slices.Clone(b))
		c.mu.Unlock()
	}
	return c.PacketConn.WriteTo(b, to)
}

func (c *tap) sent() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.copies)
}

// TestPacketsFromAWrongAddressAreDropped: somebody else sends the speaker's own packets again, and such as look like
// his next ones. They are counted, and nobody hears of it. The same from the right address are replays.
func TestPacketsFromAWrongAddressAreDropped(t *testing.T) {
	const ip = "127.0.0.1"
	d := startDaemon(t, ip)
	d.room(t)
	line := &tap{PacketConn: listen(t, ip)}
	lea, sam := newPeer(t, "lea", build{ip: ip}), newPeer(t, "sam", build{ip: ip, mux: onSocket(t, line)})
	lea.join(t, d, false)
	sam.join(t, d, true)
	sam.talk(always)
	lea.ear.hears(t, sam.audioID, 25)

	stranger := listen(t, ip)
	var strange [][]byte
	for _, b := range line.sent() {
		next := slices.Clone(b)
		next[3] += 100 // a sequence number that has not come yet
		strange = append(strange, b, next)
	}
	before, replays := d.drops(t, "unknown_address"), d.drops(t, "replay")
	send(t, stranger, d.media, strange)
	eventually(t, "what a stranger sends is counted", func() bool {
		return d.drops(t, "unknown_address") == before+len(strange)
	})
	again := line.sent()[:20]
	send(t, line.PacketConn, d.media, again)
	eventually(t, "what comes again is counted", func() bool { return d.drops(t, "replay") == replays+len(again) })

	lea.ear.hears(t, sam.audioID, len(lea.ear.voice(sam.audioID))+50)
	lea.ear.whole(t, sam, 0)
}

func send(t *testing.T, from net.PacketConn, to net.Addr, packets [][]byte) {
	t.Helper()
	for _, b := range packets {
		if _, err := from.WriteTo(b, to); err != nil {
			t.Fatal(err)
		}
	}
}
