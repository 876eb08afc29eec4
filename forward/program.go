package forward

import "sync/atomic"

// A program keeps programSlot packets a slot, and programLeast at least. Three slots make 150 live packets a second, and 75
// packed ones while somebody follows those: 512 are 2.3 s, more than a shard may ever be late and still be worth following,
// and twice what the daemon needs to see that a shard is late and to have done something about it (engine/protect.go). Eight
// slots make 600 packets a second: 1368 are as long. At some 200 octets a packet the ring pins 100 KB in a room of three
// slots where people have talked, 270 KB in one of eight.
const (
	programSlot  = 171
	programLeast = 512
)

// Packet is one packet of a program, in one rendition; or, without a payload, a boundary. Immutable once published:
// shards read it while they seal, and the garbage collector takes it when the last one is through.
type Packet struct {
	index     uint64 // place in the program
	seq       uint64 // of the slot in its rendition, without gaps but for loss on the way in
	ts        uint32 // on the room's clock
	csrc      uint32 // audio_id of who speaks
	origin    *Peer  // who speaks
	slot      uint8
	level     uint8 // RFC 6464 octet: voice flag and level
	marker    bool  // first of a spurt
	main      bool  // of the dominant speaker, or of all (Mix)
	samples   uint16
	rendition Rendition
	bounds    bounds // of a boundary, else 0
	hush      uint8  // in no program: one more than its place in hushed; else 0
	payload   []byte
	red       *[formsMax][]byte // the payload in each form of redundancy; nil where nobody wants it
}

// Program is a room's ring of packets in the order in which they are to be heard, those of all renditions in one
// order, so that there are places where a leg may change from one to another. One goroutine publishes, any
// number follow; who follows too late loses packets, never memory.
//
// A follower loads a pointer and may keep using the packet: publishing replaces pointers and never writes to what
// was published. The pointer's store happens before that of head, so whoever has seen head sees the packet, or a
// newer one in its place, which its index tells.
type Program struct {
	head atomic.Uint64            // index of the next packet
	ring []atomic.Pointer[Packet] // Immutable: what it points to is not.
}

// newProgram makes the program of a room of so many slots.
func newProgram(slots int) Program {
	return Program{ring: make([]atomic.Pointer[Packet], max(programLeast, programSlot*slots))}
}

// size is how many packets it keeps.
func (p *Program) size() uint64 { return uint64(len(p.ring)) }

// publish appends a packet. For the Reader alone.
func (p *Program) publish(pk *Packet) {
	i := p.head.Load()
	pk.index = i
	p.ring[i%p.size()].Store(pk)
	p.head.Store(i + 1)
}

// at is the packet at an index below head, or nil if it has been overtaken.
func (p *Program) at(i uint64) *Packet {
	if pk := p.ring[i%p.size()].Load(); pk != nil && pk.index == i {
		return pk
	}
	return nil
}
