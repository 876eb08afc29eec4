package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stentor/bench/client"
	"stentor/engine/control"
	"stentor/transport/simnet"
)

// stage is an engine on a simulated network, in virtual time, and the people who come to it.
type stage struct {
	*testing.T
	net    *simnet.Network
	engine *Engine
	people []*person
	hosts  byte // addresses given out
	cancel context.CancelFunc
	ended  chan struct{} // closed when Run has returned
}

var serverAddr = netip.MustParseAddrPort("10.0.0.1:7900")

// onStage runs a story. When it returns, everybody leaves and nothing may be left of them.
func onStage(t *testing.T, story func(s *stage)) {
	onStageWith(t, func(*Config) {}, story)
}

func onStageWith(t *testing.T, configure func(*Config), story func(s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, configure)
		defer s.strike() // also when the story has failed: a bubble must not be left with goroutines in it
		story(s)
	})
}

// newStage sets up; it runs in a bubble.
func newStage(t *testing.T, configure func(*Config)) *stage {
	s := &stage{T: t, net: simnet.New(1), ended: make(chan struct{})}
	conn, err := s.net.Listen(serverAddr)
	s.must(err)
	c := Default()
	c.Spool, c.SpoolFreeMB = t.TempDir(), 1
	c.Adapt = false // stories about adapting ask for it; the others count packets
	c.Shards, c.Node, c.Log = 2, "stage", slog.New(slog.DiscardHandler)
	configure(&c)
	s.engine, err = NewOn(c, conn)
	s.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		defer close(s.ended)
		if err := s.engine.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	return s
}

// strike ends everything and looks whether anything is left.
func (s *stage) strike() {
	s.cancel()
	<-s.ended
	for _, p := range s.people {
		p.client.Close()
	}
	s.net.Close()
	if sessions, addrs, checks := s.engine.endpoint.Size(); sessions+addrs+checks != 0 {
		s.Errorf("left behind: %d sessions, %d addresses, %d checks", sessions, addrs, checks)
	}
}

// over tells whether the daemon has ended by itself.
func (s *stage) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) open(room string, slots int) {
	s.Helper()
	_, err := s.engine.RoomOpen(s.Context(), &control.RoomOpenParams{Room: room, Slots: slots})
	s.must(err)
}

// person is a client and what it has heard.
type person struct {
	stage   *stage
	name    string
	room    string
	id      uint16 // speaker number in its test frames
	client  *client.Client
	socket  *simnet.Socket
	audioID uint32
	frame   uint32 // next test frame

	mu  sync.Mutex
	got []heard
}

// heard is one packet as a listener gets it.
type heard struct {
	client.Packet
	speaker uint16 // 0: no test frame (a sign of silence)
	frame   uint32
	size    int
}

// comes brings somebody to the network, without joining.
func (s *stage) comes(name string, adapt func(*client.Config)) *person {
	s.Helper()
	s.hosts++
	p := &person{stage: s, name: name, id: uint16(s.hosts)}
	var err error
	p.socket, err = s.net.Listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, s.hosts}), 5000))
	s.must(err)
	c := client.Config{Conn: p.socket, AutoRTCP: true, OnPacket: p.hear}
	if adapt != nil {
		adapt(&c)
	}
	p.client, err = client.New(c)
	s.must(err)
	s.people = append(s.people, p)
	return p
}

// joins brings somebody into a room, connected.
func (s *stage) joins(room, name string, params control.PeerJoinParams) *person {
	s.Helper()
	return s.joinsWith(room, name, params, nil)
}

func (s *stage) joinsWith(room, name string, params control.PeerJoinParams, adapt func(*client.Config)) *person {
	s.Helper()
	p := s.comes(name, adapt)
	p.enter(room, params)
	return p
}

func (p *person) enter(room string, params control.PeerJoinParams) {
	s := p.stage
	s.Helper()
	p.room = room
	params.Room, params.Peer, params.SDP = room, p.name, p.client.Offer()
	res, err := s.engine.PeerJoin(s.Context(), &params)
	s.must(err)
	p.audioID = res.AudioID
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
	defer cancel()
	if err := p.client.Connect(ctx, res.SDP); err != nil {
		s.Fatalf("%s cannot connect: %v", p.name, err)
	}
	synctest.Wait()
}

