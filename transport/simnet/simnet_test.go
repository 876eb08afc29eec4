package simnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"stentor/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	alice = netip.MustParseAddrPort("10.0.0.1:5000")
	bob   = netip.MustParseAddrPort("10.0.0.2:5000")
	carol = netip.MustParseAddrPort("[2001:db8::3]:5000")
)

// story runs a test in virtual time with two sockets on a network.
func story(t *testing.T, seed uint64, f func(t *testing.T, n *Network, a, b *Socket)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(seed)
		defer n.Close()
		f(t, n, listen(t, n, alice), listen(t, n, bob))
	})
}

func listen(t *testing.T, n *Network, addr netip.AddrPort) *Socket {
	t.Helper()
	s, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t *testing.T, s *Socket, to netip.AddrPort, numbers ...uint32) {
	t.Helper()
	for _, i := range numbers {
		if err := s.WriteTo(binary.BigEndian.AppendUint32(nil, i), to); err != nil {
			t.Fatal(err)
		}
	}
}

// drain reads numbers until nothing has come for a minute.
func drain(t *testing.T, s *Socket) []uint32 {
	t.Helper()
	var out []uint32
	for {
		batch, err := s.ReadBatch(time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if len(batch) == 0 {
			return out
		}
		for _, d := range batch {
			out = append(out, binary.BigEndian.Uint32(d.Data))
		}
	}
}

func numbers(n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(i)
	}
	return out
}

func TestPerfectLinkDeliversEverythingInOrder(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		start := time.Now()
		send(t, a, bob, numbers(300)...)
		var got []uint32
		for len(got) < 300 {
			batch, err := b.ReadBatch(time.Time{})
			if err != nil || len(batch) == 0 || len(batch) > transport.BatchSize {
				t.Fatalf("batch of %d, %v", len(batch), err)
			}
			for _, d := range batch {
				if d.From != alice {
					t.Fatalf("came from %s", d.From)
				}
				got = append(got, binary.BigEndian.Uint32(d.Data))
			}
		}
		if !slices.Equal(got, numbers(300)) {
			t.Errorf("got %v", got)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("a link without delay took %s", took)
		}
	})
}

func TestDelayIsExactAndOneWay(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		n.SetLink(alice.Addr(), bob.Addr(), Link{Delay: 70 * time.Millisecond})
		start := time.Now()
		send(t, a, bob, 7)
		if batch, err := b.ReadBatch(time.Time{}); err != nil || len(batch) != 1 || time.Since(start) != 70*time.Millisecond {
			t.Errorf("there: %d datagrams after %s, %v", len(batch), time.Since(start), err)
		}
		start = time.Now()
		send(t, b, alice, 8)
		if batch, err := a.ReadBatch(time.Time{}); err != nil || len(batch) != 1 || time.Since(start) != 0 {
			t.Errorf("back: %d datagrams after %s, %v", len(batch), time.Since(start), err)
		}
	})
}

// received is what a lossy link lets through for a seed, with another flow's traffic in between.
func received(t *testing.T, seed uint64, l Link, noise int) (out []uint32) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(seed)
		defer n.Close()
		a, b, c := listen(t, n, alice), listen(t, n, bob), listen(t, n, carol)
		n.SetLink(netip.Addr{}, netip.Addr{}, l)
		for _, i := range numbers(1000) {
			send(t, a, bob, i)
			for range noise {
				send(t, c, alice, i)
			}
		}
		out = drain(t, b)
	})
	return out
}

func TestSameSeedLosesTheSamePackets(t *testing.T) {
	l := Link{Loss: 0.2, Duplicate: 0.1, Delay: 10 * time.Millisecond, Jitter: 30 * time.Millisecond, Reorder: true}
	first := received(t, 42, l, 0)
	if again := received(t, 42, l, 3); !slices.Equal(first, again) {
		t.Error("the same seed and sends met another fate when another flow was busy")
	}
	if other := received(t, 43, l, 0); slices.Equal(first, other) {
		t.Error("another seed met the same fate")
	}
	seen := map[uint32]int{}
	for _, i := range first {
		seen[i]++
	}
	twice := 0
	for _, k := range seen {
		if k == 2 {
			twice++
		}
	}
	if lost := 1000 - len(seen); lost < 150 || lost > 250 {
		t.Errorf("%d of 1000 lost at 20 %%", lost)
	}
	if twice < 50 || twice > 110 {
		t.Errorf("%d came twice at 10 %%", twice)
	}
	if slices.IsSorted(first) {
		t.Error("30 ms of jitter let nothing overtake")
	}
}

func TestChangingOneRateLeavesLossesAlone(t *testing.T) {
	plain := received(t, 5, Link{Loss: 0.3}, 0)
	delayed := received(t, 5, Link{Loss: 0.3, Delay: time.Second, Jitter: time.Second}, 0)
	if !slices.Equal(plain, delayed) {
		t.Error("jitter changed what is lost, or overtook without leave")
	}
}

