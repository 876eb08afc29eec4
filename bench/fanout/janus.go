//go:build linux

package fanout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// janus is Janus's VideoRoom, audio only. A speaker is a publisher; a listener subscribes to as many publishers as there are lines, on a
// transport of its own, as the VideoRoom wants it. Publishers do not hear each other: that would take a second transport for each.
type janus struct {
	process
	binary  string
	parts   [2]string // the VideoRoom's library, the Unix socket's
	dir     string
	address hostAddress
	api     *janusAPI
	load    Load
	joined  atomic.Int64
}

// janusFolders are where distributions put plugins and transports, each in a folder of its name.
var janusFolders = []string{"/usr/lib/*/janus", "/usr/lib/janus", "/usr/lib64/janus", "/usr/local/lib/janus", "/opt/janus/lib/janus"}

// newJanus finds the program and the two libraries that it needs.
func newJanus(binary, dir string) (*janus, error) {
	found, err := exec.LookPath(cmp.Or(binary, "janus"))
	if err != nil {
		return nil, fmt.Errorf("--against janus: %w; install Debian's package (apt-get install janus) or give --janus PATH", err)
	}
	j := &janus{binary: found, dir: filepath.Join(dir, "janus")}
	folders := append([]string{filepath.Join(filepath.Dir(found), "../lib/janus"), filepath.Join(filepath.Dir(found), "../lib/*/janus")}, janusFolders...)
	for i, name := range [2]string{"plugins/libjanus_videoroom.so", "transports/libjanus_pfunix.so"} {
		for _, folder := range folders {
			if m, _ := filepath.Glob(filepath.Join(folder, name)); len(m) > 0 { // the patterns are ours, and good
				j.parts[i] = m[0]
				break
			}
		}
		if j.parts[i] == "" {
			return nil, fmt.Errorf("--against janus: %s is there, but %s is in none of %s", found, name, strings.Join(folders, ", "))
		}
	}
	return j, nil
}

func (j *janus) Name() string { return "janus" }

// janusConfig is Janus's main file. ICE-lite, as a server with an address of its own may be. As many event loops as there are CPUs, which
// is cheaper than Janus's default of a thread for each participant.
const janusConfig = `general: {
	configs_folder = "%[1]s"
	plugins_folder = "%[1]s/plugins"
	transports_folder = "%[1]s/transports"
	events_folder = "%[1]s/none"
	loggers_folder = "%[1]s/none"
	debug_level = 4
	debug_timestamps = false
	session_timeout = 0
	event_loops = %[2]d
	allow_loop_indication = true
}
nat: {
	ice_lite = true
	ice_enforce_list = "%[3]s"
}
media: {
	ipv6 = false
}
`

const janusSocketConfig = `general: {
	enabled = true
	json = "compact"
	path = "%s/api"
	type = "SOCK_SEQPACKET"
}
`

