package replay

import (
	"regexp"
	"strings"

	"stentor/recorder/manifest"
)

// Names of files in a recording's directory, with slashes.
const (
	replayDir    = "replay/"
	trackDir     = "tracks/"
	playlistName = replayDir + "index.m3u8"
	masterName   = replayDir + "main.m3u8"
	initName     = replayDir + "init.mp4"
	wholeName    = replayDir + "replay.mp4"
	tombstone    = ".deleted" // of store.Mirror
)

// kind is how a file is made ready for a visitor.
type kind uint8

const (
	media    kind = iota // octets of a file, in ranges
	segment              // likewise, once the playlist names it
	text                 // a file that changes, and is read as a whole
	timeline             // made of the timeline's lines
	summary              // made of the manifest
)

// name is what a request asks for.
type name struct {
	recording string
	path      string // of the file, in the recording's directory
	kind      kind
	download  string // the file's name on the visitor's disk
}

var (
	// idPattern is the control protocol's for rooms, peers and recordings.
	idPattern      = regexp.MustCompile(`^[A-Za-z0-9._:@+=-]{1,128}$`)
	segmentPattern = regexp.MustCompile(`^seg-[0-9]{5,10}\.m4s$`)
)

// parse reads a path below the mount. Only names that a replay has pass, so no path leads anywhere else.
func parse(path string, tracks bool) (name, bool) {
	recording, file, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !idPattern.MatchString(recording) || recording[0] == '.' {
		return name{}, false
	}
	n := name{recording: recording, path: replayDir + file, kind: media, download: recording + "." + file}
	switch {
	case file == "index.m3u8" || file == "main.m3u8":
		n.kind = text
	case file == "init.mp4":
	case segmentPattern.MatchString(file):
		n.kind = segment
	case file == "replay.mp4":
		n.download = recording + ".mp4"
	case file == "timeline.json":
		n.path, n.kind = manifest.TimelineName, timeline
	case file == "recording.json":
		n.path, n.kind, n.download = manifest.Name, summary, recording+".json"
	default:
		person, ok := strings.CutPrefix(file, trackDir)
		person, ogg := strings.CutSuffix(person, ".ogg")
		n.path, n.download = file, recording+"."+person+".ogg"
		return n, tracks && ok && ogg && idPattern.MatchString(person)
	}
	return n, true
}
