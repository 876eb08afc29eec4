package manifest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
)

// ErrManifest is every reason why a manifest cannot be true. The error's text says which.
var ErrManifest = errors.New("manifest")

const (
	idMax   = 128     // octets of an id, the control protocol's limit
	textMax = 4 << 10 // octets of a reason, a URL
	bytesOf = 1 << 44 // octets of a file: 17 TB, so that the sum of all files that fit into a manifest is no overflow
)

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrManifest}, args...)...)
}

// Check tells what of m contradicts itself or its state. Only what passes can be saved or read.
func (m *Manifest) Check() error {
	if m.Version != Version {
		return wrong("version %d, want %d", m.Version, Version)
	}
	for name, id := range map[string]string{"recording": m.Recording, "room": m.Room, "node": m.Node} {
		if id == "" || len(id) > idMax {
			return wrong("%s has to be 1 to %d octets", name, idMax)
		}
	}
	if len(m.Reason) > textMax || m.Stored != nil && (len(m.Stored.URL) > textMax || m.Stored.URL == "") {
		return wrong("a text of more than %d octets, or a bucket without a URL", textMax)
	}
	if m.Safe > m.Duration {
		return wrong("safe up to %v s of %v s", m.Safe.Seconds(), m.Duration.Seconds())
	}
	if m.StartedAt.IsZero() || !m.StoppedAt.IsZero() && m.StoppedAt.Before(m.StartedAt) {
		return wrong("it has to start, and not to stop before it starts")
	}
	for _, check := range []func() error{m.checkState, m.checkPositions, m.checkTracks, m.checkFiles} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkState holds the state against what has to be known in it.
func (m *Manifest) checkState() error {
	switch m.State {
	case Recording:
		if !m.StoppedAt.IsZero() || m.Stored != nil || m.ReadyTold {
			return wrong("it still runs, and has stopped or is ready")
		}
		return m.growing()
	case Finishing:
		if m.StoppedAt.IsZero() {
			return wrong("finishing, and has not stopped")
		}
	case Failed:
		if m.Reason == "" {
			return wrong("failed for no reason")
		}
	case Ready:
		if m.StoppedAt.IsZero() || m.Safe != m.Duration {
			return wrong("ready, and has not stopped, or is not safe to its end")
		}
		return m.summed()
	default:
		return wrong("no state %q", m.State)
	}
	return nil
}

// growing holds a running recording to it that nothing that grows has a checksum.
func (m *Manifest) growing() error {
	grow := map[string]bool{TimelineName: true}
	summed := m.Timeline != nil && m.Timeline.SHA256 != ""
	for _, t := range m.Tracks {
		grow[t.Path] = true
		summed = summed || t.SHA256 != ""
	}
	if m.Replay != nil {
		grow[m.Replay.Playlist] = true
		summed = summed || m.Replay.SHA256 != ""
	}
	for _, f := range m.Files {
		summed = summed || grow[f.Path]
	}
	if summed {
		return wrong("a checksum for a file that still grows")
	}
	return nil
}

// summed holds a ready recording to it that everything is there, with a checksum.
func (m *Manifest) summed() error {
	have := map[string]bool{}
	for _, f := range m.Files {
		have[f.Path] = true
	}
	if m.Timeline == nil || m.Timeline.SHA256 == "" {
		return wrong("ready without a timeline's checksum")
	}
	for _, t := range m.Tracks {
		if t.SHA256 == "" {
			return wrong("ready without the checksum of %s", t.Path)
		}
	}
	if !m.ReplayWanted {
		return nil
	}
	if m.Replay == nil || m.Replay.SHA256 == "" || !have[m.Replay.Playlist] || !have[m.Replay.Init] {
		return wrong("ready without the replay, or without its checksums")
	}
	return nil
}

// checkPositions holds what JSON has not looked at: what a caller has put in.
func (m *Manifest) checkPositions() error {
	for _, d := range m.Drops {
		if d.Count < 0 || len(d.Person) > idMax || d.Why == "" || len(d.Why) > idMax || !d.At.valid() {
			return wrong("a drop without count or cause")
		}
	}
	for _, g := range m.Gaps {
		if g.To < g.From || g.Why == "" || len(g.Why) > idMax || !g.From.valid() || !g.To.valid() {
			return wrong("a gap that ends before it begins, or without cause")
		}
	}
	if r := m.Replay; r != nil && (r.Segments < 0 || r.Bitrate < 0 || !r.Duration.valid() || !r.Target.valid()) {
		return wrong("a replay below nothing")
	}
	if !m.Duration.valid() || !m.Safe.valid() || !m.RecoveryPoint.valid() {
		return wrong("%w", errPosition)
	}
	return nil
}

func (m *Manifest) checkTracks() error {
	people := map[string]bool{}
	for _, t := range m.Tracks {
		if t.Person == "" || len(t.Person) > idMax || people[t.Person] {
			return wrong("a track without a person, or the second of %q", t.Person)
		}
		people[t.Person] = true
		least := min(t.Packets, t.Lost, t.Recovered, t.Dropped, t.Samples, t.Corrections.Inserted, t.Corrections.Removed)
		if least < 0 || len(t.Reason) > textMax || t.Path == "" || math.IsNaN(t.DriftPPM) || math.IsInf(t.DriftPPM, 0) {
			return wrong("the track of %q counts below nothing, or has no file", t.Person)
		}
		if !t.Starts.valid() || !Position(t.Samples).valid() {
			return wrong("the track of %q: %w", t.Person, errPosition)
		}
	}
	return nil
}

// checkFiles holds all paths to the recording's directory, and all sums of a file to each other.
func (m *Manifest) checkFiles() error {
	seen := map[string]File{}
	for f, listed := range m.claims {
		if !fs.ValidPath(f.Path) || f.Path == "." || f.Path == Name || strings.ContainsAny(f.Path, "\\\x00") {
			return wrong("%q is no file of a recording", f.Path)
		}
		if f.Bytes < 0 || f.Bytes > bytesOf || f.SHA256 != "" && !isSum(f.SHA256) {
			return wrong("%s has a size or a checksum that cannot be", f.Path)
		}
		if listed && f.SHA256 == "" {
			return wrong("%s is listed as finished, without a checksum", f.Path)
		}
		if old, ok := seen[f.Path]; ok && old != f {
			return wrong("%s has two sums", f.Path)
		}
		seen[f.Path] = f
	}
	return nil
}

// claims goes over all files that have a size, first those in their own places. listed is true for Files.
func (m *Manifest) claims(yield func(f File, listed bool) bool) {
	for _, t := range m.Tracks {
		if !yield(t.File, false) {
			return
		}
	}
	if m.Replay != nil && m.Replay.Path != "" && !yield(m.Replay.File, false) {
		return
	}
	if m.Timeline != nil && !yield(m.Timeline.File, false) {
		return
	}
	for _, f := range m.Files {
		if !yield(f, true) {
			return
		}
	}
}

func isSum(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 64 && strings.ToLower(s) == s
}
