package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Checks look into files that this package knows nothing of, by the ending of their names (".ogg"). Each tells how many
// samples at 48 kHz the file plays, or what is wrong with it.
type Checks map[string]func(file io.ReaderAt, size int64) (samples int64, err error)

const (
	// trackOff is how far a track's length may be from the recording's: one packet of 20 ms.
	trackOff = SampleRate / 50

	// replayOff is the same for the mix, which comes 200 ms behind the speakers and may end with them.
	replayOff = SampleRate / 5
)

// Problem is something that a recording says of itself and that is not so.
type Problem struct {
	File string // its path in the recording's directory
	What string
}

func (p Problem) String() string { return p.File + ": " + p.What }

// Report is what a verification has found.
type Report struct {
	Manifest *Manifest
	Problems []Problem
	Files    int      // those looked at, the manifest not counted
	Bytes    int64    // of them, on the disk
	Unknown  []string // files that the manifest does not name: no lie, but no part of the recording either
}

// OK tells whether everything is as the manifest says.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

func (r *Report) wrong(file, format string, args ...any) {
	r.Problems = append(r.Problems, Problem{file, fmt.Sprintf(format, args...)})
}

// Verify holds a recording's directory against its manifest: that every file is there with as many octets as claimed,
// that finished ones have their checksum and pass the check for their ending; that the timeline is in order and within
// the recording; and of a ready recording also that every track is as long as the recording to 20 ms, and that the
// playlist names finished segments only. progress, which may be nil, is told the octets done and those to be done.
//
// What is wrong stands in the Report. The error is that of a directory without a manifest that can be read.
func Verify(dir fs.FS, checks Checks, progress func(done, total int64)) (*Report, error) {
	m, err := Load(dir)
	if err != nil {
		return nil, fmt.Errorf("load the manifest: %w", err)
	}
	v := verification{
		Report: Report{Manifest: m}, dir: dir, checks: checks, progress: progress, samples: map[string]int64{},
	}
	files := v.files()
	for _, f := range files {
		v.total += v.cost(f)
	}
	for _, f := range files {
		v.file(f)
	}
	v.timeline()
	v.tracks()
	v.replay()
	v.unknown(files)
	return &v.Report, nil
}

type verification struct {
	Report
	dir         fs.FS
	checks      Checks
	progress    func(done, total int64)
	done, total int64
	samples     map[string]int64 // what checks have measured, by file
}

// files are all files that the manifest claims, each once.
func (v *verification) files() (files []File) {
	seen := map[string]bool{}
	for f := range v.Manifest.claims {
		if !seen[f.Path] {
			seen[f.Path] = true
			files = append(files, f)
		}
	}
	return files
}

// check is the look into f that belongs to its ending. A file that still grows is not looked into.
func (v *verification) check(f File) func(io.ReaderAt, int64) (int64, error) {
	if f.SHA256 == "" {
		return nil
	}
	return v.checks[path.Ext(f.Path)]
}

// cost is how many octets verifying f will read.
func (v *verification) cost(f File) int64 {
	switch {
	case f.SHA256 == "":
		return 0
	case v.check(f) != nil:
		return 2 * f.Bytes
	}
	return f.Bytes
}

// advance tells of n more octets, and never of more than were to be expected.
func (v *verification) advance(n int64) {
	v.done = min(v.done+n, v.total)
	if v.progress != nil {
		v.progress(v.done, v.total)
	}
}

