//go:build linux

package transport

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/pion/srtp/v2"
)

// BenchmarkBurst is what it costs to send to 500 listeners, and nothing else: in bursts as a room makes them, with idle
// time in between. It sets what the daemon needs besides against what no daemon could save.
//
//	go test ./transport -run '^$' -bench Burst -benchtime 100x
func BenchmarkBurst(b *testing.B) {
	for _, c := range []struct {
		name           string
		every          time.Duration
		packets, octet int // for each listener
	}{
		{"live", 20 * time.Millisecond, 1, 98},
		{"packed60", 60 * time.Millisecond, 1, 259},
		{"packed60x3", 60 * time.Millisecond, 3, 259},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkBurst(b, c.every, c.packets, c.octet) })
	}
}

func benchmarkBurst(b *testing.B, every time.Duration, packets, octets int) {
	const listeners, header = 500, 24
	sink, conn := listenAnywhere(b), listenAnywhere(b)
	go drain(sink)
	out, err := conn.NewSender()
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	dests, seals := make([]Dest, listeners), make([]*Egress, listeners)
	for i := range dests {
		dests[i] = conn.Dest(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), sink.LocalAddr().Port()))
		key := make([]byte, gcmKeySize+gcmSaltSize)
		_, _ = rand.Read(key) // never fails
		if seals[i], err = NewEgress(srtp.ProtectionProfileAeadAes128Gcm, key[:gcmKeySize], key[gcmKeySize:]); err != nil {
			b.Fatal(err)
		}
	}
	payload := make([]byte, octets)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, next, n := threadTime(b), time.Now(), uint64(0)
	for range b.N {
		time.Sleep(time.Until(next))
		next = next.Add(every)
		for i := range dests {
			for range packets {
				slot := out.Reserve()
				slot[0], slot[1] = 0x90, 111
				n++
				out.Commit(seals[i].SealRTP(slot, header, payload, n), &dests[i])
			}
		}
		out.Flush()
	}
	us := float64(threadTime(b)-before) / 1000
	b.ReportMetric(us/float64(b.N*listeners*packets), "cpu-µs/packet")
	b.ReportMetric(us/float64(b.N*listeners)/every.Seconds(), "cpu-µs/listener·s")
	b.ReportMetric(0, "ns/op") // the idle time
}

func listenAnywhere(b *testing.B) Conn {
	c, err := ListenUDP("0.0.0.0:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

// drain reads now and then, so that nobody is woken by a packet.
func drain(c Conn) {
	for {
		batch, err := c.ReadBatch(time.Unix(1, 0))
		if err != nil {
			return
		}
		if len(batch) < BatchSize {
			time.Sleep(time.Millisecond)
		}
	}
}

// threadTime is the CPU time of the calling thread in ns.
func threadTime(b *testing.B) (ns int64) {
	text, err := os.ReadFile("/proc/thread-self/schedstat")
	if err == nil {
		_, err = fmt.Sscan(string(text), &ns)
	}
	if err != nil {
		b.Fatal(err)
	}
	return ns
}
