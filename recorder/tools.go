package recorder

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"stentor/forward/opus"
	"stentor/recorder/cmaf"
	"stentor/recorder/manifest"
	"stentor/recorder/ogg"
)

// ErrNothing is a recording that does not have what is asked for: no tracks to mix, no replay to export.
var ErrNothing = errors.New("the recording has nothing of that")

// Output says where a tool writes to, and how.
type Output struct {
	Name string // .mp4 or .ogg; what has this name is replaced when the new file is whole
	// Bitrate is that of a mix made anew, in b/s, 6000 to 510000; 0: 48000.
	Bitrate int
	// Progress, which may be nil, is told the step and how much of it is done, in samples or octets.
	Progress func(step string, done, total int64)
}

// CheckOutput tells whether a file's name says how it is to be written.
func CheckOutput(name string) error {
	if ext := filepath.Ext(name); ext != ".mp4" && ext != ".ogg" {
		return fmt.Errorf("%s: want a name that ends in .mp4 or .ogg", name)
	}
	return nil
}

func (o *Output) progress(step string, done, total int64) {
	if o.Progress != nil {
		o.Progress(step, done, total)
	}
}

// Remix mixes the tracks of the recording in dir anew, as the room heard them by the timeline, into one file. A recording
// that still runs is mixed up to where it is safe. It changes nothing in dir. ErrNothing: there are no tracks.
func Remix(ctx context.Context, dir string, o Output) error {
	m, end, err := lengthOf(dir)
	if err != nil {
		return err
	}
	if names, err := filesIn(filepath.Join(dir, tracksDir), "*.ogg"); err != nil || len(names) == 0 {
		return cmp.Or(err, fmt.Errorf("%s has no tracks: %w", m.Recording, ErrNothing))
	}
	return o.write(func(to *os.File) error {
		// An MP4 is written in two passes, and mixing takes longer than reading what was mixed.
		pile, err := newPile(filepath.Dir(o.Name))
		if err != nil {
			return err
		}
		defer pile.remove()
		var failed error
		err = remix(ctx, dir, 0, (end+grid-1)/grid*grid, o.Bitrate, func(at int64, payload []byte) {
			if failed == nil {
				failed = pile.add(payload)
			}
		}, func(done int64) { o.progress("mix", done, end) })
		if err = cmp.Or(err, failed, pile.w.Flush()); err != nil {
			return err
		}
		return o.put(ctx, to, m, end, pile.packets())
	})
}

// ExportMix writes the mix of the recording in dir into one file, the very packets of the replay in another container. A
// recording that still runs is written as far as its playlist has come. ErrNothing: there is no replay.
func ExportMix(ctx context.Context, dir string, o Output) error {
	m, end, err := lengthOf(dir)
	if err != nil {
		return err
	}
	if r := m.Replay; r != nil && r.SHA256 != "" && filepath.Ext(o.Name) == ".mp4" {
		return o.write(func(to *os.File) error {
			return copyChecked(ctx, to, dir, r.File, func(done int64) { o.progress("copy", done, r.Bytes) })
		})
	}
	parts, err := wholeSegments(dir)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return fmt.Errorf("%s has no replay: %w", m.Recording, ErrNothing)
	}
	if m.State == manifest.Recording || m.State == manifest.Finishing {
		end = 0 // the replay is behind the room, and ends where it ends
	}
	return o.write(func(to *os.File) error {
		return o.put(ctx, to, m, end, cmaf.Joined(len(parts), func(i int) (io.ReaderAt, int64, error) {
			file, err := os.Open(parts[i].name)
			return file, parts[i].good, err
		}))
	})
}

// lengthOf is how long a recording is, or is safe, in samples.
func lengthOf(dir string) (*manifest.Manifest, int64, error) {
	m, err := manifest.Load(os.DirFS(dir))
	if err != nil {
		return nil, 0, err
	}
	return m, int64(m.Safe), nil
}

// write makes a file of which nothing is to be seen before it is whole.
func (o *Output) write(fill func(to *os.File) error) (err error) {
	if err := CheckOutput(o.Name); err != nil {
		return err
	}
	part := o.Name + ".part"
	to, err := os.Create(part)
	if err != nil {
		return err
	}
	defer os.Remove(part) // which has another name if all went well
	err = fill(to)
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	return os.Rename(part, o.Name)
}

// put writes packets as the name of the output says. end is where the file ends; 0: with its last packet.
func (o *Output) put(ctx context.Context, to *os.File, m *manifest.Manifest, end int64, packets iter.Seq2[cmaf.Packet, error]) error {
	packets = until(ctx, packets)
	if filepath.Ext(o.Name) == ".ogg" {
		return o.putOgg(to, m, end, packets)
	}
	w := bufio.NewWriterSize(to, 1<<18)
	_, err := cmaf.WriteWhole(w, packets, cmaf.Whole{
		Head: mixHead(), End: end, Progress: func(done, total int64) { o.progress("write", done, total) },
	})
	return errors.Join(err, w.Flush())
}

// putOgg begins and ends the file as a track's.
func (o *Output) putOgg(to *os.File, m *manifest.Manifest, end int64, packets iter.Seq2[cmaf.Packet, error]) error {
	head := trackHead("", []string{"TITLE=" + m.Room, "ALBUM=" + m.Recording, "DATE=" + m.StartedAt.Format("2006-01-02T15:04:05Z07:00")})
	w, err := ogg.NewWriter(to, head)
	if err != nil {
		return err
	}
	t := &track{w: w}
	last := int64(0)
	for p, err := range packets {
		if err != nil {
			return err
		}
		if end > 0 && p.At >= end {
			break
		}
		if err := t.put(p.At, int(p.Duration), p.Payload); err != nil {
			return err
		}
		if last = p.At + p.Duration; last%opus.SampleRate == 0 {
			o.progress("write", last, max(last, end))
		}
	}
	return finishTrack(w, cmp.Or(end, last))
}

