package transport

import (
	"testing"

	"golang.org/x/sys/unix"
)

// clogged is a sender whose queue nobody empties: over loopback the kernel delivers while it sends, and a UDP socket's buffer
// never fills. Datagrams between two Unix sockets wait until they are read, by the same calls and errors.
func clogged(t *testing.T) (s *udpSender, reader int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := listen(t, "127.0.0.1:0")
	out, err := c.NewSender()
	if err != nil {
		t.Fatal(err)
	}
	s = out.(*udpSender)
	if err := unix.Close(s.fd); err != nil {
		t.Fatal(err)
	}
	s.fd = fds[0]
	t.Cleanup(func() { _, _ = s.Close(), unix.Close(fds[1]) })
	return s, fds[1]
}

// read empties the queue and returns the first octet of each datagram.
func readAll(t *testing.T, fd int) (firsts []byte) {
	t.Helper()
	var b [DatagramSize]byte
	for {
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			return firsts
		}
		if err != nil || n == 0 {
			t.Fatalf("read %d octets: %v", n, err)
		}
		firsts = append(firsts, b[0])
	}
}

func TestWhatTheKernelDoesNotTakeIsDroppedAndCounted(t *testing.T) {
	out, reader := clogged(t)
	peer := Dest{} // the other end
	const packets = 3 * BatchSize / 2
	for i := range packets {
		out.Reserve()[0] = byte(i)
		out.Commit(700+i, &peer) // each longer than the one before: none joins another
	}
	out.Flush()
	n := &out.counters
	taken := int(n.Packets.Load())
	if taken == 0 || taken >= packets || int(n.BufferFull.Load()) != packets-taken || n.Unreachable.Load() != 0 {
		t.Fatalf("of %d packets %d were taken, %d counted as too many, %d as unreachable",
			packets, taken, n.BufferFull.Load(), n.Unreachable.Load())
	}
	// The first ones came, in order; what was dropped does not come later, and what is sent when there is room does.
	got := readAll(t, reader)
	for i, b := range got {
		if int(b) != i {
			t.Fatalf("datagram %d is packet %d", i, b)
		}
	}
	if len(got) != taken {
		t.Errorf("%d datagrams came, %d were counted", len(got), taken)
	}
	out.Reserve()[0] = 77
	out.Commit(10, &peer)
	out.Flush()
	if got := readAll(t, reader); len(got) != 1 || got[0] != 77 {
		t.Errorf("after that came %v", got)
	}
	if full := int(n.BufferFull.Load()); full != packets-taken {
		t.Errorf("%d counted as too many in the end", full)
	}
}

// TestAJoinedMessageThatIsNotTakenCountsAllItsPackets: a message is one to the kernel, and several to who misses them.
func TestAJoinedMessageThatIsNotTakenCountsAllItsPackets(t *testing.T) {
	out, reader := clogged(t)
	peer := Dest{}
	for out.counters.BufferFull.Load() == 0 { // until nothing goes any more
		out.Commit(100, &peer)
		out.Flush()
	}
	for range 5 {
		out.Commit(100, &peer)
	}
	if out.m != 1 {
		t.Fatalf("%d messages, want one of five packets", out.m)
	}
	taken, calls := out.counters.Packets.Load(), out.counters.Calls.Load()
	out.Flush()
	if n := &out.counters; n.BufferFull.Load() != 1+5 || n.Packets.Load() != taken {
		t.Errorf("%d packets counted as too many, want 6; %d more were taken", n.BufferFull.Load(), n.Packets.Load()-taken)
	}
	if n := out.counters.Calls.Load() - calls; n > 2 {
		t.Errorf("%d system calls for a message that is not taken: one, a wait, and one", n)
	}
	if got := readAll(t, reader); len(got) != int(taken) {
		t.Errorf("%d datagrams came, %d were counted", len(got), taken)
	}
}
