package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waiter is what ReadBatch sleeps on: an epoll set of the socket and a timer. Go's poller knows the set alone.
//
// Were the socket itself in Go's poller, its thread would be told of room to write, too: while a shard sends, it woke
// hundreds of times a second for nothing. And a deadline of Go's is a timer of the scheduler's: to set one wakes a thread
// that watches it, and it is waited for in whole milliseconds and then once more for the rest.
type waiter struct {
	set   *os.File        // Immutable.
	raw   syscall.RawConn // of set
	timer *os.File
	arm   syscall.RawConn // of timer

	interrupted atomic.Bool

	// Owned by the caller of ReadBatch.
	deadline time.Time // zero: none
	armed    time.Time // what the timer was set to last
	moved    bool      // an interrupt has set it since, or may have
	woken    bool      // something has happened since wait began
	spec     unix.ItimerSpec
	settle   func(fd uintptr) // sets the timer to spec; made once, so that no call allocates a closure
}

func newWaiter(socket int) (*waiter, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll set: %w", err)
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		unix.Close(set)
		return nil, fmt.Errorf("make a timer: %w", err)
	}
	for _, fd := range []int{socket, timer} {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if err = unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			break
		}
	}
	if err == nil {
		err = unix.SetNonblock(set, true) // so that Go takes it into its poller
	}
	w := &waiter{set: os.NewFile(uintptr(set), "media"), timer: os.NewFile(uintptr(timer), "timer")}
	if err == nil {
		w.raw, err = w.set.SyscallConn()
	}
	if err == nil {
		w.arm, err = w.timer.SyscallConn()
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("prepare an epoll set: %w", err)
	}
	w.settle = func(fd uintptr) { setTimer(fd, &w.spec) }
	return w, nil
}

// setTimer is timerfd_settime(2), which never waits.
func setTimer(fd uintptr, spec *unix.ItimerSpec) {
	_, _, _ = unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(spec)), 0, 0, 0)
}

// wait calls try whenever something may have changed, until it returns true. It returns before that, without an error,
// after the deadline or an interrupt.
func (w *waiter) wait(deadline time.Time, try func(fd uintptr) bool) error {
	// The timer comes first and the flag second, so that an interrupt in between either is seen in the flag or fires the
	// timer that we have just set.
	w.deadline, w.woken = deadline, false
	if w.moved || !deadline.Equal(w.armed) {
		w.rearm()
	}
	if w.interrupted.Swap(false) {
		w.moved = true
		return nil
	}
	if err := w.raw.Read(try); err != nil {
		return net.ErrClosed
	}
	return nil
}

// over tells a try that has found nothing whether to give up.
func (w *waiter) over() bool {
	switch {
	case w.interrupted.Swap(false):
		w.moved = true
		return true
	case !w.deadline.IsZero() && !time.Now().Before(w.deadline):
		return true
	case w.woken: // for nothing: an interrupt that has had its effect may have fired the timer, and the deadline is still to come
		w.rearm()
	}
	w.woken = true
	return false
}

func (w *waiter) rearm() {
	w.armed, w.moved = w.deadline, false
	w.spec = unix.ItimerSpec{} // none
	if !w.deadline.IsZero() {
		w.spec.Value = unix.NsecToTimespec(max(1, int64(time.Until(w.deadline))))
	}
	_ = w.arm.Control(w.settle) // fails only when closed
}

// interrupt ends the wait under way, or else the next one.
func (w *waiter) interrupt() {
	w.interrupted.Store(true)
	_ = w.arm.Control(func(fd uintptr) {
		setTimer(fd, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}})
	})
}

// close ends the wait under way, and returns when it is over.
func (w *waiter) close() error {
	return errors.Join(w.set.Close(), w.timer.Close())
}
