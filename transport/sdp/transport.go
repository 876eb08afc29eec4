package sdp

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// digestBytes are the hashes that are taken for a fingerprint, the preferred one first. SHA-1 and MD5 are not
// among them: whoever can forge one could take a client's place (RFC 8122 §5 wants SHA-256 at least).
var digestBytes = []struct {
	hash  string
	bytes int
}{{"sha-256", 32}, {"sha-384", 48}, {"sha-512", 64}}

// credentials are a section's ICE credentials.
type credentials struct {
	ufrag, pwd string
	line       int
}

// fingerprint is a section's certificate digest.
type fingerprint struct {
	hash   string
	digest string // raw
	line   int
}

// readTransport reads ICE credentials, fingerprint and DTLS role. They are those of the group's tagged section
// (RFC 9143 §7.3: the first that is accepted), or where that leaves them out (bundle-only), of the first in the
// group that has them, or of the session. Sections that repeat them must say the same.
func (o *Offer) readTransport(session *section, media []section, group []int) error {
	if a, ok := session.first("ice-lite"); ok {
		return unsupported(a.line, "a=ice-lite: this end is ICE-lite too, and one end must do the checks (RFC 8445 §2.5)")
	}
	own := o.transportOrder(media, group)
	if err := o.readICE(session, own); err != nil {
		return err
	}
	if err := o.readFingerprint(session, own); err != nil {
		return err
	}
	return readSetup(session, own)
}

// transportOrder lists the sections of the transport: the accepted ones, then those of the group that are rejected.
func (o *Offer) transportOrder(media []section, group []int) []*section {
	if group == nil {
		return []*section{&media[0]} // alone, else there would be a group
	}
	var first, last []*section
	for _, i := range group {
		switch {
		case !o.Lines[i].Rejected:
			first = append(first, &media[i])
		case media[i].media.Port.Value != 0 || media[i].has("bundle-only"):
			last = append(last, &media[i])
		}
	}
	return append(first, last...)
}

func (o *Offer) readICE(session *section, own []*section) error {
	var chosen *credentials
	for _, s := range append(own, session) {
		c, err := readCredentials(s)
		if err != nil {
			return err
		}
		switch {
		case c == nil:
		case chosen == nil:
			chosen = c
		case s != session && (c.ufrag != chosen.ufrag || c.pwd != chosen.pwd):
			return unsupported(c.line, fmt.Sprintf("a=ice-ufrag, a=ice-pwd: other than at line %d; only one transport is served, offer with bundlePolicy max-bundle", chosen.line))
		}
	}
	if chosen == nil {
		return invalid(own[0].line, "no a=ice-ufrag and a=ice-pwd for this m= section")
	}
	o.Ufrag, o.Pwd, o.ufragLine = chosen.ufrag, chosen.pwd, chosen.line
	return nil
}

// readCredentials reads what a section says itself; nil: nothing. The limits are those of RFC 8839 §5.4.
func readCredentials(s *section) (*credentials, error) {
	ufrag, hasUfrag := s.first("ice-ufrag")
	pwd, hasPwd := s.first("ice-pwd")
	switch {
	case !hasUfrag && !hasPwd:
		return nil, nil
	case !hasPwd:
		return nil, invalid(ufrag.line, "a=ice-ufrag without a=ice-pwd in the same section")
	case !hasUfrag:
		return nil, invalid(pwd.line, "a=ice-pwd without a=ice-ufrag in the same section")
	case !made(ufrag.value, 4, 256, isICEChar):
		return nil, invalid(ufrag.line, "a=ice-ufrag: not 4 to 256 of the characters A-Z a-z 0-9 + /")
	case !made(pwd.value, 22, 256, isICEChar):
		return nil, invalid(pwd.line, "a=ice-pwd: not 22 to 256 of the characters A-Z a-z 0-9 + /")
	}
	return &credentials{ufrag: ufrag.value, pwd: pwd.value, line: ufrag.line}, nil
}

func (o *Offer) readFingerprint(session *section, own []*section) error {
	var chosen *fingerprint
	for _, s := range append(own, session) {
		f, err := readDigest(s)
		if err != nil {
			return err
		}
		switch {
		case f == nil:
		case chosen == nil:
			chosen = f
		case s != session && (f.hash != chosen.hash || f.digest != chosen.digest):
			return invalid(f.line, fmt.Sprintf("a=fingerprint: other than at line %d; one transport has one certificate", chosen.line))
		}
	}
	if chosen == nil {
		return invalid(own[0].line, "no a=fingerprint for this m= section")
	}
	o.FingerprintHash, o.Fingerprint, o.hashLine = chosen.hash, []byte(chosen.digest), chosen.line
	return nil
}

// readDigest returns the section's best fingerprint; nil: it has none.
func readDigest(s *section) (*fingerprint, error) {
	var best *fingerprint
	rank := len(digestBytes)
	var refused *Error
	for _, a := range s.attributes {
		if a.key != "fingerprint" {
			continue
		}
		hash, digits, _ := strings.Cut(a.value, " ")
		hash = strings.ToLower(hash)
		r := hashRank(hash)
		if r == len(digestBytes) {
			refused = unsupported(a.line, "a=fingerprint: hash "+quote(hash)+" is not taken; use sha-256, sha-384 or sha-512")
			continue
		}
		digest, err := readDigits(a.line, hash, digits, digestBytes[r].bytes)
		if err != nil {
			return nil, err
		}
		if r < rank {
			best, rank = &fingerprint{hash: hash, digest: digest, line: a.line}, r
		}
	}
	if best == nil && refused != nil {
		return nil, refused
	}
	return best, nil
}

func hashRank(hash string) int {
	for i, d := range digestBytes {
		if d.hash == hash {
			return i
		}
	}
	return len(digestBytes)
}

// readDigits reads "AB:CD:…", two digits a byte (RFC 8122 §5).
func readDigits(line int, hash, digits string, want int) (string, error) {
	digits = strings.TrimSpace(digits)
	pairs := strings.Split(digits, ":")
	if len(pairs) != want {
		return "", invalid(line, fmt.Sprintf("a=fingerprint: digest has %d bytes, %s has %d", len(pairs), hash, want))
	}
	raw := make([]byte, 0, want)
	for _, p := range pairs {
		b, err := hex.DecodeString(p)
		if err != nil || len(b) != 1 {
			return "", invalid(line, "a=fingerprint: "+quote(p)+" is not a byte of two hexadecimal digits")
		}
		raw = append(raw, b[0])
	}
	return string(raw), nil
}

// readSetup wants the client to open DTLS: this end is passive, so that it needs no timer and no state for
// clients that never come. Without the attribute the offerer is active (RFC 4145 §4).
func readSetup(session *section, own []*section) error {
	said := false
	for _, s := range append(own, session) {
		a, ok := s.first("setup")
		if !ok || s == session && said {
			continue
		}
		said = true
		switch a.value {
		case "actpass", "active":
		case "passive", "holdconn":
			return unsupported(a.line, "a=setup:"+a.value+": this end is always passive; offer a=setup:actpass (RFC 8842 §5.2)")
		default:
			return invalid(a.line, "a=setup: "+quote(a.value)+" is not a role; offer a=setup:actpass")
		}
	}
	return nil
}
