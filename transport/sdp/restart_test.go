package sdp

import (
	"strings"
	"testing"
)

func TestRestartOffersOfRealBrowsers(t *testing.T) {
	for _, name := range []string{"chromium_listener", "firefox_listener", "chromium_video_data", "firefox_video_data"} {
		before, after := parse(t, fixture(t, "offer_"+name)), parse(t, fixture(t, "restart_"+name))
		if err := before.CheckRestart(after); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRestartKeepsEverythingButThePath(t *testing.T) {
	before := parse(t, base)
	fresh := strings.NewReplacer("a=ice-ufrag:ufrag", "a=ice-ufrag:fresh", "a=ice-pwd:0123", "a=ice-pwd:3210").Replace(base)
	added := strings.Replace(fresh, "BUNDLE a b", "BUNDLE a b c", 1) +
		strings.Replace(fresh[strings.LastIndex(fresh, "m="):], "a=mid:b", "a=mid:c", 1)
	alone := strings.Replace(fresh[:strings.LastIndex(fresh, "m=")], "BUNDLE a b", "BUNDLE a", 1)
	other := func(old, new string) string { return strings.Replace(fresh, old, new, 1) }
	for _, c := range []struct {
		name, offer string
		unsupported bool
		line        int
		says        string // "": a good restart
	}{
		{"plain", fresh, false, 0, ""},
		{"a line more", added, false, 0, ""},
		{"no restart", base, false, 10, "not both new"},
		{"ufrag alone is new", strings.ReplaceAll(base, "a=ice-ufrag:ufrag", "a=ice-ufrag:fresh"), false, 10, "not both new"},
		{"pwd alone is new", strings.ReplaceAll(base, "a=ice-pwd:0123", "a=ice-pwd:3210"), false, 10, "not both new"},
		{"another certificate", strings.ReplaceAll(fresh, "01:02", "0F:0F"), true, 12, "another certificate"},
		{"a line less", alone, false, 0, "1 m= sections, and 2 before"},
		{"another mid", strings.NewReplacer("BUNDLE a b", "BUNDLE a c", "a=mid:b", "a=mid:c").Replace(fresh), true, 19, "mid"},
		{"swapped", strings.NewReplacer("a=mid:a", "a=mid:b", "a=mid:b", "a=mid:a").Replace(fresh), true, 7, "mid"},
		{"switched off", other("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\n"), true, 19, "served"},
		{"another direction", other("a=recvonly", "a=inactive"), true, 19, "direction was recvonly, is inactive"},
		{"another payload type", other("SAVPF 111 0\r\n", "SAVPF 100 0\r\na=rtpmap:100 opus/48000/2\r\n"), true, 7, "payload type"},
		{"redundancy that was not there", other("SAVPF 111 0\r\n", "SAVPF 111 63\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"), true, 7, "redundancy"},
		{"another extension id", other("a=extmap:1", "a=extmap:2"), true, 7, "extensions"},
		{"NACK that was not there", other("a=recvonly", "a=rtcp-fb:111 nack\r\na=recvonly"), true, 19, "NACK"},
		{"another SSRC", other("a=ssrc:77", "a=ssrc:78"), true, 7, "SSRCs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := before.CheckRestart(parse(t, c.offer))
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			checkError(t, err, c.unsupported, c.line, c.says)
		})
	}
}
