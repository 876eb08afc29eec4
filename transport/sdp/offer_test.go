package sdp

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// fixture reads an offer of testdata.
func fixture(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".sdp"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fixtures are the names of all offers of testdata.
func fixtures(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.sdp")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for i, p := range paths {
		paths[i] = strings.TrimSuffix(filepath.Base(p), ".sdp")
	}
	return paths
}

func parse(t testing.TB, text string) *Offer {
	t.Helper()
	o, err := ParseOffer(text)
	if err != nil {
		t.Fatalf("ParseOffer: %v", err)
	}
	return o
}

// exported strips what only the package sees, for comparison.
func exported(l Line) Line {
	return Line{
		Mid: l.Mid, Kind: l.Kind, Direction: l.Direction, Rejected: l.Rejected,
		OpusPT: l.OpusPT, RedPT: l.RedPT, OpusFmtp: l.OpusFmtp, LevelID: l.LevelID, MidID: l.MidID, TWCCID: l.TWCCID,
		TWCC: l.TWCC, NACK: l.NACK, SSRCs: l.SSRCs,
	}
}

func TestOffersOfRealClients(t *testing.T) {
	chromium := Line{Kind: "audio", OpusPT: 111, RedPT: 63, OpusFmtp: "minptime=10;useinbandfec=1", LevelID: 1, MidID: 4, TWCCID: 3, TWCC: true}
	firefox := Line{Kind: "audio", OpusPT: 109, OpusFmtp: "maxplaybackrate=48000;stereo=1;useinbandfec=1", LevelID: 1, MidID: 3, TWCCID: 7, TWCC: true}
	pion := Line{Kind: "audio", OpusPT: 111, OpusFmtp: "minptime=10;useinbandfec=1", MidID: 1, TWCCID: 2, TWCC: true}
	lone := Line{Kind: "audio", OpusPT: 96, LevelID: 5, TWCC: true}
	asks := chromium
	asks.NACK = true
	line := func(l Line, mid string, d Direction, ssrcs ...uint32) Line {
		l.Mid, l.Direction, l.SSRCs = mid, d, ssrcs
		return l
	}
	rejected := func(kind, mid string) Line {
		return Line{Kind: kind, Mid: mid, Direction: SendRecv, Rejected: true}
	}
	for name, want := range map[string]struct {
		ufrag     string
		lines     []Line
		uplink    int // -1: none
		downlinks []int
	}{
		"offer_chromium": {"C0Lq", []Line{line(chromium, "0", SendRecv, 2266845440)}, 0, []int{0}},
		"offer_firefox":  {"7d2b9004", []Line{line(firefox, "0", SendRecv, 2580327631)}, 0, []int{0}},
		"offer_chromium_listener": {"", []Line{
			line(chromium, "0", SendRecv), line(chromium, "1", RecvOnly), line(chromium, "2", RecvOnly),
		}, 0, []int{0, 1, 2}},
		"offer_firefox_listener": {"", []Line{
			line(firefox, "0", SendRecv), line(firefox, "1", RecvOnly), line(firefox, "2", RecvOnly),
		}, 0, []int{0, 1, 2}},
		"offer_safari_listener": {"9hRk", []Line{
			line(chromium, "0", SendRecv, 3187420951), line(chromium, "1", RecvOnly), line(chromium, "2", RecvOnly),
		}, 0, []int{0, 1, 2}},
		"offer_pion": {"kRtZwQsNfLpVbXyC", []Line{
			line(pion, "0", SendRecv, 1730219904), line(pion, "1", RecvOnly), line(pion, "2", RecvOnly),
		}, 0, []int{0, 1, 2}},
		"offer_chromium_nack": {"", []Line{
			line(asks, "0", SendRecv), line(asks, "1", RecvOnly), line(chromium, "2", RecvOnly),
		}, 0, []int{0, 1, 2}},
		"offer_chromium_recvonly": {"", []Line{line(chromium, "0", RecvOnly)}, -1, []int{0}},
		"offer_firefox_video_data": {"", []Line{
			line(firefox, "0", SendRecv), rejected("video", "1"), rejected("application", "2"),
		}, 0, []int{0}},
		"offer_firefox_video_first": {"", []Line{rejected("video", "0"), line(firefox, "1", SendRecv)}, 1, []int{1}},
		"offer_chromium_many": {"", []Line{
			line(chromium, "0", SendRecv), line(chromium, "1", RecvOnly), line(chromium, "2", RecvOnly),
			line(chromium, "3", RecvOnly), line(chromium, "4", RecvOnly), line(chromium, "5", SendRecv),
		}, 0, []int{0, 1, 2}},
		"offer_lone_section": {"abcd", []Line{line(lone, "", SendOnly, 1, 2)}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := parse(t, fixture(t, name))
			if want.ufrag != "" && o.Ufrag != want.ufrag {
				t.Errorf("ufrag %q, want %q", o.Ufrag, want.ufrag)
			}
			if o.FingerprintHash != "sha-256" || len(o.Fingerprint) != 32 {
				t.Errorf("fingerprint %s of %d bytes", o.FingerprintHash, len(o.Fingerprint))
			}
			if len(o.Lines) != len(want.lines) {
				t.Fatalf("%d lines, want %d", len(o.Lines), len(want.lines))
			}
			for i, l := range o.Lines {
				w := want.lines[i]
				if len(w.SSRCs) == 0 && len(l.SSRCs) == 1 {
					w.SSRCs = l.SSRCs // browsers draw them anew; each announces one a line at most
				}
				if got := exported(l); !reflect.DeepEqual(got, w) {
					t.Errorf("line %d:\n got %+v\nwant %+v", i, got, w)
				}
			}
			if got := o.Downlinks(3); !reflect.DeepEqual(got, want.downlinks) {
				t.Errorf("downlinks %v, want %v", got, want.downlinks)
			}
			var uplink *Line
			if want.uplink >= 0 {
				uplink = &o.Lines[want.uplink]
			}
			if o.Uplink() != uplink {
				t.Errorf("uplink %+v, want line %d", o.Uplink(), want.uplink)
			}
		})
	}
}

