package cc

import "encoding/binary"

// Feedback reads one transport-wide feedback message without allocating
// (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1). It borrows the message; it dies with it.
type Feedback struct {
	chunks []byte // those not begun
	deltas []byte
	seq    uint16 // next
	left   int    // packets not told yet
	run    int    // symbols left of the chunk at hand
	chunk  uint16
	at     int64 // arrival of the last packet told, in µs of the receiver's clock, modulo refWrap
}

const (
	feedbackHeader = 20 // RTCP header, two SSRCs, base, count, reference time, feedback count
	refUnit        = 64_000
	deltaUnit      = 250 // µs
	// refWrap is where arrival times begin anew: 24 bits of 64 ms, 12.4 days.
	refWrap = int64(refUnit) << 24

	// chunksMost is how many octets of chunks are read: twice what sentMax packets can take, told of by sevens. What is said
	// of many more was never sent, and reading it is work that whoever asks for it does not pay for.
	chunksMost = 2 * 2 * sentMax / 7

	notReceived = 0
	smallDelta  = 1
	largeDelta  = 2
)

// ParseFeedback takes one RTCP packet, header included, and says whether it is transport-wide feedback that is
// complete: all of it is checked here, so that Next cannot fail half-way. The reserved symbol is refused (§3.1.1).
func ParseFeedback(b []byte) (Feedback, bool) {
	if len(b) < feedbackHeader+2 || b[0]&0xdf != 0x80|15 || b[1] != 205 {
		return Feedback{}, false
	}
	size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
	if size > len(b) || size < feedbackHeader+2 {
		return Feedback{}, false
	}
	ref := int64(b[16])<<16 | int64(b[17])<<8 | int64(b[18])
	f := Feedback{
		seq: binary.BigEndian.Uint16(b[12:]), left: int(binary.BigEndian.Uint16(b[14:])),
		at: ref * refUnit, chunks: b[feedbackHeader:size],
	}
	need, n := f.measure()
	if f.left == 0 || n < 0 || len(f.chunks)-n < need {
		return Feedback{}, false
	}
	f.chunks, f.deltas = f.chunks[:n], f.chunks[n:]
	return f, true
}

// measure says how many octets of deltas the chunks ask for, and how many the chunks are; -1: they end too early or
// hold a reserved symbol.
func (f *Feedback) measure() (deltas, chunks int) {
	left := f.left
	for left > 0 {
		if chunks+2 > min(len(f.chunks), chunksMost) {
			return 0, -1
		}
		c := binary.BigEndian.Uint16(f.chunks[chunks:])
		chunks += 2
		n := min(symbols(c), left)
		if n == 0 { // a run of nothing says nothing and would let a message be all chunks
			return 0, -1
		}
		left -= n
		for i := range n {
			s := symbol(c, i)
			if s > largeDelta {
				return 0, -1
			}
			deltas += s
			if c>>15 == 0 { // all of a run are alike
				deltas += s * (n - 1)
				break
			}
		}
	}
	return deltas, chunks
}

// skip passes over runs of what was not received until no more packets than that are left to tell of, as after an outage.
func (f *Feedback) skip(most int) {
	for f.left > most {
		if f.run == 0 {
			f.begin()
		}
		if f.chunk>>15 != 0 || symbol(f.chunk, 0) != notReceived {
			f.Next()
			continue
		}
		n := min(f.run, f.left-most)
		f.run, f.left, f.seq = f.run-n, f.left-n, f.seq+uint16(n)
	}
}

// begin takes the next chunk.
func (f *Feedback) begin() {
	f.chunk = binary.BigEndian.Uint16(f.chunks)
	f.chunks = f.chunks[2:]
	f.run = symbols(f.chunk)
}

// symbols is how many packets a chunk tells of (§3.1.3, §3.1.4).
func symbols(c uint16) int {
	switch {
	case c>>15 == 0:
		return int(c & 0x1fff)
	case c>>14&1 == 0:
		return 14
	default:
		return 7
	}
}

// symbol is the i-th of a chunk. Its value is also the size of the delta that belongs to it.
func symbol(c uint16, i int) int {
	switch {
	case c>>15 == 0:
		return int(c >> 13 & 3)
	case c>>14&1 == 0:
		return int(c >> (13 - i) & 1)
	default:
		return int(c >> (12 - 2*i) & 3)
	}
}

// Next is the next packet told of: its number, and when it arrived in µs of the receiver's clock (§3.1.5). Arrival
// times of one message do not wrap; they begin below refWrap. ok is false at the end.
func (f *Feedback) Next() (seq uint16, arrival int64, received, ok bool) {
	if f.left == 0 {
		return 0, 0, false, false
	}
	if f.run == 0 {
		f.begin()
	}
	s := symbol(f.chunk, symbols(f.chunk)-f.run)
	f.run--
	f.left--
	seq = f.seq
	f.seq++
	switch s {
	case smallDelta:
		f.at += int64(f.deltas[0]) * deltaUnit
	case largeDelta:
		f.at += int64(int16(binary.BigEndian.Uint16(f.deltas))) * deltaUnit
	}
	f.deltas = f.deltas[s:]
	return seq, f.at, s != notReceived, true
}
