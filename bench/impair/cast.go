package impair

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"stentor/bench/client"
	"stentor/bench/impair/ear"
	"stentor/bench/impair/scenario"
	"stentor/bench/impair/speech"
	"stentor/engine"
	"stentor/engine/control"
)

const (
	room       = "story"
	impairedID = "listener-0"
	frameTime  = 20 * time.Millisecond
	// joinTime is more than a join over a perfect network takes, repetitions included.
	joinTime = 20 * time.Second
)

// certificateOf all clients is made once: their keys have nothing to do with the story.
var certificateOf = sync.OnceValues(client.NewCertificate)

// cast are those in the room.
type cast struct {
	engine    *engine.Engine
	world     world
	listeners []*listener
	speakers  []*client.Client
	takes     []*speech.Take   // what the speakers say
	book      *speech.Book     // of the takes
	clients   []*client.Client // all of them
	recording atomic.Bool      // the story has begun
	start     time.Time        // Written before recording is true.
}

// listener is one, and what came.
type listener struct {
	cast    *cast
	timed   bool          // when packets come belongs to what is compared
	from    time.Duration // measured_from
	mu      sync.Mutex
	ear     *ear.Ear // nil for all but the impaired
	digests map[int]*digest
	came    int // packets
	stamped int // of them, since measured_from
}

// digest is of one line: what a listener got, so that two runs can be compared.
type digest struct {
	sum     uint64
	seq     uint16 // of the first packet
	ts      uint32
	packets int
}

// enter lets everybody of a story come in, one after the other.
func (c *cast) enter(ctx context.Context, s *scenario.Scenario, listeners int, timed bool) error {
	if err := c.rehearse(s); err != nil {
		return err
	}
	slots := max(1, min(len(s.Speakers), 8))
	if _, err := c.engine.RoomOpen(ctx, &control.RoomOpenParams{Room: room, Slots: slots}); err != nil {
		return err
	}
	for i := range listeners {
		l := &listener{cast: c, timed: timed, from: s.MeasuredFrom.Duration, digests: map[int]*digest{}}
		if i == 0 {
			l.ear = ear.Knowing(c.book.Find)
		}
		can := scenario.Listener{}
		if i == 0 {
			can = s.Listener
		}
		cl, err := c.join(ctx, fmt.Sprintf("listener-%d", i), false, slots, can, l.hear)
		if err != nil {
			return err
		}
		c.listeners, c.clients = append(c.listeners, l), append(c.clients, cl)
	}
	for i := range s.Speakers {
		cl, err := c.join(ctx, "speaker-"+s.Speakers[i].Name, true, slots, scenario.Listener{}, nil)
		if err != nil {
			return err
		}
		c.speakers, c.clients = append(c.speakers, cl), append(c.clients, cl)
	}
	return nil
}

// rehearse encodes what the speakers will say.
func (c *cast) rehearse(s *scenario.Scenario) (err error) {
	for i := range s.Speakers {
		p, frames := &s.Speakers[i], 0
		for beat := time.Duration(0); beat < s.Lasts.Duration; beat += frameTime {
			if p.TalksAt(beat) {
				frames++
			}
		}
		take, err := speech.Of(uint16(i+1), p.Octets(), p.Level, frames)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		c.takes = append(c.takes, take)
	}
	c.book, err = speech.NewBook(c.takes)
	return err
}

// join lets one come in.
func (c *cast) join(ctx context.Context, name string, speaks bool, lines int, can scenario.Listener, hear func(client.Packet)) (*client.Client, error) {
	certificate, err := certificateOf()
	if err != nil {
		return nil, err
	}
	first := len(c.clients) == 0
	cl, err := c.newClient(client.Config{
		Lines: lines, Certificate: &certificate, TWCC: true, AutoRTCP: true, OnPacket: hear,
		NoRedundancy: can.Redundancy == "no", NACK: can.Nack == "yes" || can.Nack == "unused", NeverAsks: can.Nack == "unused",
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	r, err := c.engine.PeerJoin(ctx, &control.PeerJoinParams{Room: room, Peer: name, MaySpeak: speaks, SDP: cl.Offer()})
	if err == nil {
		if first {
			r.SDP = c.world.answer(r.SDP)
		}
		err = cl.Connect(ctx, r.SDP)
	}
	if err != nil {
		_ = cl.Close() // err says more
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return cl, nil
}

func (c *cast) newClient(cfg client.Config) (*client.Client, error) {
	conn, err := c.world.enter()
	if err != nil {
		return nil, err
	}
	cfg.Conn = conn
	cl, err := client.New(cfg)
	if err != nil {
		_ = conn.Close() // err says more
	}
	return cl, err
}

// leave lets everybody go without a word: the engine has gone already.
func (c *cast) leave() {
	for _, cl := range c.clients {
		_ = cl.Close()
	}
}

// begin begins the story.
func (c *cast) begin(start time.Time) {
	c.start = start
	c.recording.Store(true)
}

// hear takes a packet.
func (l *listener) hear(p client.Packet) {
	if !l.cast.recording.Load() {
		return
	}
	at := p.At.Sub(l.cast.start)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.came++
	if p.HasTWCC && at >= l.from {
		l.stamped++
	}
	if l.ear != nil {
		l.ear.Take(at, p.Line, p.Seq, p.Timestamp, p.Payload)
		return
	}
	d := l.digests[p.Line]
	if d == nil {
		d = &digest{sum: 14695981039346656037, seq: p.Seq, ts: p.Timestamp}
		l.digests[p.Line] = d
	}
	d.packets++
	d.add(uint64(p.Seq - d.seq))
	d.add(uint64(p.Timestamp - d.ts))
	d.add(uint64(-p.Level)<<2 | bit(p.Marker)<<1 | bit(p.Voice))
	if l.timed {
		d.add(uint64(at)<<1 | bit(p.HasTWCC)) // who is new is asked for feedback for a time
	}
	for _, octet := range p.Payload {
		d.sum = (d.sum ^ uint64(octet)) * 1099511628211
	}
}

// packets is how many came.
func (l *listener) packets() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.came
}

// add mixes a number in (FNV-1a).
func (d *digest) add(v uint64) {
	for range 8 {
		d.sum = (d.sum ^ v&0xFF) * 1099511628211
		v >>= 8
	}
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// total is one number for all lines.
func (l *listener) total() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := digest{sum: uint64(len(l.digests))}
	for line := range scenarioLines {
		if one := l.digests[line]; one != nil {
			d.add(uint64(line))
			d.add(one.sum)
		}
	}
	return d.sum
}

// scenarioLines is more than any offer has.
const scenarioLines = 32
