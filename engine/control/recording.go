package control

import "time"

// Recording states, in the order in which a recording goes through them.
const (
	RecordingRunning   = "recording" // what is said is being kept
	RecordingFinishing = "finishing" // stopped; files are being closed, and brought to the store
	RecordingReady     = "ready"     // whole, and where it belongs
	RecordingFailed    = "failed"    // ended early; what there is, is kept
)

// RecordingStartParams are the parameters of recording.start.
type RecordingStartParams struct {
	Room      string `json:"room"`
	Recording string `json:"recording"`        // its name, never used before
	Tracks    *bool  `json:"tracks,omitempty"` // keep one file per person; left out: yes
	Replay    *bool  `json:"replay,omitempty"` // make the mix, for listening while live and afterwards; left out: yes
}

// RecordingParams name a recording.
type RecordingParams struct {
	Recording string `json:"recording"`
}

// RecordingListParams say which recordings to list.
type RecordingListParams struct {
	Room string `json:"room,omitempty"` // only those of this room; empty: all
}

// Recording is one take of a room as the daemon sees it. People is filled by recording.get only.
type Recording struct {
	Recording string     `json:"recording"`
	Room      string     `json:"room"`
	State     string     `json:"state"`
	Reason    string     `json:"reason,omitempty"` // why it failed, or ended otherwise than by recording.stop
	Tracks    bool       `json:"tracks"`
	Replay    bool       `json:"replay"`
	StartedAt time.Time  `json:"started_at"`
	StoppedAt *time.Time `json:"stopped_at,omitempty"`
	DurationS float64    `json:"duration_s"` // while it runs: so far
	SafeS     float64    `json:"safe_s"`     // up to here everything is on the disk
	Bytes     int64      `json:"bytes"`      // of all files so far
	Dropped   uint64     `json:"dropped"`    // packets that should be in it and are not
	Stored    bool       `json:"stored"`     // everything is confirmed by the store
	Location  string     `json:"location"`   // where its files are, a URL that the store understands

	People []RecordedPerson `json:"people,omitempty"`
}

// RecordedPerson is one person's part of a recording.
type RecordedPerson struct {
	Peer     string  `json:"peer"`
	File     string  `json:"file"`      // of the track, relative to the recording
	SpokenS  float64 `json:"spoken_s"`  // audio that came, in seconds
	Lost     uint64  `json:"lost"`      // packets that never came
	DriftPPM float64 `json:"drift_ppm"` // of the peer's clock against the room's
}

// RecordingList answers recording.list.
type RecordingList struct {
	Recordings []Recording `json:"recordings"`
}
