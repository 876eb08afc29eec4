package bucket

import (
	"bytes"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stentor/recorder/store"
)

const (
	// patience bounds every wait: it is for what is broken, not a measurement.
	patience = 30 * time.Second

	bucketName = "replays"
	accessKey  = "test-access"
	secretKey  = "test-secret"
)

// server is a versitygw process; its one bucket is a directory.
type server struct {
	address string
	bucket  string // the directory
	root    string
	sidecar string // keeps objects' metadata, also where the file system has no extended attributes
	cmd     *exec.Cmd
	output  bytes.Buffer // read it only after exit
}

func startServer(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{root: filepath.Join(dir, "objects"), sidecar: filepath.Join(dir, "sidecar"), address: freePort(t)}
	s.bucket = filepath.Join(s.root, bucketName)
	for _, d := range []string{s.bucket, s.sidecar} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.start(t)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("versitygw's output:\n%s", s.output.String())
		}
	})
	return s
}

// start runs the server, again after kill, and waits until it answers.
func (s *server) start(t *testing.T) {
	t.Helper()
	s.cmd = exec.Command(serverPath, "--access="+accessKey, "--secret="+secretKey, "--port="+s.address, "--keep-alive",
		"posix", "--sidecar="+s.sidecar, s.root)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the server to listen", func() bool {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *server) kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // its error is that it was killed
	}
}

func (s *server) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// open makes a store over the server, or over what stands before it.
func (s *server) open(t *testing.T, address string, o store.Options) store.Store {
	t.Helper()
	if o.AccessKey == "" {
		o.AccessKey, o.SecretKey = accessKey, secretKey
	}
	q := url.Values{"endpoint": {address}, "region": {"us-east-1"}, "insecure": {"true"}}
	st, err := store.Open("s3://"+bucketName+"/node-1?"+q.Encode(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// files lists what lies in the bucket's directory, objects and what the server keeps of uploads; without directories.
func (s *server) files(t *testing.T) []string {
	t.Helper()
	found := []string{}
	err := filepath.WalkDir(s.bucket, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, strings.TrimPrefix(name, s.bucket+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// wait polls for a condition of another process.
func wait(t *testing.T, what string, condition func() bool) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// awaited waits for a channel to be closed.
func awaited(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
}