// until ends packets with ctx.
func until(ctx context.Context, packets iter.Seq2[cmaf.Packet, error]) iter.Seq2[cmaf.Packet, error] {
	return func(yield func(cmaf.Packet, error) bool) {
		for p, err := range packets {
			if err = cmp.Or(ctx.Err(), err); !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// copyChecked copies a finished file of a recording. What is not what its manifest says is an error.
func copyChecked(ctx context.Context, to io.Writer, dir string, f manifest.File, progress func(done int64)) error {
	from, err := os.Open(filepath.Join(dir, filepath.FromSlash(f.Path)))
	if err != nil {
		return err
	}
	defer from.Close()
	sum, done := sha256.New(), int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(io.MultiWriter(to, sum), from, 1<<20)
		done += n
		progress(done)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.SHA256 != "" && hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%s: not what the manifest says it is", f.Path)
	}
	return nil
}

// part is a segment, and how many of its octets are whole chunks.
type part struct {
	name string
	good int64
}

// wholeSegments lists the segments of a replay, without touching them, up to the first that is torn or missing.
func wholeSegments(dir string) (parts []part, err error) {
	for n := uint32(1); ; n++ {
		name := filepath.Join(dir, filepath.FromSlash(segmentName(n)))
		var size int64
		good, err := scanFile(name, func(r io.ReaderAt, s int64) (int64, error) {
			size = s
			chunks, good, err := cmaf.Scan(r, s)
			if len(chunks) == 0 {
				good = 0
			}
			return good, err
		})
		if errors.Is(err, os.ErrNotExist) {
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		if good > 0 {
			parts = append(parts, part{name, good})
		}
		if good < size || good == 0 {
			return parts, nil
		}
	}
}

// pile keeps the packets of a mix in a file without a name of its own for long: each behind its length, one octet pair.
type pile struct {
	file *os.File
	w    *bufio.Writer
}

func newPile(dir string) (*pile, error) {
	file, err := os.CreateTemp(dir, ".remix-*")
	if err != nil {
		return nil, err
	}
	return &pile{file, bufio.NewWriterSize(file, 1<<18)}, nil
}

func (p *pile) remove() {
	p.file.Close()
	os.Remove(p.file.Name())
}

func (p *pile) add(payload []byte) error {
	if _, err := p.w.Write(binary.BigEndian.AppendUint16(nil, uint16(len(payload)))); err != nil {
		return err
	}
	_, err := p.w.Write(payload)
	return err
}

// packets gives them from the first one on, as often as it is run.
func (p *pile) packets() iter.Seq2[cmaf.Packet, error] {
	return func(yield func(cmaf.Packet, error) bool) {
		r := bufio.NewReaderSize(io.NewSectionReader(p.file, 0, 1<<62), 1<<18)
		var size [2]byte
		b := make([]byte, 1<<16)
		for at := int64(0); ; at += grid {
			_, err := io.ReadFull(r, size[:])
			if err == io.EOF {
				return
			}
			n := binary.BigEndian.Uint16(size[:])
			if err == nil {
				_, err = io.ReadFull(r, b[:n])
			}
			if !yield(cmaf.Packet{At: at, Duration: grid, Payload: b[:n]}, err) || err != nil {
				return
			}
		}
	}
}

// ExportParts writes what a sound editor needs of the recording in dir into a new directory: each person's track, all as
// long as the recording; the mix as mix.ogg, where there is one; who spoke when as labels.txt, which Audacity imports;
// timeline and manifest as they are.
func ExportParts(ctx context.Context, dir, to string, progress func(step string, done, total int64)) error {
	m, _, err := lengthOf(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	o := Output{Name: filepath.Join(to, "mix.ogg"), Progress: progress}
	if err := ExportMix(ctx, dir, o); err != nil && !errors.Is(err, ErrNothing) {
		return err
	}
	files := []manifest.File{{Path: manifest.Name}, {Path: manifest.TimelineName}}
	for _, t := range m.Tracks {
		files = append(files, t.File)
	}
	if err := os.Mkdir(filepath.Join(to, "tracks"), 0o755); err != nil {
		return err
	}
	for i, f := range files {
		o.progress("tracks", int64(i), int64(len(files)))
		if err := copyTo(ctx, filepath.Join(to, filepath.FromSlash(f.Path)), dir, f); err != nil {
			return err
		}
	}
	o.progress("tracks", int64(len(files)), int64(len(files)))
	return writeLabels(filepath.Join(to, "labels.txt"), dir)
}

func copyTo(ctx context.Context, name, dir string, f manifest.File) error {
	to, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(copyChecked(ctx, to, dir, f, func(int64) {}), to.Close())
}

// writeLabels writes a line for each time that somebody spoke or something is missing: begin, end and name, with tabs
// between them (Audacity's manual, "Importing and Exporting Labels").
func writeLabels(name, dir string) error {
	file, err := os.Open(filepath.Join(dir, manifest.TimelineName))
	if err != nil {
		return err
	}
	defer file.Close()
	speech, err := manifest.Speech(file)
	if err != nil {
		return err
	}
	var b strings.Builder
	line := func(i manifest.Interval, text string) {
		fmt.Fprintf(&b, "%.6f\t%.6f\t%s\n", i.From.Seconds(), i.To.Seconds(), text)
	}
	for _, p := range speech.People {
		for _, i := range p.Speaking {
			line(i, p.Person)
		}
	}
	for _, g := range speech.Gaps {
		line(manifest.Interval{From: g.From, To: g.To}, "(missing: "+g.Why+")")
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}
