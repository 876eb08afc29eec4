package forward

import (
	"fmt"
	"sync/atomic"
	"time"

	"stentor/forward/cc"
	"stentor/transport"
)

// Config is what a Plane needs.
type Config struct {
	Endpoint   *transport.Endpoint
	Shards     int  // fan-out goroutines, at least 1
	OnsetLevel int  // a packet this loud starts speech, dBov, -127 … 0
	Adapt      bool // fit what each listener is sent to its network
	HoldLevel  int  // a packet this loud keeps it going, dBov, -127 … 0
}

// Plane is the data plane of a daemon: one Reader and its shards.
type Plane struct {
	endpoint *transport.Endpoint // Immutable.
	reader   *Reader
	shards   []*shard
	changes  changes
	adapt    bool

	// Atomic.
	drops         Drops         // on the way in
	published     atomic.Uint64 // packets that went into programs
	recovered     atomic.Uint64 // packets that redundancy brought
	rtcpMalformed atomic.Uint64
	rtcpDropped   atomic.Uint64 // what listeners said, because one of the kind waits already, or there are too many in one packet
}

// New makes a data plane and starts its goroutines. It ends with Close.
func New(c Config) (*Plane, error) {
	p := &Plane{endpoint: c.Endpoint, adapt: c.Adapt, changes: changes{ready: make(chan struct{}, 1)}}
	p.reader = &Reader{
		plane: p, done: make(chan struct{}), touched: make([]bool, c.Shards),
		limits: thresholds{onset: uint8(-c.OnsetLevel), hold: uint8(-c.HoldLevel)},
	}
	for id := range c.Shards {
		out, err := c.Endpoint.NewSender()
		if err != nil {
			for _, s := range p.shards {
				s.out.Close()
			}
			return nil, fmt.Errorf("make shard: %w", err)
		}
		p.shards = append(p.shards, &shard{
			id: id, plane: p, out: out, busy: busy{epoch: time.Now()},
			wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		})
	}
	for _, s := range p.shards {
		go s.run()
	}
	go p.reader.run()
	return p, nil
}

// Close stops the Reader, by closing the endpoint, then the shards, and waits for them. Peers should have left.
func (p *Plane) Close() error {
	err := p.endpoint.Close()
	<-p.reader.done
	for _, s := range p.shards {
		close(s.quit)
		<-s.done
		if e := s.out.Close(); err == nil {
			err = e
		}
	}
	return err
}

// leastLoaded is the shard with the fewest legs: one room's listeners spread over all cores.
func (p *Plane) leastLoaded() *shard {
	best := p.shards[0]
	for _, s := range p.shards[1:] {
		if s.load.Load() < best.load.Load() {
			best = s
		}
	}
	return best
}

// Stats is what the data plane has counted since it was made.
type Stats struct {
	Published     uint64 // packets that went into programs
	Recovered     uint64 // packets that redundancy brought
	RTCPMalformed uint64
	RTCPDropped   uint64 // NACKs and feedback that came while one of its kind waited
	Shards        []ShardStats
}

// ShardStats is one shard's part.
type ShardStats struct {
	Legs      int
	Followers [renditions]int          // of the legs, by rendition
	Rungs     [cc.Packed120One + 1]int // legs that adapt, by rung
	Moves     [cc.MovesN]uint64
	Resent    uint64               // packets that were sent again
	Copies    uint64               // packets that were sent twice from the start
	Refused   [cc.RefusalsN]uint64 // requests for a packet that were not answered, by reason
	Busy      time.Duration        // not waiting, so far
	Packed    float64              // share of who only listens that is packed to spare the shard
	Behind    float64              // share of a room's program that waited to be sent at the last pass; at 1 packets are lost
	Sent      *transport.SendCounters
}

// Stats reads the counters.
func (p *Plane) Stats(now time.Time) Stats {
	st := Stats{
		Published: p.published.Load(), Recovered: p.recovered.Load(),
		RTCPMalformed: p.rtcpMalformed.Load(), RTCPDropped: p.rtcpDropped.Load(),
	}
	for _, s := range p.shards {
		sh := ShardStats{Legs: int(s.load.Load()), Busy: s.busy.total(now), Behind: float64(s.behind.Load()) / 1024, Sent: s.out.Counters()}
		for r := range sh.Followers {
			sh.Followers[r] = int(s.followers[r].Load())
		}
		for r := range sh.Rungs {
			sh.Rungs[r] = int(s.rungs[r].Load())
		}
		for m := range sh.Moves {
			sh.Moves[m] = s.moves[m].Load()
		}
		sh.Packed = float64(s.limit.Load()) / 10
		sh.Resent, sh.Copies = s.resent.Load(), s.copies.Load()
		for r := range sh.Refused {
			sh.Refused[r] = s.refused[r].Load()
		}
		st.Shards = append(st.Shards, sh)
	}
	return st
}

// Drops calls f for every reason with the sum over Reader and shards.
func (p *Plane) Drops(f func(reason string, n uint64)) {
	for d := range dropCount {
		n := p.drops[d].Load()
		for _, s := range p.shards {
			n += s.drops[d].Load()
		}
		f(d.String(), n)
	}
}

// Limit has so many tenths of those who only listen sent packed packets by a shard, whatever their rooms and networks
// allow, to spare it: the node's protection of itself. It works from the next boundary of their rooms on.
func (p *Plane) Limit(shard, tenths int) {
	s := p.shards[shard]
	s.limit.Store(uint32(tenths))
	s.do(s.weighAll)
}
