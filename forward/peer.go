package forward

import (
	"sync/atomic"
	"time"

	"stentor/forward/cc"
	"stentor/transport"
)

// PeerConfig is what joining a room needs. Immutable.
type PeerConfig struct {
	AudioID       uint32 // the CSRC of this peer's voice
	User          any    // of the engine
	PayloadType   uint8  // of Opus that the peer sends
	RedundancyPT  uint8  // of RFC 2198 that it sends, with Opus in its blocks; 0: none
	UplinkLevelID uint8  // RFC 6464 extension id on the line that the peer sends on; 0: none
	UplinkTWCCID  uint8  // extension id of transport-wide sequence numbers on that line; 0: none
	Lines         []Line // on which the peer can receive, in the offer's order
	MaySpeak      bool
	Muted         bool
	Priority      bool
}

// sends tells whether a payload type was agreed on for what the peer sends.
func (c *PeerConfig) sends(pt uint8) bool {
	return pt == c.PayloadType || pt == c.RedundancyPT && pt != 0
}

// Line is one audio line that a peer can receive on.
type Line struct {
	PayloadType  uint8 // Opus
	RedundancyPT uint8 // RFC 2198 with Opus in its blocks, 0: not to be sent
	LevelID      uint8 // RFC 6464 extension id, 0: none
	TWCCID       uint8 // extension id of transport-wide sequence numbers, 0: none
	NACK         bool  // generic NACKs come for it, and are answered
}

// Peer is one participant in the data plane: a source, and a leg once its session is secured. Its User and the
// atomic fields are for everybody, its methods for the control plane, one call at a time.
type Peer struct {
	config PeerConfig // Immutable.
	room   *Room

	src   source // Owned by the Reader.
	leg   *leg   // Owned by shard; the pointer is the control plane's, as are rendition and depth.
	shard *shard

	rendition Rendition
	depth     int // of redundancy

	attached atomic.Pointer[leg] // while the shard has it, for the Reader

	noted bool // stands in the plane's list of changes, guarded by its lock

	speaking atomic.Bool
	mayTalk  atomic.Bool // as src.maySpeak, for the shard
	quality  atomic.Pointer[cc.Decision]
	Up       Uplink
	Down     Downlink
}

// User is what PeerConfig.User holds.
func (p *Peer) User() any { return p.config.User }

// AudioID is the CSRC of this peer's voice.
func (p *Peer) AudioID() uint32 { return p.config.AudioID }

// Speaking tells whether the peer speaks now, heard or not.
func (p *Peer) Speaking() bool { return p.speaking.Load() }

// Join adds a peer to the room. It may be heard when its session is secured, and hears when Attach is called.
func (r *Room) Join(c PeerConfig) *Peer {
	p := &Peer{config: c, room: r}
	p.Up.Level.Store(silent)
	p.mayTalk.Store(c.MaySpeak)
	p.src = source{peer: p, maySpeak: c.MaySpeak, muted: c.Muted, priority: c.Priority, slot: -1}
	return p
}

// Set changes what the peer may do, from its next packet on.
func (p *Peer) Set(maySpeak, muted, priority bool) {
	p.mayTalk.Store(maySpeak)
	rd := p.room.plane.reader
	rd.do(func(now time.Time) {
		p.src.maySpeak, p.src.muted, p.src.priority = maySpeak, muted, priority
		switch { // also for what waits in the window: after the closing packet nothing may come
		case !maySpeak:
			rd.discard(&p.src, DropNotAllowed)
			rd.endSpurt(&p.src, now)
		case muted:
			rd.discard(&p.src, DropMuted)
			rd.endSpurt(&p.src, now)
		}
	})
}

// Attach starts sending to the peer, whose session is secured.
func (p *Peer) Attach(s *transport.Session) {
	plane := p.room.plane
	p.shard = plane.leastLoaded()
	p.leg = newLeg(p, s.Egress(), plane.endpoint.Dest(s.Path()))
	p.leg.rendition, p.leg.want, p.leg.asked, p.leg.heading = p.rendition, p.rendition, p.rendition, p.rendition
	now := time.Now()
	p.leg.control = newControl(p, p.leg.dest.Addr.Addr(), now)
	p.leg.remember(now)
	p.leg.form = p.leg.formFor(p.depth)
	p.shard.load.Add(1)
	sh, l, rend := p.shard, p.leg, p.rendition
	plane.reader.do(func(now time.Time) { plane.reader.want(p.room, rend, 1, 0, now) })
	sh.do(func(now time.Time) { sh.attach(l, now) })
}

// Follow changes the rendition that the peer is sent, at the room's next boundary: within 120 ms.
func (p *Peer) Follow(rend Rendition) {
	if rend == p.rendition {
		return
	}
	p.rendition = rend
	if p.leg == nil {
		return // Attach will begin with it
	}
	sh, l := p.shard, p.leg
	sh.do(func(time.Time) {
		l.asked = rend
		sh.choose(l)
	})
}

// Quality is how the peer is sent what it hears, and why. Nil before anything was decided, and always where the daemon does not adapt.
func (p *Peer) Quality() *cc.Decision { return p.quality.Load() }

// Redundancy sets how many earlier packets go with each one that the peer is sent, 0 to 2. A peer whose lines have not
// agreed to it gets none.
func (p *Peer) Redundancy(depth int) {
	depth = min(depth, depthMax)
	p.depth = depth
	if p.leg == nil {
		return // Attach will begin with it
	}
	sh, l := p.shard, p.leg
	sh.do(func(time.Time) { sh.protect(l, depth) })
}

// Move sends to another address from now on.
func (p *Peer) Move(s *transport.Session) {
	if p.leg == nil {
		return // Attach will ask for the path
	}
	sh, l, dest := p.shard, p.leg, p.room.plane.endpoint.Dest(s.Path())
	sh.do(func(time.Time) {
		sh.out.Flush() // what is committed borrows the old one
		l.dest = dest
	})
}

// Leave takes the peer out of the data plane and returns when neither the Reader nor its shard knows it any more.
// Its listeners and itself are told as is proper: a closing packet to the room, BYE to the peer.
func (p *Peer) Leave() {
	rd := p.room.plane.reader
	rd.call(func(now time.Time) {
		rd.drain(&p.src, now)
		rd.endSpurt(&p.src, now)
		p.src.gone = true
		p.room.sel.forget(&p.src)
	})
	if p.leg == nil {
		return
	}
	sh, l := p.shard, p.leg
	sh.call(func(now time.Time) { sh.detach(l, now) })
	sh.load.Add(-1)
}
