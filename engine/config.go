package engine

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"stentor/recorder/store"
)

// Config is everything that can be set. The zero value of a field means its default, as Default gives it.
type Config struct {
	Node  string // name of this daemon in events and info; default the host's name
	Media string // UDP address for all media, host:port; default ":7900" (IPv4 and IPv6)

	// Advertise are the addresses told to browsers, IP or IP:port (port: that of Media). Default: the
	// interfaces' global addresses, or loopback when there is none.
	Advertise []string

	Control     string      // path of the Unix socket; default /run/stentor/control.sock
	ControlMode os.FileMode // permissions of that socket; default 0660
	HTTP        string      // address of /metrics and /healthz, host:port; empty: none
	Profile     bool        // serve /debug/pprof/ there too; default no: whoever reaches it sees memory and costs CPU

	// Limits. Each is refused with reason "busy" or "room_full" when reached.
	MaxRooms        int // default 10000
	MaxPeers        int // in all rooms; default 100000
	MaxPeersPerRoom int // default 100000
	MaxSlots        int // default 8
	MaxConnections  int // control connections; default 64
	MaxMessageBytes int // one control message; default 262144
	EventLog        int // events kept for subscribers that come back; default 65536 (some 300 B each: 20 MB at most)

	// Times.
	ConsentTimeout time.Duration // nothing authentic from a peer for so long ends it (RFC 7675); default 30 s
	ConnectTimeout time.Duration // from join to secured; default 30 s

	// Speech.
	OnsetLevelDBov int // a packet this loud starts speech, -127 … 0; default -50
	HoldLevelDBov  int // a packet this loud keeps it going, -127 … 0; default -60

	// Adapt fits what each listener is sent to its network: redundancy, packing, one voice; default yes.
	Adapt bool

	// Recording.
	Spool         string        // directory of recordings; empty: this daemon does not record; default /var/lib/stentor/recordings
	SpoolFreeMB   int           // mebibytes that must be free there; with less, recordings are closed; default 64
	Store         string        // URL of where recordings go in the end, file:///… or s3://…; empty: they stay in the spool
	RecoveryPoint time.Duration // a crash loses no more of what was said; default 1 s
	Segment       time.Duration // of the replay's playlist, whole seconds; default 3 s
	MixBitrate    int           // of the replay and of the mix, in b/s; default 48000
	Retention     time.Duration // recordings are deleted when they are so old; default 0: never

	Shards int // fan-out goroutines; default one per CPU

	Log *slog.Logger // default slog.Default()
}

// Default returns the configuration that stentord runs with when nothing is set.
func Default() Config {
	node, err := os.Hostname()
	if err != nil || node == "" {
		node = "stentor"
	}
	return Config{
		Node:            node,
		Media:           ":7900",
		Control:         "/run/stentor/control.sock",
		ControlMode:     0o660,
		HTTP:            "127.0.0.1:7901",
		MaxRooms:        10_000,
		MaxPeers:        100_000,
		MaxPeersPerRoom: 100_000,
		MaxSlots:        8,
		MaxConnections:  64,
		MaxMessageBytes: 256 << 10,
		EventLog:        64 << 10,
		ConsentTimeout:  30 * time.Second,
		ConnectTimeout:  30 * time.Second,
		OnsetLevelDBov:  -50,
		HoldLevelDBov:   -60,
		Adapt:           true,
		Spool:           "/var/lib/stentor/recordings",
		SpoolFreeMB:     64,
		RecoveryPoint:   time.Second,
		Segment:         3 * time.Second,
		MixBitrate:      48_000,
		Shards:          0,
	}
}

// Validate says what is wrong with a configuration, naming the field as the YAML file does.
func (c *Config) Validate() error {
	if _, err := net.ResolveUDPAddr("udp", c.Media); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	for _, a := range c.Advertise {
		if _, err := parseAdvertise(a, 1); err != nil {
			return fmt.Errorf("advertise: %w", err)
		}
	}
	if c.HTTP != "" {
		if _, err := net.ResolveTCPAddr("tcp", c.HTTP); err != nil {
			return fmt.Errorf("http: %w", err)
		}
	}
	if c.Control == "" {
		return fmt.Errorf("control: must name a socket path")
	}
	if len(c.Control) > 107 { // sun_path, unix(7)
		return fmt.Errorf("control: path is %d bytes long, a Unix socket's may have 107", len(c.Control))
	}
	if c.ControlMode&^0o777 != 0 {
		return fmt.Errorf("control_mode: %o is more than 0777", c.ControlMode)
	}
	for _, f := range []struct {
		name          string
		value, lo, hi int
	}{
		{"max_rooms", c.MaxRooms, 1, 1_000_000},
		{"max_peers", c.MaxPeers, 1, 10_000_000},
		{"max_peers_per_room", c.MaxPeersPerRoom, 1, 10_000_000},
		{"max_slots", c.MaxSlots, 1, 16},
		{"max_connections", c.MaxConnections, 1, 10_000},
		{"max_message_bytes", c.MaxMessageBytes, 16 << 10, 16 << 20},
		{"event_log", c.EventLog, 16, 16 << 20},
		{"onset_level_dbov", c.OnsetLevelDBov, -127, 0},
		{"hold_level_dbov", c.HoldLevelDBov, -127, c.OnsetLevelDBov},
		{"spool_free_mb", c.SpoolFreeMB, 1, 1 << 20},
		{"mix_bitrate", c.MixBitrate, 6_000, 510_000},
		{"shards", c.Shards, 0, 1024},
	} {
		if f.value < f.lo || f.value > f.hi {
			return fmt.Errorf("%s: %d is outside %d … %d", f.name, f.value, f.lo, f.hi)
		}
	}
	for _, f := range []struct {
		name          string
		value, lo, hi time.Duration
	}{
		{"consent_timeout", c.ConsentTimeout, time.Second, time.Hour},
		{"connect_timeout", c.ConnectTimeout, time.Second, time.Hour},
		{"recovery_point", c.RecoveryPoint, 200 * time.Millisecond, 10 * time.Second},
		{"segment", c.Segment, time.Second, 10 * time.Second},
		{"retention", c.Retention, 0, 100 * 365 * 24 * time.Hour},
	} {
		if f.value < f.lo || f.value > f.hi {
			return fmt.Errorf("%s: %v is outside %v … %v", f.name, f.value, f.lo, f.hi)
		}
	}
	if c.Segment%time.Second != 0 {
		return fmt.Errorf("segment: %v is no whole number of seconds", c.Segment)
	}
	if c.Store != "" {
		st, err := store.Open(c.Store, store.Options{})
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		_ = st.Close()
	}
	return nil
}

// parseAdvertise reads "IP" or "IP:port", of a kind that a browser can send to.
func parseAdvertise(s string, port uint16) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(s)
	if ip, ipErr := netip.ParseAddr(s); ipErr == nil {
		ap, err = netip.AddrPortFrom(ip, port), nil
	}
	ip := ap.Addr().Unmap()
	switch {
	case err != nil:
		return netip.AddrPort{}, fmt.Errorf("%q is no IP address and no IP:port", s)
	case ap.Port() == 0:
		return netip.AddrPort{}, fmt.Errorf("%q has port 0", s)
	case ip.IsUnspecified() || ip.IsMulticast():
		return netip.AddrPort{}, fmt.Errorf("nobody can send to %s", ip)
	case ip.Zone() != "":
		return netip.AddrPort{}, fmt.Errorf("%s has a zone, which a candidate cannot carry", ip)
	}
	return netip.AddrPortFrom(ip, ap.Port()), nil
}
