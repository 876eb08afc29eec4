package transport

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"
)

// SealOverhead is the most that sealing adds to an RTP packet: the tag of AES-GCM (CM-SHA1-80 adds 10 octets).
const SealOverhead = gcmTagSize

// replayWindow is how many packets behind the newest one are still told from replays: 64 is the least that RFC 3711
// §3.3.2 allows, and 1.3 s of audio.
const replayWindow = 64

// keys are what the DTLS handshake gives (RFC 5764 §4.2).
type keys struct {
	profile                                    srtp.ProtectionProfile
	localKey, localSalt, remoteKey, remoteSalt []byte
}

// Egress seals what goes to one peer. It belongs to the goroutine that sends to that peer.
type Egress struct {
	gcm     gcmSealer     // without a cipher: CM-SHA1-80, by cm
	cm      *srtp.Context //
	rtcp    *srtp.Context
	scratch []byte     // header and payload side by side, which cm needs
	header  rtp.Header // scratch of cm
}

func newEgress(k keys) (*Egress, error) { return NewEgress(k.profile, k.localKey, k.localSalt) }

// NewEgress makes the sealing side from a master key and salt, whose sizes are the profile's (RFC 3711 §4.1.2, §8.2;
// RFC 7714 §12). Sessions make theirs from what the handshake gave; this is for whoever has keys without one.
func NewEgress(profile srtp.ProtectionProfile, key, salt []byte) (*Egress, error) {
	e := new(Egress)
	var err error
	if e.rtcp, err = srtp.CreateContext(key, salt, profile); err != nil {
		return nil, err
	}
	if profile == srtp.ProtectionProfileAeadAes128Gcm {
		var s *gcmSealer
		if s, err = newGCMSealer(key, salt); err == nil {
			e.gcm = *s
		}
		return e, err
	}
	e.scratch = make([]byte, DatagramSize)
	e.cm, err = srtp.CreateContext(key, salt, profile)
	return e, err
}

// SealRTP encrypts payload behind the RTP header that slot[:headerLen] holds and returns the packet's length, or 0
// when slot is too short for it. seq64 is the extended sequence number; its low 16 bits stand in the header. Under
// CM-SHA1-80 the numbers of one SSRC must not fall back by more than 2^15.
func (e *Egress) SealRTP(slot []byte, headerLen int, payload []byte, seq64 uint64) int {
	if headerLen+len(payload)+SealOverhead > len(slot) {
		return 0
	}
	if e.gcm.aead != nil {
		return e.gcm.seal(slot, headerLen, payload, seq64)
	}
	n := copy(e.scratch, slot[:headerLen])
	n += copy(e.scratch[n:], payload)
	out, err := e.cm.EncryptRTP(slot, e.scratch[:n], &e.header)
	if err != nil {
		return 0
	}
	return len(out)
}

// Near reads the beginning.
func (e *Egress) Near() byte { return e.gcm.salt[0] }

// Touch reads what SealRTP will need, so that it is in the cache by then: whoever seals for many touches the next one's
// while there is still something to do for the last. What it returns means nothing.
func (e *Egress) Touch() byte { return e.gcm.touch() }

// SealRTCP encrypts a compound packet into slot and returns its length, or 0 when slot is too short for it.
func (e *Egress) SealRTCP(slot, packet []byte) int {
	const overhead = gcmTagSize + 4 // tag and SRTCP index, RFC 7714 §9.2
	if len(packet)+overhead > len(slot) {
		return 0
	}
	out, err := e.rtcp.EncryptRTCP(slot, packet, nil)
	if err != nil {
		return 0
	}
	return copy(slot, out)
}

const (
	// boundRTP and boundRTCP are how many sources a peer may have. A browser has one that sends audio (a second
	// one when it was replaced), and reports from one for each of its lines at most.
	boundRTP  = 4
	boundRTCP = 24
	// trialsPerSecond bounds the work on packets whose source is not known yet: each costs a key derivation.
	trialsPerSecond = 20
)

// ingress opens what comes from one peer. It belongs to the goroutine that calls Endpoint.Poll.
type ingress struct {
	keys      keys
	ctx       *srtp.Context
	announced bool     // the offer names the sources: no other is taken
	rtp       []uint32 // known sources of RTP
	rtcp      []uint32 // known senders of RTCP
	header    rtp.Header

	trials      int // of the current second
	trialsSince time.Time
}

func newIngress(k keys, announced []uint32) (*ingress, error) {
	ctx, err := k.remoteContext()
	if err != nil {
		return nil, err
	}
	return &ingress{keys: k, ctx: ctx, announced: len(announced) > 0, rtp: slices.Clone(announced)}, nil
}

func (k *keys) remoteContext() (*srtp.Context, error) {
	return srtp.CreateContext(k.remoteKey, k.remoteSalt, k.profile,
		srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow))
}

// openRTP decrypts into dst. srtp/v2 makes state for every SSRC before it has authenticated the packet, so the SSRC
// is checked first, and an unknown one is tried on a context that is thrown away.
func (in *ingress) openRTP(dst, packet []byte, now time.Time) ([]byte, *rtp.Header, Drop) {
	if len(packet) < 12 || packet[0]>>6 != 2 {
		return nil, nil, DropMalformed
	}
	ssrc := binary.BigEndian.Uint32(packet[8:])
	if !slices.Contains(in.rtp, ssrc) {
		if in.announced || len(in.rtp) >= boundRTP || !in.mayTry(now) {
			return nil, nil, DropUnknownSSRC
		}
		if !in.authentic(func(c *srtp.Context) error { _, err := c.DecryptRTP(nil, packet, nil); return err }) {
			return nil, nil, DropUnauthentic
		}
		in.rtp = append(in.rtp, ssrc)
	}
	out, err := in.ctx.DecryptRTP(dst, packet, &in.header)
	if err != nil {
		return nil, nil, dropOf(err)
	}
	return out, &in.header, DropNone
}

// openRTCP decrypts into dst, with the same care about the sender's SSRC.
func (in *ingress) openRTCP(dst, packet []byte, now time.Time) ([]byte, Drop) {
	if len(packet) < 8 || packet[0]>>6 != 2 {
		return nil, DropMalformed
	}
	ssrc := binary.BigEndian.Uint32(packet[4:])
	if !slices.Contains(in.rtcp, ssrc) {
		if len(in.rtcp) >= boundRTCP || !in.mayTry(now) {
			return nil, DropUnknownSSRC
		}
		if !in.authentic(func(c *srtp.Context) error { _, err := c.DecryptRTCP(nil, packet, nil); return err }) {
			return nil, DropUnauthentic
		}
		in.rtcp = append(in.rtcp, ssrc)
	}
	out, err := in.ctx.DecryptRTCP(dst, packet, nil)
	if err != nil {
		return nil, dropOf(err)
	}
	return out, DropNone
}

func (in *ingress) mayTry(now time.Time) bool {
	if now.Sub(in.trialsSince) >= time.Second {
		in.trialsSince, in.trials = now, 0
	}
	in.trials++
	return in.trials <= trialsPerSecond
}

func (in *ingress) authentic(open func(*srtp.Context) error) bool {
	ctx, err := in.keys.remoteContext()
	return err == nil && open(ctx) == nil
}

// dropOf tells replays from forgeries. srtp/v2 does not export the cause of a replay, only its text.
func dropOf(err error) Drop {
	if cause := errors.Unwrap(err); cause != nil && cause.Error() == "duplicated packet" {
		return DropReplay
	}
	return DropUnauthentic
}