func TestShorterDelayDoesNotOvertake(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		n.SetLink(alice.Addr(), netip.Addr{}, Link{Delay: time.Second})
		send(t, a, bob, 0, 1)
		n.SetLink(alice.Addr(), netip.Addr{}, Link{})
		send(t, a, bob, 2)
		time.Sleep(time.Second) // the virtual instant at which the first ones arrive
		send(t, a, bob, 3)
		if got := drain(t, b); !slices.Equal(got, numbers(4)) {
			t.Errorf("got %v", got)
		}
	})
}

func TestExactLinkBeatsSenderBeatsReceiverBeatsAny(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		down := Link{Down: true}
		steps := []struct {
			from, to netip.Addr
			l        Link
			arrives  bool
		}{
			{netip.Addr{}, netip.Addr{}, down, false},
			{netip.Addr{}, bob.Addr(), Link{}, true},
			{alice.Addr(), netip.Addr{}, down, false},
			{alice.Addr(), bob.Addr(), Link{}, true},
		}
		for i, s := range steps {
			n.SetLink(s.from, s.to, s.l)
			send(t, a, bob, uint32(i))
			if got := drain(t, b); (len(got) == 1) != s.arrives {
				t.Errorf("step %d: got %v", i, got)
			}
		}
	})
}

func TestFullQueueDropsAndCounts(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		send(t, a, bob, numbers(queueLength+10)...)
		if got := drain(t, b); !slices.Equal(got, numbers(queueLength)) {
			t.Errorf("got %d datagrams", len(got))
		}
		if c := n.Counters(); c.QueueFull != 10 || c.Delivered != queueLength {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestInterruptIsSpentOnce(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		a.Interrupt()
		if batch, err := a.ReadBatch(time.Time{}); err != nil || len(batch) != 0 {
			t.Fatalf("after an Interrupt: %d, %v", len(batch), err)
		}
		start := time.Now()
		if _, err := a.ReadBatch(start.Add(time.Second)); err != nil || time.Since(start) != time.Second {
			t.Errorf("the next one returned after %s, %v", time.Since(start), err)
		}
		time.AfterFunc(time.Second, a.Interrupt)
		start = time.Now()
		if batch, err := a.ReadBatch(time.Time{}); err != nil || len(batch) != 0 || time.Since(start) != time.Second {
			t.Errorf("under way: %d after %s, %v", len(batch), time.Since(start), err)
		}
	})
}

func TestPastDeadlineReturnsNothingAndLosesNothing(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		send(t, a, bob, 1)
		if batch, err := b.ReadBatch(time.Now()); err != nil || len(batch) != 0 {
			t.Errorf("got %d, %v", len(batch), err)
		}
		if got := drain(t, b); !slices.Equal(got, []uint32{1}) {
			t.Errorf("then got %v", got)
		}
	})
}

func TestCloseEndsTheReadUnderWay(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		time.AfterFunc(time.Second, func() { a.Close() })
		if _, err := a.ReadBatch(time.Time{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if err := a.WriteTo([]byte{1}, bob); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
		if err := a.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("close: %v", err)
		}
		if _, err := a.NewSender(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("sender: %v", err)
		}
		listen(t, n, alice) // the address is free again
		n.SetLink(netip.Addr{}, netip.Addr{}, Link{Delay: time.Hour})
		send(t, b, alice, 1)
		start := time.Now()
		n.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("the network's end waited %s for what is under way", took)
		}
		if _, err := b.ReadBatch(time.Time{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the network's end: %v", err)
		}
		if _, err := n.Listen(carol); !errors.Is(err, net.ErrClosed) {
			t.Errorf("listen after the network's end: %v", err)
		}
	})
}

func TestWhatWasLentIsOverwritten(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		send(t, a, bob, 1)
		batch, err := b.ReadBatch(time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		kept := batch[0].Data
		b.Interrupt()
		if _, err := b.ReadBatch(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(kept, []byte{lentMark, lentMark, lentMark, lentMark}) {
			t.Errorf("kept %x", kept)
		}
	})
}

func TestRebindMovesTheSocket(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		n.SetLink(bob.Addr(), netip.Addr{}, Link{Delay: time.Second})
		send(t, b, alice, 1) // still under way when alice moves
		mobile := netip.MustParseAddrPort("192.0.2.9:777")
		if err := n.Rebind(a, mobile); err != nil {
			t.Fatal(err)
		}
		send(t, a, bob, 2)
		batch, err := b.ReadBatch(time.Time{})
		if err != nil || len(batch) != 1 || batch[0].From != mobile || a.LocalAddr() != mobile {
			t.Errorf("got %v, %v; local address %s", batch, err, a.LocalAddr())
		}
		send(t, b, mobile, 3)
		if got := drain(t, a); !slices.Equal(got, []uint32{3}) {
			t.Errorf("got %v", got)
		}
		if c := n.Counters(); c.Nobody != 1 {
			t.Errorf("counters %+v", c)
		}
		if err := n.Rebind(a, bob); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("onto bob: %v", err)
		}
	})
}

