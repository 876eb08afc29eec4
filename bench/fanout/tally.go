//go:build linux

package fanout

import "github.com/pion/rtcp"

const (
	// streamsMax is how many SSRCs a listener may get: a room's slots, or with other servers one for each speaker.
	streamsMax = 16
	// windowSize is how far back a late packet is told from a duplicate.
	windowSize = 64
)

// tally is what one listener got, by the header that SRTP leaves in the clear.
type tally struct {
	streams [streamsMax]stream
	n       int
	strange uint64 // another payload type, or too many SSRCs
}

// stream is one SSRC.
type stream struct {
	ssrc       uint32
	highest    uint32 // extended sequence number
	window     uint64 // bit i: highest-i came
	packets    uint64 // each once
	gaps       uint64 // numbers that have not come
	late       uint64
	duplicates uint64

	// At the last report.
	reportedPackets, reportedGaps uint64
}

// take books a packet.
func (t *tally) take(payloadType uint8, ssrc uint32, seq uint16) {
	if payloadType != opusPayloadType {
		t.strange++
		return
	}
	for i := range t.n {
		if t.streams[i].ssrc == ssrc {
			t.streams[i].take(seq)
			return
		}
	}
	if t.n == streamsMax {
		t.strange++
		return
	}
	t.streams[t.n] = stream{ssrc: ssrc, highest: 1<<16 | uint32(seq), window: 1, packets: 1}
	t.n++
}

func (s *stream) take(seq uint16) {
	d := int(int16(seq - uint16(s.highest)))
	switch {
	case d > 0:
		s.highest += uint32(d)
		s.gaps += uint64(d - 1)
		s.window = s.window<<d | 1 // a shift of 64 and more leaves 0
	case -d < windowSize && s.window>>-d&1 == 0:
		s.window |= 1 << -d
		s.gaps -= min(s.gaps, 1)
		s.late++
	default: // older than the window counts as a duplicate: too late is as bad
		s.duplicates++
		return
	}
	s.packets++
}

// sum adds up the streams.
func (t *tally) sum() (total stream) {
	for i := range t.n {
		s := &t.streams[i]
		total.packets += s.packets
		total.gaps += s.gaps
		total.late += s.late
		total.duplicates += s.duplicates
	}
	return total
}

// report makes the blocks of a receiver report, for the streams that went on since the last (RFC 3550 §6.4.1).
func (t *tally) report() []rtcp.ReceptionReport {
	var blocks []rtcp.ReceptionReport
	for i := range t.n {
		s := &t.streams[i]
		came := s.packets - s.reportedPackets
		if came == 0 {
			continue
		}
		r := rtcp.ReceptionReport{SSRC: s.ssrc, LastSequenceNumber: s.highest, TotalLost: uint32(min(s.gaps, 1<<23-1))}
		if s.gaps > s.reportedGaps {
			lost := s.gaps - s.reportedGaps
			r.FractionLost = uint8(min(255, lost*256/(lost+came)))
		}
		s.reportedPackets, s.reportedGaps = s.packets, s.gaps
		blocks = append(blocks, r)
	}
	return blocks
}
