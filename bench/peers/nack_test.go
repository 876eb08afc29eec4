package peers

import (
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"
)

// lossy is a socket that loses every tenth RTP packet of a stream, from the fifth on, when it comes for the first time.
type lossy struct {
	net.PacketConn
	had  map[uint64]bool // Owned by who reads, as is of.
	of   map[uint32]int  // packets that came of each stream
	lost atomic.Int64
}

func (l *lossy) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := l.PacketConn.ReadFrom(b)
		if err != nil || n < 12 || b[0]>>6 != 2 || b[1] >= 192 && b[1] <= 223 {
			return n, from, err
		}
		ssrc := binary.BigEndian.Uint32(b[8:])
		key := uint64(ssrc)<<16 | uint64(binary.BigEndian.Uint16(b[2:]))
		if l.had[key] {
			return n, from, nil
		}
		l.had[key] = true
		if l.of[ssrc]++; l.of[ssrc]%10 != 5 {
			return n, from, nil
		}
		l.lost.Add(1)
	}
}

// TestAForeignClientGetsWhatItAsksFor: pion's own NACK generator asks for what its socket has lost, over both SRTP profiles, and
// every frame is there in the end.
func TestAForeignClientGetsWhatItAsksFor(t *testing.T) {
	const ip, spoken = "127.0.0.1", 200
	for _, profile := range []struct {
		name  string
		build build
	}{{"GCM", build{profile: gcm}}, {"CM", build{profile: cm}}} {
		t.Run(profile.name, func(t *testing.T) {
			d := startDaemon(t, ip)
			d.room(t)
			network := &lossy{PacketConn: listen(t, ip), had: map[uint64]bool{}, of: map[uint32]int{}}
			b := profile.build
			b.ip, b.asks, b.mux = ip, true, onSocket(t, network)
			lea, sam := newPeer(t, "lea", b), newPeer(t, "sam", build{ip: ip})
			lea.join(t, d, false)
			sam.join(t, d, true)
			sam.talk(spoken)
			lea.ear.hears(t, sam.audioID, spoken) // each number once: replays do not get through
			sam.hush()
			got := map[string]bool{}
			for _, p := range lea.ear.voice(sam.audioID) {
				got[string(p.Payload)] = true
			}
			for n := range spoken {
				if !got[string(frame("sam", n))] {
					t.Errorf("frame %d is missing", n)
				}
			}
			if network.lost.Load() < spoken/20 {
				t.Errorf("only %d packets were lost", network.lost.Load())
			}
			eventually(t, "the daemon tells of what it has sent again", func() bool {
				down := d.get(t, "lea").Downlink
				return down.Resent >= uint64(network.lost.Load()) && down.Nacks > 0
			})
		})
	}
}