func TestLineEndsMayBeBareLF(t *testing.T) {
	text := fixture(t, "offer_chromium_listener")
	crlf, lf := parse(t, text), parse(t, strings.ReplaceAll(text, "\r\n", "\n"))
	if !reflect.DeepEqual(crlf, lf) {
		t.Errorf("CRLF reads as\n%+v\nLF as\n%+v", crlf, lf)
	}
	cut := parse(t, strings.TrimSuffix(text, "\r\n"))
	if !reflect.DeepEqual(crlf, cut) {
		t.Error("the last line's end makes a difference")
	}
}

func TestSHA256IsPreferredOfSeveralFingerprints(t *testing.T) {
	long := "a=fingerprint:sha-512 " + strings.TrimSuffix(strings.Repeat("AB:", 64), ":") + "\r\n"
	o := parse(t, strings.Replace(base, "a=setup", long+"a=setup", 1))
	if o.FingerprintHash != "sha-256" || o.Fingerprint[0] != 0x01 {
		t.Errorf("chose %s %x", o.FingerprintHash, o.Fingerprint)
	}
	o = parse(t, strings.ReplaceAll(base, digest256+"\r\n", strings.TrimPrefix(long, "a=fingerprint:")))
	if o.FingerprintHash != "sha-512" || len(o.Fingerprint) != 64 {
		t.Errorf("chose %s %x", o.FingerprintHash, o.Fingerprint)
	}
}

func TestNoMoreThanEightSSRCsAreKept(t *testing.T) {
	var many strings.Builder
	for i := range 20 {
		many.WriteString("a=ssrc:" + string(rune('1'+i%9)) + "0" + string(rune('0'+i/9)) + " cname:x\r\n")
	}
	o := parse(t, strings.Replace(base, "a=ssrc:77 cname:x\r\n", many.String(), 1))
	want := []uint32{100, 200, 300, 400, 500, 600, 700, 800}
	if !reflect.DeepEqual(o.Lines[0].SSRCs, want) {
		t.Errorf("SSRCs %v, want %v", o.Lines[0].SSRCs, want)
	}
}

func TestDirectionSeenFromTheOtherEnd(t *testing.T) {
	for d, want := range map[Direction]Direction{Inactive: Inactive, SendOnly: RecvOnly, RecvOnly: SendOnly, SendRecv: SendRecv} {
		if got := d.reversed(); got != want {
			t.Errorf("%v reversed is %v, want %v", d, got, want)
		}
	}
}
