//go:build !race

// What a kill costs is a matter of real time, which the race detector stretches to ten times its length.

package recorder

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"stentor/forward/opus"
	"stentor/recorder/manifest"
	"stentor/recorder/ogg"
)

const (
	kills = 70
	lanes = 5 // at once
)

// The promise to everybody who records: whatever happens to the daemon, a second is lost at most. The kills fall before
// the recording has begun, in mid-sentence, in the moment of its stop, and again into the mending of what the first one left.
func TestEveryKillCostsASecondAtMost(t *testing.T) {
	var mu sync.Mutex
	var lost []int64
	began := 0
	next := make(chan int)
	var wg sync.WaitGroup
	root := t.TempDir()
	for range lanes {
		wg.Go(func() {
			for i := range next {
				spool := filepath.Join(root, string(rune('A'+i/26))+string(rune('a'+i%26)))
				l := oneKill(t, i, spool)
				mu.Lock()
				lost = append(lost, l...)
				if len(l) > 0 {
					began++
				}
				mu.Unlock()
			}
		})
	}
	for i := range kills {
		next <- i
	}
	close(next)
	wg.Wait()
	if began < kills/2 {
		t.Errorf("only %d of %d recordings had begun: this run has not tried it", began, kills)
	}
	slices.Sort(lost)
	if n := len(lost); n > 0 {
		t.Logf("%d kills, %d in a recording; lost of a track or the mix, in ms: median %d, worst %d", kills, began, lost[n/2]/48, lost[n-1]/48)
	}
}

// oneKill returns what was lost of each file, in samples.
func oneKill(t *testing.T, i int, spool string) (lost []int64) {
	part, within, ready := partTalk, 3*time.Second, 0
	if i%5 == 4 {
		part, within = partStop, 1700*time.Millisecond
	}
	v := startVictim(t, spool, part)
	v.kill(within)
	ready += v.ready
	dir := filepath.Join(spool, "take")
	claimsHold(t, dir)
	if i%2 == 1 { // killed once more, or twice, while it mends what is there
		for range 1 + i%3 {
			f := startVictim(t, spool, partFinish)
			f.kill(60 * time.Millisecond)
			ready += f.ready
		}
	}
	m, readyNow := reopened(t, spool)
	ready += readyNow
	_, again := reopened(t, spool)
	switch {
	case m == nil && v.said > 0:
		t.Errorf("kill %d: nothing is there of %d ms that were said", i, v.said/48)
		return nil
	case m == nil:
		return nil
	case again > 0 || ready > 1 || ready == 0 && i%2 == 0 && part == partTalk:
		t.Errorf("kill %d: it was told %d times that it is ready, and %d times after another start", i, ready, again)
	}
	if m.State != manifest.Ready || !m.ReadyTold {
		t.Errorf("kill %d: state %q, reason %q, told %v", i, m.State, m.Reason, m.ReadyTold)
	}
	verify(t, dir)
	for what, end := range soundEnds(t, dir, v.packets) {
		if v.said == 0 {
			continue
		}
		lost = append(lost, max(v.said-end, 0))
		if missing := v.said - end; missing > opus.SampleRate {
			t.Errorf("kill %d: %s ends %d ms before what was said, at %d of %d ms", i, what, missing/48, end/48, v.said/48)
		}
	}
	if v.said > opus.SampleRate && len(lost) != len(voices)+1 {
		t.Errorf("kill %d: %d of %d files after %d ms of speech", i, len(lost), len(voices)+1, v.said/48)
	}
	if i%10 == 0 && v.said > 2*opus.SampleRate {
		hearVictim(t, dir, float64(v.said)/48000-1.05)
	}
	return lost
}

// hearVictim has ffmpeg decode everything.
func hearVictim(t *testing.T, dir string, until float64) {
	mix := hear(t, filepath.Join(dir, wholeName))
	list := hear(t, filepath.Join(dir, playlistName))
	for name, hz := range voices {
		loud(t, dir+" "+name, hear(t, filepath.Join(dir, trackName(name))), hz, 0.2, until)
		loud(t, dir+" mix", mix, hz, 0.2, until)
		loud(t, dir+" playlist", list, hz, 0.2, until)
	}
}

// reopened starts the daemon's recorder again, waits until it has finished what there is, and says how often it told so.
// No manifest: there is no recording.
func reopened(t *testing.T, spool string) (m *manifest.Manifest, ready int) {
	t.Helper()
	var mu sync.Mutex
	r, err := New(Config{Spool: spool, Node: "again", FreeMin: 1, Log: slog.New(slog.DiscardHandler), Tell: func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Type == Ready {
			ready++
		}
	}})
	if err != nil {
		t.Errorf("start again: %v", err)
		return nil, 0
	}
	r.workers.Wait()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	m, err = manifest.Load(os.DirFS(filepath.Join(spool, "take")))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(spool, "take")); err == nil {
			t.Errorf("%s: a recording that never began is still there", spool)
		}
		return nil, ready
	}
	if err != nil {
		t.Error(err)
	}
	return m, ready
}

// claimsHold holds what a killed recording's manifest claims against what is there. Everybody talks all the time.
func claimsHold(t *testing.T, dir string) {
	m, err := manifest.Load(os.DirFS(dir))
	if err != nil || m.Safe == 0 {
		return // killed before
	}
	f := &finisher{ctx: context.Background(), disk: realDisk{}, dir: dir, man: m}
	if err := cmp.Or(f.scanTracks(), f.scanMix()); err != nil {
		t.Error(err)
		return
	}
	for name, found := range f.tracks {
		if found.Played() < int64(m.Safe) {
			t.Errorf("%s: safe up to %v s, and %s has %d samples", dir, m.Safe.Seconds(), name, found.Played())
		}
	}
	if len(f.tracks) != len(voices) || f.mixEnd < int64(m.Safe) {
		t.Errorf("%s: safe up to %v s, with %d tracks and a mix of %d samples", dir, m.Safe.Seconds(), len(f.tracks), f.mixEnd)
	}
}

// soundEnds are where the last sound of each file ends, as our own readers see it. Of the packets that each has sent, a second
// may be missing.
func soundEnds(t *testing.T, dir string, sent int) map[string]int64 {
	t.Helper()
	ends := map[string]int64{}
	for name := range voices {
		if packets, end := soundOf(t, filepath.Join(dir, trackName(name))); packets > 0 {
			ends[name] = end
			if packets < sent-50 {
				t.Errorf("%s: %d packets of %d of %s", dir, packets, sent, name)
			}
		}
	}
	m, err := manifest.Load(os.DirFS(dir))
	if err != nil {
		t.Error(err)
		return ends
	}
	f := &finisher{ctx: context.Background(), disk: realDisk{}, dir: dir, man: m}
	if err := f.scanMix(); err != nil {
		t.Error(err)
		return ends
	}
	for p, err := range f.packets() {
		if err != nil {
			t.Error(err)
			break
		}
		if !silent(p.Payload) {
			ends["mix"] = p.At + grid
		}
	}
	return ends
}

// soundOf counts the packets of a track that somebody sent, and says where the last one ends.
func soundOf(t *testing.T, name string) (packets int, end int64) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		return 0, 0 // nobody was heard
	}
	defer file.Close()
	r, err := ogg.NewReader(file)
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return packets, end
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return packets, end
		}
		if len(p.Data) > 20 { // no filler is so long, no packet of a tone so short
			packets++
			end = p.At + int64(p.Samples) - trackPreSkip
		}
	}
}
