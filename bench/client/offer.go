package client

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
)

// What the offer promises; the answer may use a part of it.
const (
	opusPayloadType = 111
	redPayloadType  = 63
	levelURI        = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	twccURI         = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
	midURI          = "urn:ietf:params:rtp-hdrext:sdes:mid"
	levelID         = 1
	twccID          = 3
	midID           = 4
)

// chromiumRED is Chromium's redundancy (RFC 2198).
const chromiumRED = `a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
`

// chromiumCodecs are the payload types of Chromium's audio lines besides.
const chromiumCodecs = `a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
`

// credentials are an ICE user fragment and password (RFC 8839 §5.4).
type credentials struct{ ufrag, password string }

// token is n random characters of ICE's alphabet (RFC 8839: letters, digits, + and /).
func token(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	b := make([]byte, n)
	rand.Read(b) // never fails
	for i := range b {
		b[i] = alphabet[b[i]&63]
	}
	return string(b)
}

// writeOffer writes the session's lines and one section a line.
func (c *Client) writeOffer(ice credentials, version uint64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\no=- %d %d IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE", c.session, version)
	for i := range c.cfg.Lines {
		b.WriteString(" " + strconv.Itoa(i))
	}
	fmt.Fprintf(&b, "\na=extmap-allow-mixed\na=msid-semantic: WMS %s\n", c.cname)
	for i := range c.cfg.Lines {
		c.writeLine(&b, i, ice)
	}
	return strings.ReplaceAll(b.String(), "\n", "\r\n")
}

func (c *Client) writeLine(b *strings.Builder, line int, ice credentials) {
	digest := c.certificate.fingerprint
	if c.cfg.Fingerprint != "" {
		digest = c.cfg.Fingerprint
	}
	redundancy, format := chromiumRED, " 63"
	if c.cfg.NoRedundancy {
		redundancy, format = "", ""
	}
	fmt.Fprintf(b, "m=audio 9 UDP/TLS/RTP/SAVPF 111%s 9 0 8 13 110 126\nc=IN IP4 0.0.0.0\na=rtcp:9 IN IP4 0.0.0.0\n", format)
	fmt.Fprintf(b, "a=ice-ufrag:%s\na=ice-pwd:%s\na=ice-options:trickle\n", ice.ufrag, ice.password)
	fmt.Fprintf(b, "a=fingerprint:%s\na=setup:actpass\na=mid:%d\n", digest, line)
	if !c.cfg.NoAudioLevel {
		fmt.Fprintf(b, "a=extmap:%d %s\n", levelID, levelURI)
	}
	if c.cfg.TWCC {
		fmt.Fprintf(b, "a=extmap:%d %s\n", twccID, twccURI)
	}
	fmt.Fprintf(b, "a=extmap:%d %s\n", midID, midURI)
	if line == 0 {
		fmt.Fprintf(b, "a=sendrecv\na=msid:%s microphone\n", c.cname)
	} else {
		b.WriteString("a=recvonly\n")
	}
	b.WriteString("a=rtcp-mux\na=rtcp-rsize\na=rtpmap:111 opus/48000/2\n")
	if c.cfg.TWCC {
		b.WriteString("a=rtcp-fb:111 transport-cc\n")
	}
	if c.cfg.NACK {
		b.WriteString("a=rtcp-fb:111 nack\n")
	}
	b.WriteString("a=fmtp:111 minptime=10;useinbandfec=1\n" + redundancy + chromiumCodecs)
	if line == 0 && !c.cfg.NoSSRC {
		fmt.Fprintf(b, "a=ssrc:%d cname:%s\na=ssrc:%d msid:%s microphone\n", c.ssrc, c.cname, c.ssrc, c.cname)
	}
}