func TestListenRefusesWhatAKernelRefuses(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		if _, err := n.Listen(alice); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("address in use: %v", err)
		}
		if _, err := n.Listen(netip.MustParseAddrPort("0.0.0.0:1")); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("unspecified: %v", err)
		}
		free := netip.AddrPortFrom(alice.Addr(), 0)
		x, y := listen(t, n, free), listen(t, n, free)
		if x.LocalAddr().Port() == 0 || x.LocalAddr() == y.LocalAddr() {
			t.Errorf("picked %s and %s", x.LocalAddr(), y.LocalAddr())
		}
		mapped := listen(t, n, netip.MustParseAddrPort("[::ffff:10.0.0.7]:9"))
		if mapped.LocalAddr() != netip.MustParseAddrPort("10.0.0.7:9") {
			t.Errorf("bound to %s", mapped.LocalAddr())
		}
	})
}

func TestSizeLimits(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		if err := a.WriteTo(make([]byte, transport.DatagramSize+1), bob); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("1501 octets: %v", err)
		}
		n.SetLink(netip.Addr{}, netip.Addr{}, Link{MTU: 1200})
		for _, size := range []int{1200, 1201} {
			if err := a.WriteTo(make([]byte, size), bob); err != nil {
				t.Error(err)
			}
		}
		if c := n.Counters(); c.TooLong != 1 || c.Delivered != 1 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestSenderCopiesOnFlushAndCounts(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		s, err := a.NewSender()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		to := a.Dest(bob)
		for i := range uint32(transport.BatchSize + 2) {
			binary.BigEndian.PutUint32(s.Reserve(), i)
			s.Commit(4, &to)
		}
		if got := len(drain(t, b)); got != transport.BatchSize {
			t.Errorf("a full batch sent %d", got)
		}
		s.Flush()
		s.Flush() // nothing left: not a call
		clear(s.Reserve())
		if got := drain(t, b); !slices.Equal(got, []uint32{transport.BatchSize, transport.BatchSize + 1}) {
			t.Errorf("flush sent %v", got)
		}
		c := s.Counters()
		if c.Packets.Load() != transport.BatchSize+2 || c.Bytes.Load() != 4*(transport.BatchSize+2) || c.Calls.Load() != 2 {
			t.Errorf("%d packets, %d bytes, %d calls", c.Packets.Load(), c.Bytes.Load(), c.Calls.Load())
		}
		a.Close()
		s.Reserve()
		s.Commit(4, &to)
		s.Flush()
		if c.Unreachable.Load() != 1 {
			t.Error("a closed socket took a datagram")
		}
	})
}

func TestSendingAllocatesNothing(t *testing.T) {
	n := New(1)
	defer n.Close()
	a, b := listen(t, n, alice), listen(t, n, bob)
	s, err := a.NewSender()
	if err != nil {
		t.Fatal(err)
	}
	to := a.Dest(bob)
	allocs := testing.AllocsPerRun(200, func() {
		for range 50 {
			s.Reserve()
			s.Commit(100, &to)
		}
		s.Flush()
		if batch, err := b.ReadBatch(time.Time{}); err != nil || len(batch) != 50 {
			t.Fatalf("%d, %v", len(batch), err)
		}
	})
	if allocs >= 1 {
		t.Errorf("%v allocations for 50 datagrams", allocs)
	}
}

func TestTapSeesWhatIsLost(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		var seen []Capture
		n.Tap(func(c Capture) {
			c.Data = bytes.Clone(c.Data)
			seen = append(seen, c)
		})
		n.SetLink(netip.Addr{}, netip.Addr{}, Link{Loss: 1})
		start := time.Now()
		send(t, a, bob, 9)
		n.Tap(nil)
		send(t, a, bob, 10)
		if len(seen) != 1 || seen[0].From != alice || seen[0].To != bob || !seen[0].At.Equal(start) || !bytes.Equal(seen[0].Data, []byte{0, 0, 0, 9}) {
			t.Errorf("saw %+v", seen)
		}
	})
}