// configure writes a folder that has no more in it than the room needs.
func (j *janus) configure() error {
	if err := os.RemoveAll(j.dir); err != nil { // what the last run has left
		return err
	}
	for _, sub := range []string{"plugins", "transports", "none"} {
		if err := os.MkdirAll(filepath.Join(j.dir, sub), 0o700); err != nil {
			return err
		}
	}
	for i, sub := range [2]string{"plugins", "transports"} {
		if err := os.Symlink(j.parts[i], filepath.Join(j.dir, sub, filepath.Base(j.parts[i]))); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"janus.jcfg":                  fmt.Sprintf(janusConfig, j.dir, runtime.NumCPU(), spareAddress),
		"janus.transport.pfunix.jcfg": fmt.Sprintf(janusSocketConfig, j.dir),
		"janus.plugin.videoroom.jcfg": "general: {\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(j.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (j *janus) Start(ctx context.Context, load Load) error {
	j.load = load
	j.joined.Store(0)
	if err := j.address.open(ctx); err != nil {
		return err
	}
	if err := j.configure(); err != nil {
		return err
	}
	if err := allowFiles(); err != nil {
		return err
	}
	if err := j.launchAgain(ctx); err != nil {
		return err
	}
	return j.open(ctx)
}

// launchAgain launches as often as Janus trips over its own feet.
func (j *janus) launchAgain(ctx context.Context) (err error) {
	for range janusStarts {
		if err = j.launch(ctx); err == nil || !strings.Contains(j.log.String(), janusStillborn) {
			return err
		}
	}
	return err
}

// launch starts the process and connects to its socket.
func (j *janus) launch(ctx context.Context) error {
	if err := j.start(j.binary, "--configs-folder", j.dir, "--config", filepath.Join(j.dir, "janus.jcfg"), "--disable-colors"); err != nil {
		return err
	}
	return j.until(ctx, func(ctx context.Context) (err error) {
		if !strings.Contains(j.log.String(), janusReady) {
			return errors.New("janus does not listen yet")
		}
		j.api, err = dialJanus(ctx, filepath.Join(j.dir, "api"))
		return err
	})
}

const (
	// janusReady is what Janus says at level 4 when its socket may be used.
	janusReady = "Unix Sockets transport plugin initialized!"
	// janusStillborn is what it says when the socket's thread has looked whether it is wanted before it was (1.1.2). Another start helps.
	janusStillborn = "No Janus API transport is available"
	janusStarts    = 5
)

// janusRoom is the number of the room.
const janusRoom = 1

func (j *janus) open(ctx context.Context) error {
	h, err := j.api.attach(ctx, 0)
	if err != nil {
		return err
	}
	_, err = h.ask(ctx, map[string]any{
		"request": "create", "room": janusRoom, "publishers": j.load.Speakers, "audiocodec": "opus", "permanent": false,
	}, nil)
	return err
}

// Join makes a publisher of a speaker, and a subscriber of a listener.
func (j *janus) Join(ctx context.Context, name string, speaks bool, offer string) (string, error) {
	p, err := readParty(offer)
	if err != nil {
		return "", err
	}
	h, err := j.api.attach(ctx, int(j.joined.Add(1))%runtime.NumCPU())
	if err != nil {
		return "", err
	}
	var theirs string
	if speaks {
		var number int
		if _, err := fmt.Sscanf(name, "speaker-%d", &number); err != nil {
			return "", fmt.Errorf("speaker %q: %w", name, err)
		}
		body := map[string]any{"request": "joinandconfigure", "ptype": "publisher", "room": janusRoom, "id": number + 1}
		theirs, err = h.ask(ctx, body, &janusJSEP{Type: "offer", SDP: p.sending("speech")})
	} else {
		theirs, err = j.subscribe(ctx, h, &p)
	}
	if err != nil {
		return "", err
	}
	return p.answerFor(theirs)
}

// janusNoFeed is VideoRoom's error for a publisher who is not there, or whose media Janus has not seen to flow yet.
const janusNoFeed = 428

// subscribe asks for the first speakers' audio, and answers the offer that comes.
func (j *janus) subscribe(ctx context.Context, h *janusHandle, p *party) (string, error) {
	var streams []map[string]any
	for i := range min(j.load.Speakers, p.lines) {
		streams = append(streams, map[string]any{"feed": i + 1})
	}
	body := map[string]any{"request": "join", "ptype": "subscriber", "room": janusRoom, "streams": streams}
	for {
		theirs, err := h.ask(ctx, body, nil)
		var refused janusError
		if errors.As(err, &refused) && refused.code == janusNoFeed {
			if err := sleep(ctx, 20*time.Millisecond); err != nil {
				return "", errors.Join(err, refused)
			}
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = h.ask(ctx, map[string]any{"request": "start"}, &janusJSEP{Type: "answer", SDP: p.receiving(theirs)})
		return theirs, err
	}
}

// Metrics are none.
func (j *janus) Metrics(context.Context) (map[string]float64, error) { return nil, nil }

func (j *janus) Stop() error {
	if j.api != nil {
		j.api.close()
		j.api = nil
	}
	return errors.Join(j.process.Stop(), j.address.close())
}
