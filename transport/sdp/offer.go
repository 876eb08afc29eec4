package sdp

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of an offer. A browser's audio line takes 1 KB and its video line up to 4 KB (measured with Chromium 156 and
// Firefox 153), so 128 KiB hold 64 audio lines, or 30 with video: far more than a room has slots.
const (
	MaxOfferBytes = 128 << 10
	MaxLines      = 64
)

// maxSSRCs bounds what is kept of the SSRCs that a line announces: one is used, and repairs or layers double it.
const maxSSRCs = 8

// Line is one m= section of the offer. What is said of Opus and of extensions is set only where Rejected is not.
type Line struct {
	Mid       string    // "" where the offer has none (a lone section needs none)
	Kind      string    // "audio", "video", "application", "text" or "message"
	Direction Direction // as offered
	Rejected  bool      // offered with port 0 (and not bundle-only), or cannot be served

	OpusPT   uint8    // payload type of opus/48000/2: the first one that the m= line lists
	RedPT    uint8    // payload type of redundancy for OpusPT (RFC 2198); 0: not offered
	OpusFmtp string   // Opus' format parameters as offered, without the payload type; never checked
	LevelID  uint8    // RFC 6464 extension id, 1 … 14; 0: not offered
	MidID    uint8    // RFC 9143 §15 sdes:mid extension id, 1 … 14; 0: not offered
	TWCCID   uint8    // transport-wide-cc extension id, 1 … 14; 0: not offered
	TWCC     bool     // rtcp-fb transport-cc offered for OpusPT
	NACK     bool     // rtcp-fb nack (RFC 4585 §6.2.1) offered for OpusPT
	SSRCs    []uint32 // announced by a=ssrc, in order, each once, at most 8

	number     int    // of its m= line
	proto      string // as offered, "UDP/TLS/RTP/SAVPF"
	format     string // the first format, for the answer of a rejected line
	bundled    bool   // named by the BUNDLE group
	rsize      bool   // a=rtcp-rsize
	allowMixed bool   // a=extmap-allow-mixed in this section
	extensions []extension
	reason     string // why it is rejected
}

// Offer is a client's offer, checked.
type Offer struct {
	Lines           []Line
	Ufrag, Pwd      string // ICE credentials of the one transport
	FingerprintHash string // "sha-256", "sha-384" or "sha-512"
	Fingerprint     []byte // raw digest of the client's certificate

	ufragLine  int   // where the credentials stood
	hashLine   int   // where the fingerprint stood
	group      []int // indices of the accepted lines in the order of the BUNDLE group; nil: no group
	allowMixed bool  // a=extmap-allow-mixed for the whole session
}

// ParseOffer reads an offer of at most MaxOfferBytes and MaxLines m-sections, with CRLF or bare LF.
// The error is always an *Error. An offer that it returns has an audio line that can be served.
func ParseOffer(s string) (*Offer, error) {
	if len(s) > MaxOfferBytes {
		return nil, invalid(0, fmt.Sprintf("the offer has %d bytes, more than %d", len(s), MaxOfferBytes))
	}
	if strings.TrimSpace(s) == "" {
		return nil, invalid(0, "the offer is empty")
	}
	session, media, err := scan(s)
	if err != nil {
		return nil, err
	}
	o := &Offer{Lines: make([]Line, len(media)), allowMixed: session.has("extmap-allow-mixed")}
	if err := o.readOutline(&session, media); err != nil {
		return nil, err
	}
	group, err := o.readGroup(&session)
	if err != nil {
		return nil, err
	}
	for i := range o.Lines {
		if err := o.Lines[i].read(&session, &media[i], group != nil); err != nil {
			return nil, err
		}
	}
	if err := o.checkServable(); err != nil {
		return nil, err
	}
	for _, i := range group {
		if !o.Lines[i].Rejected {
			o.group = append(o.group, i)
		}
	}
	if err := o.readTransport(&session, media, group); err != nil {
		return nil, err
	}
	o.letGo()
	return o, nil
}

