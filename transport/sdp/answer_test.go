package sdp

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	pion "github.com/pion/sdp/v3"
)

var update = flag.Bool("update", false, "write the golden answers anew")

// answerConfig is fixed, so that answers can be compared with files.
func answerConfig(slots int) AnswerConfig {
	c := AnswerConfig{
		SessionID: 4611686018427387904, Version: 1,
		Ufrag: "stentorUfrag", Pwd: "stentorPwd0123456789/+",
		Candidates: []netip.AddrPort{
			netip.MustParseAddrPort("192.0.2.2:7900"),
			netip.MustParseAddrPort("[2001:db8::2]:7900"),
			netip.MustParseAddrPort("192.0.2.2:7910"),
		},
		CNAME: "stentor", MaxSlots: slots, StreamID: "room",
	}
	for i := range 32 {
		c.Fingerprint = append(c.Fingerprint, byte(i*7))
	}
	for i := range slots {
		c.SSRCs = append(c.SSRCs, uint32(1000+i))
	}
	return c
}

func answer(t testing.TB, o *Offer, slots int) string {
	t.Helper()
	text, err := o.Answer(answerConfig(slots))
	if err != nil {
		t.Fatalf("Answer: %v", err)
	}
	return text
}

func TestGoldenAnswers(t *testing.T) {
	for _, name := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			got := answer(t, parse(t, fixture(t, name)), 3)
			path := filepath.Join("testdata", name+".answer")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("answer differs from %s; got:\n%s", path, got)
			}
		})
	}
}

// sections cuts an answer into its session part and its m-sections.
func sections(text string) []string {
	return strings.Split(strings.ReplaceAll(text, "\r\nm=", "\r\n\x00m="), "\x00")
}

// directions are the direction words of an answer's m-sections, "-" for a rejected one.
func directions(text string) string {
	var d []string
	for _, s := range sections(text)[1:] {
		word := regexp.MustCompile(`(?m)^a=(sendrecv|sendonly|recvonly|inactive)\r$`).FindStringSubmatch(s)[1]
		if strings.Contains(s, " 0 UDP") {
			word = "-"
		}
		d = append(d, word)
	}
	return strings.Join(d, " ")
}

// offerOf makes an offer of audio lines with these directions; "-" is a line switched off, "video" a video line.
func offerOf(kinds ...string) string {
	head, rest, _ := strings.Cut(base, "m=")
	first, _, _ := strings.Cut(rest, "m=")
	group, body := "a=group:BUNDLE", ""
	for i, k := range kinds {
		s := strings.Replace("m="+first, "a=mid:a", fmt.Sprintf("a=mid:%d", i), 1)
		switch k {
		case "-":
			s = strings.Replace(s, "m=audio 9", "m=audio 0", 1)
		case "bundle-only":
			s = strings.Replace(s, "m=audio 9", "m=audio 0", 1) + "a=bundle-only\r\n"
			group += fmt.Sprintf(" %d", i)
		case "video":
			s = strings.Replace(s, "m=audio", "m=video", 1)
			group += fmt.Sprintf(" %d", i)
		case "outside":
		default:
			s = strings.Replace(s, "a=sendrecv", "a="+k, 1)
			group += fmt.Sprintf(" %d", i)
		}
		body += strings.Replace(s, "a=ssrc:77", fmt.Sprintf("a=ssrc:%d", 77+i), 1)
	}
	return strings.Replace(head, "a=group:BUNDLE a b", group, 1) + body
}

func TestDirectionsOfTheAnswer(t *testing.T) {
	for _, c := range []struct {
		offered string
		slots   int
		want    string
	}{
		{"sendrecv", 3, "sendrecv"},
		{"sendrecv", 0, "recvonly"},
		{"sendonly", 3, "recvonly"},
		{"recvonly", 3, "sendonly"},
		{"recvonly recvonly recvonly", 2, "sendonly sendonly inactive"},
		{"sendrecv recvonly recvonly", 3, "sendrecv sendonly sendonly"},
		{"sendrecv recvonly recvonly", 1, "sendrecv inactive inactive"},
		{"recvonly sendrecv recvonly", 1, "sendonly recvonly inactive"},
		{"sendrecv sendrecv", 2, "sendrecv sendonly"},
		{"sendrecv sendrecv", 1, "sendrecv inactive"},
		{"sendonly sendonly recvonly", 1, "recvonly inactive sendonly"},
		{"inactive sendrecv", 3, "inactive sendrecv"},
		{"- sendrecv", 3, "- sendrecv"},
		{"video sendrecv outside", 3, "- sendrecv -"},
		{"sendonly bundle-only", 3, "recvonly sendonly"},
	} {
		got := directions(answer(t, parse(t, offerOf(strings.Fields(c.offered)...)), c.slots))
		if got != c.want {
			t.Errorf("%s with %d slots: %s, want %s", c.offered, c.slots, got, c.want)
		}
	}
}

