//go:build linux

package fanout

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// userHz is the unit of /proc/PID/stat's times: 100 a second on every Linux that Go runs on.
const userHz = 100

// cpuTime is what a process has used until one moment.
type cpuTime struct {
	at   time.Time
	run  time.Duration // of all threads, by the scheduler's account: to the ns
	wait time.Duration // of all threads, ready to run and not running: others had the CPU
	stat time.Duration // user and system, by ticks of 10 ms: to cross-check
}

// cpuOf reads the CPU time of processes together. Softirq work that their sends caused is in it where the kernel runs it
// on the sender's thread, as it does over loopback.
func cpuOf(pids ...int) (cpuTime, error) {
	all := cpuTime{at: time.Now()}
	for _, pid := range pids {
		c, err := cpuOfOne(pid)
		if err != nil {
			return cpuTime{}, err
		}
		all.run += c.run
		all.wait += c.wait
		all.stat += c.stat
	}
	return all, nil
}

func cpuOfOne(pid int) (cpuTime, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	tasks, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		return cpuTime{}, fmt.Errorf("list threads: %w", err)
	}
	var c cpuTime
	for _, task := range tasks {
		text, err := os.ReadFile(filepath.Join(dir, "task", task.Name(), "schedstat"))
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread has just ended
		}
		if err != nil {
			return cpuTime{}, err
		}
		run, wait, err := parseSchedstat(string(text))
		if err != nil {
			return cpuTime{}, err
		}
		c.run += run
		c.wait += wait
	}
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return cpuTime{}, err
	}
	c.stat, err = parseStat(string(text))
	return c, err
}

// parseSchedstat reads the time on CPU and the time in the run queue, the first two of three numbers, in ns.
func parseSchedstat(text string) (run, wait time.Duration, err error) {
	if _, err := fmt.Sscan(text, &run, &wait); err != nil {
		return 0, 0, fmt.Errorf("schedstat %q: %w", text, err)
	}
	return run, wait, nil
}

// parseStat adds utime and stime, fields 14 and 15 of proc(5)'s stat. The second field may hold blanks and brackets.
func parseStat(text string) (time.Duration, error) {
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:])
	if end < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("stat %q is too short", text)
	}
	utime, err1 := strconv.ParseInt(fields[11], 10, 64)
	stime, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("stat %q: %w", text, err)
	}
	return time.Duration(utime+stime) * time.Second / userHz, nil
}

// rssOf is the resident memory of processes together, in KB.
func rssOf(pids ...int) (sum float64, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
		if err != nil {
			return 0, err
		}
		kb, err := parseRSS(string(text))
		if err != nil {
			return 0, err
		}
		sum += kb
	}
	return sum, nil
}

// parseRSS finds the line "Rss: n kB".
func parseRSS(text string) (float64, error) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Rss:" {
			return strconv.ParseFloat(f[1], 64)
		}
	}
	return 0, errors.New("smaps_rollup has no Rss")
}

// busyTime is how long the machine's CPUs have worked for anybody, and how long the hypervisor gave them to others.
func busyTime() (busy, stolen time.Duration, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	return parseBusy(string(text))
}

// parseBusy adds up the first line of proc(5)'s /proc/stat: user, nice, system, irq and softirq; steal is apart.
func parseBusy(text string) (busy, stolen time.Duration, err error) {
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(text, "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal); err != nil {
		return 0, 0, fmt.Errorf("/proc/stat: %w", err)
	}
	const tick = time.Second / userHz
	return time.Duration(user+nice+system+irq+softirq) * tick, time.Duration(steal) * tick, nil
}
