package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// probeTimeout is how long a daemon on the socket's path has to accept a connection. The kernel does it for a living
// one, unless its queue of connections is full, which is a sign of life too.
const probeTimeout = time.Second

// Listen opens the Unix socket at path with permissions mode (0 … 0777), whatever the umask. A socket that a dead daemon left
// is replaced; that of a living one is not, nor is anything that is no socket. Closing the listener removes the socket if
// it is still ours. Errors name the path and say what to do.
//
// The steps, each of which holds against another daemon that starts at the same moment:
//
//  1. take an exclusive lock (flock) on "<path>.lock", which is removed on Close; who has it owns the path;
//  2. look at what is at path, dial it if it is a socket, and remove it if nobody answers;
//  3. make a socket, set its mode while it has no name, and bind it: it never has wider permissions than mode.
func Listen(path string, mode os.FileMode) (net.Listener, error) {
	lock, err := lockPath(path)
	if err != nil {
		return nil, err
	}
	l, err := listenLocked(path, mode)
	if err != nil {
		unlockPath(lock)
		return nil, err
	}
	l.lock = lock
	return l, nil
}

// listener is a Unix listener that cleans up after itself only.
type listener struct {
	*net.UnixListener
	path string
	made os.FileInfo // The socket file as it was made.
	lock *os.File
	once sync.Once
	err  error
}

// Close stops listening and removes the socket, unless somebody has put another file there.
func (l *listener) Close() error {
	l.once.Do(func() {
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.made) {
			os.Remove(l.path)
		}
		l.err = l.UnixListener.Close()
		unlockPath(l.lock)
	})
	return l.err
}

func listenLocked(path string, mode os.FileMode) (*listener, error) {
	if err := clearPath(path); err != nil {
		return nil, err
	}
	// Linux gives the file the mode of the socket, less the umask (unix_bind in net/unix/af_unix.c).
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), uint32(mode.Perm())) }); e != nil {
			return e
		}
		return err
	}}
	plain, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, pathError(path, err)
	}
	u := plain.(*net.UnixListener) // the network is "unix"
	u.SetUnlinkOnClose(false)      // it would remove whatever is there
	if err := os.Chmod(path, mode.Perm()); err != nil {
		u.Close()
		return nil, pathError(path, err)
	}
	made, err := os.Lstat(path)
	if err != nil {
		u.Close()
		return nil, pathError(path, err)
	}
	return &listener{UnixListener: u, path: path, made: made}, nil
}

// clearPath removes the socket of a dead daemon.
func clearPath(path string) error {
	there, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return pathError(path, err)
	}
	if there.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket; remove it, or choose another path for the control socket", path)
	}
	conn, err := net.DialTimeout("unix", path, probeTimeout)
	if err == nil {
		conn.Close()
		return errTaken(path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("%s is a socket, and whether a stentord is listening on it cannot be told: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return pathError(path, err)
	}
	return nil
}

func errTaken(path string) error {
	return fmt.Errorf("another stentord is listening on %s; stop it, or choose another path for the control socket", path)
}

// lockPath takes the lock that belongs to a socket's path.
func lockPath(path string) (*os.File, error) {
	name := path + ".lock"
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, pathError(path, err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, errTaken(path)
			}
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		// Its last owner may have removed the file between our open and our lock; then the lock guards nothing.
		mine, err := f.Stat()
		named, statErr := os.Stat(name)
		if err == nil && statErr == nil && os.SameFile(mine, named) {
			return f, nil
		}
		f.Close()
	}
}

// unlockPath removes the lock's file while it is still held, and lets go.
func unlockPath(f *os.File) {
	os.Remove(f.Name())
	f.Close()
}

// pathError explains why nothing can be made at path.
func pathError(path string, err error) error {
	dir := filepath.Dir(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("control socket %s: the directory %s does not exist; create it, or choose another path: %w", path, dir, err)
	case errors.Is(err, os.ErrPermission), errors.Is(err, unix.EROFS):
		return fmt.Errorf("control socket %s: the directory %s is not writable for user id %d; change its owner or mode, or choose another path: %w",
			path, dir, os.Geteuid(), err)
	case errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("control socket %s: %s is not a directory; choose another path: %w", path, dir, err)
	case errors.Is(err, unix.EINVAL) && len(path) > 107:
		return fmt.Errorf("control socket %s: the path has %d bytes, a Unix socket's may have 107; choose a shorter one: %w", path, len(path), err)
	}
	return fmt.Errorf("control socket %s: %w", path, err)
}
