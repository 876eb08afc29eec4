//go:build linux

package fanout

import (
	"sync"
	"sync/atomic"

	"stentor/bench/client"
)

// stampsMax is how many receive stamps of each stream a probe keeps: far more than earQueue lets wait.
const stampsMax = 1024

// silenceMax is the longest frame of silence, in octets: libopus' own is FF FE; the shortest of the speech has 40.
const silenceMax = 2

// probe is a listener that looks into every packet.
type probe struct {
	speech    *speech
	shares    []share
	measuring *atomic.Bool // latencies are kept

	mu       sync.Mutex
	stamps   [streamsMax]stamps
	scratch  []byte // a frame as it was sent
	ms       []float64
	frames   uint64 // known ones
	unknown  uint64 // frames that nobody had sent, and packets that are no Opus
	skipped  uint64 // frames between two of the same speaker that did not come
	repeated uint64 // frames that came again or out of order
	silences uint64 // frames of silence, by which a server may end a spurt
}

// share is what one talker says, and how far the probe has heard him.
type share struct {
	first, count int
	last         int // number of the last frame; -1: none
}

type stamps struct {
	ssrc uint32
	at   [stampsMax]int64
}

// newProbe makes a probe that has room for ten minutes of a talking room.
func newProbe(s *speech, talkers int, measuring *atomic.Bool) *probe {
	p := &probe{speech: s, measuring: measuring, ms: make([]float64, 0, 4096)}
	for i := range talkers {
		first, count := s.share(i, talkers)
		p.shares = append(p.shares, share{first: first, count: count, last: -1})
	}
	return p
}

// stamp keeps the kernel's receive stamp of a packet. Called by the drain before the packet goes to its reader.
func (p *probe) stamp(ssrc uint32, seq uint16, at int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.stampsOf(ssrc); s != nil {
		s.at[seq%stampsMax] = at
	}
}

func (p *probe) stampsOf(ssrc uint32) *stamps {
	for i := range p.stamps {
		s := &p.stamps[i]
		if s.ssrc == 0 {
			s.ssrc = ssrc
		}
		if s.ssrc == ssrc {
			return s
		}
	}
	return nil
}

// take checks a decrypted packet. The latency of a packet is that of its newest frame.
func (p *probe) take(packet client.Packet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	newest := -1
	ok := client.Frames(packet.Payload, func(toc byte, frame []byte) {
		if len(frame) <= silenceMax {
			p.silences++
			return
		}
		p.scratch = append(append(p.scratch[:0], toc), frame...)
		i, known := p.speech.index[string(p.scratch)]
		if !known {
			p.unknown++
			return
		}
		p.hear(i)
		newest = i
	})
	if !ok {
		p.unknown++
	}
	s := p.stampsOf(packet.SSRC)
	if newest < 0 || s == nil || !p.measuring.Load() {
		return
	}
	if at := s.at[packet.Seq%stampsMax]; at != 0 {
		p.ms = append(p.ms, float64(at-p.speech.sentAt[newest].Load())/1e6)
	}
}

// hear books frame i, and how many of its speaker were left out before it.
func (p *probe) hear(i int) {
	p.frames++
	for k := range p.shares {
		s := &p.shares[k]
		if i < s.first || i >= s.first+s.count {
			continue
		}
		if s.last >= 0 {
			switch step := (i - s.last + s.count) % s.count; {
			case step == 0 || step > s.count/2:
				p.repeated++
				return
			default:
				p.skipped += uint64(step - 1)
			}
		}
		s.last = i
		return
	}
	p.unknown++ // a frame of the rest that nobody says
}
