package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"stentor/forward/red"
	"stentor/transport"
)

// Frame is one Opus packet to send.
type Frame struct {
	Payload   []byte
	Timestamp uint32  // in 1/48000 s
	Seq       *uint16 // nil: the one after the last
	Marker    bool
	LevelDBov int    // -127 (silence) … 0 (the loudest), RFC 6464; what is outside is clamped
	Voice     bool   // RFC 6464's V bit
	SSRC      uint32 // 0: the client's own
}

// uplink is the sending side.
type uplink struct {
	mu        sync.Mutex
	seq       uint16 // of the next packet
	twcc      uint16
	plain     [transport.DatagramSize]byte
	sealed    [transport.DatagramSize]byte
	packets   uint64
	octets    uint64 // of payload
	reported  uint64 // packets at the last report
	timestamp uint32 // of the last packet
	sentAt    time.Time

	header     rtp.Header // of the packet under way; its extensions point to the values below
	extended   *answer    // whose extensions the header lists
	levelValue [1]byte
	twccValue  [2]byte
	parsed     rtp.Header // scratch of srtp

	past   []past      // frames sent last, the oldest first
	blocks []red.Block // scratch of marshal
}

// past is a frame that was sent.
type past struct {
	timestamp uint32
	payload   []byte
}

func (u *uplink) init(redundancy int) {
	u.past, u.blocks = make([]past, redundancy), make([]red.Block, 0, redundancy)
	u.seq = uint16(rand.Uint32N(1 << 15)) // RFC 3711 §3.3.1: the lower half, so that the first packets cannot wrap
}

// Errors of sending.
var (
	ErrNotConnected = errors.New("not connected yet")
	ErrNoConsent    = errors.New("the server has not renewed its consent for 30 s") // RFC 7675 §5.1
)

// Send seals a frame and sends it as one datagram. It fails before Connect, without the server's consent, with a
// payload that is too long, and after Close.
func (c *Client) Send(f Frame) error {
	now := time.Now()
	k, err := c.sendingKeys(now)
	if err != nil {
		return err
	}
	a := c.answer.Load()
	u := &c.up
	u.mu.Lock()
	defer u.mu.Unlock()
	n, err := c.marshal(&f, a)
	if err != nil {
		return err
	}
	sealed, err := k.out.EncryptRTP(u.sealed[:], u.plain[:n], &u.parsed)
	if err != nil {
		return fmt.Errorf("seal a packet: %w", err)
	}
	if err := c.SendRaw(sealed); err != nil {
		return err
	}
	u.packets++
	u.octets += uint64(n - u.header.MarshalSize())
	u.timestamp, u.sentAt = f.Timestamp, now
	return nil
}

func (c *Client) sendingKeys(now time.Time) (*keys, error) {
	k := c.keys.Load()
	if k == nil {
		return nil, ErrNotConnected
	}
	if c.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if !c.ice.consents(now) {
		return nil, ErrNoConsent
	}
	return k, nil
}

// marshal writes the RTP packet into the uplink's buffer, with the extensions that the answer took. Called with up.mu
// held.
func (c *Client) marshal(f *Frame, a *answer) (int, error) {
	u := &c.up
	h := &u.header
	h.Version = 2
	h.Marker, h.SequenceNumber, h.Timestamp, h.SSRC = f.Marker, u.seq, f.Timestamp, f.SSRC
	if f.Seq != nil {
		h.SequenceNumber = *f.Seq
	}
	if f.SSRC == 0 {
		h.SSRC = c.ssrc
	}
	if err := u.extend(f, a); err != nil {
		return 0, fmt.Errorf("header extension: %w", err)
	}
	blocks := u.redundant(f, a)
	h.PayloadType = opusPayloadType
	payload := len(f.Payload)
	if blocks != nil {
		h.PayloadType, payload = redPayloadType, red.Size(blocks, f.Payload)
	}
	const sealRoom = 16 // the longest authentication tag (RFC 7714 §12)
	if size := h.MarshalSize() + payload + sealRoom; size > transport.DatagramSize {
		return 0, fmt.Errorf("a packet of %d octets; at most %d can be sent", size, transport.DatagramSize)
	}
	n, err := h.MarshalTo(u.plain[:])
	if err != nil {
		return 0, fmt.Errorf("write the header: %w", err)
	}
	u.seq = h.SequenceNumber + 1
	u.twcc++
	if blocks != nil {
		n = len(red.Append(u.plain[:n], blocks, opusPayloadType, f.Payload))
	} else {
		n += copy(u.plain[n:], f.Payload)
	}
	u.remember(f)
	return n, nil
}

// redundancyMax is the longest payload with redundancy, as Chromium has it.
const redundancyMax = 1200

// redundant lists what of the past goes with a frame, nil if it goes alone. Called with mu held.
func (u *uplink) redundant(f *Frame, a *answer) []red.Block {
	if len(u.past) == 0 || !a.red {
		return nil
	}
	u.blocks = u.blocks[:0]
	for _, p := range u.past {
		b := red.Block{PayloadType: opusPayloadType, Offset: f.Timestamp - p.timestamp, Payload: p.payload}
		if b.Fits() {
			u.blocks = append(u.blocks, b)
		}
	}
	for len(u.blocks) > 0 && red.Size(u.blocks, f.Payload) > redundancyMax {
		u.blocks = append(u.blocks[:0], u.blocks[1:]...)
	}
	return u.blocks
}

// remember keeps a frame for those that follow. Called with mu held.
func (u *uplink) remember(f *Frame) {
	if n := len(u.past); n > 0 {
		oldest := u.past[0]
		copy(u.past, u.past[1:])
		u.past[n-1] = past{f.Timestamp, append(oldest.payload[:0], f.Payload...)}
	}
}

// extend writes the extensions' values, and lists them in the header when that is new. Called with mu held.
func (u *uplink) extend(f *Frame, a *answer) error {
	u.levelValue[0] = byte(-min(0, max(-127, f.LevelDBov)))
	if f.Voice {
		u.levelValue[0] |= 0x80
	}
	binary.BigEndian.PutUint16(u.twccValue[:], u.twcc)
	if u.extended == a {
		return nil
	}
	u.extended = a
	u.header.Extension, u.header.Extensions = false, nil
	return errors.Join(
		u.list(a.mid, []byte(a.mids[0])), u.list(a.level, u.levelValue[:]), u.list(a.twcc, u.twccValue[:]))
}

// list lets the header carry a value that is borrowed for good, unless the answer has no id for it.
func (u *uplink) list(id uint8, value []byte) error {
	if id == 0 {
		return nil
	}
	return u.header.SetExtension(id, value)
}

// SendRTCP seals packets as one compound and sends it. Errors are those of Send.
func (c *Client) SendRTCP(packets ...rtcp.Packet) error {
	k, err := c.sendingKeys(time.Now())
	if err != nil {
		return err
	}
	plain, err := rtcp.Marshal(packets)
	if err != nil {
		return fmt.Errorf("write RTCP: %w", err)
	}
	c.up.mu.Lock()
	defer c.up.mu.Unlock()
	sealed, err := k.out.EncryptRTCP(nil, plain, nil)
	if err != nil {
		return fmt.Errorf("seal RTCP: %w", err)
	}
	return c.SendRaw(sealed)
}
