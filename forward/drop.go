package forward

import "sync/atomic"

// Drop says why a packet was not sent on.
type Drop uint8

// Reasons for which the data plane drops a packet. Those up to DropNotHeard concern a packet once, on its way in;
// the others concern it once for each listener.
const (
	DropNotAllowed  Drop = iota // from a peer that may not speak
	DropMuted                   // from a peer that is muted
	DropPayloadType             // not the Opus payload type of the answer
	DropMalformed               // not an Opus packet
	DropLate                    // behind the reorder window, or there already
	DropSilence                 // nobody speaks
	DropDTX                     // a repeated sign of silence
	DropNotHeard                // all slots are taken by louder ones
	DropOwnVoice                // the listener is the speaker
	DropNoLine                  // the listener has fewer lines than people speak
	DropShardLate               // the shard was overtaken by the program
	DropTooLong                 // does not fit into a datagram
	DropOneVoice                // the listener's network takes one voice alone, and this is another
	DropOverlap                 // said already, in the rendition that the listener has left
	dropCount
)

var dropNames = [dropCount]string{
	"not_allowed", "muted", "payload_type", "malformed", "late", "silence", "dtx", "not_heard",
	"own_voice", "no_line", "shard_late", "too_long", "one_voice", "overlap",
}

// String is the reason as metrics label it.
func (d Drop) String() string { return dropNames[d] }

// Drops counts packets by reason. Atomic.
type Drops [dropCount]atomic.Uint64
