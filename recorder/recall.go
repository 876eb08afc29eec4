package recorder

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"stentor/recorder/manifest"
)

// recall fetches from the timeline what the manifest of a killed recording does not tell: it is saved now and then, and the
// timeline every moment.
func (f *finisher) recall() error {
	f.recalled = map[string]manifest.Track{}
	if !f.crashed {
		return nil
	}
	file, err := os.Open(filepath.Join(f.dir, manifest.TimelineName))
	if err != nil {
		return err
	}
	defer file.Close()
	var drops []manifest.Drop
	lines := manifest.NewLineReader(file)
	for {
		l, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF):
			f.man.Drops = drops
			return nil
		case errors.Is(err, manifest.ErrLine):
			continue
		case err != nil:
			return err
		}
		switch l.Type {
		case manifest.Dropped:
			drops = addDrop(drops, &l)
		case manifest.Joined:
			t := f.recalled[l.Person]
			t.AudioIDs = append(t.AudioIDs, l.AudioID)
			f.recalled[l.Person] = t
		case manifest.Levels:
			f.recallStarts(&l)
		}
	}
}

// recallStarts learns who is heard for the first time, to the second.
func (f *finisher) recallStarts(l *manifest.Line) {
	for person := range l.Levels {
		t := f.recalled[person]
		if t.Starts == 0 {
			t.Starts = manifest.Position(max(l.At-manifest.SampleRate, 0))
		}
		f.recalled[person] = t
	}
}

// dropsJoin is how close drops are that the manifest tells as one: a disk that is too slow for hours loses a little all the
// time.
const dropsJoin = manifest.SampleRate

// addDrop adds what a line of the timeline tells to the manifest's list.
func addDrop(drops []manifest.Drop, l *manifest.Line) []manifest.Drop {
	at := manifest.Position(l.At)
	if n := len(drops); n > 0 {
		last := &drops[n-1]
		if last.Why == l.Why && at-last.At < dropsJoin {
			last.Count += l.Count
			return drops
		}
		at = max(at, last.At)
	}
	return append(drops, manifest.Drop{At: at, Count: l.Count, Why: l.Why})
}
