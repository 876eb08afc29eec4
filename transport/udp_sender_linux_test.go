package transport

import (
	"bytes"
	"fmt"
	"testing"
)

func TestNeighboursForOneAddressTravelAsOneMessageAndArriveApart(t *testing.T) {
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(host, func(t *testing.T) {
			from, a, b := listen(t, host), listen(t, host), listen(t, host)
			out, err := from.NewSender()
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			toA, toB := from.Dest(a.LocalAddr()), from.Dest(b.LocalAddr())
			put := func(to *Dest, name string, size int) {
				n := copy(out.Reserve(), name+string(bytes.Repeat([]byte{'.'}, size-len(name))))
				out.Commit(n, to)
			}
			put(&toA, "a1", 200)
			put(&toA, "a2", 200)
			put(&toA, "a3", 150) // shorter: the last of its message
			put(&toA, "a4", 150)
			put(&toB, "b1", 150) // another address
			put(&toA, "a5", 100)
			put(&toA, "a6", 101) // longer: a message of its own
			out.Flush()
			for c, want := range map[Conn][]int{a: {200, 200, 150, 150, 100, 101}, b: {150}} {
				got, _ := collect(t, c, len(want))
				for i, d := range got {
					name := fmt.Sprintf("a%d", i+1)
					if c == b {
						name = "b1"
					}
					if len(d) != want[i] || d[:2] != name {
						t.Errorf("datagram %d is %q with %d octets, want %s with %d", i, d[:2], len(d), name, want[i])
					}
				}
			}
			n := out.Counters()
			if n.Packets.Load() != 7 || n.Bytes.Load() != 200+200+150+150+150+100+101 || n.Calls.Load() != 1 {
				t.Errorf("%d packets, %d octets, %d calls", n.Packets.Load(), n.Bytes.Load(), n.Calls.Load())
			}
			if n.Joined.Load() != 3 || n.Fallbacks.Load() != 0 {
				t.Errorf("%d joined, %d fallbacks, want 3 and 0", n.Joined.Load(), n.Fallbacks.Load())
			}
		})
	}
}

func TestAJoinedMessageThatIsRefusedGoesApart(t *testing.T) {
	from, a := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	sender, err := from.NewSender()
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	out, to := sender.(*udpSender), from.Dest(a.LocalAddr())
	for i := range 3 {
		out.Commit(copy(out.Reserve(), fmt.Sprintf("packet %d", i)), &to)
	}
	out.controls[0].hdr.Type = 9999 // what a kernel without UDP_SEGMENT makes of it: EINVAL
	out.Flush()
	if got, _ := collect(t, a, 3); got[2] != "packet 2" {
		t.Errorf("arrived %q", got)
	}
	for range 2 {
		out.Commit(copy(out.Reserve(), "later"), &to)
	}
	out.Flush()
	collect(t, a, 2)
	n := out.Counters()
	if n.Fallbacks.Load() != 1 || n.Joined.Load() != 0 || n.Packets.Load() != 5 || n.Unreachable.Load() != 0 {
		t.Errorf("%d fallbacks, %d joined, %d packets, %d unreachable",
			n.Fallbacks.Load(), n.Joined.Load(), n.Packets.Load(), n.Unreachable.Load())
	}
}

func TestAFullBatchOfJoinedMessagesIsFlushedByItself(t *testing.T) {
	from, a := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	out, err := from.NewSender()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	to := from.Dest(a.LocalAddr())
	for i := range BatchSize {
		out.Commit(copy(out.Reserve(), fmt.Sprintf("%03d", i)), &to)
	}
	if got, _ := collect(t, a, BatchSize); got[BatchSize-1] != fmt.Sprintf("%03d", BatchSize-1) {
		t.Errorf("the last datagram is %q", got[BatchSize-1])
	}
}
