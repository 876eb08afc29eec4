package recorder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"stentor/forward/opus"
	"stentor/recorder/manifest"
	"stentor/recorder/mix"
	"stentor/recorder/ogg"
)

const mixPreSkip = mix.PreSkip

const (
	// warmUp is how long before its beginning a remix listens, so that decoders and levels are where they would be.
	warmUp = 2 * opus.SampleRate
	// remixStep is how far all tracks are read before any goes on.
	remixStep = opus.SampleRate
	// heardEarly is how much before the timeline says so somebody was heard: the engine tells what the data plane has done
	// when the packet came, and that may be late (replayLag).
	heardEarly = opus.SampleRate
	// heardLate is likewise for the end.
	heardLate = opus.SampleRate / 5
)

// remix mixes the tracks of a recording anew, from one position to another, as the room heard them by the timeline. It emits
// packets of 20 ms; the payload is emit's only while it is called.
func remix(ctx context.Context, dir string, from, to int64, bitrate int, emit func(at int64, payload []byte), progress func(done int64)) error {
	m, err := mix.New(mix.Config{Bitrate: bitrate})
	if err != nil {
		return err
	}
	begin := max(0, from-warmUp) / grid * grid
	if err := m.Start(begin); err != nil {
		return err
	}
	tapes, err := openTapes(dir)
	if err != nil {
		return err
	}
	defer func() {
		for _, t := range tapes {
			t.file.Close()
		}
	}()
	for at := begin; at < to; at += remixStep {
		if err := ctx.Err(); err != nil {
			return err
		}
		until := min(at+remixStep, to)
		for _, t := range tapes {
			if err := t.play(m, begin, until+int64(m.Ahead())); err != nil {
				return err
			}
		}
		err := m.Mix(until, func(at int64, payload []byte) {
			if at >= from {
				emit(at, payload)
			}
		})
		if err != nil {
			return err
		}
		progress(max(until-from, 0))
	}
	return nil
}

// tape is a track that is being read.
type tape struct {
	number uint32
	file   *os.File
	r      *ogg.Reader
	next   ogg.Packet
	skip   int64 // of its beginning is not played
	ended  bool
	heard  []manifest.Interval // nil: whenever there is something
}

func openTapes(dir string) ([]*tape, error) {
	names, err := filesIn(filepath.Join(dir, tracksDir), "*.ogg")
	if err != nil {
		return nil, err
	}
	heard, err := heardBy(dir)
	if err != nil {
		return nil, err
	}
	var tapes []*tape
	for i, name := range names {
		t := &tape{number: uint32(i) + 1}
		if heard != nil {
			t.heard = append([]manifest.Interval{}, heard[strings.TrimSuffix(filepath.Base(name), ".ogg")]...)
		}
		if t.file, err = os.Open(name); err != nil {
			return tapes, err
		}
		if t.r, err = ogg.NewReader(t.file); err != nil {
			t.file.Close()
			if errors.Is(err, ogg.ErrHead) {
				continue
			}
			return tapes, err
		}
		t.skip = int64(t.r.Head().PreSkip)
		tapes = append(tapes, t)
		if err := t.advance(); err != nil {
			return tapes, err
		}
	}
	return tapes, nil
}

func (t *tape) advance() (err error) {
	t.next, err = t.r.Next()
	if errors.Is(err, io.EOF) {
		t.ended, err = true, nil
	}
	return err
}

// play gives the mixer what lies between two positions and was heard.
func (t *tape) play(m *mix.Mixer, from, until int64) error {
	for !t.ended && t.next.At-t.skip < until {
		p := &t.next
		if at := p.At - t.skip; at >= from && !silent(p.Data) && t.wasHeard(at) {
			m.Put(t.number, at, p.Samples, bytes.Clone(p.Data))
		}
		if err := t.advance(); err != nil {
			return err
		}
	}
	return nil
}

// silent tells the packets that fill a track from those that somebody sent.
func silent(p []byte) bool { return bytes.Equal(p, fillLongest) || bytes.Equal(p, opus.Quiet) }

// wasHeard is asked in the order of positions.
func (t *tape) wasHeard(at int64) bool {
	if t.heard == nil {
		return true
	}
	for len(t.heard) > 0 && int64(t.heard[0].To)+heardLate <= at {
		t.heard = t.heard[1:]
	}
	return len(t.heard) > 0 && at >= int64(t.heard[0].From)-heardEarly
}

// heardBy reads from the timeline when the room heard whom; nil: it does not tell.
func heardBy(dir string) (map[string][]manifest.Interval, error) {
	file, err := os.Open(filepath.Join(dir, manifest.TimelineName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var heard map[string][]manifest.Interval
	since := map[string]manifest.Position{}
	lines := manifest.NewLineReader(file)
	var at manifest.Position
	for {
		l, err := lines.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, manifest.ErrLine) {
			return nil, err
		}
		if at = max(at, manifest.Position(l.At)); l.Type != manifest.Heard {
			continue
		}
		if heard == nil {
			heard = map[string][]manifest.Interval{}
		}
		now := map[string]bool{}
		for _, person := range l.Slots {
			if now[person] = true; person == "" {
				continue
			}
			if _, on := since[person]; !on {
				since[person] = at
			}
		}
		for person, from := range since {
			if !now[person] {
				heard[person] = append(heard[person], manifest.Interval{From: from, To: at})
				delete(since, person)
			}
		}
	}
	const forever = 1 << 50
	for person, from := range since {
		heard[person] = append(heard[person], manifest.Interval{From: from, To: forever})
	}
	return heard, nil
}
