//go:build linux

package fanout

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// split divides the CPUs that we may use: the last one for the server, the others for the generator. With a single one they share it.
func split() (server, generator *unix.CPUSet, err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, nil, fmt.Errorf("read which CPUs may be used: %w", err)
	}
	server, generator = new(unix.CPUSet), new(unix.CPUSet)
	*generator = all
	if last := lastOf(&all); last >= 0 && all.Count() > 1 {
		server.Set(last)
		generator.Clear(last)
		return server, generator, nil
	}
	*server = all
	return server, generator, nil
}

func lastOf(s *unix.CPUSet) int {
	for cpu := len(s)*64 - 1; cpu >= 0; cpu-- {
		if s.IsSet(cpu) {
			return cpu
		}
	}
	return -1
}

// startOn starts a command on some CPUs alone. A child begins with the CPUs of the thread that starts it, and Go's runtime in it makes as many
// threads as those are (GOMAXPROCS), so that thread is bound for a moment.
func startOn(cmd *exec.Cmd, cpus *unix.CPUSet) error {
	if cpus == nil {
		return cmd.Start()
	}
	runtime.LockOSThread() // new threads are not made of a locked one, so none inherits this
	defer runtime.UnlockOSThread()
	var own unix.CPUSet
	if err := unix.SchedGetaffinity(0, &own); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, cpus); err != nil {
		return err
	}
	err := cmd.Start()
	if back := unix.SchedSetaffinity(0, &own); err == nil {
		err = back
	}
	return err
}

// confine binds all threads of this process to some CPUs; those that come later inherit it.
func confine(cpus *unix.CPUSet) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, cpus); err != nil && err != unix.ESRCH { // it has just ended
			return fmt.Errorf("bind a thread: %w", err)
		}
	}
	return nil
}
