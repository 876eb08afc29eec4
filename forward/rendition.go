package forward

import "time"

// Rendition is one packaging of the program. Each is made once per room, and only while somebody follows it.
type Rendition uint8

// Renditions.
const (
	Live      Rendition = iota // as it came, mostly a packet every 20 ms
	Packed60                   // the Opus frames of 60 ms merged into one packet (RFC 6716 §3.2.5)
	Packed120                  // of 120 ms
	Mix                        // all slots in one stream, mixed elsewhere (Room.Mixed)
	renditions
)

var renditionNames = [renditions]string{"live", "packed60", "packed120", "mix"}

// packed tells whether a rendition is made by pack.
func (r Rendition) packed() bool { return r == Packed60 || r == Packed120 }

// String is the rendition's name in the protocol.
func (r Rendition) String() string { return renditionNames[r] }

// ParseRendition finds a rendition by its name in the protocol.
func ParseRendition(name string) (Rendition, bool) {
	for r, n := range renditionNames {
		if n == name {
			return Rendition(r), true
		}
	}
	return 0, false
}

const (
	// packEvery is the pace of Packed60; Packed120 has every second of its boundaries. All slots of a room share
	// them, so that packets of several speakers are born together and one message takes them to a listener.
	packEvery = 60 * time.Millisecond
	// packPhases spreads rooms over the Reader's grid, so that they do not all send at once.
	packPhases = int64(packEvery / tickGrid)
	// packMax is the longest packed packet: with headers and tag it stays below every path's MTU of 1280 octets or
	// more (RFC 8200 §5).
	packMax = 1150
	// padMax is how many octets of padding a packet may get so that it joins another one in a message. That costs
	// less than the second message's 2.4 µs (one to itself 4.2 µs, joined 1.8 µs), and 64 octets every 60 ms are
	// 8.5 kb/s, a third of what the second packet's headers cost anyway.
	padMax = 64
)

// bounds names the renditions that have sent all frames up to a place in the program: where a leg may change from one
// of them to another without a gap, and without hearing anything twice.
type bounds uint8

func (b bounds) has(r Rendition) bool { return b&(1<<r) != 0 }
