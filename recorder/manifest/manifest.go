package manifest

import (
	"time"
)

// The names of the two files of this package, in a recording's directory.
const (
	Name         = "manifest.json"
	TimelineName = "timeline.jsonl"
)

// Version is the version of the manifest that this package writes, and the only one that it reads.
const Version = 1

// State is how far a recording has got.
type State string

// The states of a recording. It goes through the first three in order; failed may follow the first two.
const (
	Recording State = "recording" // it grows
	Finishing State = "finishing" // it has stopped; files are being closed, sums taken
	Ready     State = "ready"     // everything is there, with its checksum
	Failed    State = "failed"    // Reason says why; what is there is told nevertheless
)

// Manifest is what a recording consists of.
type Manifest struct {
	Version   int    `json:"version"`   // 1
	Recording string `json:"recording"` // its id, the app server's
	Room      string `json:"room"`
	Node      string `json:"node"` // the daemon's name
	State     State  `json:"state"`

	// Reason is why the recording failed, or why it stopped where nobody asked for that. Empty otherwise.
	Reason string `json:"reason,omitempty"`

	StartedAt time.Time `json:"started_at"`          // the wall clock at position 0
	StoppedAt time.Time `json:"stopped_at,omitzero"` // not before StartedAt; missing while it runs

	Duration Position `json:"duration_s"` // how long it is, or has been so far

	// RecoveryPoint is how much a crash may cost at most: the declared promise.
	RecoveryPoint Position `json:"recovery_point_s"`

	// Safe is the position up to which everything was on the disk when this was saved. Never more than Duration.
	Safe Position `json:"safe_s"`

	// What was asked for.
	TracksWanted bool `json:"tracks_wanted"`
	ReplayWanted bool `json:"replay_wanted"`

	Tracks   []Track   `json:"tracks,omitempty"`
	Replay   *Replay   `json:"replay,omitempty"` // missing without a mix
	Timeline *Timeline `json:"timeline,omitempty"`

	// Files are all finished files: every segment, and in the end the tracks, the timeline, the playlist too. A file that
	// stands here and in its own place has the same sum in both.
	Files []File `json:"files,omitempty"`

	Drops []Drop `json:"drops,omitempty"` // in the order of At
	Gaps  []Gap  `json:"gaps,omitempty"`  // in the order of From

	Stored *Stored `json:"stored,omitempty"` // missing until the bucket has confirmed everything

	// ReadyTold is whether recording.ready has been told to the app server, so that a restart tells it once.
	ReadyTold bool `json:"ready_told"`
}

// File is one file of the recording. Bytes is how many of it are known to be on the disk: all, once it has a SHA256.
type File struct {
	Path   string `json:"file"` // its path in the recording's directory, with slashes
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"` // 64 hexadecimal digits in lower case; missing while the file grows
}

// Track is one person's audio, one Ogg Opus file that begins at position 0 and is as long as the recording.
type Track struct {
	File
	Person      string      `json:"person"`           // the peer's id
	AudioIDs    []uint32    `json:"audio_ids"`        // one for each time they joined
	Starts      Position    `json:"starts_s"`         // where they are first heard; silence stands before
	Samples     int64       `json:"samples"`          // what the file plays, at 48 kHz
	Spoken      Position    `json:"spoken_s"`         // audio that came, in all
	Packets     int64       `json:"packets"`          // from the network, fillers not counted
	Lost        int64       `json:"lost"`             // never came, and stand in the file as silence
	Recovered   int64       `json:"recovered"`        // lost, and given back by redundancy
	Dropped     int64       `json:"dropped"`          // came, and were not recorded: the ring was full, or they came too late
	Corrections Corrections `json:"corrections"`      // what the drift of their clock has cost
	DriftPPM    float64     `json:"drift_ppm"`        // their clock against the room's: above 0 it is too fast
	Reason      string      `json:"reason,omitempty"` // why the track ends early, if it does
}

// Corrections are samples put into a track, or left out of it, because the person's clock is not the room's.
type Corrections struct {
	Inserted int64 `json:"inserted"`
	Removed  int64 `json:"removed"`
}

// Replay is the mix: segments and a playlist that grow while the room is live, and one whole file in the end. File, Bytes
// and SHA256 are the whole file's, empty until it is there.
type Replay struct {
	File
	Playlist string   `json:"playlist"`
	Init     string   `json:"init"`     // the initialization segment
	Segments int      `json:"segments"` // how many the playlist holds
	Target   Position `json:"target_s"` // the playlist's target duration
	Duration Position `json:"duration_s"`
	Bitrate  int      `json:"bitrate"` // of the mix, in bit/s
}

// Timeline is the file of lines.
type Timeline struct {
	File
	Lines int64 `json:"lines"`
}

// Drop says that packets did not get into the recording.
type Drop struct {
	At     Position `json:"at_s"`
	Count  int64    `json:"count"` // packets
	Person string   `json:"person,omitempty"`
	Why    string   `json:"why"` // ring_full, too_late …
}

// Gap is a time of which nothing was recorded. All files hold silence there.
type Gap struct {
	From Position `json:"from_s"`
	To   Position `json:"to_s"`
	Why  string   `json:"why"` // crash, disk_full …
}

// Stored says where the bucket's copy is.
type Stored struct {
	URL string    `json:"url"` // the bucket and the prefix of all keys
	At  time.Time `json:"at"`  // when the last file was confirmed
}
