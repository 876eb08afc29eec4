package client

import (
	"math"
	"slices"
	"time"

	"github.com/pion/rtcp"
)

// windowSize is how far back duplicates are told from late packets: 1,024 packets are 20 s of one speaker.
const windowSize = 1024

// opusClock is Opus's RTP clock in Hz (RFC 7587 §4.1).
const opusClock = 48000

// stream keeps book of one received SSRC. Guarded by downlink.mu.
type stream struct {
	ssrc uint32
	line int

	started       bool
	base, highest int64            // extended sequence numbers: of the first and the last packet
	seen          [windowSize]bool // of the last windowSize numbers up to highest
	unique        uint64           // packets, each counted once
	bytes         uint64           // of their payloads
	duplicates    uint64
	outOfOrder    uint64 // came after one with a higher number

	redundant uint64            // packets that came with earlier ones, or could have
	recovered uint64            // frames that had not come when redundancy brought them
	times     [timesSize]uint32 // timestamps of frames that came either way, the last timesSize of them
	timed     int               // how many have been

	transit  float64 // RFC 3550 §6.4.1, in clock ticks
	jitter   float64
	previous struct{ expected, unique uint64 } // at the last report

	lastReport   uint32 // the middle 32 bits of the last SR's NTP time; 0: none came
	lastReportAt time.Time
}

// take books a packet and tells whether it is new.
func (s *stream) take(p *Packet) bool {
	if !s.started {
		s.started = true
		s.base = int64(p.Seq)
		s.highest = s.base - 1
	}
	seq := s.highest + int64(int16(p.Seq-uint16(s.highest)))
	switch {
	case seq > s.highest:
		for i := max(s.highest+1, seq-windowSize+1); i < seq; i++ {
			*s.at(i) = false
		}
		s.highest = seq
		s.estimateJitter(p)
	case seq > s.highest-windowSize && *s.at(seq):
		s.duplicates++
		return false
	default:
		s.outOfOrder++
		s.base = min(s.base, seq)
	}
	*s.at(seq) = true
	if p.Redundant {
		s.redundant++
	}
	s.note(p.Timestamp)
	s.unique++
	s.bytes += uint64(len(p.Payload))
	return true
}

// timesSize is how many frames' times are kept: 64 packets of 20 ms are 1.3 s, four times what redundancy reaches back.
const timesSize = 64

// note keeps a frame's time.
func (s *stream) note(timestamp uint32) {
	s.times[s.timed%timesSize] = timestamp
	s.timed++
}

// recovers books a frame that redundancy has brought; false: it had come before.
func (s *stream) recovers(timestamp uint32) bool {
	if slices.Contains(s.times[:min(s.timed, timesSize)], timestamp) {
		return false
	}
	s.note(timestamp)
	s.recovered++
	return true
}

func (s *stream) at(seq int64) *bool { return &s.seen[uint64(seq)%windowSize] }

// estimateJitter is RFC 3550 §A.8, over packets that came in order.
func (s *stream) estimateJitter(p *Packet) {
	arrival := float64(p.At.UnixNano()) * opusClock / 1e9
	transit := math.Mod(arrival, 1<<32) - float64(p.Timestamp)
	if s.unique > 0 {
		d := math.Abs(transit - s.transit)
		d = math.Min(d, 1<<32-d) // the timestamp, or our clock modulo 2^32, wrapped
		s.jitter += (d - s.jitter) / 16
	}
	s.transit = transit
}

func (s *stream) expected() uint64 { return uint64(s.highest - s.base + 1) }

// lost is how many numbers between the first and the last packet never came.
func (s *stream) lost() uint64 { return s.expected() - min(s.unique, s.expected()) }

// report is the block for a receiver report, and begins a new interval (RFC 3550 §6.4.1, §A.3).
func (s *stream) report(now time.Time) rtcp.ReceptionReport {
	r := rtcp.ReceptionReport{
		SSRC: s.ssrc, TotalLost: uint32(min(s.lost(), 1<<23-1)), LastSequenceNumber: uint32(s.highest),
		Jitter: uint32(s.jitter), LastSenderReport: s.lastReport,
	}
	expected, received := s.expected()-s.previous.expected, s.unique-s.previous.unique
	if expected > received {
		r.FractionLost = uint8(min(255, (expected-received)*256/expected))
	}
	s.previous.expected, s.previous.unique = s.expected(), s.unique
	if s.lastReport != 0 {
		r.Delay = uint32(now.Sub(s.lastReportAt) * 65536 / time.Second)
	}
	return r
}
