package peers

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"stentor/engine/control"
)

// patience bounds every wait: it is for what is broken, not a measurement.
const patience = time.Minute

// daemon is a stentord process and a client on its control socket.
type daemon struct {
	*control.Client
	cmd    *exec.Cmd
	socket string
	media  net.Addr
	http   string
	stderr bytes.Buffer // read it only after exit
}

// startDaemon runs stentord on a loopback address, 127.0.0.1 or ::1, and waits until it is ready.
func startDaemon(t *testing.T, ip string) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "peers-") // t.TempDir is too long for a socket's path in long-named tests
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &daemon{socket: filepath.Join(dir, "control.sock"), http: freePort(t)}
	ready := readiness(t, filepath.Join(dir, "notify"))
	d.cmd = exec.Command(daemonPath, "--media="+net.JoinHostPort(ip, "0"), "--advertise="+ip, "--control="+d.socket,
		"--http="+d.http, "--spool="+filepath.Join(t.TempDir(), "spool"), "--log-level=debug")
	d.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	d.cmd.Stderr = &d.stderr
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.kill(t) })
	ready()
	if d.Client, err = control.Dial(t.Context(), d.socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	info, err := d.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d.media, err = net.ResolveUDPAddr("udp", info.Media[0]); err != nil {
		t.Fatal(err)
	}
	return d
}

// readiness listens for what a service tells systemd (sd_notify(3)), and returns a wait for READY=1.
func readiness(t *testing.T, path string) func() {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, 64)
		if n, err := conn.Read(b); err != nil || string(b[:n]) != "READY=1" {
			t.Fatalf("notice %q (%v), want READY=1", b[:n], err)
		}
	}
}

// freePort finds a TCP port of loopback that nobody has just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// kill ends a process that a test has not ended itself, and shows its log if the test has failed.
func (d *daemon) kill(t *testing.T) {
	if d.cmd.ProcessState == nil {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	}
	if t.Failed() {
		t.Logf("stentord's log:\n%s", d.stderr.String())
	}
}

// exit waits for the end of the process and returns its code.
func (d *daemon) exit(t *testing.T) int {
	t.Helper()
	overdue := time.AfterFunc(patience, func() { _ = d.cmd.Process.Kill() })
	defer overdue.Stop()
	_ = d.cmd.Wait() // its error is the exit code
	return d.cmd.ProcessState.ExitCode()
}

// room opens a room of three slots.
func (d *daemon) room(t *testing.T) {
	t.Helper()
	if _, err := d.RoomOpen(t.Context(), &control.RoomOpenParams{Room: room, Slots: 3}); err != nil {
		t.Fatal(err)
	}
}

// room is the only one that the tests open.
const room = "lounge"

// get returns what the daemon says of a peer.
func (d *daemon) get(t *testing.T, name string) *control.Peer {
	t.Helper()
	p, err := d.PeerGet(t.Context(), &control.PeerParams{Room: room, Peer: name})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// admit lets a peer speak.
func (d *daemon) admit(t *testing.T, name string) {
	t.Helper()
	yes := true
	if _, err := d.PeerUpdate(t.Context(), &control.PeerUpdateParams{Room: room, Peer: name, MaySpeak: &yes}); err != nil {
		t.Fatal(err)
	}
}

// drops is how many datagrams transport has dropped for a reason.
func (d *daemon) drops(t *testing.T, reason string) int {
	t.Helper()
	return d.counter(t, `stentor_transport_drops_total{reason="`+reason+`"}`)
}

// counter reads one series of /metrics.
func (d *daemon) counter(t *testing.T, series string) int {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get("http://" + d.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatalf("/metrics has no %s", series)
	return 0
}

// feed is a subscription to all events.
type feed struct {
	*control.Subscription
	cursor string
}

// follow subscribes after a cursor; empty: from now on.
func (d *daemon) follow(t *testing.T, after string) *feed {
	t.Helper()
	sub, result, err := d.Subscribe(t.Context(), control.SubscribeParams{After: after})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sub.Close() })
	return &feed{sub, result.Cursor}
}

// next waits for one event.
func (f *feed) next(t *testing.T) control.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e, err := f.Next(ctx)
	if err != nil {
		t.Fatalf("no event: %v", err)
	}
	return e
}

// until waits for an event of a peer, and passes over others.
func (f *feed) until(t *testing.T, kind, peer string) control.Event {
	t.Helper()
	for {
		if e := f.next(t); e.Type == kind && e.Peer == peer {
			return e
		}
	}
}

// eventually waits for what no event tells.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}
