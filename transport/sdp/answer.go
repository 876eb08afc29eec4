package sdp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	pion "github.com/pion/sdp/v3"
)

// parameters of Opus that the answer asks of the client (RFC 7587 §6.1): redundancy inside the stream against
// loss, and silence suppressed, so that those who say nothing cost nothing. minptime is what browsers say themselves.
const parameters = "minptime=10;useinbandfec=1;usedtx=1"

// maxMsid is the longest msid part (RFC 8830 §2).
const maxMsid = 64

// AnswerConfig is what the server brings.
type AnswerConfig struct {
	SessionID   uint64           // o= session id; below 2^63, because browsers read it as a signed number
	Version     uint64           // o= version; grows by one with each answer of the session
	Ufrag, Pwd  string           // own ICE credentials (RFC 8839 §5.4)
	Fingerprint []byte           // SHA-256 digest of the own certificate, 32 bytes
	Candidates  []netip.AddrPort // own host candidates, best first; at least one
	CNAME       string           // RTCP CNAME of everything sent; what is no token is replaced
	MaxSlots    int              // K
	SSRCs       []uint32         // SSRC of each slot's stream, len K; line i of Downlinks carries SSRCs[i]

	// StreamID begins the msid stream ids, for example the room. Each slot is a MediaStream of its own
	// ("<StreamID>-slot0", track "slot0"): a browser would delay the streams of one MediaStream to match each other.
	// Characters that a token cannot have are replaced.
	StreamID string
}

// check finds what would make an answer that no browser takes.
func (c *AnswerConfig) check() error {
	switch {
	case !made(c.Ufrag, 4, 256, isICEChar) || !made(c.Pwd, 22, 256, isICEChar):
		return errors.New("answer: own ICE credentials are not what RFC 8839 §5.4 wants")
	case len(c.Fingerprint) != 32:
		return fmt.Errorf("answer: own fingerprint has %d bytes, SHA-256 has 32", len(c.Fingerprint))
	case len(c.Candidates) == 0:
		return errors.New("answer: no candidates")
	case c.MaxSlots < 0 || len(c.SSRCs) != c.MaxSlots:
		return fmt.Errorf("answer: %d SSRCs for %d slots", len(c.SSRCs), c.MaxSlots)
	case c.SessionID >= 1<<63 || c.Version >= 1<<63:
		return errors.New("answer: session id or version above 63 bits")
	}
	for _, a := range c.Candidates {
		if !a.IsValid() || a.Addr().IsUnspecified() || a.Port() == 0 {
			return fmt.Errorf("answer: %v cannot be a candidate", a)
		}
	}
	return nil
}

// Answer builds the answer. It answers every m-section, in the offer's order. An error is a fault of c, not of the
// offer.
func (o *Offer) Answer(c AnswerConfig) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	d := pion.SessionDescription{
		Origin: pion.Origin{
			Username: "-", SessionID: c.SessionID, SessionVersion: c.Version,
			NetworkType: "IN", AddressType: "IP4", UnicastAddress: "0.0.0.0",
		},
		SessionName:       "-",
		TimeDescriptions:  []pion.TimeDescription{{}},
		Attributes:        o.sessionAttributes(),
		MediaDescriptions: make([]*pion.MediaDescription, len(o.Lines)),
	}
	uplink, downlinks, tagged := o.Uplink(), o.Downlinks(c.MaxSlots), o.tagged()
	digest := strings.ToUpper(hex.EncodeToString(c.Fingerprint))
	digest = "sha-256 " + strings.Join(pairs(digest), ":")
	for i := range o.Lines {
		l := &o.Lines[i]
		if l.Rejected {
			d.MediaDescriptions[i] = l.rejection()
			continue
		}
		m := l.acceptance(&c, digest, l == uplink, slices.Index(downlinks, i))
		if i == tagged {
			m.Attributes = append(m.Attributes, candidates(c.Candidates)...)
		}
		d.MediaDescriptions[i] = m
	}
	text, err := d.Marshal()
	if err != nil {
		return "", fmt.Errorf("answer: %w", err)
	}
	return string(text), nil
}

func (o *Offer) sessionAttributes() []pion.Attribute {
	a := []pion.Attribute{property("ice-lite"), attr("msid-semantic", "WMS *")}
	if o.allowMixed {
		a = append(a, property("extmap-allow-mixed"))
	}
	if o.group != nil {
		mids := "BUNDLE"
		for _, i := range o.group {
			mids += " " + o.Lines[i].Mid
		}
		a = append(a, attr("group", mids))
	}
	return a
}

// tagged is the index of the line whose transport is everyone's (RFC 9143 §7.3.1).
func (o *Offer) tagged() int {
	if o.group != nil {
		return o.group[0]
	}
	return 0
}

// rejection repeats kind, profile and one format with port 0 (RFC 3264 §6); such a line is in no group.
func (l *Line) rejection() *pion.MediaDescription {
	m := l.description(0, []string{l.format})
	m.Attributes = append(l.midAttribute(), property(Inactive.String()))
	return m
}

