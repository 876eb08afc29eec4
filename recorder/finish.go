package recorder

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stentor/forward/opus"
	"stentor/recorder/cmaf"
	"stentor/recorder/manifest"
	"stentor/recorder/ogg"
)

// finisher makes a whole recording of the files that a take has left, be it that it was stopped, that the disk failed, or
// that the daemon was killed: it looks at nothing but the directory, so that all three end the same way, and it may itself be
// killed and begin again.
//
//  1. measure: what was left half-made goes; how far do the files go?
//  2. tracks: torn pages off, silence to the end.
//  3. mix: torn chunks off; what is missing at its end is mixed from the tracks.
//  4. playlist, whole file.
//  5. timeline: the torn line off, the last lines written.
//  6. seal: sums of all files, into the manifest.
type finisher struct {
	ctx      context.Context
	disk     disk
	dir      string
	man      *manifest.Manifest
	progress func(step string, done, total int64) // may be nil

	crashed  bool
	end      int64 // of the recording
	tracks   map[string]ogg.Scanned
	recalled map[string]manifest.Track // what the timeline tells of people
	segments []cmaf.Segment
	lastSeq  uint32
	mixEnd   int64
}

// finish brings the recording in dir from whatever state to ready or failed, and returns its manifest as saved. An error
// leaves it to be finished another time.
func finish(ctx context.Context, d disk, dir string, progress func(step string, done, total int64)) (*manifest.Manifest, error) {
	m, err := manifest.Load(os.DirFS(dir))
	if err != nil {
		return nil, err
	}
	if m.State == manifest.Ready || m.State == manifest.Failed && len(m.Files) > 0 {
		return m, nil
	}
	f := &finisher{ctx: ctx, disk: d, dir: dir, man: m, progress: progress}
	f.crashed = m.State == manifest.Recording || m.Safe != m.Duration
	if f.progress == nil {
		f.progress = func(string, int64, int64) {}
	}
	for _, step := range []func() error{f.measure, f.mendTracks, f.mendMix, f.closePlaylist, f.writeWhole, f.endTimeline, f.recall, f.seal} {
		if err := cmp.Or(ctx.Err(), step()); err != nil {
			return nil, fmt.Errorf("finish %s: %w", m.Recording, err)
		}
	}
	return m, nil
}

// measure finds the recording's end: where it was stopped, or the end of the last thing that is on the disk.
func (f *finisher) measure() error {
	if err := f.tidy(); err != nil {
		return err
	}
	f.end = int64(f.man.Duration)
	if err := f.scanTracks(); err != nil {
		return err
	}
	if err := f.scanMix(); err != nil {
		return err
	}
	if !f.crashed {
		return nil
	}
	f.end = max(int64(f.man.Safe), f.mixEnd)
	for _, t := range f.tracks {
		f.end = max(f.end, t.Played())
	}
	f.end = max((f.end+grid-1)/grid*grid, grid)
	return nil
}