func TestSlotsAreSeparateStreams(t *testing.T) {
	text := answer(t, parse(t, offerOf("sendonly", "recvonly", "sendrecv", "recvonly")), 2)
	s := sections(text)[1:]
	for i, want := range []string{"", "a=msid:room-slot0 slot0\r\n", "a=msid:room-slot1 slot1\r\n", ""} {
		if want == "" {
			if strings.Contains(s[i], "a=ssrc") || strings.Contains(s[i], "a=msid") {
				t.Errorf("section %d announces a stream that nobody sends:\n%s", i, s[i])
			}
			continue
		}
		ssrc := fmt.Sprintf("a=ssrc:%d cname:stentor\r\n", 1000+i-1)
		if !strings.Contains(s[i], want) || !strings.Contains(s[i], ssrc) {
			t.Errorf("section %d lacks %q or %q:\n%s", i, want, ssrc, s[i])
		}
	}
}

// Browsers send redundancy when its payload type stands before that of Opus, and with parameters that fit.
func TestRedundancyIsPreferredFromSpeakersAndAllowedToListeners(t *testing.T) {
	s := sections(answer(t, parse(t, fixture(t, "offer_chromium_listener")), 3))
	for i, want := range []string{"63 111", "111 63", "111 63"} {
		if first := "m=audio 9 UDP/TLS/RTP/SAVPF " + want + "\r\n"; !strings.HasPrefix(s[1+i], first) {
			t.Errorf("section %d is not %q:\n%s", i, first, s[1+i])
		}
		if both := "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"; !strings.Contains(s[1+i], both) {
			t.Errorf("section %d lacks %q:\n%s", i, both, s[1+i])
		}
	}
	if s := answer(t, parse(t, fixture(t, "offer_firefox_listener")), 3); strings.Contains(s, "red/48000") {
		t.Errorf("redundancy for one who has not offered it:\n%s", s)
	}
}

func TestRedundancyOfSomethingElseIsNotTaken(t *testing.T) {
	for says, want := range map[string]uint8{
		"63\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111":                               63,
		"63\r\na=rtpmap:63 RED/48000/2\r\na=fmtp:63 111/111/111":                           63,
		"63\r\na=rtpmap:63 red/48000/2":                                                    0, // of what?
		"63\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111":                                   0,
		"63\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/0":                                 0,
		"63\r\na=rtpmap:63 red/8000\r\na=fmtp:63 111/111":                                  0,
		"0\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111":                                0, // not among the formats
		"72\r\na=rtpmap:72 red/48000/2\r\na=fmtp:72 111/111":                               0, // looks like RTCP
		"62 63\r\na=rtpmap:62 red/48000/2\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111": 63,
	} {
		o := parse(t, strings.Replace(base, "SAVPF 111 0", "SAVPF 111 "+says, 1))
		if got := o.Lines[0].RedPT; got != want {
			t.Errorf("%q gives %d, want %d", says, got, want)
		}
	}
}

func TestRejectedLinesAreInNoGroup(t *testing.T) {
	text := answer(t, parse(t, offerOf("video", "sendrecv", "outside", "recvonly")), 3)
	if !strings.Contains(text, "a=group:BUNDLE 1 3\r\n") {
		t.Errorf("group is not BUNDLE 1 3:\n%s", text)
	}
	s := sections(text)
	want := "m=video 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=inactive\r\n"
	if s[1] != want {
		t.Errorf("video is rejected with\n%s\nwant\n%s", s[1], want)
	}
	for i, section := range s[1:] {
		if got, want := strings.Contains(section, "a=candidate:"), i == 1; got != want {
			t.Errorf("section %d has candidates: %t, want %t (the tagged section alone has them)", i, got, want)
		}
	}
}

