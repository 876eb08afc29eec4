package control

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// leaveStale makes a socket file that nobody listens on, as kill -9 leaves it.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
}

func mustListen(t *testing.T, path string, mode os.FileMode) net.Listener {
	t.Helper()
	l, err := Listen(path, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestListenReplacesADeadDaemonsSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	leaveStale(t, path)
	l := mustListen(t, path, 0o600)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	l.Close()
	same(t, "files left", files(t, filepath.Dir(path)), []string(nil))
}

func TestListenLeavesALivingDaemonAlone(t *testing.T) {
	dir := t.TempDir()
	ours := filepath.Join(dir, "ours")
	mustListen(t, ours, 0o600)
	foreign := filepath.Join(dir, "foreign") // without our lock
	l, err := net.Listen("unix", foreign)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, path := range []string{ours, foreign} {
		_, err := Listen(path, 0o600)
		if err == nil || !strings.Contains(err.Error(), "another stentord is listening on "+path) {
			t.Errorf("Listen on a living socket: %v", err)
		}
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatalf("it is not living any more: %v", err)
		}
		conn.Close()
	}
}

func TestListenSaysWhatIsWrongWithThePath(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, strings.Repeat("x", 110))
	for _, c := range []struct{ path, says string }{
		{file, "is not a socket; remove it"},
		{link, "is not a socket; remove it"},
		{filepath.Join(dir, "missing", "s"), "does not exist; create it"},
		{"/sys/s", "the directory /sys is not writable for user id"},
		{filepath.Join(file, "s"), "is not a directory"},
		{long, fmt.Sprintf("the path has %d bytes, a Unix socket's may have 107", len(long))},
	} {
		_, err := Listen(c.path, 0o600)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("Listen(%s): %v; want %q", c.path, err, c.says)
		}
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("the file was touched")
	}
	same(t, "files left", files(t, dir), []string{"file", "link"})
}

func TestTheSocketHasItsModeWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o777} {
		for _, mode := range []os.FileMode{0o600, 0o660, 0o666} {
			path := filepath.Join(t.TempDir(), "s")
			old := syscall.Umask(umask)
			l, err := Listen(path, mode)
			syscall.Umask(old)
			if err != nil {
				t.Fatal(err)
			}
			st, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			same(t, fmt.Sprintf("mode under umask %o", umask), st.Mode().Perm(), mode)
			l.Close()
		}
	}
}

func TestCloseRemovesOnlyOurOwnSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := mustListen(t, path, 0o600)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	leaveStale(t, path)
	l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("another's socket was removed: %v", err)
	}
}

// TestOneOfManyDaemonsGetsTheSocket starts several at once over a stale socket.
func TestOneOfManyDaemonsGetsTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for range 20 {
		leaveStale(t, path)
		const daemons = 8
		got := make(chan net.Listener, daemons)
		for range daemons {
			go func() {
				l, err := Listen(path, 0o600)
				if err != nil {
					l = nil
				}
				got <- l
			}()
		}
		var won []net.Listener
		for range daemons {
			if l := <-got; l != nil {
				won = append(won, l)
			}
		}
		same(t, "listeners", len(won), 1)
		won[0].Close()
	}
}
