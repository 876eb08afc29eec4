//go:build linux

package fanout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A server is what is measured. Its methods are called one after the other, but for Join.
type server interface {
	// Name is for the table.
	Name() string
	// Start returns when participants can join.
	Start(ctx context.Context, load Load) error
	// PIDs are those of the processes whose CPU time and memory count.
	PIDs() []int
	// Join takes a participant's offer and returns the answer. Safe for concurrent use.
	Join(ctx context.Context, name string, speaks bool, offer string) (answer string, err error)
	// Metrics are those that the server tells by itself, by the names of its /metrics page; nil for none.
	Metrics(ctx context.Context) (map[string]float64, error)
	// Stop ends the process and waits for it. It may be called when Start has failed.
	Stop() error
}

// Load is who takes part in a run.
type Load struct {
	Listeners int
	Speakers  int // those who may speak
	Talking   int // those of them who do, all the time
	Rendition string
	Record    string // one of Records; empty is RecordOff
}

// String is for whoever watches the bench.
func (l Load) String() string {
	s := fmt.Sprintf("%d×%d %s", l.Listeners, l.Talking, l.Rendition)
	switch l.Record {
	case RecordOn:
		s += ", recorded"
	case RecordStalled:
		s += ", recorded on a disk that stands still"
	}
	return s
}

// slots is how many audio lines a participant offers: a room's default, or as many as talk.
func (l Load) slots() int { return max(3, l.Talking) }

// stopTimeout is how long a server has to leave politely.
const stopTimeout = 5 * time.Second

// process is a child of ours.
type process struct {
	cpus *unix.CPUSet // that it may use; nil: all
	cmd  *exec.Cmd
	log  tail
	done chan struct{} // closed when it has ended
	err  error         // Written before done is closed.
}

// start runs a command whose output is kept for errors.
func (p *process) start(name string, args ...string) error {
	p.log.reset() // of what an earlier run has said
	p.cmd = exec.Command(name, args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = ownSession()
	p.done = make(chan struct{})
	if err := startOn(p.cmd, p.cpus); err != nil {
		p.cmd = nil
		return fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

// ownSession is that of a daemon. A terminal's ^C does not reach it, and where the kernel shares CPUs out by session (autogroup, sched(7)), it has
// a share of its own beside the generator's.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func (p *process) PIDs() []int { return []int{p.cmd.Process.Pid} }

// Stop asks the process to leave, and ends it if it does not.
func (p *process) Stop() error {
	if p.cmd == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	return nil
}

// until tries something until it succeeds, the process ends, or ten seconds have passed.
func (p *process) until(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it has ended: %w\n%s", errors.Join(p.err, err), p.log.String())
		case <-ctx.Done():
			return fmt.Errorf("%w\n%s", errors.Join(ctx.Err(), err), p.log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tail keeps the last 8 KB of what a process has said.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if len(t.b) > 2*tailSize {
		t.b = append(t.b[:0], t.b[len(t.b)-tailSize:]...)
	}
	return len(b), nil
}

func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.b))
}

// freePort finds a loopback port that nobody has at the moment.
func freePort(network string) (string, error) {
	if network == "udp" {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		return c.LocalAddr().String(), c.Close()
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// build compiles a command of this repository; module is the directory of its go.mod, below the root.
func build(ctx context.Context, to, module, pkg string) error {
	root, err := source(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", pkg, err)
	}
	dir := filepath.Join(root, module)
	if out, err := exec.CommandContext(ctx, "go", "build", "-C", dir, "-o", to, pkg).CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, bytes.TrimSpace(out))
	}
	return nil
}

// source is the root of this repository.
func source(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "stentor").Output()
	if err != nil {
		return "", fmt.Errorf("find Stentor's source (run the bench inside it, or give the binary): %w", err)
	}
	return string(bytes.TrimSpace(root)), nil
}
