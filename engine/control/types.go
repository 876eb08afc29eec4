package control

import "time"

// Method names of the control protocol.
const (
	MethodEngineInfo      = "engine.info"
	MethodEngineDrain     = "engine.drain"
	MethodRoomOpen        = "room.open"
	MethodRoomClose       = "room.close"
	MethodRoomList        = "room.list"
	MethodRoomGet         = "room.get"
	MethodPeerJoin        = "peer.join"
	MethodPeerUpdate      = "peer.update"
	MethodPeerRestart     = "peer.restart"
	MethodPeerLeave       = "peer.leave"
	MethodPeerList        = "peer.list"
	MethodPeerGet         = "peer.get"
	MethodRecordingStart  = "recording.start"
	MethodRecordingStop   = "recording.stop"
	MethodRecordingList   = "recording.list"
	MethodRecordingGet    = "recording.get"
	MethodRecordingDelete = "recording.delete"
	MethodEventsSubscribe = "events.subscribe"

	// NotifyEvent carries one Event from the daemon to a subscriber.
	NotifyEvent = "event"
	// NotifyExpired is the last of a subscription that fell behind the log; its parameter is the cursor of the last
	// event that was sent.
	NotifyExpired = "events.expired"
)

// Empty is the parameter of methods that take none, and the result of those that answer nothing.
type Empty struct{}

// Limits are the bounds that the daemon holds, as engine.info tells them.
type Limits struct {
	Rooms        int `json:"rooms"`          // rooms open at once
	Peers        int `json:"peers"`          // peers in all rooms together
	PeersPerRoom int `json:"peers_per_room"` // largest max_peers that room.open takes
	Slots        int `json:"slots"`          // largest slots that room.open takes
	MessageBytes int `json:"message_bytes"`  // longest control message
	Connections  int `json:"connections"`    // control connections at once
}

// Load is how busy the daemon is now.
type Load struct {
	Rooms    int    `json:"rooms"`
	Peers    int    `json:"peers"`
	Speaking int    `json:"speaking"` // sources heard right now
	Overload string `json:"overload"` // OverloadPacking, OverloadRefusing; "": neither
}

// EngineInfo answers engine.info.
type EngineInfo struct {
	Version  string   `json:"version"`
	Protocol int      `json:"protocol"` // version of this protocol; grows only on an incompatible change
	Node     string   `json:"node"`
	UptimeS  float64  `json:"uptime_s"`
	Draining bool     `json:"draining"`
	Media    []string `json:"media"` // the addresses that are told to browsers, host:port
	Limits   Limits   `json:"limits"`
	Load     Load     `json:"load"`
}

// DrainParams asks the daemon to stop taking work, and to exit when it is empty or the deadline has passed.
type DrainParams struct {
	DeadlineS float64 `json:"deadline_s"` // 0 … 86400; 0 means now
}

// RoomOpenParams are the parameters of room.open.
type RoomOpenParams struct {
	Room             string `json:"room"`
	Slots            int    `json:"slots,omitempty"`             // 1 … Limits.Slots; 0 means the default 3
	DefaultRendition string `json:"default_rendition,omitempty"` // for listeners: "live" (the default), "packed60", "packed120", "auto"
	MaxPeers         int    `json:"max_peers,omitempty"`         // 0 means Limits.PeersPerRoom
	LowestRung       string `json:"lowest_rung,omitempty"`       // "live", "packed60", "packed60_one", "packed120_one" (the default)
	Record           bool   `json:"record,omitempty"`            // start a recording with the room, named by the daemon
}

// RoomParams name a room.
type RoomParams struct {
	Room string `json:"room"`
}

// Slot tells who is heard in one of a room's slots.
type Slot struct {
	Slot    int    `json:"slot"`               // 0 … slots-1
	Peer    string `json:"peer,omitempty"`     // empty: nobody
	AudioID uint32 `json:"audio_id,omitempty"` // the CSRC that its packets carry; 0: nobody
}