// letGo copies what the offer keeps of its text: a part of a string holds the whole, which may be MaxOfferBytes long.
func (o *Offer) letGo() {
	keep := []*string{&o.Ufrag, &o.Pwd, &o.FingerprintHash}
	for i := range o.Lines {
		l := &o.Lines[i]
		keep = append(keep, &l.Mid, &l.Kind, &l.OpusFmtp, &l.proto, &l.format, &l.reason)
	}
	for _, s := range keep {
		*s = strings.Clone(*s)
	}
}

// readOutline reads what every section has, served or not: kind, mid, direction.
func (o *Offer) readOutline(session *section, media []section) error {
	standing, err := session.direction(SendRecv)
	if err != nil {
		return err
	}
	for i := range media {
		m, l := &media[i], &o.Lines[i]
		l.number, l.Kind = m.line, m.media.Media
		l.proto, l.format = strings.Join(m.media.Protos, "/"), m.media.Formats[0]
		if l.Direction, err = m.direction(standing); err != nil {
			return err
		}
		if err := o.readMid(m, i); err != nil {
			return err
		}
	}
	return nil
}

func (o *Offer) readMid(m *section, at int) error {
	a, ok := m.first("mid")
	if !ok {
		return nil
	}
	if !made(a.value, 1, 32, isTokenChar) {
		return invalid(a.line, "a=mid: "+quote(a.value)+" is not a token of 1 to 32 characters")
	}
	if i := o.lineOf(a.value); i >= 0 {
		return invalid(a.line, "a=mid: "+a.value+" is taken by the m= section at line "+strconv.Itoa(o.Lines[i].number))
	}
	o.Lines[at].Mid = a.value
	return nil
}

// lineOf returns the index of the line with that mid, -1 if there is none.
func (o *Offer) lineOf(mid string) int {
	for i := range o.Lines {
		if o.Lines[i].Mid == mid {
			return i
		}
	}
	return -1
}

// readGroup reads the first BUNDLE group: everything is served on one transport, so a second one cannot be.
// It returns the indices of the lines that the group names; nil: there is no group, and need not be.
func (o *Offer) readGroup(session *section) ([]int, error) {
	for _, a := range session.attributes {
		words := strings.Fields(a.value)
		if a.key != "group" || len(words) == 0 || words[0] != "BUNDLE" {
			continue
		}
		group := make([]int, 0, len(words)-1)
		for _, mid := range words[1:] {
			i := o.lineOf(mid)
			if i < 0 {
				return nil, invalid(a.line, "a=group: no m= section has the mid "+quote(mid))
			}
			if o.Lines[i].bundled {
				return nil, invalid(a.line, "a=group: names the mid "+mid+" twice")
			}
			o.Lines[i].bundled = true
			group = append(group, i)
		}
		return group, nil
	}
	if len(o.Lines) > 1 {
		return nil, unsupported(0, "several m= sections and no a=group:BUNDLE; only one transport is served")
	}
	return nil, nil
}

// checkServable wants one audio line at least, and otherwise says what was wrong with the first.
func (o *Offer) checkServable() error {
	const none = "no audio line with opus/48000/2 that can be served"
	why := ""
	for i := range o.Lines {
		l := &o.Lines[i]
		if !l.Rejected {
			return nil
		}
		if l.Kind == "audio" && why == "" {
			why = fmt.Sprintf(" (line %d: %s)", l.number, l.reason)
		}
	}
	return unsupported(0, none+why)
}

// Uplink is the line that the client may send on: the first audio line offered sendrecv or sendonly. Nil: none.
func (o *Offer) Uplink() *Line {
	for i := range o.Lines {
		if l := &o.Lines[i]; !l.Rejected && l.Direction&SendOnly != 0 {
			return l
		}
	}
	return nil
}

// Downlinks are the indices into Lines of the lines that the client can receive on, in order, at most max:
// audio lines offered sendrecv or recvonly. The first carries slot 0, and so on.
func (o *Offer) Downlinks(max int) []int {
	var at []int
	for i := range o.Lines {
		if l := &o.Lines[i]; len(at) < max && !l.Rejected && l.Direction&RecvOnly != 0 {
			at = append(at, i)
		}
	}
	return at
}
