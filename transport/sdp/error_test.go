package sdp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const digest256 = "sha-256 01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F:20"

// base is a small offer of two audio lines. Its m= lines are lines 7 and 19.
var base = strings.ReplaceAll(`v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE a b
a=extmap-allow-mixed
m=audio 9 UDP/TLS/RTP/SAVPF 111 0
c=IN IP4 0.0.0.0
a=mid:a
a=ice-ufrag:ufrag
a=ice-pwd:0123456789012345678901
a=fingerprint:`+digest256+`
a=setup:actpass
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=ssrc:77 cname:x
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:b
a=ice-ufrag:ufrag
a=ice-pwd:0123456789012345678901
a=fingerprint:`+digest256+`
a=setup:actpass
a=recvonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
`, "\n", "\r\n")

// with puts another line in the place of line n of base; empty: takes it out.
func with(n int, line string) string {
	lines := strings.SplitAfter(base, "\n")
	if line != "" {
		line += "\r\n"
	}
	lines[n-1] = line
	return strings.Join(lines, "")
}

// bare is an offer up to its first m= section.
const bare = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"

// wrong are offers that are refused, with the line that is named and some of the words.
var wrong = []struct {
	name, offer string
	unsupported bool
	line        int
	says        string
}{
	{"empty", "", false, 0, "empty"},
	{"blank", " \r\n\r\n", false, 0, "empty"},
	{"not SDP", "hello", false, 1, `"hello" is not of the form`},
	{"JSON", `{"type":"offer","sdp":"v=0"}`, false, 1, "not of the form"},
	{"too long", base + strings.Repeat("a=x\r\n", MaxOfferBytes/5), false, 0, "more than 131072"},
	{"too many sections", bare + strings.Repeat("m=audio 9 RTP/AVP 0\r\n", 65), true, 4 + 65, "more than 64"},
	{"bad version", with(1, "v=1"), false, 1, `"v=1"`},
	{"no version", with(1, ""), false, 1, "out of the order"},
	{"bad origin", with(2, "o=- x 2 IN IP4 127.0.0.1"), false, 2, `"o=- x 2`},
	{"indented", with(9, " a=mid:a"), false, 9, "not of the form"},
	{"no value", with(18, "a"), false, 18, "not of the form"},
	{"hidden line", with(9, "a=mid:a\ra=x"), false, 9, "carriage return"},
	{"NUL", with(9, "a=mid:a\x00"), false, 9, "NUL"},
	{"line in a wrong place", with(15, "v=0"), false, 15, "out of the order"},
	{"bad connection", with(8, "c=XX IP4 0.0.0.0"), false, 8, "XX"},
	{"bad port", with(19, "m=audio 65536 UDP/TLS/RTP/SAVPF 111"), false, 19, "65536"},
	{"unknown media", with(19, "m=smell 9 UDP/TLS/RTP/SAVPF 111"), false, 19, "smell"},
	{"no format", with(7, "m=audio 9 UDP/TLS/RTP/SAVPF"), false, 7, "without a format"},
	{"format no token", with(7, "m=audio 9 UDP/TLS/RTP/SAVPF 111 a=b"), false, 7, "token"},
	{"format no payload type", with(7, "m=audio 9 UDP/TLS/RTP/SAVPF 128 111"), false, 7, "payload type"},
	{"cut short", "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\n", false, 0, "ends before its t= line"},
	{"no section", bare, true, 0, "no m= section"},
	{"mid no token", with(9, "a=mid:a b"), false, 9, "a=mid"},
	{"mid too long", with(9, "a=mid:"+strings.Repeat("a", 33)), false, 9, "32"},
	{"mid twice", with(21, "a=mid:a"), false, 21, "taken by the m= section at line 7"},
	{"no group", with(5, ""), true, 0, "BUNDLE"},
	{"another group", with(5, "a=group:LS a b"), true, 0, "BUNDLE"},
	{"group of a stranger", with(5, "a=group:BUNDLE a c"), false, 5, `"c"`},
	{"group names twice", with(5, "a=group:BUNDLE a a"), false, 5, "twice"},
	{"two directions", with(18, "a=recvonly"), false, 18, "after a=sendrecv"},
	{"no rtcp-mux", with(27, ""), true, 19, "rtcp-mux"},
	{"rtpmap no number", with(16, "a=rtpmap:x opus/48000/2"), false, 16, `"x"`},
	{"rtpmap twice", with(18, "a=rtpmap:111 opus/48000/2"), false, 18, "twice"},
	{"extmap without URI", with(17, "a=extmap:1"), false, 17, "<id> <uri>"},
	{"extmap id 0", with(17, "a=extmap:0 urn:x"), false, 17, "1 to 4351"},
	{"extmap direction", with(17, "a=extmap:1/both urn:x"), false, 17, `"both"`},
	{"extmap id twice", with(18, "a=extmap:1 urn:x"), false, 18, "taken"},
	{"extmap id taken by the session", with(6, "a=extmap:1 urn:x"), false, 17, "taken"},
	{"ssrc no number", with(18, "a=ssrc:4294967296 cname:x"), false, 18, "32 bits"},
	{"ufrag short", with(10, "a=ice-ufrag:abc"), false, 10, "4 to 256"},
	{"ufrag long", with(10, "a=ice-ufrag:"+strings.Repeat("a", 257)), false, 10, "4 to 256"},
	{"ufrag characters", with(10, "a=ice-ufrag:ab-cd"), false, 10, "characters"},
	{"pwd short", with(11, "a=ice-pwd:012345678901234567890"), false, 11, "22 to 256"},
	{"no ufrag", with(10, ""), false, 10, "without a=ice-ufrag"},
	{"no pwd", with(11, ""), false, 10, "without a=ice-pwd"},
	{"another ufrag", with(22, "a=ice-ufrag:other"), true, 22, "line 10"},
	{"another pwd", with(23, "a=ice-pwd:1123456789012345678901"), true, 22, "line 10"},
	{"another fingerprint", with(24, "a=fingerprint:"+strings.Replace(digest256, "01:", "02:", 1)), false, 24, "line 12"},
	{"short digest", with(12, "a=fingerprint:sha-256 01:02"), false, 12, "2 bytes, sha-256 has 32"},
	{"digest of another hash", with(12, "a=fingerprint:"+strings.Replace(digest256, "sha-256", "sha-384", 1)), false, 12, "sha-384 has 48"},
	{"digest digits", with(12, "a=fingerprint:"+strings.Replace(digest256, "0A", "0G", 1)), false, 12, `"0G"`},
	{"SHA-1", with(12, "a=fingerprint:sha-1 00"), true, 12, "sha-1"},
	{"both passive", with(13, "a=setup:passive"), true, 13, "actpass"},
	{"holdconn", with(25, "a=setup:holdconn"), true, 25, "actpass"},
	{"setup unknown", with(13, "a=setup:any"), false, 13, `"any"`},
	{"both lite", with(6, "a=ice-lite"), true, 6, "ICE-lite"},
	{"no opus", strings.ReplaceAll(base, "opus/48000/2", "opus/48000/1"), true, 0, "no audio line with opus/48000/2 that can be served (line 7: no opus"},
	{"opus among RTCP's types", strings.ReplaceAll(base, "111", "72"), true, 0, "no audio line"},
	{"only switched off", strings.ReplaceAll(base, "audio 9", "audio 0"), true, 0, "line 7: port 0"},
	{"no DTLS", strings.ReplaceAll(base, "UDP/TLS/RTP/SAVPF", "RTP/AVP"), true, 0, "not DTLS-SRTP"},
	{"only video", strings.ReplaceAll(base, "m=audio", "m=video"), true, 0, "no audio line"},
	{"empty group", with(5, "a=group:BUNDLE"), true, 0, "outside the BUNDLE group"},
	{"no credentials", bare + "m=audio 9 RTP/SAVPF 96\r\na=rtpmap:96 opus/48000/2\r\na=rtcp-mux\r\n", false, 5, "ice-ufrag"},
	{"no fingerprint", strings.ReplaceAll(base, "a=fingerprint", "a=finger"), false, 7, "a=fingerprint"},
}