// Room is a room as the daemon sees it.
type Room struct {
	Room             string    `json:"room"`
	OpenedAt         time.Time `json:"opened_at"`
	Slots            int       `json:"slots"`
	DefaultRendition string    `json:"default_rendition"` // as asked
	Rendition        string    `json:"rendition"`         // what listeners get by it now; differs from it for "auto"
	MaxPeers         int       `json:"max_peers"`
	Peers            int       `json:"peers"`
	Speakers         int       `json:"speakers"`            // peers that may speak
	Heard            []Slot    `json:"heard"`               // one entry a slot
	Recording        string    `json:"recording,omitempty"` // the one that runs now
}

// RoomList answers room.list.
type RoomList struct {
	Rooms []Room `json:"rooms"`
}

// PeerJoinParams are the parameters of peer.join.
type PeerJoinParams struct {
	Room     string `json:"room"`
	Peer     string `json:"peer"`
	MaySpeak bool   `json:"may_speak,omitempty"`
	Muted    bool   `json:"muted,omitempty"`
	Priority bool   `json:"priority,omitempty"` // never displaced by a peer without priority
	SDP      string `json:"sdp"`                // the browser's offer
}

// PeerJoinResult answers peer.join.
type PeerJoinResult struct {
	SDP     string `json:"sdp"`      // the answer
	AudioID uint32 `json:"audio_id"` // the CSRC that listeners see while this peer is heard
}

// PeerUpdateParams change what a peer may do; fields left out stay as they are.
type PeerUpdateParams struct {
	Room      string  `json:"room"`
	Peer      string  `json:"peer"`
	MaySpeak  *bool   `json:"may_speak,omitempty"`
	Muted     *bool   `json:"muted,omitempty"`
	Priority  *bool   `json:"priority,omitempty"`
	Rendition *string `json:"rendition,omitempty"` // "live", "packed60", "packed120", "mix", or "default": what the room gives
}

// PeerRestartParams carry an ICE-restart offer (RFC 8445 §9).
type PeerRestartParams struct {
	Room string `json:"room"`
	Peer string `json:"peer"`
	SDP  string `json:"sdp"`
}

// PeerRestartResult answers peer.restart.
type PeerRestartResult struct {
	SDP string `json:"sdp"`
}

// PeerParams name a peer.
type PeerParams struct {
	Room string `json:"room"`
	Peer string `json:"peer"`
}

// Peer states, in the order in which a peer goes through them.
const (
	StateConnecting   = "connecting"   // joined, ICE or DTLS under way
	StateConnected    = "connected"    // media can flow
	StateDisconnected = "disconnected" // nothing authentic heard for a while; may come back
)

// Peer is a participant as the daemon sees it. Uplink, Downlink and Path are filled by peer.get only.
type Peer struct {
	Room      string    `json:"room"`
	Peer      string    `json:"peer"`
	State     string    `json:"state"`
	JoinedAt  time.Time `json:"joined_at"`
	AudioID   uint32    `json:"audio_id"`
	MaySpeak  bool      `json:"may_speak"`
	Muted     bool      `json:"muted"`
	Priority  bool      `json:"priority"`
	Speaking  bool      `json:"speaking"`
	Rendition string    `json:"rendition"`

	Path     *Path     `json:"path,omitempty"`
	Quality  *Quality  `json:"quality,omitempty"`
	Uplink   *Uplink   `json:"uplink,omitempty"`
	Downlink *Downlink `json:"downlink,omitempty"`
}

// Quality is how a peer is sent the room, and why so.
type Quality struct {
	Rung        string `json:"rung"`                   // "live", "packed60", "packed60_one", "packed120_one"
	Redundancy  int    `json:"redundancy"`             // copies of each packet in later ones (RFC 2198), or behind them, 0 … 2
	Copies      bool   `json:"copies"`                 // they are datagrams of their own, the same ones again: for who takes no RFC 2198
	Why         string `json:"why"`                    // reason of the last change
	EstimateBps int    `json:"estimate_bps,omitempty"` // what the network takes, as far as it was measured
	Watched     bool   `json:"watched"`                // every packet is asked after
}

