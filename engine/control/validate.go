package control

import (
	"fmt"
	"regexp"
	"slices"
)

// validator is implemented by parameters that have something to check beyond their types. The server calls it before
// the engine sees them; what depends on the daemon's limits or state is the engine's to check.
type validator interface{ Validate() error }

// idPattern is what rooms and peers may be named: these characters need no escaping in a URL's query, a log line, a
// file name or a shell, and cannot look alike.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9._:@+=-]{1,128}$`)

const idHint = "1 to 128 of A-Z a-z 0-9 . _ : @ + = -"

// Renditions that room.open and peer.update take.
var (
	roomRenditions = []string{RenditionLive, RenditionPacked60, RenditionPacked120, RenditionAuto}
	peerRenditions = []string{RenditionLive, RenditionPacked60, RenditionPacked120, RenditionMix, RenditionDefault}
)

// rungs are what a listener in trouble may be sent, from the best to the least.
var rungs = []string{"live", "packed60", "packed60_one", "packed120_one"}

// deadlineMaxS is the longest deadline of engine.drain: a day.
const deadlineMaxS = 86400

func checkID(field, id string) error {
	if id == "" {
		return invalidParams(field, "%s must be given", field)
	}
	if !idPattern.MatchString(id) {
		return Errorf(ReasonInvalidParams, "%s: %s cannot be a name", field, clip(id)).WithField(field).WithHint(idHint)
	}
	return nil
}

func checkSDP(sdp string) error {
	if sdp == "" {
		return invalidParams("sdp", "sdp must be given")
	}
	return nil
}

func checkRendition(field, name string, renditions []string) error {
	for _, r := range renditions {
		if name == r {
			return nil
		}
	}
	return Errorf(ReasonInvalidParams, "%s: there is no rendition %s", field, clip(name)).WithField(field).
		WithHint(fmt.Sprintf("one of %q", renditions))
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Validate checks that the deadline is 0 … 86400 s.
func (p *DrainParams) Validate() error {
	if !(p.DeadlineS >= 0 && p.DeadlineS <= deadlineMaxS) { // so written, NaN fails too
		return invalidParams("deadline_s", "deadline_s: %v is outside 0 … %d", p.DeadlineS, deadlineMaxS)
	}
	return nil
}

// Validate checks the room's name and that no count is negative; the upper bounds are the daemon's limits.
func (p *RoomOpenParams) Validate() error {
	if err := checkID("room", p.Room); err != nil {
		return err
	}
	if p.Slots < 0 {
		return invalidParams("slots", "slots: %d is negative", p.Slots)
	}
	if p.MaxPeers < 0 {
		return invalidParams("max_peers", "max_peers: %d is negative", p.MaxPeers)
	}
	if p.LowestRung != "" && !slices.Contains(rungs, p.LowestRung) {
		return Errorf(ReasonInvalidParams, "lowest_rung: there is no rung %s", clip(p.LowestRung)).WithField("lowest_rung").
			WithHint(fmt.Sprintf("one of %q", rungs))
	}
	if p.Record && (len(p.Room) > recordedRoomMax || p.Room[0] == '.') {
		return Errorf(ReasonInvalidParams, "record: the room's name cannot become a recording's").WithField("record").
			WithHint("open the room without it, and name the recording with recording.start")
	}
	if p.DefaultRendition != "" {
		return checkRendition("default_rendition", p.DefaultRendition, roomRenditions)
	}
	return nil
}

// recordedRoomMax is how long a room's name may be that the daemon is to make a recording's name of: that is the room's,
// a dot, and the time as 20061122T131500Z.
const recordedRoomMax = 128 - 17

// checkRecording checks the name of a recording, which is also that of a directory.
func checkRecording(id string) error {
	if err := checkID("recording", id); err != nil {
		return err
	}
	if id[0] == '.' {
		return Errorf(ReasonInvalidParams, "recording: %s begins with a dot", clip(id)).WithField("recording").WithHint(idHint)
	}
	return nil
}

// Validate checks the names, and that something is to be kept.
func (p *RecordingStartParams) Validate() error {
	if err := first(checkID("room", p.Room), checkRecording(p.Recording)); err != nil {
		return err
	}
	if p.Tracks != nil && !*p.Tracks && p.Replay != nil && !*p.Replay {
		return invalidParams("replay", "replay: without tracks and without a replay nothing is recorded")
	}
	return nil
}

// Validate checks the name.
func (p *RecordingParams) Validate() error { return checkRecording(p.Recording) }

// Validate checks the room's name, where one is given.
func (p *RecordingListParams) Validate() error {
	if p.Room == "" {
		return nil
	}
	return checkID("room", p.Room)
}

// Validate checks the room's name.
func (p *RoomParams) Validate() error { return checkID("room", p.Room) }

// Validate checks the names and that there is an offer.
func (p *PeerJoinParams) Validate() error {
	return first(checkID("room", p.Room), checkID("peer", p.Peer), checkSDP(p.SDP))
}

// Validate checks the names and the rendition, where one is given.
func (p *PeerUpdateParams) Validate() error {
	if err := first(checkID("room", p.Room), checkID("peer", p.Peer)); err != nil || p.Rendition == nil {
		return err
	}
	return checkRendition("rendition", *p.Rendition, peerRenditions)
}

// Validate checks the names and that there is an offer.
func (p *PeerRestartParams) Validate() error {
	return first(checkID("room", p.Room), checkID("peer", p.Peer), checkSDP(p.SDP))
}

// Validate checks the names.
func (p *PeerParams) Validate() error {
	return first(checkID("room", p.Room), checkID("peer", p.Peer))
}

// Validate checks the names of rooms, and that the start is named in one way only. The cursor is the log's to check.
func (p *SubscribeParams) Validate() error {
	for i, room := range p.Rooms {
		if err := checkID(fmt.Sprintf("rooms[%d]", i), room); err != nil {
			return err
		}
	}
	if p.Snapshot && p.After != "" {
		return Errorf(ReasonInvalidParams, "after and snapshot cannot be given together").WithField("after").
			WithHint("a snapshot brings the cursor at which it is true, and events follow from there")
	}
	return nil
}
