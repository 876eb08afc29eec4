//go:build linux

package fanout

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// floorSSRC marks the floor's packets, so that they are told from a server's.
const floorSSRC = 0xF1005EED

// FloorLoad is what the floor sends: to each destination a packet of Size octets at every burst.
type FloorLoad struct {
	Port         int // of the listeners' socket
	First        int // number of the first destination
	Destinations int
	BurstsPerS   float64
	Size         int // of a datagram, with RTP header and SRTP tag
	Batch        int // packets a sendmmsg
	Threads      int // that share the destinations
}

// args are the command line that ParseFloorLoad reads.
func (l FloorLoad) args() []string {
	return []string{
		strconv.Itoa(l.Port), strconv.Itoa(l.First), strconv.Itoa(l.Destinations),
		strconv.FormatFloat(l.BurstsPerS, 'f', -1, 64), strconv.Itoa(l.Size), strconv.Itoa(l.Batch), strconv.Itoa(l.Threads),
	}
}

// ParseFloorLoad reads the arguments of the floor's process.
func ParseFloorLoad(args []string) (FloorLoad, error) {
	var l FloorLoad
	_, err := fmt.Sscan(strings.Join(args, " "), &l.Port, &l.First, &l.Destinations, &l.BurstsPerS, &l.Size, &l.Batch, &l.Threads)
	if err != nil {
		return l, fmt.Errorf("the floor's load %q: %w", args, err)
	}
	if l.Destinations < 1 || l.BurstsPerS <= 0 || l.Size < floorHeader+16 || l.Size > floorSizeMax || l.Batch < 1 || l.Threads < 1 {
		return l, fmt.Errorf("the floor cannot send %+v", l)
	}
	return l, nil
}

// floor is the process that sends it. It sleeps until asked.
type floor struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	log  tail
	load FloorLoad
}

// startFloor runs the floor's process by a command of this program.
func startFloor(command []string, load FloorLoad) (*floor, error) {
	f := &floor{load: load, cmd: exec.Command(command[0], append(command[1:], load.args()...)...)}
	f.cmd.Stderr = &f.log
	f.cmd.SysProcAttr = ownSession()
	f.cmd.Env = append(os.Environ(), FloorEnv+"=1")
	in, err := f.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	f.in, f.out = in, bufio.NewScanner(out)
	if err := f.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the floor: %w", err)
	}
	if err := f.answer("ready"); err != nil {
		return nil, fmt.Errorf("%w; %w", err, f.stop())
	}
	return f, nil
}

// FloorEnv is set for the floor's process, so that a test's binary knows what it is.
const FloorEnv = "STENTOR_BENCH_FLOOR"

func (f *floor) answer(want string) error {
	if !f.out.Scan() || f.out.Text() != want {
		return fmt.Errorf("the floor says %q and not %q: %s", f.out.Text(), want, f.log.String())
	}
	return nil
}

// ask sends a word and waits for the process to do it.
func (f *floor) ask(word string) error {
	if _, err := fmt.Fprintln(f.in, word); err != nil {
		return fmt.Errorf("the floor has gone: %w: %s", err, f.log.String())
	}
	return f.answer(word)
}

// measure lets the floor send for a while and returns its CPU time in µs a packet that arrived.
func (f *floor) measure(ctx context.Context, h *ears, warmup, d time.Duration) (float64, error) {
	if err := f.ask("go"); err != nil {
		return 0, err
	}
	if err := sleep(ctx, warmup); err != nil {
		return 0, err
	}
	before, err := cpuOf(f.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	packets := h.floor.Load()
	if err := sleep(ctx, d); err != nil {
		return 0, err
	}
	after, err := cpuOf(f.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	packets = h.floor.Load() - packets
	if err := f.ask("stop"); err != nil {
		return 0, err
	}
	if packets == 0 {
		return 0, fmt.Errorf("nothing of the floor arrived: %s", f.log.String())
	}
	return us(after.run-before.run) / float64(packets), nil
}

// stop ends the process by closing its input.
func (f *floor) stop() error {
	_ = f.in.Close() // it may have ended already
	if err := f.cmd.Wait(); err != nil {
		return fmt.Errorf("the floor: %w: %s", err, f.log.String())
	}
	return nil
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// sleep waits, or returns early with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
