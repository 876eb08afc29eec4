//go:build linux

package fanout

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// This file turns session descriptions round. Our participants always offer, on one transport, all lines at once. Servers like Janus and
// LiveKit have a speaker send on one transport, by his offer, and a listener receive on another one, by an offer of theirs:
//
//  1. readParty takes out of an offer what matters of the participant,
//  2. sending writes an offer of one line for a speaker; the server's answer goes through answerFor,
//  3. receiving answers a server's offer in a listener's name; that offer goes through answerFor, too, and becomes an answer.

// party is a participant as its offer describes it.
type party struct {
	ufrag, password, fingerprint string
	ssrc, cname                  string
	lines                        int
}

// nowhere is the address of a candidate that is never asked: some servers do nothing before they have seen one. They learn the true address
// from the participant's first check (RFC 8445 §7.3.1.3), and are asked to be ICE-lite, so that they send none themselves.
const nowhere = "198.51.100.1"

// sectionsOf are a description's lines, by section; the first section is the session's own.
func sectionsOf(sdp string) (sections [][]string) {
	sections = [][]string{nil}
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "m=") {
			sections = append(sections, nil)
		}
		last := len(sections) - 1
		sections[last] = append(sections[last], line)
	}
	return sections
}

// attribute is the value of a section's first a=name:value.
func attribute(section []string, name string) string {
	for _, line := range section {
		if v, ok := strings.CutPrefix(line, "a="+name+":"); ok {
			return v
		}
	}
	return ""
}

func readParty(offer string) (party, error) {
	sections := sectionsOf(offer)
	p := party{lines: len(sections) - 1}
	if p.lines == 0 {
		return p, errors.New("the offer has no lines")
	}
	first := sections[1]
	p.ufrag, p.password, p.fingerprint = attribute(first, "ice-ufrag"), attribute(first, "ice-pwd"), attribute(first, "fingerprint")
	if p.ufrag == "" || p.password == "" || p.fingerprint == "" {
		return p, errors.New("the offer has no credentials")
	}
	var cname string
	p.ssrc, cname, _ = strings.Cut(attribute(first, "ssrc"), " ")
	p.cname = strings.TrimPrefix(cname, "cname:")
	return p, nil
}

// transport writes the attributes of the participant's transport.
func (p *party) transport(b *strings.Builder, setup string) {
	fmt.Fprintf(b, "c=IN IP4 0.0.0.0\na=ice-ufrag:%s\na=ice-pwd:%s\na=fingerprint:%s\na=setup:%s\n", p.ufrag, p.password, p.fingerprint, setup)
	fmt.Fprintf(b, "a=candidate:1 1 udp 2130706431 %s 9 typ host\na=end-of-candidates\na=rtcp-mux\n", nowhere)
}

// sending offers the speaker's line alone. Who offers is DTLS client here as elsewhere, so the answer must be passive.
func (p *party) sending(track string) string {
	var b strings.Builder
	b.WriteString("v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0\nm=audio 9 UDP/TLS/RTP/SAVPF 111\n")
	p.transport(&b, "active")
	b.WriteString("a=mid:0\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\n")
	fmt.Fprintf(&b, "a=sendonly\na=msid:%s %s\na=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;useinbandfec=1\n", track, track)
	fmt.Fprintf(&b, "a=ssrc:%s cname:%s\na=ssrc:%s msid:%s %s\n", p.ssrc, p.cname, p.ssrc, track, track)
	return strings.ReplaceAll(b.String(), "\n", "\r\n")
}

// receiving answers a server's offer: audio is received, what else there is (data, video) is rejected. Header extensions are not accepted:
// a listener of the bench looks at none.
func (p *party) receiving(offer string) string {
	var b, mids, lines strings.Builder
	for _, section := range sectionsOf(offer)[1:] {
		mid := attribute(section, "mid")
		kind, rest, _ := strings.Cut(strings.TrimPrefix(section[0], "m="), " ")
		if kind != "audio" {
			_, protocol, _ := strings.Cut(rest, " ")
			fmt.Fprintf(&lines, "m=%s 0 %s\nc=IN IP4 0.0.0.0\na=mid:%s\na=inactive\n", kind, protocol, mid)
			continue
		}
		mids.WriteString(" " + mid)
		lines.WriteString("m=audio 9 UDP/TLS/RTP/SAVPF 111\n")
		p.transport(&lines, "active")
		direction := "recvonly"
		if has(section, "a=inactive") || has(section, "a=recvonly") {
			direction = "inactive"
		}
		fmt.Fprintf(&lines, "a=mid:%s\na=%s\na=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;useinbandfec=1\n", mid, direction)
	}
	fmt.Fprintf(&b, "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE%s\n%s", mids.String(), lines.String())
	return strings.ReplaceAll(b.String(), "\n", "\r\n")
}

func has(section []string, line string) bool { return slices.Contains(section, line) }

// answerFor makes an answer to the participant's own offer of a server's description: as many lines as were offered, the first ones with
// what the server sends, the others rejected. It fails where Opus has another payload type than the participant knows.
func (p *party) answerFor(theirs string) (string, error) {
	sections := sectionsOf(theirs)
	var b strings.Builder
	b.WriteString("v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n")
	line := 0
	for _, section := range sections[1:] {
		if line == p.lines || !strings.HasPrefix(section[0], "m=audio") || strings.HasPrefix(section[0], "m=audio 0 ") {
			continue
		}
		if !has(section, fmt.Sprintf("a=rtpmap:%d opus/48000/2", opusPayloadType)) {
			return "", fmt.Errorf("the server has no Opus as payload type %d: %q", opusPayloadType, section[0])
		}
		fmt.Fprintf(&b, "m=audio 9 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 0.0.0.0\na=setup:passive\na=mid:%d\na=rtcp-mux\na=rtpmap:111 opus/48000/2\n", line)
		for _, name := range []string{"ice-ufrag", "ice-pwd", "fingerprint"} {
			fmt.Fprintf(&b, "a=%s:%s\n", name, cmp.Or(attribute(section, name), attribute(sections[0], name), attribute(sections[1], name)))
		}
		for _, l := range section {
			if strings.HasPrefix(l, "a=candidate:") || strings.HasPrefix(l, "a=ssrc:") {
				b.WriteString(l + "\n")
			}
		}
		line++
	}
	if line == 0 {
		return "", errors.New("the server has no audio line")
	}
	for ; line < p.lines; line++ {
		b.WriteString("m=audio 0 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 0.0.0.0\na=inactive\n")
	}
	return strings.ReplaceAll(b.String(), "\n", "\r\n"), nil
}
