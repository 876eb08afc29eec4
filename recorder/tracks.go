package recorder

import (
	"fmt"
	"hash/fnv"
	"path/filepath"

	"stentor/forward/opus"
	"stentor/recorder/ogg"
)

// fillLongest is the packet that long silence is written as: six frames of 20 ms of opus.Quiet, 14 octets for 120 ms
// (RFC 6716 §3.2.5, code 3, constant bit rate).
var fillLongest = func() []byte {
	p := []byte{opus.Quiet[0]&^3 | 3, 6}
	for range 6 {
		p = append(p, opus.Quiet[1:]...)
	}
	return p
}()

// fillers are silent packets of falling length, so that any multiple of 2.5 ms can be filled: full-band CELT of 120, 20,
// 10, 5 and 2.5 ms (RFC 6716 §3.1, configurations 31 to 28).
var fillers = [][]byte{fillLongest, opus.Quiet, {30 << 3, 0xff, 0xfe}, {29 << 3, 0xff, 0xfe}, {28 << 3, 0xff, 0xfe}}

// fill appends silence of n samples, or as much of it as packets can say: the rest is below 2.5 ms.
func fill(w *ogg.Writer, n int64) (int64, error) {
	var done int64
	for _, p := range fillers {
		d, _ := opus.Duration(p)
		for n-done >= int64(d) {
			if err := w.Append(p, d); err != nil {
				return done, err
			}
			done += int64(d)
		}
	}
	return done, nil
}

// track is one person's file while it is written. Owned by the recording's goroutine.
type track struct {
	person  string
	name    string // relative to the recording
	file    file
	w       *ogg.Writer
	dirty   bool      // something is not synced
	safe    ogg.State // what is
	starts  int64     // of the first packet that was sent
	spoken  int64     // samples that were sent
	packets int64     // likewise
}

// tracksDir is where the tracks are, relative to the recording.
const tracksDir = "tracks"

// trackName is where a person's track is, relative to the recording. The control protocol's names need no escaping.
func trackName(person string) string { return tracksDir + "/" + person + ".ogg" }

// newTrack begins a person's file at position 0 of the recording.
func newTrack(d disk, dir, person string, comments []string) (*track, error) {
	t := &track{person: person, name: trackName(person)}
	var err error
	if t.file, err = d.Append(filepath.Join(dir, t.name)); err != nil {
		return nil, fmt.Errorf("track of %s: %w", person, err)
	}
	if t.w, err = ogg.NewWriter(t.file, trackHead(person, comments)); err != nil {
		t.file.Close()
		return nil, fmt.Errorf("track of %s: %w", person, err)
	}
	return t, nil
}

// trackPreSkip is what every track begins with and players leave out: 10 ms of silence, a whole packet. RFC 7845 §4.2 wants
// some, for decoders to settle in, and tools complain of less than 6.5 ms. What is played begins at position 0 of the
// recording, in all tracks; what a speaker's own encoder is late by (6.5 ms in browsers) is part of what was heard.
const trackPreSkip = 480

func trackHead(person string, comments []string) ogg.Head {
	h := fnv.New32a()
	h.Write([]byte(person))
	return ogg.Head{Serial: max(h.Sum32(), 1), PreSkip: trackPreSkip, Comments: comments}
}

// put writes a packet at its position. What is missing before it is silence; what lies before the track's end, as after
// the queue has lost something, is left out.
func (t *track) put(at int64, samples int, payload []byte) error {
	at += trackPreSkip
	if at < t.w.Samples() {
		return nil
	}
	if _, err := fill(t.w, at-t.w.Samples()); err != nil {
		return err
	}
	return t.w.Append(payload, samples)
}

// close ends the file at a position.
func (t *track) close(end int64) error {
	err := finishTrack(t.w, end)
	if e := t.sync(); err == nil {
		err = e
	}
	if e := t.file.Close(); err == nil {
		err = e
	}
	return err
}

// sync brings what is written to the disk.
func (t *track) sync() error {
	t.dirty = false
	written := t.w.State()
	if err := t.file.Sync(); err != nil {
		return fmt.Errorf("track of %s: %w", t.person, err)
	}
	t.safe = written
	return nil
}

// finishTrack fills a track to the end, and trims it there to the sample (RFC 7845 §4.4).
func finishTrack(w *ogg.Writer, end int64) error {
	end += trackPreSkip
	if w.Samples() > w.Written() && w.Samples() >= end {
		return w.CloseAt(max(end, w.Written()))
	}
	if _, err := fill(w, end-w.Samples()); err != nil {
		return err
	}
	if w.Samples() < end { // less than 2.5 ms is left
		if err := w.Append(fillers[len(fillers)-1], 120); err != nil {
			return err
		}
		return w.CloseAt(end)
	}
	return w.Close()
}
