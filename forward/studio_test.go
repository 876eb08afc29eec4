package forward

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"
	"stentor/forward/opus"
	"stentor/transport"
	"stentor/transport/simnet"
)

const (
	frameTime    = 20 * time.Millisecond
	frameSamples = 960
	loud         = 30  // RFC 6464 level of somebody who speaks
	quiet        = 100 // of a room without a voice
)

// voice is an Opus packet of 20 ms: CELT, full band.
var voice = append([]byte{31 << 3}, bytes.Repeat([]byte{0xA5}, 60)...)

// studio is a data plane without goroutines: a test calls the Reader and the shards by hand, at times it chooses.
type studio struct {
	testing.TB
	plane *Plane
	rd    *Reader
	room  *Room
	now   time.Time
	heard uint64 // the test's cursor into the room's program
}

func newStudio(t testing.TB, slots, shards int) *studio {
	t.Helper()
	return newStudioOn(t, newEndpoint(t), slots, shards)
}

// newEndpoint is one on a network where nobody else is.
func newEndpoint(t testing.TB) *transport.Endpoint {
	t.Helper()
	net := simnet.New(1)
	t.Cleanup(func() { net.Close() })
	addr := netip.MustParseAddrPort("10.0.0.1:7900")
	conn, err := net.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := transport.NewEndpoint(transport.Config{Conn: conn, Advertise: []netip.AddrPort{addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endpoint.Close() })
	return endpoint
}

func newStudioOn(t testing.TB, endpoint *transport.Endpoint, slots, shards int) *studio {
	s := &studio{TB: t, plane: &Plane{endpoint: endpoint, changes: changes{ready: make(chan struct{}, 1)}}}
	stopped := make(chan struct{}) // nobody runs Reader and shards, so nobody waits for them
	close(stopped)
	s.rd = &Reader{
		plane: s.plane, done: stopped, touched: make([]bool, shards), limits: thresholds{onset: 50, hold: 60},
	}
	s.plane.reader = s.rd
	for id := range shards {
		s.plane.shards = append(s.plane.shards, &shard{
			id: id, plane: s.plane, out: new(tray), wake: make(chan struct{}, 1), quit: make(chan struct{}), done: stopped,
		})
	}
	s.room = s.plane.OpenRoom(slots, 0, nil)
	s.now = s.room.epoch
	return s
}

// speaker joins somebody who may speak, with three lines to hear on.
func (s *studio) speaker() *Peer { return s.joins(3) }

func (s *studio) joins(lines int) *Peer {
	c := PeerConfig{AudioID: 1000 + uint32(lines), PayloadType: 111, RedundancyPT: 63, UplinkLevelID: 1, MaySpeak: true}
	for range lines {
		c.Lines = append(c.Lines, Line{PayloadType: 111, RedundancyPT: 63, LevelID: 2})
	}
	return s.room.Join(c)
}

// mouth sends as a well-behaved client does.
type mouth struct {
	s    *studio
	peer *Peer
	ssrc uint32
	seq  uint16
	ts   uint32
}

func (s *studio) mouth(p *Peer, seq uint16, ts uint32) *mouth {
	return &mouth{s: s, peer: p, ssrc: 77, seq: seq, ts: ts}
}

// says sends one packet of 20 ms at the studio's time.
func (m *mouth) says(level uint8, payload []byte) {
	m.s.arrives(m.peer, m.header(level), payload)
	m.skips(1)
}

// skips leaves out n packets: they are lost on the way.
func (m *mouth) skips(n int) {
	m.seq += uint16(n)
	m.ts += uint32(n) * frameSamples
}

func (m *mouth) header(level uint8) rtp.Header {
	h := rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: m.seq, Timestamp: m.ts, SSRC: m.ssrc}
	if err := h.SetExtension(1, []byte{level}); err != nil {
		m.s.Fatal(err)
	}
	return h
}

