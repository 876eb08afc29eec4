package sdp

import (
	"bytes"
	"fmt"
	"slices"
)

// CheckRestart says whether n, a later offer of the same client, asks for an ICE restart of o and for nothing else
// (RFC 8839 §4.4.1.1): new ufrag and pwd, the same certificate, the same lines with the same streams. Lines added at
// the end are no obstacle. What the client sends and receives goes on unchanged, so nothing else may differ.
// The error is always an *Error, its line one of n.
func (o *Offer) CheckRestart(n *Offer) error {
	if o.Ufrag == n.Ufrag || o.Pwd == n.Pwd {
		return invalid(n.ufragLine, "a=ice-ufrag, a=ice-pwd: not both new, so this is no ICE restart (RFC 8839 §4.4.1.1); offer with iceRestart")
	}
	if o.FingerprintHash != n.FingerprintHash || !bytes.Equal(o.Fingerprint, n.Fingerprint) {
		return unsupported(n.hashLine, "a=fingerprint: another certificate than before; an ICE restart keeps DTLS, join again instead")
	}
	if len(n.Lines) < len(o.Lines) {
		return invalid(0, fmt.Sprintf("the offer has %d m= sections, and %d before; sections never go away (RFC 3264 §8)", len(n.Lines), len(o.Lines)))
	}
	for i := range o.Lines {
		if what := o.Lines[i].difference(&n.Lines[i]); what != "" {
			return unsupported(n.Lines[i].number, fmt.Sprintf("m=%s: %s; an ICE restart changes nothing but the path", n.Lines[i].Kind, what))
		}
	}
	return nil
}

// difference names the first thing that is not as it was; "": nothing that matters.
func (l *Line) difference(n *Line) string {
	switch {
	case l.Rejected && n.Rejected:
		return "" // Browsers strip a rejected section down, its mid included.
	case l.Rejected != n.Rejected:
		return fmt.Sprintf("served was %t, is %t", !l.Rejected, !n.Rejected)
	case l.Mid != n.Mid:
		return fmt.Sprintf("mid was %q, is %q", l.Mid, n.Mid)
	case l.Direction != n.Direction:
		return fmt.Sprintf("direction was %s, is %s", l.Direction, n.Direction)
	case l.OpusPT != n.OpusPT:
		return fmt.Sprintf("payload type of Opus was %d, is %d", l.OpusPT, n.OpusPT)
	case l.RedPT != n.RedPT:
		return fmt.Sprintf("payload type of redundancy was %d, is %d", l.RedPT, n.RedPT)
	case l.LevelID != n.LevelID || l.MidID != n.MidID || l.TWCCID != n.TWCCID || l.TWCC != n.TWCC:
		return "header extensions are not what they were"
	case l.NACK != n.NACK:
		return fmt.Sprintf("NACK (a=rtcp-fb) was offered %t, is %t", l.NACK, n.NACK)
	case !slices.Equal(l.SSRCs, n.SSRCs):
		return fmt.Sprintf("SSRCs were %d, are %d", l.SSRCs, n.SSRCs)
	}
	return ""
}
