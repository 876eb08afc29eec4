package cmaf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// start is when the tests' recordings began.
var start = time.Date(2026, 7, 3, 19, 30, 0, 250e6, time.UTC)

func TestPlaylistReadsAsRFC8216Wants(t *testing.T) {
	p := NewPlaylist(4*SampleRate, start)
	for _, s := range []Segment{
		{Number: 1, URI: "seg-00001.m4s", Duration: 4 * SampleRate},
		{Number: 2, URI: "seg-00002.m4s", At: 4 * SampleRate, Duration: 1*SampleRate + 120},
		{Number: 3, URI: "seg-00003.m4s", At: 3600*SampleRate + 960, Duration: 4*SampleRate - 960},
	} {
		if err := p.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	live := `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-07-03T19:30:00.250Z
#EXTINF:4.0000,
seg-00001.m4s
#EXTINF:1.0025,
seg-00002.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-07-03T20:30:00.270Z
#EXTINF:3.9800,
seg-00003.m4s
`
	if got := string(p.Text()); got != live {
		t.Errorf("live:\n%s", got)
	}
	if d := p.Duration(); d != 9*SampleRate+120-960 {
		t.Errorf("it lasts %d samples", d)
	}
	p.End()
	if got, want := string(p.Text()), strings.Replace(live, "EVENT", "VOD", 1)+"#EXT-X-ENDLIST\n"; got != want {
		t.Errorf("closed:\n%s", got)
	}
	if err := CheckGrowth([]byte(live), p.Text()); err != nil {
		t.Error(err)
	}
	if err := p.Add(Segment{Number: 4, URI: "x", At: p.end(), Duration: 960}); err == nil {
		t.Error("a segment behind the end is taken")
	}
}

func TestPlaylistWithoutATimeSaysNone(t *testing.T) {
	p := NewPlaylist(4*SampleRate, time.Time{})
	if err := p.Add(Segment{URI: "a", Duration: 960}); err != nil {
		t.Fatal(err)
	}
	if text := p.Text(); bytes.Contains(text, []byte("DATE-TIME")) {
		t.Errorf("%s", text)
	}
}

func TestPlaylistRefusesWhatWouldBreakIt(t *testing.T) {
	good := Segment{Number: 2, URI: "b.m4s", At: 4 * SampleRate, Duration: 4 * SampleRate}
	for name, change := range map[string]func(*Segment){
		"longer than the target": func(s *Segment) { s.Duration = 4*SampleRate + SampleRate/2 },
		"no audio":               func(s *Segment) { s.Duration = 0 },
		"not whole ticks":        func(s *Segment) { s.Duration = 961 },
		"overlap":                func(s *Segment) { s.At -= 960 },
		"another directory":      func(s *Segment) { s.URI = "../b.m4s" },
		"another host":           func(s *Segment) { s.URI = "http://example.org/b.m4s" },
		"two lines":              func(s *Segment) { s.URI = "b\n#EXT-X-ENDLIST" },
	} {
		p := NewPlaylist(4*SampleRate, start)
		if err := p.Add(Segment{Number: 1, URI: "a.m4s", Duration: 4 * SampleRate}); err != nil {
			t.Fatal(err)
		}
		before := string(p.Text())
		s := good
		change(&s)
		if err := p.Add(s); err == nil || string(p.Text()) != before {
			t.Errorf("%s: %v", name, err)
		}
		if err := p.Add(good); err != nil {
			t.Errorf("then the good one: %v", err)
		}
	}
}

func TestParsedPlaylistWritesItself(t *testing.T) {
	gap := func(at int64) bool { return at < 100*960 || at >= 5*SampleRate+960 }
	states := 0
	record(t, Options{}, at20(tones(t), gap), func(r *replay) {
		states++
		p, err := ParsePlaylist(r.files[MediaName])
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Text(); !bytes.Equal(got, r.files[MediaName]) {
			t.Fatalf("parsed and written:\n%s\nwas:\n%s", got, r.files[MediaName])
		}
		for i, s := range p.Segments() {
			if w := r.playlist.Segments()[i]; s.At != w.At || s.Duration != w.Duration || s.URI != w.URI || s.Number != w.Number {
				t.Errorf("segment %d is %+v, was %+v", i, s, w)
			}
		}
		if p.Ended() || p.Target() != 4 || !p.Start().Equal(start) || p.Duration() != r.playlist.Duration() {
			t.Errorf("%v %d %v %d", p.Ended(), p.Target(), p.Start(), p.Duration())
		}
	})
	if states != 5 {
		t.Errorf("%d states", states)
	}
}

const tiny = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:VOD\n" +
	"#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4.0000,\na.m4s\n#EXT-X-ENDLIST\n"

func TestParsePlaylistRefuses(t *testing.T) {
	if _, err := ParsePlaylist([]byte(strings.ReplaceAll(tiny, "\n", "\r\n"))); err != nil {
		t.Errorf("other line ends: %v", err)
	}
	if _, err := ParsePlaylist([]byte(strings.Replace(tiny, "#EXTINF", "#EXT-X-NEWS:1\n# or\n\n#EXTINF", 1))); err != nil {
		t.Errorf("unknown tags: %v", err)
	}
	for _, c := range [][2]string{
		{"#EXTM3U\n", ""}, {"#EXT-X-VERSION:7\n", ""}, {"VERSION:7", "VERSION:3"}, {"TARGETDURATION:4", "TARGETDURATION:3"},
		{"TARGETDURATION:4", "TARGETDURATION:-4"}, {"#EXT-X-TARGETDURATION:4\n", ""}, {"VOD", "LIVE"}, {"#EXT-X-ENDLIST\n", ""},
		{"a.m4s\n", ""}, {"#EXTINF:4.0000,\n", ""}, {"4.0000", "-1"}, {"4.0000", "NaN"}, {"4.0000", "Inf"}, {"4.0000", "0.001"},
		{"4.0000", "1e300"}, {"a.m4s", "/etc/passwd"}, {"a.m4s", ".."}, {"a.m4s", "a/b"}, {"a.m4s", "a%2fb"}, {"init.mp4", "x/init.mp4"},
		{"#EXTINF", "#EXT-X-VERSION:7\n#EXTINF"}, {"#EXT-X-ENDLIST", "#EXT-X-ENDLIST\n#EXTINF:1,\nb"}, {"SEQUENCE:1", "SEQUENCE:-1"},
		{"#EXTINF", "#EXT-X-PROGRAM-DATE-TIME:yesterday\n#EXTINF"}, {"a.m4s", strings.Repeat("a", 300)},
	} {
		text := strings.Replace(tiny, c[0], c[1], 1)
		if text == tiny {
			t.Fatalf("%q is not in it", c[0])
		}
		if _, err := ParsePlaylist([]byte(text)); !errors.Is(err, ErrPlaylist) {
			t.Errorf("%q for %q: %v", c[1], c[0], err)
		}
	}
	if _, err := ParsePlaylist(make([]byte, textMax+1)); !errors.Is(err, ErrPlaylist) {
		t.Errorf("too much of it: %v", err)
	}
}

func TestMasterNamesTheCodec(t *testing.T) {
	r := record(t, Options{}, at20(tones(t), nil), nil)
	peak, average := r.playlist.Bitrates()
	want := fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"+
		"#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d,CODECS=\"opus\"\nindex.m3u8\n", peak, average)
	if got := string(AppendMaster(nil, peak, average)); got != want {
		t.Errorf("%s", got)
	}
	octets := 0
	for _, s := range r.playlist.Segments() {
		octets += len(r.files[s.URI])
	}
	if average != (octets*8+tonesLength-1)/tonesLength || peak < average || peak > 2*average {
		t.Errorf("%d octets in %d s are %d b/s, at most %d", octets, tonesLength, average, peak)
	}
}

