package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"stentor/recorder/manifest"
)

const (
	// fresh is how old what is told of a running recording may be, so that a thousand visitors cost as much as one.
	fresh = time.Second
	// makeMax is what reading a text may take: others wait for whoever reads it.
	makeMax = 30 * time.Second
	// textMax is the longest text that is read, in octets: a playlist of a week, in segments of 1 s, is 17 MB.
	textMax = 32 << 20
)

// facts are what is needed of a manifest. Immutable.
type facts struct {
	told   Summary
	sha256 map[string]string // of finished files
}

// Summary is what everybody may know of a recording: recording.json.
type Summary struct {
	Recording string            `json:"recording"`
	Room      string            `json:"room"`
	State     manifest.State    `json:"state"`
	StartedAt time.Time         `json:"started_at"`
	StoppedAt time.Time         `json:"stopped_at,omitzero"`
	Duration  manifest.Position `json:"duration_s"` // while it runs: so far, and up to 6 s behind

	Replay     bool     `json:"replay"`                // there is a playlist, or will be
	WholeBytes int64    `json:"whole_bytes,omitempty"` // of replay.mp4; missing while it is not there
	Tracks     []string `json:"tracks,omitempty"`      // of whom there is one; only where tracks are served
}

// facts reads a recording's manifest; errNotFound without one.
func (s *server) facts(ctx context.Context, p *place) (*facts, error) {
	return readThrough(ctx, s.known, p, manifest.Name, fresh, func(f *file) (*facts, int64, error) {
		m, err := manifest.Decode(f)
		if err != nil {
			return nil, 0, err
		}
		return s.factsOf(m), int64(256 + 256*len(m.Files) + 256*len(m.Tracks)), nil
	})
}

func (s *server) factsOf(m *manifest.Manifest) *facts {
	f := &facts{sha256: make(map[string]string, len(m.Files)), told: Summary{
		Recording: m.Recording, Room: m.Room, State: m.State, StartedAt: m.StartedAt, StoppedAt: m.StoppedAt, Duration: m.Duration,
		Replay: m.ReplayWanted,
	}}
	for _, file := range m.Files {
		f.sha256[file.Path] = file.SHA256
	}
	if m.Replay != nil && m.Replay.SHA256 != "" {
		f.told.WholeBytes = m.Replay.Bytes
	}
	if s.config.Tracks {
		for _, t := range m.Tracks {
			f.told.Tracks = append(f.told.Tracks, t.Person)
		}
		slices.Sort(f.told.Tracks)
	}
	return f
}

// readThrough takes from a shelf what is made of a file, or reads the file and makes it.
func readThrough[V any](ctx context.Context, from *shelf[V], p *place, name string, fresh time.Duration,
	produce func(*file) (V, int64, error),
) (V, error) {
	key := p.key(name)
	if v, ok := from.recent(key, fresh); ok {
		return v, nil
	}
	// The context of the reading is not the request's: others may wait for it when this visitor goes away.
	long, cancel := context.WithTimeout(context.WithoutCancel(ctx), makeMax)
	defer cancel()
	f, err := p.open(long, name)
	if err != nil {
		var none V
		return none, err
	}
	defer f.Close()
	return from.get(ctx, key, f.version, fresh, func() (V, int64, error) {
		v, size, err := produce(f)
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
			if f.stored {
				err = fmt.Errorf("%w: %w", errStore, err)
			}
		}
		return v, size, err
	})
}

// text is a file as it stands.
func (s *server) text(ctx context.Context, p *place, name string) (*page, error) {
	return readThrough(ctx, s.pages, p, name, 0, readPage)
}

func readPage(f *file) (*page, int64, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(f, textMax+1))
	if err == nil && n > textMax {
		err = fmt.Errorf("more than %d octets", textMax)
	}
	if err != nil {
		return nil, 0, err
	}
	page := newPage(b.Bytes())
	return page, page.size(), nil
}

// timeline is who spoke when, made of the lines so far.
func (s *server) timeline(ctx context.Context, p *place) (*page, error) {
	return readThrough(ctx, s.pages, p, manifest.TimelineName, fresh, func(f *file) (*page, int64, error) {
		speech, err := manifest.Speech(f)
		if err != nil {
			return nil, 0, err
		}
		b, err := json.Marshal(speech)
		if err != nil {
			return nil, 0, err
		}
		page := newPage(append(b, '\n'))
		return page, page.size(), nil
	})
}