// TestRandomTrafficIsAccountedFor sends from many goroutines in real time, interrupts and closes in between, and checks
// that every datagram is in one of the counters.
func TestRandomTrafficIsAccountedFor(t *testing.T) {
	n := New(7)
	n.SetLink(netip.Addr{}, netip.Addr{}, Link{Jitter: time.Millisecond, Loss: 0.1, Duplicate: 0.1, Reorder: true})
	hosts := make([]*Socket, 4)
	for i := range hosts {
		hosts[i] = listen(t, n, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 1))
	}
	read := make(chan uint64, len(hosts))
	for _, h := range hosts {
		go func() {
			total := uint64(0)
			for {
				batch, err := h.ReadBatch(time.Now().Add(time.Millisecond))
				if err != nil {
					read <- total
					return
				}
				total += uint64(len(batch))
			}
		}()
	}
	sent := make(chan int, len(hosts))
	for i := range hosts {
		go func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			to := make([]netip.AddrPort, len(hosts))
			for k, h := range hosts {
				to[k] = h.LocalAddr()
			}
			for range 2000 {
				k := random.IntN(len(hosts))
				if err := hosts[i].WriteTo([]byte{1}, to[k]); err != nil {
					t.Error(err)
				}
				hosts[k].Interrupt()
			}
			sent <- 2000
		}()
	}
	for range hosts {
		<-sent
	}
	n.Close()
	var total uint64
	for range hosts {
		total += <-read
	}
	c := n.Counters()
	if c.Sent != 8000 || c.Delivered+c.Lost+c.QueueFull+c.Nobody > c.Sent+c.Duplicated || total > c.Delivered || total == 0 {
		t.Errorf("read %d, counters %+v", total, c)
	}
}

func TestEarlierDatagramIsNotHeldUpByALaterOne(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		n.SetLink(alice.Addr(), netip.Addr{}, Link{Delay: time.Hour})
		n.SetLink(bob.Addr(), netip.Addr{}, Link{Delay: time.Second})
		start := time.Now()
		send(t, a, bob, 1)
		send(t, b, alice, 2)
		if batch, err := a.ReadBatch(time.Time{}); err != nil || len(batch) != 1 || time.Since(start) != time.Second {
			t.Errorf("%d datagrams after %s, %v", len(batch), time.Since(start), err)
		}
		if batch, err := b.ReadBatch(time.Time{}); err != nil || len(batch) != 1 || time.Since(start) != time.Hour {
			t.Errorf("%d datagrams after %s, %v", len(batch), time.Since(start), err)
		}
	})
}

// TestDueDatagramsComeBeforeNewOnes runs in real time, where a datagram can be due before its timer has run.
func TestDueDatagramsComeBeforeNewOnes(t *testing.T) {
	n := New(1)
	defer n.Close()
	a, b := listen(t, n, alice), listen(t, n, bob)
	for i := uint32(0); i < 2000; i += 2 {
		n.SetLink(alice.Addr(), bob.Addr(), Link{Delay: time.Nanosecond})
		send(t, a, bob, i)
		n.SetLink(alice.Addr(), bob.Addr(), Link{})
		send(t, a, bob, i+1)
		for want := i; want < i+2; {
			batch, err := b.ReadBatch(time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range batch {
				if got := binary.BigEndian.Uint32(d.Data); got != want {
					t.Fatalf("%d came when %d was due", got, want)
				}
				want++
			}
		}
	}
}

// tube is a Path that takes one datagram a second, and loses every third.
type tube struct {
	free time.Time
	n    int
}

func (p *tube) Send(now time.Time, size int) (time.Time, bool) {
	p.n++
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Second)
	return p.free, p.n%3 != 0 && size == 4
}

func TestAPathDecidesForAllFlowsOfItsLink(t *testing.T) {
	story(t, 1, func(t *testing.T, n *Network, a, b *Socket) {
		c := listen(t, n, netip.MustParseAddrPort("10.0.0.9:1"))
		n.SetLink(netip.Addr{}, bob.Addr(), Link{Path: &tube{}, Loss: 1, Delay: time.Hour})
		start := time.Now()
		for i := range uint32(3) { // one after the other through one tube, whoever sends
			send(t, a, bob, i)
			send(t, c, bob, 10+i)
		}
		send(t, b, alice, 7) // the way back is another
		if batch, err := a.ReadBatch(time.Time{}); err != nil || len(batch) != 1 || time.Since(start) != 0 {
			t.Errorf("back: %d datagrams, %v", len(batch), err)
		}
		for _, want := range []struct {
			number uint32
			at     time.Duration
		}{{0, time.Second}, {10, 2 * time.Second}, {11, 4 * time.Second}, {2, 5 * time.Second}} {
			batch, err := b.ReadBatch(time.Time{})
			if err != nil || len(batch) != 1 {
				t.Fatalf("%d datagrams, %v", len(batch), err)
			}
			if got := binary.BigEndian.Uint32(batch[0].Data); got != want.number || time.Since(start) != want.at {
				t.Errorf("%d after %v, want %d after %v", got, time.Since(start), want.number, want.at)
			}
		}
		if got := n.Counters(); got.Lost != 2 {
			t.Errorf("counters %+v", got)
		}
	})
}