// talks says n packets in real time.
func (m *mouth) talks(n int, level uint8) {
	for range n {
		m.says(level, voice)
		m.s.passes(frameTime)
	}
}

// arrives brings a decrypted packet to the Reader.
func (s *studio) arrives(p *Peer, h rtp.Header, payload []byte) {
	size := h.MarshalSize() + len(payload)
	plain := p.src.arena.reserve(size)[:size]
	n, err := h.MarshalTo(plain)
	if err != nil {
		s.Fatal(err)
	}
	copy(plain[n:], payload)
	s.rd.take(&p.src, &h, plain, s.now)
}

// passes lets time pass, with the Reader's ticks.
func (s *studio) passes(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); {
		step := min(tickGrid, end.Sub(s.now))
		s.now = s.now.Add(step)
		s.rd.tick(s.now)
	}
}

// published takes what the room has published since the last call.
func (s *studio) published() (out []*Packet) {
	s.Helper()
	for head := s.room.program.head.Load(); s.heard < head; s.heard++ {
		pk := s.room.program.at(s.heard)
		if pk == nil {
			s.Fatalf("packet %d was overtaken", s.heard)
		}
		out = append(out, pk)
	}
	return out
}

// tray is a Sender that keeps what is sent, or only counts it.
type tray struct {
	slot    [transport.DatagramSize]byte
	keep    bool
	sent    [][]byte
	dests   []*transport.Dest // of what is committed, borrowed until Flush
	went    []netip.AddrPort  // where what was kept went at Flush
	rtp     uint64
	rtcp    uint64
	counter transport.SendCounters
}

func (t *tray) Reserve() []byte { return t.slot[:] }

func (t *tray) Commit(n int, to *transport.Dest) {
	if t.slot[1] >= 192 && t.slot[1] <= 223 { // RFC 5761 §4
		t.rtcp++
	} else {
		t.rtp++
	}
	if t.keep {
		t.sent = append(t.sent, bytes.Clone(t.slot[:n]))
		t.dests = append(t.dests, to)
	}
}

func (t *tray) Flush() {
	for _, d := range t.dests {
		t.went = append(t.went, d.Addr)
	}
	t.dests = t.dests[:0]
}

func (t *tray) Counters() *transport.SendCounters { return &t.counter }
func (t *tray) Close() error                      { return nil }

// Master key and salts of the listeners, whose packets the tests open.
var (
	masterKey = []byte("a key of 16 byte")
	saltGCM   = []byte("salt of 12 b")
	saltCM    = []byte("salt of 14 byt")
)

func newEgress(t testing.TB, profile srtp.ProtectionProfile) *transport.Egress {
	t.Helper()
	e, err := transport.NewEgress(profile, masterKey, saltOf(profile))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// opener is the listener's side of newEgress.
func opener(t testing.TB, profile srtp.ProtectionProfile) *srtp.Context {
	t.Helper()
	c, err := srtp.CreateContext(masterKey, saltOf(profile), profile, srtp.SRTPReplayProtection(64))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func saltOf(profile srtp.ProtectionProfile) []byte {
	if profile == gcm {
		return saltGCM
	}
	return saltCM
}

const (
	gcm = srtp.ProtectionProfileAeadAes128Gcm
	cm  = srtp.ProtectionProfileAes128CmHmacSha1_80
)

// received opens a sent packet as its listener does.
func received(t testing.TB, c *srtp.Context, packet []byte) rtp.Packet {
	t.Helper()
	plain, err := c.DecryptRTP(nil, packet, nil)
	if err != nil {
		t.Fatalf("open %x: %v", packet[:12], err)
	}
	var p rtp.Packet
	if err := p.Unmarshal(plain); err != nil {
		t.Fatal(err)
	}
	return p
}

// samples turns a time into samples.
func samples(d time.Duration) int64 { return int64(d) * opus.SampleRate / int64(time.Second) }