// Path is the network path of a peer.
type Path struct {
	Remote      string  `json:"remote"`       // the peer's address as ICE validated it, host:port
	SRTPProfile string  `json:"srtp_profile"` // "AEAD_AES_128_GCM" or "AES128_CM_HMAC_SHA1_80"
	LastSeenS   float64 `json:"last_seen_s"`  // seconds since anything authentic came
}

// Uplink is what came from a peer.
type Uplink struct {
	Packets   uint64  `json:"packets"`
	Bytes     uint64  `json:"bytes"`      // RTP payload
	Lost      uint64  `json:"lost"`       // that the network has lost
	Recovered uint64  `json:"recovered"`  // given back by redundancy (RFC 2198) in other packets
	Dropped   uint64  `json:"dropped"`    // came, but not forwarded: silence, muted, not allowed, late
	JitterMs  float64 `json:"jitter_ms"`  // RFC 3550 §6.4.1
	LevelDBov int     `json:"level_dbov"` // last audio level, -127 (silence) … 0 (loudest), RFC 6464
}

// Downlink is what went to a peer, and what it reported back (RFC 3550 §6.4.2).
type Downlink struct {
	Packets     uint64  `json:"packets"`
	Bytes       uint64  `json:"bytes"`        // on the wire, without IP and UDP headers
	Lost        uint64  `json:"lost"`         // not sent because the shard was late
	Lines       int     `json:"lines"`        // audio lines that the peer's offer can receive on
	LossPercent float64 `json:"loss_percent"` // of the last receiver report
	JitterMs    float64 `json:"jitter_ms"`    // of the last receiver report
	RTTMs       float64 `json:"rtt_ms"`       // 0: not yet known
	Nacks       uint64  `json:"nacks"`        // packets that the peer has asked for again (RFC 4585 §6.2.1), each counted once
	Resent      uint64  `json:"resent"`       // packets that it was sent again
	Saved       uint64  `json:"saved"`        // of those that have come, as far as feedback tells
}

// PeerList answers peer.list.
type PeerList struct {
	Peers []Peer `json:"peers"`
}

// SubscribeParams are the parameters of events.subscribe.
type SubscribeParams struct {
	After    string   `json:"after,omitempty"`    // cursor of the last event that the caller has; empty: from now on
	Rooms    []string `json:"rooms,omitempty"`    // only events of these rooms and of the engine; empty: all
	Snapshot bool     `json:"snapshot,omitempty"` // answer with the state at the cursor; not together with After
}

// SubscribeResult answers events.subscribe.
type SubscribeResult struct {
	Cursor   string    `json:"cursor"` // events after this one follow
	Snapshot *Snapshot `json:"snapshot,omitempty"`
}

// Snapshot is the whole state at one cursor.
type Snapshot struct {
	Rooms []RoomSnapshot `json:"rooms"`
}

// RoomSnapshot is a room and its peers.
type RoomSnapshot struct {
	Room
	Participants []Peer `json:"participants"`
}

// Event types.
const (
	EventRoomOpened       = "room.opened"
	EventRoomClosed       = "room.closed"
	EventPeerJoined       = "peer.joined"
	EventPeerConnected    = "peer.connected"
	EventPeerDisconnected = "peer.disconnected"
	EventPeerUpdated      = "peer.updated"
	EventPeerSpeaking     = "peer.speaking"
	EventPeerQuality      = "peer.quality"
	EventPeerLeft         = "peer.left"
	EventSlotsChanged     = "slots.changed"
	EventRoomRendition    = "room.rendition"
	EventEngineDraining   = "engine.draining"
	EventEngineOverload   = "engine.overload"
	EventRecordingStarted = "recording.started"
	EventRecordingGap     = "recording.gap"
	EventRecordingStopped = "recording.stopped"
	EventRecordingReady   = "recording.ready"
	EventRecordingFailed  = "recording.failed"
	EventRecordingDeleted = "recording.deleted"
)