// Priorities fall with the order, foundations follow the address, and addresses are such as another machine can use.
func TestCandidates(t *testing.T) {
	c := answerConfig(1)
	c.Candidates = append(c.Candidates, netip.MustParseAddrPort("[fe80::1%eth0]:7900"), netip.MustParseAddrPort("[::ffff:192.0.2.3]:7900"))
	text, err := parse(t, base).Answer(c)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		// 126<<24 + 65535<<8 + 255, and 256 less for each that follows.
		"a=candidate:1 1 udp 2130706431 192.0.2.2 7900 typ host",
		"a=candidate:2 1 udp 2130706175 2001:db8::2 7900 typ host",
		"a=candidate:1 1 udp 2130705919 192.0.2.2 7910 typ host",
		"a=candidate:4 1 udp 2130705663 fe80::1 7900 typ host",
		"a=candidate:5 1 udp 2130705407 192.0.2.3 7900 typ host",
		"a=end-of-candidates",
	}
	if !strings.Contains(text, strings.Join(want, "\r\n")+"\r\n") {
		t.Errorf("candidates are not\n%s\nin\n%s", strings.Join(want, "\n"), text)
	}
}

func TestExtensionDirections(t *testing.T) {
	level := "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
	for _, c := range []struct {
		line, suffix string
		slots        int
		want         string // the suffix answered; "none": left out
	}{
		{"sendrecv", "", 1, ""},
		{"sendrecv", "/sendrecv", 1, ""},
		{"sendrecv", "/sendonly", 1, "/recvonly"},
		{"sendrecv", "/recvonly", 1, "/sendonly"},
		{"sendrecv", "/recvonly", 0, "none"}, // only received here, and the client does not send it
		{"sendrecv", "/inactive", 1, "none"},
		{"recvonly", "/recvonly", 1, "/sendonly"},
		{"recvonly", "/sendonly", 1, "none"},
		{"recvonly", "", 0, ""}, // the line is inactive; it may be used once the line is
		{"inactive", "/sendonly", 1, "none"},
	} {
		offer := strings.Replace(offerOf(c.line), level, strings.Replace(level, ":1 ", ":1"+c.suffix+" ", 1), 1)
		text := answer(t, parse(t, offer), c.slots)
		want := strings.Replace(level, ":1 ", ":1"+c.want+" ", 1)
		if c.want == "none" {
			want = ""
		}
		if got := regexp.MustCompile(`(?m)^a=extmap:.*\n`).FindString(text); got != want {
			t.Errorf("%s line, extension%s, %d slots: answered %q, want %q", c.line, c.suffix, c.slots, got, want)
		}
	}
}

func TestAnswerRefusesWhatNoBrowserTakes(t *testing.T) {
	o := parse(t, base)
	for name, spoil := range map[string]func(*AnswerConfig){
		"ufrag":       func(c *AnswerConfig) { c.Ufrag = "a b c" },
		"pwd":         func(c *AnswerConfig) { c.Pwd = "short" },
		"fingerprint": func(c *AnswerConfig) { c.Fingerprint = c.Fingerprint[:20] },
		"candidates":  func(c *AnswerConfig) { c.Candidates = nil },
		"unspecified": func(c *AnswerConfig) { c.Candidates[0] = netip.MustParseAddrPort("0.0.0.0:7900") },
		"port":        func(c *AnswerConfig) { c.Candidates[0] = netip.MustParseAddrPort("192.0.2.1:0") },
		"ssrcs":       func(c *AnswerConfig) { c.SSRCs = c.SSRCs[:1] },
		"session":     func(c *AnswerConfig) { c.SessionID = 1 << 63 },
	} {
		c := answerConfig(3)
		spoil(&c)
		if text, err := o.Answer(c); err == nil {
			t.Errorf("%s: answered\n%s", name, text)
		}
	}
}

func TestRoomNamesCannotBreakTheAnswer(t *testing.T) {
	c := answerConfig(1)
	c.StreamID, c.CNAME = "a b\r\na=evil:"+strings.Repeat("é", 80), "x\r\ny z"
	text, err := parse(t, base).Answer(c)
	if err != nil {
		t.Fatal(err)
	}
	checkAnswer(t, parse(t, base), text)
	if strings.Contains(text, "a=evil") || !strings.Contains(text, "cname:x__y_z\r\n") {
		t.Errorf("answer:\n%s", text)
	}
	if id := regexp.MustCompile(`a=msid:(\S+) slot0\r`).FindStringSubmatch(text); len(id) != 2 || len(id[1]) > 64 {
		t.Errorf("msid %q is not a token of at most 64 characters", id)
	}
}

