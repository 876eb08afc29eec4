//go:build linux

package transport

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// listen opens a socket on a loopback address. It is closed with the test.
func listen(t *testing.T, addr string) *udpConn {
	t.Helper()
	c, err := ListenUDP(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*udpConn)
}

func newSender(t *testing.T, c Conn) Sender {
	t.Helper()
	s, err := c.NewSender()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// reach is where a socket can be reached from the same machine, in a family.
func reach(c Conn, v4 bool) netip.AddrPort {
	a := c.LocalAddr()
	if a.Addr().IsUnspecified() {
		ip := netip.IPv6Loopback()
		if v4 {
			ip = netip.MustParseAddr("127.0.0.1")
		}
		return netip.AddrPortFrom(ip, a.Port())
	}
	return a
}

// collect reads until count datagrams have come.
func collect(t *testing.T, c Conn, count int) (data []string, from []netip.AddrPort) {
	t.Helper()
	deadline := time.Now().Add(time.Minute) // a bound for what never comes
	for len(data) < count && time.Now().Before(deadline) {
		batch, err := c.ReadBatch(deadline)
		if err != nil {
			t.Fatal(err)
		}
		if len(batch) > BatchSize {
			t.Fatalf("a batch of %d", len(batch))
		}
		for _, d := range batch {
			data, from = append(data, string(d.Data)), append(from, d.From)
		}
	}
	if len(data) != count {
		t.Fatalf("%d datagrams came of %d", len(data), count)
	}
	return data, from
}

func commit(s Sender, text string, to *Dest) { s.Commit(copy(s.Reserve(), text), to) }

func TestBatchesArriveBothWays(t *testing.T) {
	for _, c := range []struct {
		name, listen string
		v4           bool // the peer's family
	}{
		{"IPv4", "127.0.0.1:0", true},
		{"all IPv4", "0.0.0.0:0", true},
		{"IPv6", "[::1]:0", false},
		{"both, from IPv4", ":0", true},
		{"both, from IPv6", ":0", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := listen(t, c.listen)
			peer := listen(t, map[bool]string{true: "127.0.0.1:0", false: "[::1]:0"}[c.v4])
			const count = 2*BatchSize + 10
			send := func(from, to Conn) netip.AddrPort {
				s := newSender(t, from)
				dest := from.Dest(reach(to, c.v4))
				var bytes uint64
				for i := range count {
					text := strings.Repeat("x", i)
					bytes += uint64(i)
					commit(s, text, &dest)
				}
				s.Flush()
				s.Flush() // of nothing
				data, source := collect(t, to, count)
				for i, d := range data {
					if len(d) != i {
						t.Fatalf("datagram %d has %d octets", i, len(d))
					}
					if source[i] != reach(from, c.v4) {
						t.Fatalf("datagram %d is from %s, want %s", i, source[i], reach(from, c.v4))
					}
				}
				n := s.Counters()
				if n.Packets.Load() != count || n.Bytes.Load() != bytes || n.Calls.Load() != 3 || n.Unreachable.Load()+n.BufferFull.Load() != 0 {
					t.Errorf("counted %d packets, %d octets, %d calls", n.Packets.Load(), n.Bytes.Load(), n.Calls.Load())
				}
				return source[0]
			}
			send(server, peer)
			back := send(peer, server)
			if err := server.WriteTo([]byte("one"), back); err != nil {
				t.Fatal(err)
			}
			if data, _ := collect(t, peer, 1); data[0] != "one" {
				t.Errorf("got %q", data[0])
			}
		})
	}
}

func TestAnIPv4WildcardServesIPv4Alone(t *testing.T) {
	c := listen(t, "0.0.0.0:0")
	if c.v6 || c.LocalAddr().Addr() != netip.IPv4Unspecified() {
		t.Errorf("bound to %s, IPv6 %v", c.LocalAddr(), c.v6)
	}
	if both := listen(t, ":0"); !both.v6 || both.LocalAddr().Addr() != netip.IPv6Unspecified() {
		t.Errorf("an empty host is bound to %s", both.LocalAddr())
	}
	if _, err := ListenUDP(c.LocalAddr().String()); err == nil {
		t.Error("an address can be had twice")
	}
}

func TestADestinationOfTheOtherFamily(t *testing.T) {
	both := listen(t, ":0")
	v4, mapped := netip.MustParseAddrPort("127.0.0.1:9"), netip.MustParseAddrPort("[::ffff:127.0.0.1]:9")
	a, b := both.Dest(v4), both.Dest(mapped)
	if a.name != b.name || a.size != b.size || a.size != 28 {
		t.Errorf("%v and %v", a, b)
	}
	only := listen(t, "127.0.0.1:0")
	a, b = only.Dest(v4), only.Dest(mapped)
	if a.name != b.name || a.size != b.size || a.size != 16 {
		t.Errorf("%v and %v", a, b)
	}
	if err := only.WriteTo([]byte("x"), netip.MustParseAddrPort("[::1]:9")); err == nil {
		t.Error("IPv6 can be reached from an IPv4 socket")
	}
	if err := only.WriteTo([]byte("x"), netip.AddrPort{}); err == nil {
		t.Error("nowhere can be reached")
	}
}

