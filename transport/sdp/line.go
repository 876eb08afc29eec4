package sdp

import (
	"slices"
	"strconv"
	"strings"
)

// Header extensions that mean something here.
const (
	uriLevel = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"                               // RFC 6464
	uriMid   = "urn:ietf:params:rtp-hdrext:sdes:mid"                                       // RFC 9143 §15
	uriTWCC  = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01" // its sequence number
)

// protos are the profiles that RFC 9429 §5.1.2 wants to be read alike: all of them mean DTLS-SRTP.
var protos = []string{
	"UDP/TLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVPF", "RTP/SAVPF",
	"UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVP", "RTP/SAVP",
}

// extension is one known header extension as offered.
type extension struct {
	uri       string
	id        uint8     // 1 … 14
	direction Direction // of the offerer; SendRecv where none was said
}

// read decides whether the line can be served, and if so reads what serving it needs.
func (l *Line) read(session, m *section, grouped bool) error {
	l.reason = l.refusal(m, grouped)
	if l.reason == "" {
		if err := l.readOpus(m); err != nil {
			return err
		}
	}
	if l.reason != "" {
		l.Rejected = true
		return nil
	}
	if !m.has("rtcp-mux") {
		return unsupported(l.number, "m=audio without a=rtcp-mux; RTP and RTCP are served on one port only (RFC 5761)")
	}
	l.rsize, l.allowMixed = m.has("rtcp-rsize"), m.has("extmap-allow-mixed")
	if err := l.readExtensions(session, m); err != nil {
		return err
	}
	return l.readSSRCs(m)
}

// refusal says why a line is not served whatever its codecs are; "" if it may be.
func (l *Line) refusal(m *section, grouped bool) string {
	switch {
	case l.Kind != "audio":
		return "m=" + l.Kind
	case m.media.Port.Value == 0 && !(m.has("bundle-only") && l.bundled):
		return "port 0"
	case grouped && !l.bundled:
		return "outside the BUNDLE group"
	case !slices.Contains(protos, l.proto):
		return "profile " + l.proto + " is not DTLS-SRTP"
	}
	return ""
}

// readOpus takes the first Opus of the m= line's formats, with its parameters and feedback.
func (l *Line) readOpus(m *section) error {
	var opus, red, mapped [128]bool
	for _, a := range m.attributes {
		if a.key != "rtpmap" {
			continue
		}
		pt, codec, _ := strings.Cut(a.value, " ")
		n, ok := number(pt, 127)
		if !ok {
			return invalid(a.line, "a=rtpmap: payload type "+quote(pt)+" is not a number of 0 to 127")
		}
		if mapped[n] {
			return invalid(a.line, "a=rtpmap: payload type "+pt+" is mapped twice")
		}
		mapped[n] = true
		codec = strings.TrimSpace(codec)
		opus[n], red[n] = strings.EqualFold(codec, "opus/48000/2"), strings.EqualFold(codec, "red/48000/2")
	}
	for _, f := range m.media.Formats {
		n, ok := number(f, 127)
		if !ok {
			return invalid(l.number, "m=audio: format "+quote(f)+" is not a payload type of 0 to 127")
		}
		// RFC 5761 §4: with RTP and RTCP on one port, 64 to 95 cannot be told from RTCP's packet types.
		if opus[n] && (n < 64 || n > 95) {
			l.OpusPT = uint8(n)
			l.readParameters(m, f)
			l.readRedundancy(m, &red)
			return nil
		}
	}
	l.reason = "no opus/48000/2 among its formats"
	return nil
}

// readRedundancy takes the first of the m= line's formats that is redundancy of the chosen Opus and nothing else: its
// parameters name the payload types of its blocks (RFC 2198 §5).
func (l *Line) readRedundancy(m *section, red *[128]bool) {
	opus := strconv.Itoa(int(l.OpusPT))
	for _, f := range m.media.Formats {
		n, ok := number(f, 127)
		if !ok || !red[n] || n >= 64 && n <= 95 {
			continue
		}
		for _, a := range m.attributes {
			pt, value, _ := strings.Cut(a.value, " ")
			if a.key == "fmtp" && pt == f && repeats(strings.TrimSpace(value), opus) {
				l.RedPT = uint8(n)
				return
			}
		}
	}
}

