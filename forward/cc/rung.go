package cc

// Rung is how much of the program a listener is sent. Higher values are lower rungs: less rate, fewer packets.
type Rung uint8

// Rungs, from the top down. RED goes on top of any of them.
const (
	Live         Rung = iota // every slot, every packet as it came
	Packed60                 // every slot, 60 ms a packet
	Packed60One              // the dominant speaker alone, 60 ms a packet
	Packed120One             // the dominant speaker alone, 120 ms a packet
	rungs
)

var rungNames = [rungs]string{"live", "packed60", "packed60_one", "packed120_one"}

// String is the rung's name in the protocol.
func (r Rung) String() string {
	if r < rungs {
		return rungNames[r]
	}
	return "unknown"
}

// ParseRung finds a rung by its name in the protocol.
func ParseRung(name string) (Rung, bool) {
	for r, n := range rungNames {
		if n == name {
			return Rung(r), true
		}
	}
	return 0, false
}

// Packing is the rendition that a rung follows, in the order of the data plane's renditions.
type Packing uint8

// Packings.
const (
	AsItCame Packing = iota
	Of60ms
	Of120ms
)

// Packing is the rendition that the rung follows.
func (r Rung) Packing() Packing {
	switch r {
	case Live:
		return AsItCame
	case Packed120One:
		return Of120ms
	default:
		return Of60ms
	}
}

// One says that the rung carries the dominant speaker's slot alone.
func (r Rung) One() bool { return r >= Packed60One }

// packets is how many packets of one talker's come in a second, by Packing.
var packets = [...]float64{50, 50. / 3, 50. / 6}

// Demand is what the room would have a listener hear: a room's figures, not a listener's. Zero: nobody talks.
type Demand struct {
	Talking int // slots that carry speech now
	Payload int // b/s of Opus of all of them together
	Main    int // b/s of Opus of the dominant speaker
}

const (
	// overheadDefault is what a packet carries besides Opus, in octets: IPv4 20, UDP 8, RTP 12, one CSRC 4, extensions
	// (level and transport-wide sequence number) 4 + 8, GCM tag 16. For IPv6 add 20.
	overheadDefault = 72
	// redHeader is one redundant block's header (RFC 2198 §3).
	redHeader = 4
)

// cost is what packets of a kind with RED depth put on the wire, in b/s; one: of the dominant speaker alone.
func (d Demand) cost(p Packing, one bool, red uint8, overhead int) float64 {
	n, payload := d.Talking, d.Payload
	if one {
		n, payload = min(n, 1), d.Main
	}
	pps := float64(n) * packets[p]
	return float64(payload)*float64(1+red) + pps*8*float64(overhead+redHeader*int(red))
}

// peak keeps the largest demand of the last 20 to 40 s: speakers take turns, and what fits one may not fit three.
type peak struct {
	now, before Demand
	turned      int64
}

const peakTurn = 20 * second

func (p *peak) add(t int64, d Demand) {
	if t-p.turned >= peakTurn {
		p.before, p.now, p.turned = p.now, Demand{}, t
	}
	p.now = larger(p.now, d)
}

func (p *peak) demand() Demand { return larger(p.now, p.before) }

func larger(a, b Demand) Demand {
	return Demand{max(a.Talking, b.Talking), max(a.Payload, b.Payload), max(a.Main, b.Main)}
}