// file verifies one: there, long enough, its checksum, its contents.
func (v *verification) file(f File) {
	v.Files++
	end := v.done + v.cost(f)
	defer func() { v.advance(end - v.done) }() // a file that is missing is done too
	file, err := v.dir.Open(f.Path)
	if err != nil {
		v.wrong(f.Path, "%v", err)
		return
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil || !st.Mode().IsRegular() {
		v.wrong(f.Path, "no regular file (%v)", err)
		return
	}
	v.Bytes += st.Size()
	if st.Size() < f.Bytes {
		v.wrong(f.Path, "has %d octets of the %d claimed", st.Size(), f.Bytes)
		return
	}
	if f.SHA256 == "" {
		return
	}
	if st.Size() != f.Bytes {
		v.wrong(f.Path, "is finished, and has %d octets instead of %d", st.Size(), f.Bytes)
		return
	}
	got, err := digest(file, v.advance)
	if err != nil || got != f.SHA256 {
		v.wrong(f.Path, "its checksum is not the claimed one (error: %v)", err)
		return
	}
	if check := v.check(f); check != nil {
		v.contents(f, file, check)
	}
}

// contents has a file looked into.
func (v *verification) contents(f File, file fs.File, check func(io.ReaderAt, int64) (int64, error)) {
	at, ok := file.(io.ReaderAt)
	if !ok {
		v.wrong(f.Path, "cannot be looked into here")
		return
	}
	samples, err := check(at, f.Bytes)
	if err != nil {
		v.wrong(f.Path, "%v", err)
		return
	}
	v.samples[f.Path] = samples
}

// timeline verifies that its lines are lines, in order, within the recording; a ready one from start to stop.
func (v *verification) timeline() {
	t, m := v.Manifest.Timeline, v.Manifest
	if t == nil {
		return
	}
	file, err := v.dir.Open(t.Path)
	if err != nil {
		return // said already
	}
	defer file.Close()
	lines, err := ScanLines(file)
	if err != nil {
		v.wrong(t.Path, "%v", err)
		return
	}
	if lines.Bad > 0 || lines.Back > 0 {
		v.wrong(t.Path, "%d lines are none, %d are out of order", lines.Bad, lines.Back)
		return
	}
	if lines.Lines < t.Lines {
		v.wrong(t.Path, "has %d lines of the %d claimed", lines.Lines, t.Lines)
	}
	if t.SHA256 == "" {
		return
	}
	if lines.Torn || lines.Lines != t.Lines {
		v.wrong(t.Path, "is finished, and has %d lines instead of %d; torn: %v", lines.Lines, t.Lines, lines.Torn)
	}
	if Position(lines.Last) > m.Duration {
		v.wrong(t.Path, "goes on to %.3f s, the recording to %.3f s", Position(lines.Last).Seconds(), m.Duration.Seconds())
	}
	if m.State == Ready && (lines.First != Start || lines.LastType != Stop) {
		v.wrong(t.Path, "goes from %q to %q, not from start to stop", lines.First, lines.LastType)
	}
}

// tracks verifies their lengths: what the manifest says is what was measured, and of a ready one the recording's.
func (v *verification) tracks() {
	m := v.Manifest
	for _, t := range m.Tracks {
		measured, ok := v.samples[t.Path]
		if ok && measured != t.Samples {
			v.wrong(t.Path, "plays %d samples, the manifest says %d", measured, t.Samples)
		}
		if m.State == Ready && off(Position(t.Samples), m.Duration) > trackOff {
			v.wrong(t.Path, "is %.3f s long, the recording %.3f s", Position(t.Samples).Seconds(), m.Duration.Seconds())
		}
		if t.Starts > Position(t.Samples) {
			v.wrong(t.Path, "is first heard at %.3f s, behind its end", t.Starts.Seconds())
		}
	}
}

func off(a, b Position) Position { return max(a-b, b-a) }

// replay verifies a ready recording's mix: its length, and that the playlist ends and names what is finished.
func (v *verification) replay() {
	m, r := v.Manifest, v.Manifest.Replay
	if m.State != Ready || r == nil {
		return
	}
	if off(r.Duration, m.Duration) > replayOff {
		v.wrong(r.Playlist, "is %.3f s long, the recording %.3f s", r.Duration.Seconds(), m.Duration.Seconds())
	}
	if measured, ok := v.samples[r.Path]; ok && off(Position(measured), r.Duration) > trackOff {
		v.wrong(r.Path, "plays %.3f s, the manifest says %.3f s", Position(measured).Seconds(), r.Duration.Seconds())
	}
	list, err := fs.ReadFile(v.dir, r.Playlist)
	if err != nil {
		return // said already, since a ready replay's playlist is a listed file
	}
	listed := map[string]bool{}
	for _, f := range m.Files {
		listed[f.Path] = true
	}
	segments, ended := 0, false
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		ended = ended || line == "#EXT-X-ENDLIST"
		if line == "" || line[0] == '#' {
			continue
		}
		segments++
		if name := path.Join(path.Dir(r.Playlist), line); !listed[name] {
			v.wrong(r.Playlist, "names %q, which is not among the finished files", line)
		}
	}
	if !ended || segments != r.Segments {
		v.wrong(r.Playlist, "has %d segments, the manifest says %d; has an end: %v", segments, r.Segments, ended)
	}
}

// unknown finds what the manifest does not name.
func (v *verification) unknown(files []File) {
	known := map[string]bool{Name: true}
	for _, f := range files {
		known[f.Path] = true
	}
	if r := v.Manifest.Replay; r != nil {
		known[r.Playlist], known[r.Init] = true, true
	}
	err := fs.WalkDir(v.dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !known[name] {
			v.Unknown = append(v.Unknown, name)
		}
		return err
	})
	if err != nil {
		v.wrong(".", "%v", err)
	}
	slices.Sort(v.Unknown)
}

// Sum measures a finished file of a recording.
func Sum(dir fs.FS, name string) (File, error) {
	f, err := dir.Open(name)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	var size int64
	sum, err := digest(f, func(n int64) { size += n })
	return File{Path: name, Bytes: size, SHA256: sum}, err
}

// digest is the SHA-256 of all of r, in hexadecimal digits. It tells each how much it has read, a piece at a time.
func digest(r io.Reader, each func(n int64)) (string, error) {
	hash := sha256.New()
	piece := make([]byte, 256<<10)
	for {
		n, err := r.Read(piece)
		hash.Write(piece[:n])
		each(int64(n))
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(hash.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}