// repeats tells whether list is word/word, or longer.
func repeats(list, word string) bool {
	parts := strings.Split(list, "/")
	for _, p := range parts {
		if p != word {
			return false
		}
	}
	return len(parts) > 1
}

// readParameters reads fmtp and feedback of the chosen payload type.
func (l *Line) readParameters(m *section, format string) {
	for _, a := range m.attributes {
		pt, value, _ := strings.Cut(a.value, " ")
		switch {
		case a.key == "fmtp" && pt == format && l.OpusFmtp == "":
			l.OpusFmtp = strings.TrimSpace(value)
		case a.key == "rtcp-fb" && (pt == format || pt == "*"):
			l.TWCC = l.TWCC || strings.TrimSpace(value) == "transport-cc"
			l.NACK = l.NACK || strings.TrimSpace(value) == "nack" // "nack pli" asks for pictures
		}
	}
}

// readExtensions reads a=extmap of the section and of the session (RFC 8285 §5 allows both).
func (l *Line) readExtensions(session, m *section) error {
	var taken [15]bool
	for _, s := range []*section{session, m} {
		for _, a := range s.attributes {
			if a.key != "extmap" {
				continue
			}
			e, err := readExtension(a)
			if err != nil {
				return err
			}
			if e.id == 0 {
				continue
			}
			if taken[e.id] {
				return invalid(a.line, "a=extmap: id "+quote(a.value[:strings.IndexAny(a.value, "/ ")])+" is taken in this section")
			}
			taken[e.id] = true
			l.addExtension(e)
		}
	}
	return nil
}

// readExtension reads "<id>[/<direction>] <uri> …". Its id is 0 when it is legal but out of reach of one-byte
// headers (RFC 8285 §4.2: 1 to 14).
func readExtension(a attribute) (extension, error) {
	words := strings.Fields(a.value)
	if len(words) < 2 {
		return extension{}, invalid(a.line, "a=extmap: "+quote(a.value)+" is not <id> <uri>")
	}
	id, suffix, directed := strings.Cut(words[0], "/")
	e := extension{uri: words[1], direction: SendRecv}
	n, ok := number(id, 4351) // RFC 8285 §5: 4096 to 4351 may be offered, to be numbered by the answerer
	if !ok || n == 0 {
		return extension{}, invalid(a.line, "a=extmap: id "+quote(id)+" is not a number of 1 to 4351")
	}
	if directed {
		if e.direction, ok = directionOf(suffix); !ok {
			return extension{}, invalid(a.line, "a=extmap: "+quote(suffix)+" is not a direction")
		}
	}
	if n <= 14 {
		e.id = uint8(n)
	}
	return e, nil
}

// addExtension keeps an extension that is known, usable in the line's direction, and not there yet.
func (l *Line) addExtension(e extension) {
	var id *uint8
	switch e.uri {
	case uriLevel:
		id = &l.LevelID
	case uriMid:
		id = &l.MidID
	case uriTWCC:
		id = &l.TWCCID
	default:
		return
	}
	if *id != 0 || e.direction == Inactive {
		return
	}
	if l.Direction != Inactive && l.Direction&e.direction == 0 {
		return
	}
	*id = e.id
	l.extensions = append(l.extensions, e)
}

// readSSRCs reads the SSRCs of a=ssrc:<id> <attribute> (RFC 5576 §4.1), each of which has several such lines.
func (l *Line) readSSRCs(m *section) error {
	for _, a := range m.attributes {
		if a.key != "ssrc" {
			continue
		}
		id, _, _ := strings.Cut(a.value, " ")
		n, ok := number(id, 1<<32-1)
		if !ok {
			return invalid(a.line, "a=ssrc: "+quote(id)+" is not a number of 32 bits")
		}
		if len(l.SSRCs) < maxSSRCs && !slices.Contains(l.SSRCs, uint32(n)) {
			l.SSRCs = append(l.SSRCs, uint32(n))
		}
	}
	return nil
}