// acceptance answers a line that is served; slot -1: there is none for it.
func (l *Line) acceptance(c *AnswerConfig, digest string, uplink bool, slot int) *pion.MediaDescription {
	ours := Inactive
	if slot >= 0 {
		ours |= SendOnly
	}
	if uplink {
		ours |= RecvOnly
	}
	pt, red := strconv.Itoa(int(l.OpusPT)), strconv.Itoa(int(l.RedPT))
	m := l.description(9, l.formats(uplink))
	a := make([]pion.Attribute, 0, 24+len(c.Candidates))
	a = append(a, l.midAttribute()...)
	// Only the tagged section's transport counts, but older browsers want to see it in each.
	a = append(a,
		attr("ice-ufrag", c.Ufrag), attr("ice-pwd", c.Pwd),
		attr("fingerprint", digest), attr("setup", "passive"), property("rtcp-mux"))
	if l.rsize {
		a = append(a, property("rtcp-rsize"))
	}
	a = append(a, attr("rtpmap", pt+" opus/48000/2"), attr("fmtp", pt+" "+parameters))
	if l.RedPT != 0 {
		a = append(a, attr("rtpmap", red+" red/48000/2"), attr("fmtp", red+" "+pt+"/"+pt))
	}
	if l.TWCC && l.TWCCID != 0 {
		a = append(a, attr("rtcp-fb", pt+" transport-cc"))
	}
	if l.NACK && slot >= 0 { // where libwebrtc looks for it, whichever payload type is preferred: at Opus
		a = append(a, attr("rtcp-fb", pt+" nack"))
	}
	a = append(a, l.extmaps(ours)...)
	a = append(a, property(ours.String()))
	if slot >= 0 {
		a = append(a, stream(c, slot)...)
	}
	m.Attributes = a
	return m
}

// formats are the payload types of the answer, the preferred first. On the uplink that is redundancy: browsers send it only
// when it stands before Opus, and what the network then loses of a speaker is lost to nobody.
func (l *Line) formats(uplink bool) []string {
	opus, red := strconv.Itoa(int(l.OpusPT)), strconv.Itoa(int(l.RedPT))
	switch {
	case l.RedPT == 0:
		return []string{opus}
	case uplink:
		return []string{red, opus}
	}
	return []string{opus, red}
}

func (l *Line) description(port int, formats []string) *pion.MediaDescription {
	return &pion.MediaDescription{
		MediaName: pion.MediaName{
			Media: l.Kind, Port: pion.RangedPort{Value: port},
			Protos: strings.Split(l.proto, "/"), Formats: formats,
		},
		ConnectionInformation: &pion.ConnectionInformation{
			NetworkType: "IN", AddressType: "IP4", Address: &pion.Address{Address: "0.0.0.0"},
		},
	}
}

func (l *Line) midAttribute() []pion.Attribute {
	if l.Mid == "" {
		return nil
	}
	return []pion.Attribute{attr("mid", l.Mid)}
}

// extmaps repeats the known extensions with the offerer's ids. One that was offered with a direction is answered
// with what is left of that direction on the line as answered (RFC 8285 §7), or not at all when nothing is left.
func (l *Line) extmaps(ours Direction) []pion.Attribute {
	var a []pion.Attribute
	if l.allowMixed {
		a = append(a, property("extmap-allow-mixed"))
	}
	for _, e := range l.extensions {
		id := strconv.Itoa(int(e.id))
		if e.direction != SendRecv {
			left := e.direction.reversed() & ours
			if left == Inactive {
				continue
			}
			id += "/" + left.String()
		}
		a = append(a, attr("extmap", id+" "+e.uri))
	}
	return a
}

// stream announces what is sent on a line: msid for browsers' MediaStreams (RFC 8830), SSRC with its cname (RFC 5576)
// and msid once more for those that read it only there.
func stream(c *AnswerConfig, slot int) []pion.Attribute {
	track := "slot" + strconv.Itoa(slot)
	msid := asToken(c.StreamID, maxMsid-1-len(track)) + "-" + track + " " + track
	ssrc := strconv.FormatUint(uint64(c.SSRCs[slot]), 10)
	cname := asToken(c.CNAME, 255)
	if cname == "" {
		cname = "-"
	}
	return []pion.Attribute{
		attr("msid", msid), attr("ssrc", ssrc+" cname:"+cname), attr("ssrc", ssrc+" msid:"+msid),
	}
}

func attr(key, value string) pion.Attribute { return pion.Attribute{Key: key, Value: value} }
func property(key string) pion.Attribute    { return pion.Attribute{Key: key} }

// pairs cuts hexadecimal digits into bytes.
func pairs(digits string) []string {
	p := make([]string, 0, len(digits)/2)
	for i := 0; i+2 <= len(digits); i += 2 {
		p = append(p, digits[i:i+2])
	}
	return p
}
