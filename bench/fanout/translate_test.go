//go:build linux

package fanout

import (
	"strings"
	"testing"

	"stentor/bench/client"
)

// anOffer is of a participant with three lines.
func anOffer(t *testing.T) (sdp string) {
	t.Helper()
	h, err := openEars(1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Conn: h.join(0, true, nil)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Abort(); h.close() })
	return c.Offer()
}

// foreignOffer is what Janus sends to a subscriber of two, and LiveKit with a data channel.
const foreignOffer = `v=0
o=- 1 1 IN IP4 203.0.113.77
s=VideoRoom 1
t=0 0
a=group:BUNDLE a b
a=fingerprint:sha-256 AA:BB
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
a=mid:d
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=sendonly
a=mid:a
a=ice-ufrag:uuuu
a=ice-pwd:pppppppppppppppppppppp
a=setup:actpass
a=rtpmap:111 opus/48000/2
a=ssrc:11 cname:x
a=candidate:1 1 udp 2015363327 203.0.113.77 36077 typ host
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=inactive
a=mid:b
a=ice-ufrag:uuuu
a=ice-pwd:pppppppppppppppppppppp
a=rtpmap:111 opus/48000/2
a=ssrc:22 cname:x
`

func TestAServersOfferBecomesAnAnswerToOurs(t *testing.T) {
	p, err := readParty(anOffer(t))
	if err != nil || p.lines != 3 || p.ssrc == "" || p.cname == "" {
		t.Fatalf("%+v, %v", p, err)
	}
	answer, err := p.answerFor(foreignOffer)
	if err != nil {
		t.Fatal(err)
	}
	sections := sectionsOf(answer)
	if len(sections) != 4 || !strings.HasPrefix(sections[3][0], "m=audio 0 ") {
		t.Fatalf("%q", sections)
	}
	for i, ssrc := range []string{"11 cname:x", "22 cname:x"} {
		s := sections[i+1]
		if attribute(s, "mid") != string(rune('0'+i)) || attribute(s, "ssrc") != ssrc || attribute(s, "fingerprint") != "sha-256 AA:BB" ||
			attribute(s, "setup") != "passive" || attribute(s, "ice-ufrag") != "uuuu" {
			t.Errorf("line %d: %q", i, s)
		}
	}
	if attribute(sections[1], "candidate") == "" {
		t.Error("the candidate was lost")
	}
}

func TestAListenersAnswerTakesAudioAlone(t *testing.T) {
	p := party{ufrag: "uf", password: "pw", fingerprint: "sha-256 CC", lines: 3}
	sections := sectionsOf(p.receiving(foreignOffer))
	if len(sections) != 4 || !has(sections[0], "a=group:BUNDLE a b") {
		t.Fatalf("%q", sections)
	}
	if !strings.HasPrefix(sections[1][0], "m=application 0 ") || !has(sections[2], "a=recvonly") || !has(sections[3], "a=inactive") {
		t.Errorf("%q", sections)
	}
	if attribute(sections[2], "setup") != "active" || attribute(sections[2], "ice-pwd") != "pw" || attribute(sections[2], "mid") != "a" {
		t.Errorf("%q", sections[2])
	}
}

func TestWhatCannotBeTurnedIsRefused(t *testing.T) {
	p := party{lines: 1}
	for want, sdp := range map[string]string{
		"no audio line":           "v=0\nm=video 9 x 96\n",
		"no Opus as payload type": "v=0\nm=audio 9 x 96\na=rtpmap:96 opus/48000/2\n",
	} {
		if _, err := p.answerFor(sdp); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is wanted, got %v", want, err)
		}
	}
	for _, bad := range []string{"", "v=0\n", "v=0\nm=audio 9 x 111\n"} {
		if _, err := readParty(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzTranslate(f *testing.F) {
	f.Add(foreignOffer)
	f.Fuzz(func(t *testing.T, sdp string) {
		p, err := readParty(sdp)
		if err != nil {
			p = party{lines: 2}
		}
		p.receiving(sdp)
		if answer, err := p.answerFor(sdp); err == nil && len(sectionsOf(answer)) != p.lines+1 {
			t.Errorf("%d lines were offered: %q", p.lines, answer)
		}
	})
}