// answerLine is every line that an answer may have. What is not here came from somewhere else.
var answerLine = regexp.MustCompile(`^(?:v=0|o=- \d+ \d+ IN IP4 0\.0\.0\.0|s=-|t=0 0|c=IN IP4 0\.0\.0\.0|` +
	`m=(?:audio|video|text|application|message) [09] [A-Za-z0-9/]+ [!-~]{1,32}(?: \d+)?|` +
	`a=(?:ice-lite|msid-semantic:WMS \*|extmap-allow-mixed|group:BUNDLE [!-~ ]+|mid:[!-~]{1,32}|ice-ufrag:[!-~]+|ice-pwd:[!-~]+|` +
	`fingerprint:sha-256 [0-9A-F:]{95}|setup:passive|rtcp-mux|rtcp-rsize|rtpmap:\d+ opus/48000/2|rtpmap:\d+ red/48000/2|fmtp:\d+ \d+/\d+|` +
	`fmtp:\d+ minptime=10;useinbandfec=1;usedtx=1|rtcp-fb:\d+ (transport-cc|nack)|extmap:\d+(?:/sendonly|/recvonly)? [a-z0-9:./-]+|` +
	`sendrecv|sendonly|recvonly|inactive|msid:[!-~]+ slot\d|ssrc:\d+ cname:[!-~]+|ssrc:\d+ msid:[!-~]+ slot\d|` +
	`candidate:\d+ 1 udp \d+ [0-9a-f.:]+ \d+ typ host|end-of-candidates))$`)

// checkAnswer holds what is true of every answer: pion reads it, it has the offer's sections in the offer's order,
// its group is what it accepts, and nothing in it came from the offer unchecked.
func checkAnswer(t testing.TB, o *Offer, text string) {
	t.Helper()
	var d pion.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		t.Fatalf("pion does not read the answer: %v\n%s", err, text)
	}
	if len(d.MediaDescriptions) != len(o.Lines) {
		t.Fatalf("%d sections answer %d\n%s", len(d.MediaDescriptions), len(o.Lines), text)
	}
	var accepted []string
	for i, m := range d.MediaDescriptions {
		l := o.Lines[i]
		mid, _ := m.Attribute("mid")
		if m.MediaName.Media != l.Kind || mid != l.Mid || (m.MediaName.Port.Value == 0) != l.Rejected {
			t.Fatalf("section %d is no answer to %+v\n%s", i, l, text)
		}
		if !l.Rejected {
			accepted = append(accepted, mid)
		}
	}
	if group, ok := d.Attribute("group"); ok {
		got := strings.Fields(group)[1:]
		slices.Sort(got)
		slices.Sort(accepted)
		if !slices.Equal(got, accepted) {
			t.Fatalf("group %q, accepted %q\n%s", got, accepted, text)
		}
	}
	for _, l := range strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		if !answerLine.MatchString(l) {
			t.Fatalf("answer has the line %q", l)
		}
	}
}

func TestEveryAnswerMirrorsItsOffer(t *testing.T) {
	for _, name := range fixtures(t) {
		o := parse(t, fixture(t, name))
		for slots := range 9 {
			checkAnswer(t, o, answer(t, o, slots))
		}
	}
	kinds := []string{"sendrecv", "sendonly", "recvonly", "inactive", "-", "bundle-only", "video", "outside"}
	random := rand.New(rand.NewPCG(1, 2))
	served := 0
	for range 500 {
		lines := make([]string, 1+random.IntN(10))
		for i := range lines {
			lines[i] = kinds[random.IntN(len(kinds))]
		}
		o, err := ParseOffer(offerOf(lines...))
		if err != nil {
			if !slices.ContainsFunc(lines, func(k string) bool { return slices.Contains(kinds[:4], k) || k == "bundle-only" }) {
				continue // nothing to serve was offered
			}
			t.Fatalf("%v: %v", lines, err)
		}
		served++
		checkAnswer(t, o, answer(t, o, random.IntN(9)))
	}
	if served < 250 {
		t.Errorf("only %d of 500 offers were served", served)
	}
}

func BenchmarkAnswer(b *testing.B) {
	text := fixture(b, "offer_chromium_listener")
	o, c := parse(b, text), answerConfig(3)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseOffer(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("answer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := o.Answer(c); err != nil {
				b.Fatal(err)
			}
		}
	})
}
