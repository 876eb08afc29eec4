package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stentor/engine/control"
)

// running is the command, started with arguments.
type running struct {
	url   string
	stop  context.CancelFunc
	ended chan error
}

// runCommand starts the command and waits for the address that it prints.
func runCommand(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	c := command()
	c.SetArgs(args)
	c.SetOut(in)
	c.SetErr(io.Discard)
	r := &running{stop: cancel, ended: make(chan error, 1)}
	go func() {
		err := c.ExecuteContext(ctx)
		in.CloseWithError(io.EOF)
		r.ended <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("it says nothing and ends: %v", <-r.ended)
	}
	var ok bool
	if r.url, ok = strings.CutPrefix(strings.TrimSpace(line), "Spaces is at "); !ok {
		t.Fatalf("it says %q", line)
	}
	return r
}

func TestOneCommandShowsEverything(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r := runCommand(t, "--listen", "127.0.0.1:0", "--media", "127.0.0.1:0", "--advertise", "127.0.0.1", "--data", t.TempDir())
	s := &stageSet{t: t, url: r.url}
	defer http.DefaultClient.CloseIdleConnections()
	var a map[string]string
	s.until("the engine inside opens a room", func() bool {
		var status int
		status, a = s.post(`{"title":"Evening talk","name":"Ada"}`)
		return status == http.StatusCreated
	})
	host := s.enter(a["id"], msg{"name": "Ada", "host": a["host"]})
	if host.Role != RoleHost {
		t.Fatalf("%+v", host.welcome)
	}
	host.say(msg{"type": "offer", "n": 1, "sdp": "nonsense"})
	var n note
	host.await("refused", &n, nil)
	if n.Reason != "sdp_invalid" {
		t.Fatalf("%+v", n)
	}

	r.stop()
	host.await("ended", &n, nil)
	host.awaitClose()
	if err := <-r.ended; err != nil {
		t.Fatalf("it leaves with %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) != 0 {
		t.Fatalf("it leaves behind %v", left)
	}
}

func TestAppWaitsForADaemonThatIsNotThereYet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	r := runCommand(t, "--listen", "127.0.0.1:0", "--control", path, "--data", t.TempDir())
	s := &stageSet{t: t, url: r.url}
	defer http.DefaultClient.CloseIdleConnections()
	if status, a := s.post(`{"title":"x","name":"Ada"}`); status != http.StatusServiceUnavailable {
		t.Fatalf("%d %v", status, a)
	}
	f := newFakeEngine()
	defer f.listenControl(t, path)()
	s.until("the daemon is found", func() bool {
		status, _ := s.post(`{"title":"x","name":"Ada"}`)
		return status == http.StatusCreated
	})
	r.stop()
	if err := <-r.ended; err != nil {
		t.Fatal(err)
	}
	if f.count("open") != f.count("close") {
		t.Fatalf("%d rooms opened, %d closed", f.count("open"), f.count("close"))
	}
}

func TestStartErrorsSayWhatToDo(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	t.Setenv("TMPDIR", t.TempDir())
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"page's port taken":      {[]string{"--listen", tcp.Addr().String()}, "--listen"},
		"media port taken":       {[]string{"--listen", "127.0.0.1:0", "--media", udp.LocalAddr().String()}, "address already in use"},
		"two engines":            {[]string{"--control", "/x", "--media", ":1"}, "--media and --advertise"},
		"two spools":             {[]string{"--spool", "/x"}, "--spool belongs to --control"},
		"store of no kind":       {[]string{"--listen", "127.0.0.1:0", "--control", "/x", "--store", "ftp://x"}, "--store"},
		"half a certificate":     {[]string{"--tls-cert", "x.pem"}, "go together"},
		"certificate not there":  {[]string{"--listen", "127.0.0.1:0", "--control", "/x", "--tls-cert", "/no", "--tls-key", "/no"}, "/no"},
		"something else besides": {[]string{"now"}, "now"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			cmd := command()
			cmd.SetArgs(append([]string{"--data", t.TempDir()}, c.args...))
			cmd.SetOut(io.Discard)
			cmd.SetErr(io.Discard)
			if err := cmd.ExecuteContext(ctx); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q in it", err, c.want)
			}
		})
	}
}

func TestTakenMediaPortGivesWayToAFreeOne(t *testing.T) {
	taken, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.LocalAddr().String())
	got, err := mediaAddress(":"+port, false, quiet())
	if err != nil || got == ":"+port {
		t.Fatalf("%s, %v", got, err)
	}
	free, err := net.ListenPacket("udp", got)
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	if got, err = mediaAddress(":"+port, true, quiet()); err != nil || got != ":"+port {
		t.Fatalf("a port that was asked for becomes %s, %v", got, err)
	}
}

func TestAddressIsOneThatCanBeTyped(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080",
		"[::]:80":        "http://localhost:80",
		"[::1]:8080":     "http://[::1]:8080",
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := new(settings).url(a); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestReplayOutlivesARestartUntilItsHostDeletesIt(t *testing.T) {
	for name, store := range map[string]string{"in the spool": "", "in a store": "file://" + t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			args := []string{"--listen", "127.0.0.1:0", "--media", "127.0.0.1:0", "--advertise", "127.0.0.1", "--data", data, "--store", store}
			defer http.DefaultClient.CloseIdleConnections()
			r := runCommand(t, args...)
			s := &stageSet{t: t, url: r.url}
			s.until("the engine inside can record", func() bool {
				var v struct{ Record bool }
				s.get("/api/spaces", http.StatusOK, &v)
				return v.Record
			})
			id, token, host := s.startRecorded()
			host.awaitRecording(id + "-1")
			host.say(msg{"type": "end"})
			s.until("the recording is ready", func() bool { return s.replays()[0].State == control.RecordingReady })
			r.stop()
			if err := <-r.ended; err != nil {
				t.Fatal(err)
			}

			r = runCommand(t, args...)
			s = &stageSet{t: t, url: r.url}
			s.until("the engine inside is there again", func() bool { return len(s.replays()) == 1 })
			if v := s.replays()[0]; v.ID != id+"-1" || v.Title != "Evening talk" || v.Live || v.Space != "" {
				t.Fatalf("%+v", v)
			}
			var facts struct{ State string }
			s.get("/replay/"+id+"-1/recording.json", http.StatusOK, &facts)
			if facts.State != "ready" {
				t.Errorf("%+v", facts)
			}
			if status := s.delete(id+"-1", token); status != http.StatusOK {
				t.Fatalf("delete: %d", status)
			}
			s.get("/replay/"+id+"-1/recording.json", http.StatusNotFound, nil)
			s.until("its files are gone", func() bool {
				left, _ := filepath.Glob(filepath.Join(data, "*", id+"*"))
				return len(left) == 0
			})
			r.stop()
			if err := <-r.ended; err != nil {
				t.Fatal(err)
			}
		})
	}
}