// speaker and listener are the usual rights.
var (
	speaker  = control.PeerJoinParams{MaySpeak: true}
	listener = control.PeerJoinParams{}
)

func (p *person) hear(pk client.Packet) {
	h := heard{Packet: pk, size: len(pk.Payload)}
	h.Payload = slices.Clone(pk.Payload)
	h.speaker, h.frame, _ = client.ParseTestFrame(pk.Payload)
	p.mu.Lock()
	p.got = append(p.got, h)
	p.mu.Unlock()
}

// heard takes what the person has heard since the last call.
func (p *person) heard() []heard {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}

// voices counts the test frames of each speaker by name.
func (p *person) voices(got []heard) map[string]int {
	n := map[string]int{}
	for _, h := range got {
		for _, q := range p.stage.people {
			if h.speaker != 0 && q.id == h.speaker {
				n[q.name]++
			}
		}
	}
	return n
}

const frameTime = 20 * time.Millisecond

// says sends one frame of 20 ms.
func (p *person) says(levelDBov int) {
	p.stage.Helper()
	p.stage.must(p.client.Send(client.Frame{
		Payload: client.TestFrame(p.id, p.frame, 80), Timestamp: p.frame * 960, LevelDBov: levelDBov,
	}))
	p.frame++
}

// talk lets people talk at the same time, each at its level, for a while.
func (s *stage) talk(d time.Duration, levels map[*person]int) {
	s.Helper()
	for range d / frameTime {
		for _, p := range s.people {
			if level, ok := levels[p]; ok {
				p.says(level)
			}
		}
		time.Sleep(frameTime)
	}
	synctest.Wait()
}

// gapless fails if a line's sequence has a gap or its timestamps step back. It returns the lines that were used.
func (s *stage) gapless(got []heard) int {
	s.Helper()
	last := map[int]heard{}
	for _, h := range got {
		if was, ok := last[h.Line]; ok {
			if h.Seq != was.Seq+1 {
				s.Errorf("line %d: sequence %d follows %d", h.Line, h.Seq, was.Seq)
			}
			if int32(h.Timestamp-was.Timestamp) <= 0 {
				s.Errorf("line %d: timestamp %d follows %d", h.Line, h.Timestamp, was.Timestamp)
			}
		}
		last[h.Line] = h
	}
	return len(last)
}

// events lists what happened since a cursor, as "type room/peer detail".
func (s *stage) eventsAfter(cursor string) []string {
	s.Helper()
	synctest.Wait()
	f, err := s.engine.Events().Follow(cursor, nil)
	s.must(err)
	defer f.Close()
	var out []string
	for end := s.engine.Events().Cursor(); cursor != end; {
		evs, err := f.Next(s.Context())
		s.must(err)
		for _, e := range evs {
			cursor = e.Cursor
			line := e.Type + " " + e.Room
			if e.Peer != "" {
				line += "/" + e.Peer
			}
			switch {
			case e.Speaking != nil:
				line += fmt.Sprintf(" %v", *e.Speaking)
			case e.Reason != "":
				line += " " + e.Reason
			}
			out = append(out, line)
		}
	}
	return out
}

// update changes a peer's rights.
func (p *person) update(u control.PeerUpdateParams) {
	p.stage.Helper()
	u.Room, u.Peer = p.room, p.name
	_, err := p.stage.engine.PeerUpdate(p.stage.Context(), &u)
	p.stage.must(err)
}

// state is what peer.get says.
func (p *person) state() *control.Peer {
	p.stage.Helper()
	st, err := p.stage.engine.PeerGet(p.stage.Context(), &control.PeerParams{Room: p.room, Peer: p.name})
	p.stage.must(err)
	return st
}

// wait lets virtual time pass.
func (s *stage) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// refused fails unless err is a control error with the reason.
func (s *stage) refused(err error, want control.Reason) {
	s.Helper()
	if got := control.ReasonOf(err); got != want {
		s.Errorf("refused with %q (%v), want %q", got, err, want)
	}
}
