package main

import (
	"log/slog"
	"os"
	"strings"
	"time"

	"stentor/engine"
)

// options is everything that the command line, the environment and the file can set.
type options struct {
	engine.Config
	logLevel  slog.Level
	logFormat logFormat
}

// logFormat is how log lines look on standard error: "text" or "json".
type logFormat string

// setting is one line of the table: a name, what it means, and where its value lives.
type setting struct {
	name   string             // as in the file; flag and variable are derived from it
	about  string             // for --help and the operating guide
	limits string             // what is accepted, "low … high" for numbers
	absent string             // how to describe the default where it is no fixed text
	at     func(*options) any // pointer to the value; its type decides how text is read
}

// settings names every setting once, in the order of --help, --check and the operating guide.
var settings = []setting{
	{name: "node", about: "name of this daemon in events and info", limits: "text", absent: "the host's name",
		at: func(o *options) any { return &o.Node }},
	{name: "media", about: "UDP address for all media", limits: "host:port",
		at: func(o *options) any { return &o.Media }},
	{name: "advertise", about: "addresses told to browsers", limits: "list of IP or IP:port",
		absent: "the interfaces' global addresses, or loopback when there is none",
		at:     func(o *options) any { return &o.Advertise }},
	{name: "control", about: "path of the control socket", limits: "path, at most 107 bytes",
		at: func(o *options) any { return &o.Control }},
	{name: "control_mode", about: "permissions of the control socket, octal", limits: "0 … 0777",
		at: func(o *options) any { return &o.ControlMode }},
	{name: "http", about: "TCP address of /metrics and /healthz; empty for none", limits: "host:port or empty",
		at: func(o *options) any { return &o.HTTP }},
	{name: "profile", about: "serve /debug/pprof/ at the http address, too: memory and CPU profiles for whoever reaches it", limits: "true or false",
		at: func(o *options) any { return &o.Profile }},
	{name: "max_rooms", about: "rooms open at once", limits: "1 … 1000000",
		at: func(o *options) any { return &o.MaxRooms }},
	{name: "max_peers", about: "peers in all rooms together", limits: "1 … 10000000",
		at: func(o *options) any { return &o.MaxPeers }},
	{name: "max_peers_per_room", about: "peers in one room", limits: "1 … 10000000",
		at: func(o *options) any { return &o.MaxPeersPerRoom }},
	{name: "max_slots", about: "most slots that a room may have", limits: "1 … 16",
		at: func(o *options) any { return &o.MaxSlots }},
	{name: "max_connections", about: "control connections at once", limits: "1 … 10000",
		at: func(o *options) any { return &o.MaxConnections }},
	{name: "max_message_bytes", about: "longest control message, in bytes", limits: "16384 … 16777216",
		at: func(o *options) any { return &o.MaxMessageBytes }},
	{name: "event_log", about: "events kept for subscribers that come back", limits: "16 … 16777216",
		at: func(o *options) any { return &o.EventLog }},
	{name: "consent_timeout", about: "a peer from which nothing authentic came for so long is gone", limits: "1s … 1h",
		at: func(o *options) any { return &o.ConsentTimeout }},
	{name: "connect_timeout", about: "time a peer has from join to secured", limits: "1s … 1h",
		at: func(o *options) any { return &o.ConnectTimeout }},
	{name: "onset_level_dbov", about: "a packet this loud starts speech, in dBov", limits: "-127 … 0",
		at: func(o *options) any { return &o.OnsetLevelDBov }},
	{name: "hold_level_dbov", about: "a packet this loud keeps speech going, in dBov", limits: "-127 … onset_level_dbov",
		at: func(o *options) any { return &o.HoldLevelDBov }},
	{name: "adapt", about: "fit what each listener is sent to its network: redundancy, packing, one voice", limits: "true or false",
		at: func(o *options) any { return &o.Adapt }},
	{name: "spool", about: "directory of recordings; empty: this daemon does not record", limits: "path or empty",
		at: func(o *options) any { return &o.Spool }},
	{name: "spool_free_mb", about: "mebibytes that must stay free there; with less, recordings are closed", limits: "1 … 1048576",
		at: func(o *options) any { return &o.SpoolFreeMB }},
	{name: "store", about: "where recordings go in the end; empty: they stay in the spool. Credentials: AWS_ACCESS_KEY_ID and so on", limits: "file:///dir or s3://bucket/prefix?endpoint=host, or empty",
		at: func(o *options) any { return &o.Store }},
	{name: "recovery_point", about: "a crash loses no more of what was said", limits: "200ms … 10s",
		at: func(o *options) any { return &o.RecoveryPoint }},
	{name: "segment", about: "length of a replay's segments, whole seconds", limits: "1s … 10s",
		at: func(o *options) any { return &o.Segment }},
	{name: "mix_bitrate", about: "of the replay and of the mix, in b/s", limits: "6000 … 510000",
		at: func(o *options) any { return &o.MixBitrate }},
	{name: "retention", about: "recordings are deleted when they are so old; 0 for never", limits: "0s … 876000h",
		at: func(o *options) any { return &o.Retention }},
	{name: "shards", about: "fan-out goroutines; 0 for one per CPU", limits: "0 … 1024",
		at: func(o *options) any { return &o.Shards }},
	{name: "log_level", about: "least level that is logged", limits: "debug, info, warn or error",
		at: func(o *options) any { return &o.logLevel }},
	{name: "log_format", about: "how log lines look", limits: "text or json",
		at: func(o *options) any { return &o.logFormat }},
}

// flag returns the setting's name on the command line, without the dashes.
func (s *setting) flag() string { return strings.ReplaceAll(s.name, "_", "-") }

// env returns the setting's name in the environment.
func (s *setting) env() string { return envPrefix + strings.ToUpper(s.name) }

// settingNamed finds a setting by its name in the file; nil when there is none.
func settingNamed(name string) *setting {
	for i := range settings {
		if settings[i].name == name {
			return &settings[i]
		}
	}
	return nil
}

// defaultOptions is what runs when nothing is set.
func defaultOptions() options {
	return options{Config: engine.Default(), logLevel: slog.LevelInfo, logFormat: "text"}
}

// logger makes the daemon's log, on standard error.
func (o *options) logger(w *os.File) *slog.Logger {
	opts := &slog.HandlerOptions{Level: o.logLevel}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// kindOf names the type of a setting's value, for --help and for errors.
func kindOf(p any) string {
	switch p.(type) {
	case *int:
		return "number"
	case *bool:
		return "switch"
	case *time.Duration:
		return "duration"
	case *os.FileMode:
		return "mode"
	case *[]string:
		return "list"
	case *slog.Level:
		return "level"
	case *logFormat:
		return "format"
	}
	return "text"
}