// tidy removes what a crash has left half-made under a name of its own.
func (f *finisher) tidy() error {
	for _, dir := range []string{f.dir, filepath.Join(f.dir, replayDir)} {
		names, err := filesIn(dir, "*.tmp")
		if err != nil {
			return err
		}
		for _, name := range append(names, filepath.Join(dir, mendedName)) {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// filesIn are the files in a directory whose names match a pattern of path.Match, in the order of their names; none if there
// is no such directory. Unlike filepath.Glob it takes the directory's name as it is.
func filesIn(dir, pattern string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if ok, _ := filepath.Match(pattern, e.Name()); ok && e.Type().IsRegular() {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	return names, err
}

func (f *finisher) scanTracks() error {
	f.tracks = map[string]ogg.Scanned{}
	names, err := filesIn(filepath.Join(f.dir, tracksDir), "*.ogg")
	if err != nil {
		return err
	}
	for _, name := range names {
		found, err := scanFile(name, ogg.Scan)
		if errors.Is(err, ogg.ErrHead) { // killed before the header was whole: nothing is in it
			if err := os.Remove(name); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		f.tracks[filepath.Base(name)] = found
	}
	return nil
}

func scanFile[T any](name string, scan func(io.ReaderAt, int64) (T, error)) (T, error) {
	var none T
	file, err := os.Open(name)
	if err != nil {
		return none, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return none, err
	}
	return scan(file, st.Size())
}

// scanMix lists the segments that are whole, cuts off what is torn, and removes what holds nothing.
func (f *finisher) scanMix() error {
	names, err := filesIn(filepath.Join(f.dir, replayDir), "seg-*.m4s")
	if err != nil {
		return err
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	for i, name := range names {
		s, err := f.scanSegment(name)
		if err != nil {
			return err
		}
		if s.Duration == 0 || s.Number != uint32(i)+1 || s.At < f.mixEnd {
			if err := os.Remove(name); err != nil {
				return err
			}
			continue
		}
		f.segments = append(f.segments, s)
		f.mixEnd = s.At + s.Duration
	}
	return nil
}

func (f *finisher) scanSegment(name string) (cmaf.Segment, error) {
	s := cmaf.Segment{URI: filepath.Base(name)}
	if _, err := fmt.Sscanf(s.URI, "seg-%d.m4s", &s.Number); err != nil {
		return s, nil
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return s, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return s, err
	}
	chunks, good, err := cmaf.Scan(file, st.Size())
	if err != nil || len(chunks) == 0 {
		return s, err
	}
	if good < st.Size() {
		if err := errors.Join(file.Truncate(good), file.Sync()); err != nil {
			return s, err
		}
	}
	last := chunks[len(chunks)-1]
	s.At, s.Bytes, f.lastSeq = chunks[0].Base, good, last.Seq
	s.Duration = last.Base + last.Duration - s.At
	return s, nil
}

// mendTracks brings every track to the recording's end.
func (f *finisher) mendTracks() error {
	for name, found := range f.tracks {
		if found.EOS && found.Damages == 0 {
			continue
		}
		if err := f.mendTrack(filepath.Join(f.dir, tracksDir, name), found.State); err != nil {
			return fmt.Errorf("track %s: %w", name, err)
		}
	}
	return nil
}

func (f *finisher) mendTrack(name string, s ogg.State) (err error) {
	if err := os.Truncate(name, s.GoodBytes); err != nil {
		return err
	}
	file, err := f.disk.Append(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	s.EOS = false
	w, err := ogg.Resume(file, s)
	if err != nil {
		return err
	}
	return errors.Join(finishTrack(w, f.end), file.Sync())
}

// mendedName is the playlist of what is mended, which is thrown away: it must not take the place of the one that players
// know.
const mendedName = ".mended.m3u8"

// mendMix brings the mix to the recording's end: mixed anew from the tracks, or silence without any.
func (f *finisher) mendMix() error {
	if !f.man.ReplayWanted || f.mixEnd >= f.end {
		return nil
	}
	s := &segments{
		disk: f.disk, dir: f.dir, playlist: cmaf.NewPlaylist(f.target(), time.Time{}), sum: sha256.New(), playlistName: mendedName,
	}
	var err error
	s.cut, err = cmaf.NewSegmenter(cmaf.Options{
		Target: f.target(), Segment: uint32(len(f.segments)) + 1, Sequence: f.lastSeq + 1, Next: f.mixEnd,
	})
	if err != nil {
		return err
	}
	defer os.Remove(filepath.Join(f.dir, s.playlistName))
	var failed error
	err = remix(f.ctx, f.dir, f.mixEnd, f.end, 0, func(at int64, payload []byte) {
		if failed == nil {
			failed = s.put(at, payload)
		}
	}, func(done int64) { f.progress("mix", done, f.end-f.mixEnd) })
	if err = cmp.Or(err, failed, s.close()); err != nil {
		return err
	}
	f.segments = append(f.segments, s.playlist.Segments()...)
	f.mixEnd = f.end
	return nil
}

func (f *finisher) target() int64 {
	if r := f.man.Replay; r != nil && r.Target > 0 {
		return int64(r.Target)
	}
	return segmentDefault
}

// closePlaylist writes the playlist as it stays: players that follow the live one find it longer, and ended.
func (f *finisher) closePlaylist() error {
	if !f.man.ReplayWanted {
		return nil
	}
	p := cmaf.NewPlaylist(f.target(), f.man.StartedAt)
	for _, s := range f.segments {
		if err := p.Add(s); err != nil {
			return err
		}
	}
	p.End()
	peak, average := p.Bitrates()
	if err := f.disk.Replace(filepath.Join(f.dir, masterName), cmaf.AppendMaster(nil, max(peak, 1), average)); err != nil {
		return err
	}
	f.man.Replay = &manifest.Replay{
		Playlist: playlistName, Init: initName, Segments: len(f.segments), Target: manifest.Position(p.Target() * manifest.SampleRate),
		Duration: manifest.Position(p.Duration()), Bitrate: average,
	}
	return f.disk.Replace(filepath.Join(f.dir, playlistName), p.Text())
}

// packets are those of the mix, from all segments.
func (f *finisher) packets() iter.Seq2[cmaf.Packet, error] {
	return cmaf.Joined(len(f.segments), func(i int) (io.ReaderAt, int64, error) {
		file, err := os.Open(filepath.Join(f.dir, replayDir, f.segments[i].URI))
		return file, f.segments[i].Bytes, err
	})
}

// writeWhole makes the one file for download.
func (f *finisher) writeWhole() (err error) {
	if !f.man.ReplayWanted || len(f.segments) == 0 {
		return nil
	}
	tmp := temporary(filepath.Join(f.dir, wholeName))
	file, err := f.disk.Append(tmp) // tidy has removed what was there
	if err != nil {
		return err
	}
	defer os.Remove(tmp) // which has another name if all went well
	_, err = cmaf.WriteWhole(file, f.packets(), cmaf.Whole{
		Head: mixHead(), End: f.end, Progress: func(done, total int64) { f.progress("whole file", done, total) },
	})
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	f.man.Replay.Path = wholeName
	return os.Rename(tmp, filepath.Join(f.dir, wholeName))
}

// endTimeline cuts off a torn line and says how the recording ended.
func (f *finisher) endTimeline() (err error) {
	name := filepath.Join(f.dir, manifest.TimelineName)
	found, err := scanFile(name, scanLines)
	if err == nil {
		err = os.Truncate(name, found.GoodBytes)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := f.disk.Append(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := manifest.ResumeLines(file, found)
	if found.Lines == 0 {
		err = w.Add(manifest.Line{Type: manifest.Start})
	}
	if f.crashed {
		gap := manifest.Gap{From: manifest.Position(f.end), To: max(manifest.Position(f.end), f.man.Duration), Why: cmp.Or(f.man.Reason, whyCrash)}
		f.man.Gaps = append(f.man.Gaps, gap)
		if found.LastType != manifest.Stop {
			err = cmp.Or(err, w.Add(manifest.Line{At: f.end, To: int64(gap.To), Type: manifest.Missing, Why: gap.Why}))
		}
	}
	if found.LastType != manifest.Stop {
		err = cmp.Or(err, w.Add(manifest.Line{At: f.end, Type: manifest.Stop}))
	}
	return errors.Join(err, w.Flush(), file.Sync())
}

func scanLines(r io.ReaderAt, size int64) (manifest.Lines, error) {
	return manifest.ScanLines(io.NewSectionReader(r, 0, size))
}

// seal takes the sums of all files and writes the manifest that says so.
func (f *finisher) seal() error {
	m := f.man
	m.Files = nil
	var names []string
	err := fs.WalkDir(os.DirFS(f.dir), ".", func(p string, d fs.DirEntry, err error) error {
		ours := isTrack(p) || !strings.HasPrefix(d.Name(), ".") // a person's name may begin with a dot
		if err == nil && d.Type().IsRegular() && p != manifest.Name && ours {
			names = append(names, p)
		}
		return err
	})
	if err != nil {
		return err
	}
	for i, name := range names {
		f.progress("checksums", int64(i), int64(len(names)))
		file, err := sumFile(f.dir, name)
		if err != nil {
			return cmp.Or(f.ctx.Err(), err)
		}
		m.Files = append(m.Files, file)
	}
	if err := f.describe(); err != nil {
		return err
	}
	m.Duration, m.Safe = manifest.Position(f.end), manifest.Position(f.end)
	m.StoppedAt = m.StartedAt.Add(length(f.end))
	if f.crashed && m.Reason == "" {
		m.Reason = whyCrash
	}
	m.State = manifest.Ready
	if m.Reason == whyDiskFull || m.Reason == whyDiskError {
		m.State = manifest.Failed
	}
	for _, dir := range []string{"", "tracks", replayDir} {
		if err := f.disk.SyncDir(filepath.Join(f.dir, dir)); err != nil && !errors.Is(err, fs.ErrNotExist) { // who wants no replay has no directory of it
			return err
		}
	}
	return f.disk.Save(f.dir, m)
}

func isTrack(p string) bool { return path.Dir(p) == tracksDir && path.Ext(p) == ".ogg" }

// describe puts the files' sums where the manifest speaks of them.
func (f *finisher) describe() error {
	m := f.man
	known := map[string]manifest.Track{}
	for _, t := range m.Tracks {
		known[t.Person] = t
	}
	m.Tracks = nil
	for _, file := range m.Files {
		switch {
		case isTrack(file.Path):
			person := strings.TrimSuffix(filepath.Base(file.Path), ".ogg")
			t, ok := known[person]
			if !ok { // killed: the file and the timeline are all there is to tell
				t = f.recalled[person]
				t.Person, t.Packets = person, f.tracks[person+".ogg"].Packets
				t.AudioIDs = append([]uint32{}, t.AudioIDs...)
			}
			found, err := scanFile(filepath.Join(f.dir, file.Path), ogg.Scan)
			if err != nil {
				return err
			}
			t.File, t.Samples = file, found.Played()
			m.Tracks = append(m.Tracks, t)
		case file.Path == wholeName && m.Replay != nil:
			m.Replay.File = file
		case file.Path == manifest.TimelineName:
			found, err := scanFile(filepath.Join(f.dir, file.Path), scanLines)
			if err != nil {
				return err
			}
			m.Timeline = &manifest.Timeline{File: file, Lines: found.Lines}
		}
	}
	return nil
}

func sumFile(dir, name string) (manifest.File, error) {
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return manifest.File{}, err
	}
	defer file.Close()
	h := sha256.New()
	n, err := io.Copy(h, file)
	return manifest.File{Path: name, Bytes: n, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

// length is a number of samples as time. It is told by the room's clock and not by the wall's, which may be set meanwhile.
func length(samples int64) time.Duration {
	return time.Duration(samples/manifest.SampleRate)*time.Second + time.Duration(samples%manifest.SampleRate)*time.Second/manifest.SampleRate
}

// mixHead describes the mix to players.
func mixHead() cmaf.Head {
	return cmaf.Head{Channels: 1, PreSkip: mixPreSkip, InputRate: opus.SampleRate}
}
