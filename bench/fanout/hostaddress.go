//go:build linux

package fanout

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
)

// hostAddress is an address of this machine, made for servers that will not use loopback's. It is on two interfaces:
//
//   - one end of a pair that leads nowhere, because Janus looks at no loopback interface,
//   - and lo, because libnice sends only by the interface on which it finds its address first (IP_UNICAST_IF), and the participants are
//     behind lo.
//
// What is sent to it from this machine stays on it: the kernel delivers over lo.
type hostAddress struct{ made bool }

const (
	spareInterface = "stentor-bench"
	spareAddress   = "203.0.113.77" // of RFC 5737's, which nobody has
)

// open makes the address.
func (a *hostAddress) open(ctx context.Context) error {
	_ = a.remove() // what an interrupted bench has left; most often nothing
	a.made = true
	for _, args := range [][]string{
		{"link", "add", spareInterface, "type", "veth", "peer", "name", spareInterface + "-p"},
		{"link", "set", spareInterface, "up"},
		{"link", "set", spareInterface + "-p", "up"},
		{"address", "add", spareAddress + "/32", "dev", "lo"},
		{"address", "add", spareAddress + "/32", "dev", spareInterface},
	} {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			_ = a.close() // a part may be missing
			return fmt.Errorf("make an address that is not loopback's, which takes iproute2 and root or \"unshare -rn\": ip %v: %w: %s", args, err, out)
		}
	}
	return nil
}

func (a *hostAddress) remove() error {
	_, err1 := exec.Command("ip", "link", "delete", spareInterface).Output()
	_, err2 := exec.Command("ip", "address", "delete", spareAddress+"/32", "dev", "lo").Output()
	return errors.Join(err1, err2)
}

// close removes what was made.
func (a *hostAddress) close() error {
	if !a.made {
		return nil
	}
	a.made = false
	if err := a.remove(); err != nil {
		return fmt.Errorf("remove the interface %s and its address: %w", spareInterface, err)
	}
	return nil
}

// allowFiles lets children have as many descriptors as we may: servers with a socket for each participant need them, and Go restores the
// lower limit for children otherwise.
func allowFiles() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}
