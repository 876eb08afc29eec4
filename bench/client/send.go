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
}

func (u *uplink) init() {
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
	u.octets += uint64(len(f.Payload))
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
	h.Version, h.PayloadType = 2, opusPayloadType
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
	const sealRoom = 16 // the longest authentication tag (RFC 7714 §12)
	if size := h.MarshalSize() + len(f.Payload) + sealRoom; size > transport.DatagramSize {
		return 0, fmt.Errorf("a packet of %d octets; at most %d can be sent", size, transport.DatagramSize)
	}
	n, err := h.MarshalTo(u.plain[:])
	if err != nil {
		return 0, fmt.Errorf("write the header: %w", err)
	}
	u.seq = h.SequenceNumber + 1
	u.twcc++
	return n + copy(u.plain[n:], f.Payload), nil
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
