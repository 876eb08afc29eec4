package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binary is the daemon that the tests of this file run as a process; TestMain builds it.
var binary string

// stuckVariable makes the test binary a daemon whose polite leave never ends.
const stuckVariable = "TEST_STENTORD_STUCK"

func TestMain(m *testing.M) {
	if os.Getenv(stuckVariable) != "" {
		stuck()
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stentord-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "stentord")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// stuck does what serve does, with an engine that does not come to an end.
func stuck() {
	ctx, stop := untilSignal(slog.New(slog.DiscardHandler))
	defer stop()
	fmt.Println("running")
	<-ctx.Done()
	fmt.Println("leaving")
	select {}
}

// daemon is a running stentord.
type daemon struct {
	cmd    *exec.Cmd
	notify *net.UnixConn
	stderr *bytes.Buffer
}

// start runs the daemon on loopback ports that the kernel chooses; later args win over these.
func start(t *testing.T, args ...string) *daemon {
	t.Helper()
	dir := t.TempDir()
	d := &daemon{stderr: &bytes.Buffer{}}
	address := &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"}
	var err error
	if d.notify, err = net.ListenUnixgram("unixgram", address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.notify.Close() })
	base := []string{"--media=127.0.0.1:0", "--http=", "--control=" + filepath.Join(dir, "control.sock"), "--spool=" + filepath.Join(dir, "spool")}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a bound for a broken daemon, not a measurement
	t.Cleanup(cancel)
	d.cmd = exec.CommandContext(ctx, binary, append(base, args...)...)
	d.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+address.Name)
	d.cmd.Stderr = d.stderr
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return d
}

// waitNotice waits for the daemon to tell systemd the given state.
func (d *daemon) waitNotice(t *testing.T, want string) {
	t.Helper()
	buf := make([]byte, 64)
	_ = d.notify.SetReadDeadline(time.Now().Add(30 * time.Second)) // a bound for a broken daemon, not a measurement
	n, err := d.notify.Read(buf)
	if err != nil || string(buf[:n]) != want {
		t.Fatalf("notice %q (%v), want %q; stderr:\n%s", buf[:n], err, want, d.stderr)
	}
}

// exit waits for the end of the process and returns its code.
func (d *daemon) exit(t *testing.T) int {
	t.Helper()
	return exitCode(t, d.cmd.Wait())
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Fatal(err)
	return -1
}

// refuses runs a daemon that cannot start: exit code 1, and one line that says why.
func refuses(t *testing.T, args []string, words ...string) {
	t.Helper()
	d := start(t, args...)
	code := d.exit(t)
	out := d.stderr.String()
	if code != exitFailed {
		t.Errorf("exit %d, want 1", code)
	}
	if !strings.HasPrefix(out, "stentord: ") || strings.Count(out, "\n") != 1 {
		t.Errorf("stderr is not one line:\n%s", out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("stderr does not say %q:\n%s", w, out)
		}
	}
}

func TestMediaPortTaken(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	refuses(t, []string{"--media=" + conn.LocalAddr().String()}, conn.LocalAddr().String(), "address already in use")
}

func TestHTTPPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	refuses(t, []string{"--http=" + l.Addr().String()}, l.Addr().String(), "address already in use")
}

func TestControlDirectoryMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "control.sock")
	refuses(t, []string{"--control=" + path}, path, "no such file or directory")
}

func TestControlPathIsNoSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, []string{"--control=" + path}, path)
	if data, err := os.ReadFile(path); err != nil || string(data) != "data" {
		t.Errorf("the file that was there is gone: %q, %v", data, err)
	}
}

func TestSocketOfALivingDaemonIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	living := start(t, "--control="+path)
	living.waitNotice(t, "READY=1")
	refuses(t, []string{"--control=" + path}, path)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the living daemon has lost its socket: %v", err)
	}
	conn.Close()
}

func TestSocketOfADeadDaemonIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	dead := start(t, "--control="+path)
	dead.waitNotice(t, "READY=1")
	if err := dead.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	dead.exit(t)
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("the dead daemon left no socket file to find: %v", err)
	}
	heir := start(t, "--control="+path)
	heir.waitNotice(t, "READY=1")
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestControlSocketHasTheModeAskedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	d := start(t, "--control="+path, "--control-mode=0600")
	d.waitNotice(t, "READY=1")
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, want 0600", fi.Mode().Perm())
	}
}

func TestSignalsLeavePolitely(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "control.sock")
			d := start(t, "--control="+path, "--log-format=json")
			d.waitNotice(t, "READY=1")
			if err := d.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			d.waitNotice(t, "STOPPING=1")
			if code := d.exit(t); code != exitStopped {
				t.Errorf("exit %d, want 0; stderr:\n%s", code, d.stderr)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket file is still there (%v)", err)
			}
			if !strings.Contains(d.stderr.String(), `"msg":"leaving"`) {
				t.Errorf("the log does not tell the end:\n%s", d.stderr)
			}
		})
	}
}

func TestSecondSignalDoesNotWait(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), stuckVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"running", "leaving"} {
		var word string
		if _, err := fmt.Fscanln(out, &word); err != nil || word != want {
			t.Fatalf("said %q (%v), want %q", word, err, want)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if code := exitCode(t, cmd.Wait()); code != exitFailed {
		t.Errorf("exit %d, want 1", code)
	}
}

func TestUnknownVariablesAreLogged(t *testing.T) {
	t.Setenv("STENTOR_MAX_ROMS", "1")
	d := start(t)
	d.waitNotice(t, "READY=1")
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.exit(t)
	if !strings.Contains(d.stderr.String(), "STENTOR_MAX_ROMS") {
		t.Errorf("the log does not name the variable:\n%s", d.stderr)
	}
}

func TestVersionIsTold(t *testing.T) {
	out, err := exec.Command(binary, "--version").Output()
	if err != nil || !strings.HasPrefix(string(out), "stentord ") || len(out) < len("stentord x go1\n") {
		t.Errorf("%q, %v", out, err)
	}
}