func TestAnUnreachablePeerDoesNotStopTheOthers(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", ":0"} {
		server, peer := listen(t, addr), listen(t, "127.0.0.1:0")
		s := newSender(t, server)
		good := server.Dest(peer.LocalAddr())
		bad := []Dest{
			server.Dest(netip.MustParseAddrPort("0.0.0.0:0")),
			server.Dest(netip.MustParseAddrPort("127.0.0.1:0")),
			server.Dest(netip.MustParseAddrPort("[::1]:0")), // of the other family for one of the two
		}
		want := []string{"0", "1", "2", "3"}
		for i, text := range want {
			commit(s, text, &good)
			if i < len(bad) {
				commit(s, "lost", &bad[i])
				commit(s, "lost", &bad[i])
			}
		}
		s.Flush()
		if got, _ := collect(t, peer, len(want)); strings.Join(got, "") != strings.Join(want, "") {
			t.Errorf("%s: got %q", addr, got)
		}
		n := s.Counters()
		if n.Packets.Load() != 4 || n.Bytes.Load() != 4 || n.Unreachable.Load() != 6 || n.BufferFull.Load() != 0 {
			t.Errorf("%s: %d packets, %d octets, %d unreachable", addr, n.Packets.Load(), n.Bytes.Load(), n.Unreachable.Load())
		}
	}
}

func TestADatagramThatIsTooLongIsCountedAsNothing(t *testing.T) {
	server, peer := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	for _, size := range []int{DatagramSize + 1, DatagramSize, 0, 9000, 20} {
		if err := peer.WriteTo(bytes.Repeat([]byte{0x80}, size), server.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	data, _ := collect(t, server, 5)
	for i, want := range []int{0, DatagramSize, 0, 0, 20} {
		if len(data[i]) != want {
			t.Errorf("datagram %d has %d octets, want %d", i, len(data[i]), want)
		}
	}
}

func TestReadBatchReturnsAtItsDeadline(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	for _, d := range []time.Duration{-time.Hour, 0, 10 * time.Millisecond} {
		deadline := time.Now().Add(d)
		batch, err := c.ReadBatch(deadline)
		if err != nil || len(batch) != 0 {
			t.Errorf("%v, %v", batch, err)
		}
		if time.Now().Before(deadline) {
			t.Error("came back early")
		}
	}
}

// read is a ReadBatch without a deadline, under way.
func read(c Conn) <-chan error {
	done := make(chan error, 1)
	go func() {
		batch, err := c.ReadBatch(time.Time{})
		if err == nil && len(batch) != 0 {
			err = errors.New("a batch")
		}
		done <- err
	}()
	return done
}

func TestAnInterruptEndsOneReadBatch(t *testing.T) {
	c, peer := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	arrives := func() { // the next ReadBatch waits for a datagram as if nothing had been
		t.Helper()
		if err := peer.WriteTo([]byte("x"), c.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if batch, err := c.ReadBatch(time.Now().Add(time.Minute)); err != nil || len(batch) != 1 {
			t.Fatalf("%d datagrams, %v", len(batch), err)
		}
	}
	c.Interrupt() // before
	c.Interrupt()
	if err := <-read(c); err != nil {
		t.Fatal(err)
	}
	arrives()
	for range 1000 { // before or while, as it comes
		done := read(c)
		c.Interrupt()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	arrives()
	recv, waits := c.recv, make(chan struct{}, 1)
	c.recv = func(fd uintptr) bool {
		taken := recv(fd)
		if !taken {
			waits <- struct{}{}
		}
		return taken
	}
	done := read(c)
	<-waits
	c.Interrupt() // while
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	arrives()
}

func TestCloseEndsReadBatch(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	done := read(c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := c.ReadBatch(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
	if err := c.WriteTo([]byte("x"), netip.MustParseAddrPort("127.0.0.1:9")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteTo: %v", err)
	}
	if _, err := c.NewSender(); err == nil {
		t.Error("a closed socket has a sender")
	}
	c.Interrupt() // is nothing
}

func TestMovingBatchesAllocatesNothing(t *testing.T) {
	server, peer := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	s := newSender(t, server)
	dest := server.Dest(peer.LocalAddr())
	deadline := time.Now().Add(time.Minute)
	if got := testing.AllocsPerRun(100, func() {
		for range 20 {
			s.Commit(len(s.Reserve()), &dest)
		}
		s.Flush()
		for n := 0; n < 20; {
			batch, err := peer.ReadBatch(deadline)
			if err != nil || len(batch) == 0 {
				t.Fatalf("%d datagrams, %v", len(batch), err)
			}
			n += len(batch)
		}
	}); got != 0 {
		t.Errorf("%v allocations for a batch there and back", got)
	}
}