// Reasons of room.closed and peer.left.
const (
	LeftByCall         = "left"            // peer.leave
	LeftRoomClosed     = "room_closed"     // room.close
	LeftClosed         = "closed"          // the peer's browser closed the connection (DTLS close_notify)
	LeftConsentLost    = "consent_lost"    // nothing authentic for the consent time (RFC 7675)
	LeftConnectTimeout = "connect_timeout" // never connected
	LeftDTLSFailed     = "dtls_failed"     // handshake failed, wrong fingerprint included
	LeftShutdown       = "shutdown"        // the daemon stops
)

// Reasons of room.rendition: why an "auto" room packs for its listeners, or does so no more.
const (
	RenditionByListeners = "listeners" // many, or few again
	RenditionByLoad      = "load"      // the daemon is busy, or is no more
)

// Reasons of recording.stopped, recording.gap and recording.failed.
const (
	RecordingByCall     = "stopped"       // recording.stop
	RecordingRoomClosed = "room_closed"   // the room was closed
	RecordingShutdown   = "shutdown"      // the daemon stopped
	RecordingCrash      = "crash"         // the daemon was killed; what it had kept was closed when it came back
	RecordingDiskFull   = "disk_full"     // no room on the disk
	RecordingDiskError  = "disk_error"    // the disk refused otherwise
	RecordingDiskSlow   = "disk_slow"     // the disk could not keep up, and packets were left out
	RecordingBusy       = "recorder_late" // the recorder could not keep up, and packets were left out
)

// Reasons of engine.overload.
const (
	OverloadPacking  = "packing"  // who only listens is sent packed packets, to spare a core
	OverloadRefusing = "refusing" // that was not enough: no more peers are taken
	OverloadOver     = "over"     // neither any more
)

// Renditions that room.open and peer.update name.
const (
	RenditionLive      = "live"
	RenditionPacked60  = "packed60"
	RenditionPacked120 = "packed120"
	RenditionMix       = "mix"     // peer.update only
	RenditionAuto      = "auto"    // room.open only
	RenditionDefault   = "default" // peer.update only
)

// Event is one numbered thing that happened. Fields that do not belong to its type are left out.
type Event struct {
	Cursor string    `json:"cursor"` // opaque; names this event to events.subscribe
	Seq    uint64    `json:"seq"`    // grows by one with every event of this run of the daemon
	Time   time.Time `json:"time"`
	Type   string    `json:"type"`
	Node   string    `json:"node"`
	Room   string    `json:"room,omitempty"`
	Peer   string    `json:"peer,omitempty"`

	AudioID   uint32   `json:"audio_id,omitempty"`   // peer.joined
	MaySpeak  *bool    `json:"may_speak,omitempty"`  // peer.joined, peer.updated
	Muted     *bool    `json:"muted,omitempty"`      // peer.joined, peer.updated
	Priority  *bool    `json:"priority,omitempty"`   // peer.joined, peer.updated
	Rendition string   `json:"rendition,omitempty"`  // room.opened, room.rendition, peer.joined, peer.updated
	Speaking  *bool    `json:"speaking,omitempty"`   // peer.speaking
	Quality   *Quality `json:"quality,omitempty"`    // peer.quality
	Heard     []Slot   `json:"heard,omitempty"`      // slots.changed: one entry a slot
	Reason    string   `json:"reason,omitempty"`     // peer.left, room.closed, room.rendition
	DeadlineS *float64 `json:"deadline_s,omitempty"` // engine.draining

	Slots            int    `json:"slots,omitempty"`             // room.opened
	MaxPeers         int    `json:"max_peers,omitempty"`         // room.opened
	DefaultRendition string `json:"default_rendition,omitempty"` // room.opened

	Recording string  `json:"recording,omitempty"`  // recording.*
	DurationS float64 `json:"duration_s,omitempty"` // recording.stopped, recording.ready
	Location  string  `json:"location,omitempty"`   // recording.ready
	Dropped   uint64  `json:"dropped,omitempty"`    // recording.gap: packets since the last one
}