func FuzzParsePlaylist(f *testing.F) {
	f.Add([]byte(tiny))
	f.Add([]byte(strings.Replace(tiny, "#EXT-X-ENDLIST", "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:"+
		"2026-07-03T20:30:00.270Z\n#EXTINF:3.98,\nb.m4s\n#EXT-X-ENDLIST", 1)))
	f.Add([]byte(strings.Replace(tiny, "#EXTINF", "#EXT-X-PROGRAM-DATE-TIME:2026-07-03T20:30:00+02:00\n#EXTINF", 1)))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePlaylist(text)
		if err != nil {
			if !errors.Is(err, ErrPlaylist) {
				t.Fatal(err)
			}
			return
		}
		var sum int64
		for _, s := range p.Segments() {
			if s.Duration <= 0 || s.At < 0 || !plainName(s.URI) {
				t.Fatalf("%+v", s)
			}
			sum += s.Duration
		}
		if sum != p.Duration() {
			t.Fatalf("%d, but the sum is %d", p.Duration(), sum)
		}
		// What is taken is written as what is taken, and then stays as it is.
		once := p.Text()
		q, err := ParsePlaylist(once)
		if err != nil || q.Duration() != sum || len(q.Segments()) != len(p.Segments()) || q.Ended() != p.Ended() {
			t.Fatalf("%v\n%s\nwas\n%s", err, once, text)
		}
	})
}
