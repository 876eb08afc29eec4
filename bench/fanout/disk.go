//go:build linux

package fanout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A disk that stands still, as one does that has to repeat a read, or whose controller is reset: a file system of its own, in a file, which the
// kernel freezes (ioctl_fifreeze(2)). Whoever writes to it or syncs it waits in the kernel until it goes on. The daemon does not know: it
// is started in a mount namespace in which its spool is that file system. The mount ends with the daemon, and the loop device with the mount.

const (
	diskSize = 1 << 30 // sparse; recordings refuse to begin with less than 64 MB free
	// From linux/fs.h: _IOWR('X', 119, int) and _IOWR('X', 120, int).
	ioctlFreeze, ioctlThaw = 0xC0045877, 0xC0045878
)

// errStall is what a stalled disk needs.
var errStall = errors.New("a disk that stands still needs root, loop devices, unshare and mount (util-linux), and mkfs.ext4 (e2fsprogs)")

// onDisk makes the image of a file system, and wraps a command so that the file system is on dir wherever the command looks, and nobody else.
// The command keeps its process id.
func onDisk(ctx context.Context, image, dir, name string, args ...string) (string, []string, error) {
	if err := newImage(ctx, image); err != nil {
		return "", nil, err
	}
	const script = `mount -t ext4 -o loop,noatime "$0" "$1" && shift && exec "$@"`
	return "unshare", append([]string{"--mount", "--propagation", "private", "sh", "-c", script, image, dir, name}, args...), nil
}

func newImage(ctx context.Context, image string) error {
	_ = os.Remove(image) // of an earlier run; whether it was there does not matter
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(diskSize), f.Close()); err != nil {
		return err
	}
	return command(ctx, "mkfs.ext4", "-q", "-F", image)
}

// command runs one whose failure means that there is no disk to stall.
func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w; %s: %w: %s", errStall, name, err, out)
	}
	return nil
}

// checkDisk tells whether a disk can stand still here, before anything is measured.
func checkDisk(ctx context.Context, scratch string) error {
	dir := filepath.Join(scratch, "check")
	if err := os.Mkdir(dir, 0o750); err != nil {
		return err
	}
	// Mounting is what fails where it cannot be done. What is mounted can be frozen by whoever was allowed to mount it.
	name, args, err := onDisk(ctx, filepath.Join(scratch, "check.img"), dir, "true")
	if err != nil {
		return err
	}
	return command(ctx, name, args...)
}

// inside is a path as a process sees it that has its own mounts.
func inside(pid int, path string) string { return fmt.Sprintf("/proc/%d/root%s", pid, path) }

// freeze has the file system of a directory stand still until thaw is called.
func freeze(dir string) (thaw func() error, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlSetInt(int(d.Fd()), ioctlFreeze, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("freeze the disk: %w", err), d.Close())
	}
	return func() error {
		err := unix.IoctlSetInt(int(d.Fd()), ioctlThaw, 0)
		if err != nil {
			err = fmt.Errorf("thaw the disk: %w", err)
		}
		return errors.Join(err, d.Close())
	}, nil
}
