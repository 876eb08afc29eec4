package transport

import "sync/atomic"

// Drop says why a datagram was not taken.
type Drop uint8

// Reasons for which transport drops a datagram.
const (
	DropNone           Drop = iota
	DropUnknownKind         // no STUN, DTLS, RTP or RTCP, or too long
	DropUnknownUfrag        // STUN request for no session of ours
	DropUnknownCheck        // STUN response to no check of ours
	DropUnknownAddress      // media from an address that ICE has not validated
	DropQueueFull           // STUN or DTLS faster than the peer's goroutine reads
	DropNotSecured          // media before the DTLS handshake
	DropMalformed           // no RTP or RTCP header; a check that is not well-formed
	DropUnknownSSRC         // a source that the offer does not name, or one too many
	DropUnauthentic         // does not open under the peer's keys, or is not signed with the password
	DropReplay              // came before
	dropCount
)

var dropNames = [dropCount]string{
	"none", "unknown_kind", "unknown_ufrag", "unknown_check", "unknown_address", "queue_full",
	"not_secured", "malformed", "unknown_ssrc", "unauthentic", "replay",
}

// String is the reason as metrics label it.
func (d Drop) String() string { return dropNames[d] }

// Counters are what an Endpoint has counted since it was made. Atomic.
type Counters struct {
	Datagrams atomic.Uint64 // received
	Bytes     atomic.Uint64 // received, without IP and UDP headers
	Kinds     [KindRTCP + 1]atomic.Uint64
	drops     [dropCount]atomic.Uint64

	Handshakes       atomic.Uint64 // DTLS handshakes that ended well
	HandshakesFailed atomic.Uint64
	Moves            atomic.Uint64 // sessions that changed their path
}

// Drops calls f for every reason.
func (c *Counters) Drops(f func(reason string, n uint64)) {
	for d := DropNone + 1; d < dropCount; d++ {
		f(d.String(), c.drops[d].Load())
	}
}

func (c *Counters) drop(d Drop) { c.drops[d].Add(1) }
