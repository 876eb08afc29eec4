//go:build linux

package fanout

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file is the other side of floor.go: the least that sends encrypted packets to many. Each thread owns a part of
// the destinations; at every burst, for each of them:
//
//  1. write a header into the next send slot,
//  2. seal the shared payload behind it with the destination's key,
//  3. and hand the slots to the kernel when a batch is full or the burst ends.

const (
	floorHeader  = 24 // octets: RTP's 12, a CSRC, and one extension of 4 with its head
	floorTag     = 16
	floorSizeMax = 1500
	floorBuffer  = 4 << 20 // of the socket, as stentord asks for
)

// destination is an address and its key.
type destination struct {
	aead cipher.AEAD
	name unix.RawSockaddrInet4
	seq  uint16
}

type floorThread struct {
	fd      int
	load    FloorLoad
	to      []destination
	payload []byte
	msgs    []mmsghdr
	iovs    []unix.Iovec
	slots   []byte
	n       int
}

// RunFloor is the floor's process: it obeys the words "go" and "stop" from in, and ends with it.
func RunFloor(load FloorLoad, in io.Reader, out io.Writer) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, floorBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, floorBuffer) // as much as we may have
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	threads := make([]*floorThread, load.Threads)
	for i := range threads {
		first, end := i*load.Destinations/load.Threads, (i+1)*load.Destinations/load.Threads
		if threads[i], err = newFloorThread(fd, load, load.First+first, end-first); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "ready")
	return obey(threads, in, out)
}

func newFloorThread(fd int, load FloorLoad, first, count int) (*floorThread, error) {
	t := &floorThread{
		fd: fd, load: load, payload: make([]byte, load.Size-floorHeader-floorTag), to: make([]destination, count),
		msgs: make([]mmsghdr, load.Batch), iovs: make([]unix.Iovec, load.Batch), slots: make([]byte, load.Batch*floorSizeMax),
	}
	for i := range t.to {
		var key [16]byte
		rand.Read(key[:]) // never fails
		block, err := aes.NewCipher(key[:])
		if err != nil {
			return nil, err
		}
		if t.to[i].aead, err = cipher.NewGCM(block); err != nil {
			return nil, err
		}
		n := &t.to[i].name
		n.Family, n.Addr = unix.AF_INET, address(first+i).As4()
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&n.Port))[:], uint16(load.Port))
	}
	for i := range t.msgs {
		t.iovs[i].Base = &t.slots[i*floorSizeMax]
		t.iovs[i].SetLen(load.Size)
		t.msgs[i].hdr.Iov, t.msgs[i].hdr.Namelen = &t.iovs[i], unix.SizeofSockaddrInet4
		t.msgs[i].hdr.SetIovlen(1)
	}
	return t, nil
}

// obey runs the threads between the words "go" and "stop".
func obey(threads []*floorThread, in io.Reader, out io.Writer) error {
	var running atomic.Bool
	var busy sync.WaitGroup
	defer func() { running.Store(false); busy.Wait() }()
	words := bufio.NewScanner(in)
	for words.Scan() {
		switch words.Text() {
		case "go":
			running.Store(true)
			start := time.Now()
			for _, t := range threads {
				busy.Go(func() { t.run(start, &running) })
			}
		case "stop":
			running.Store(false)
			busy.Wait()
		default:
			return fmt.Errorf("the floor does not know %q", words.Text())
		}
		fmt.Fprintln(out, words.Text())
	}
	return words.Err()
}

// run sends bursts on a fixed schedule. Between them the thread sleeps in the kernel, which is cheaper than Go's timers.
func (t *floorThread) run(start time.Time, running *atomic.Bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for k := 0; running.Load(); k++ {
		due := start.Add(time.Duration(float64(k) / t.load.BurstsPerS * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			ts := unix.NsecToTimespec(int64(wait))
			_ = unix.Nanosleep(&ts, nil) // woken early, it sends early
		}
		t.burst()
	}
}

func (t *floorThread) burst() {
	for i := range t.to {
		d := &t.to[i]
		d.seq++
		slot := t.slots[t.n*floorSizeMax : (t.n+1)*floorSizeMax]
		var iv [12]byte
		binary.BigEndian.PutUint16(slot, 0x906F) // version 2 with an extension, payload type 111
		binary.BigEndian.PutUint16(slot[2:], d.seq)
		binary.BigEndian.PutUint32(slot[8:], floorSSRC)
		binary.BigEndian.PutUint16(iv[10:], d.seq)
		d.aead.Seal(slot[:floorHeader], iv[:], t.payload, slot[:floorHeader])
		t.msgs[t.n].hdr.Name = (*byte)(unsafe.Pointer(&d.name))
		if t.n++; t.n == len(t.msgs) {
			t.flush()
		}
	}
	t.flush()
}

// flush gives the slots to the kernel; what it does not take is gone, as with a server.
func (t *floorThread) flush() {
	for from := 0; from < t.n; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(t.fd),
			uintptr(unsafe.Pointer(&t.msgs[from])), uintptr(t.n-from), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			from++
			continue
		}
		from += int(n)
	}
	t.n = 0
}
