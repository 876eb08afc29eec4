package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"path/filepath"
	"time"

	"stentor/forward/opus"
	"stentor/recorder/cmaf"
)

// Names of the replay's files, relative to the recording.
const (
	replayDir    = "replay"
	playlistName = "replay/index.m3u8"
	masterName   = "replay/main.m3u8"
	initName     = "replay/init.mp4"
	wholeName    = "replay/replay.mp4"
)

func segmentName(n uint32) string { return replayDir + "/" + cmaf.SegmentName(n) }

// segments writes the mix while it grows. Owned by the recording's goroutine.
type segments struct {
	disk     disk
	dir      string
	cut      *cmaf.Segmenter
	playlist *cmaf.Playlist
	file     file // of the segment that grows; nil: none
	sum      hash.Hash
	size     int64
	dirty    bool
	named    bool // a file has been made whose name is not safe yet
	total    int64
	finished func(name string, size int64, sum string)

	playlistName string
}

// newSegments begins the replay: its init segment and playlists are there before the first sound, so that a player may
// come at once.
func newSegments(d disk, dir string, target int64, chunk int64, bitrate int, startedAt time.Time) (*segments, error) {
	s := &segments{disk: d, dir: dir, playlist: cmaf.NewPlaylist(target, startedAt), sum: sha256.New(), playlistName: playlistName}
	var err error
	if s.cut, err = cmaf.NewSegmenter(cmaf.Options{Target: target, Chunk: chunk}); err != nil {
		return nil, err
	}
	head, err := cmaf.Init(mixHead())
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{
		initName: head, playlistName: s.playlist.Text(), masterName: cmaf.AppendMaster(nil, bitrate*5/4, bitrate),
	} {
		if err := d.Replace(filepath.Join(dir, name), content); err != nil {
			return nil, fmt.Errorf("replay: %w", err)
		}
	}
	return s, nil
}

// put appends a packet of the mix. What the queue has lost before it is silence.
func (s *segments) put(at int64, payload []byte) error {
	for next := s.cut.Next(); next < at; next = s.cut.Next() {
		if err := s.one(next, opus.Quiet); err != nil {
			return err
		}
	}
	if at < s.cut.Next() {
		return nil
	}
	return s.one(at, payload)
}

func (s *segments) one(at int64, payload []byte) error {
	writes, err := s.cut.Put(at, payload)
	if err != nil {
		return err
	}
	return s.write(writes)
}

// flush writes out the chunk that has begun.
func (s *segments) flush() error { return s.write(s.cut.Flush()) }

func (s *segments) write(writes []cmaf.Write) error {
	for _, w := range writes {
		if s.file == nil {
			f, err := s.disk.Append(filepath.Join(s.dir, segmentName(w.Segment)))
			if err != nil {
				return err
			}
			s.file, s.size, s.named = f, 0, true
			s.sum.Reset()
		}
		if _, err := s.file.Write(w.Data); err != nil {
			return err
		}
		s.sum.Write(w.Data)
		s.size += int64(len(w.Data))
		s.total += int64(len(w.Data))
		s.dirty = true
		if w.Done {
			if err := s.done(w.Entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// done closes a segment and names it in the playlist: in this order, so that a player never asks for what is not there.
func (s *segments) done(entry cmaf.Segment) error {
	if err := s.sync(); err != nil {
		return err
	}
	err := s.file.Close()
	s.file = nil
	if err != nil {
		return err
	}
	if err := s.playlist.Add(entry); err != nil {
		return err
	}
	if err := s.disk.Replace(filepath.Join(s.dir, s.playlistName), s.playlist.Text()); err != nil {
		return err
	}
	if s.finished != nil {
		s.finished(segmentName(entry.Number), s.size, hex.EncodeToString(s.sum.Sum(nil)))
	}
	return nil
}

func (s *segments) sync() error {
	if !s.dirty || s.file == nil {
		return nil
	}
	s.dirty = false
	return s.file.Sync()
}

// close ends the last segment. The playlist stays open: the end of it is finish's.
func (s *segments) close() error {
	return errors.Join(s.write(s.cut.Close()), s.abandon())
}

// abandon lets go of the segment that has begun.
func (s *segments) abandon() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
