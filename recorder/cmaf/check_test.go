package cmaf

import (
	"bytes"
	"strings"
	"testing"
)

func TestReplayKeepsTheRulesInEveryState(t *testing.T) {
	gap := func(at int64) bool { return at < 100*960 || at >= 5*SampleRate+960 }
	for name, keep := range map[string]func(int64) bool{"whole": nil, "with a gap": gap} {
		var before []byte
		states := 0
		check := func(r *replay) {
			now := r.files[MediaName]
			if _, breaches := CheckPlaylist(now, r.look); len(breaches) > 0 {
				t.Errorf("%s: %v", name, breaches)
			}
			if before != nil {
				if err := CheckGrowth(before, now); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			before, states = bytes.Clone(now), states+1
		}
		check(record(t, Options{}, at20(tones(t), keep), check))
		if states != 6 {
			t.Errorf("%s: %d states", name, states)
		}
	}
}

func TestBreachesAreFound(t *testing.T) {
	gap := func(at int64) bool { return at < 8*SampleRate || at >= 9*SampleRate }
	for name, c := range map[string]struct {
		change func(*replay)
		want   string
	}{
		"torn":         {func(r *replay) { cut(r, "seg-00002.m4s", 100) }, "torn"},
		"shorter":      {func(r *replay) { cut(r, "seg-00002.m4s", 100) }, "the playlist says 192000"},
		"missing":      {func(r *replay) { delete(r.files, "seg-00004.m4s") }, "seg-00004.m4s: file does not exist"},
		"hidden gap":   {replace("#EXT-X-DISCONTINUITY\n", ""), "discontinuity: false"},
		"no such gap":  {replace("#EXTINF:4.0000,\nseg-00002", "#EXT-X-DISCONTINUITY\n#EXTINF:4.0000,\nseg-00002"), "discontinuity: true"},
		"twice":        {replace("seg-00004.m4s", "seg-00001.m4s"), "stands twice"},
		"a lie":        {replace("4.0000", "3.9800"), "the playlist says 191040"},
		"too long":     {replace("TARGETDURATION:4", "TARGETDURATION:3"), "in a playlist of 3 s"},
		"ended EVENT":  {replace("VOD", "EVENT"), "not VOD"},
		"endless VOD":  {replace("#EXT-X-ENDLIST\n", ""), "without an end"},
		"independence": {replace("#EXT-X-INDEPENDENT-SEGMENTS\n", ""), "INDEPENDENT"},
		"no map":       {replace("#EXT-X-MAP:URI=\"init.mp4\"\n", ""), "no #EXT-X-MAP"},
	} {
		r := record(t, Options{}, at20(tones(t), gap), nil)
		c.change(r)
		_, breaches := CheckPlaylist(r.files[MediaName], r.look)
		said := ""
		for _, err := range breaches {
			said += err.Error() + "\n"
		}
		if !strings.Contains(said, c.want) {
			t.Errorf("%s: %q", name, said)
		}
	}
}

func cut(r *replay, name string, n int) { r.files[name] = r.files[name][:len(r.files[name])-n] }

func replace(old, new string) func(*replay) {
	return func(r *replay) {
		r.files[MediaName] = []byte(strings.Replace(string(r.files[MediaName]), old, new, 1))
	}
}

func TestGrowthThatChangesWhatWasIsFound(t *testing.T) {
	live := strings.Replace(strings.Replace(tiny, "VOD", "EVENT", 1), "#EXT-X-ENDLIST\n", "", 1)
	grown := live + "#EXTINF:4.0000,\nb.m4s\n"
	for name, c := range map[string]struct {
		before, after string
		ok            bool
	}{
		"nothing new":      {live, live, true},
		"one more":         {live, grown, true},
		"closed":           {live, tiny, true},
		"one less":         {grown, live, false},
		"another target":   {live, strings.Replace(grown, "TARGETDURATION:4", "TARGETDURATION:5", 1), false},
		"another duration": {live, strings.Replace(grown, "4.0000", "3.9800", 1), false},
		"opened again":     {tiny, grown, false},
		"VOD has grown":    {tiny, strings.Replace(tiny, "#EXT-X-ENDLIST\n", "#EXTINF:4.0000,\nb.m4s\n#EXT-X-ENDLIST\n", 1), false},
	} {
		if err := CheckGrowth([]byte(c.before), []byte(c.after)); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