func TestErrorsNameTheLineAndTheReason(t *testing.T) {
	parse(t, base)
	for _, c := range wrong {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseOffer(c.offer)
			checkError(t, err, c.unsupported, c.line, c.says)
		})
	}
}

func checkError(t *testing.T, err error, unsupported bool, line int, says string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want an *Error", err)
	}
	if e.Unsupported != unsupported || e.Line != line || !strings.Contains(e.Msg, says) {
		t.Errorf("unsupported %t, %q; want unsupported %t, line %d, something with %q", e.Unsupported, e, unsupported, line, says)
	}
	if line > 0 && !strings.HasPrefix(e.Error(), fmt.Sprintf("line %d: ", line)) {
		t.Errorf("%q does not begin with its line", e)
	}
	if len(e.Error()) > 300 || strings.ContainsAny(e.Error(), "\r\n") {
		t.Errorf("%q does not fit a log line", e)
	}
}

// Every beginning of an offer is either served or refused, never both or neither.
func TestCutOffersAreRefusedInWords(t *testing.T) {
	for i := range base {
		o, err := ParseOffer(base[:i])
		if (o == nil) == (err == nil) {
			t.Fatalf("%d bytes: offer %v, error %v", i, o, err)
		}
		if err != nil && err.Error() == "" {
			t.Fatalf("%d bytes: an error without words", i)
		}
	}
}
