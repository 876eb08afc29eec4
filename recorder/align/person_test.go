package align

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"stentor/forward/opus"
)

// person simulates one participant: a device with a clock of its own, a network with jitter in bursts, loss and stalls. A
// packet's payload tells when its first sample was captured, in the room's clock.
type person struct {
	rng    *rand.Rand
	rate   float64 // samples of the device for one of the room
	delay  float64 // least, in samples
	jitter float64 // most, in samples, on top
	loss   float64

	at      float64 // capture of the next packet, in the room's clock
	ts      uint64
	seq     uint64
	source  uint32
	restart bool
	level   float64 // of congestion, 0 to 1: what makes jitter bursty
	arrived int64
	stall   float64 // until when the network holds everything back
}

func newPerson(seed uint64, ppm float64) *person {
	return &person{
		rng: rand.New(rand.NewPCG(seed, 1)), rate: 1 + ppm/1e6, delay: 25 * ms, source: uint32(seed),
		ts: seed * 1e9, seq: 1000 * seed, restart: true,
	}
}

// packet captures one packet of 20 ms and returns it, with its arrival; nil if it is lost. What waited for a congested
// network arrives in order.
func (p *person) packet(speech bool) *Packet {
	const samples = 960
	captured := p.at
	q := &Packet{Source: p.source, Seq: p.seq, TS: p.ts, Samples: samples, Level: 30, Slot: -1, Restart: p.restart}
	q.Payload = marked(captured, samples)
	if !speech {
		q.Payload, q.Level = []byte{hybrid}, 127
	}
	p.seq, p.ts = p.seq+1, p.ts+samples
	p.at += samples / p.rate
	// Congestion comes and goes within seconds; while it lasts all packets are late, each by another time.
	p.level = max(0, min(1, p.level+(p.rng.Float64()-0.52)*0.3))
	late := min(p.jitter, p.jitter*p.level*(0.7+0.3*p.rng.Float64())+p.jitter/20*p.rng.ExpFloat64())
	arrival := captured + samples + p.delay + late
	p.arrived = max(p.arrived, int64(max(arrival, p.stall)))
	q.At = p.arrived
	if p.rng.Float64() < p.loss {
		return nil
	}
	p.restart = false
	return q
}

// pause lets time pass in which nothing is sent while the device's clock goes on.
func (p *person) pause(samples float64) {
	n := math.Round(samples*p.rate/960) * 960
	p.at += n / p.rate
	p.ts += uint64(n)
}

// freeze lets time pass in which the device's clock stands still.
func (p *person) freeze(samples float64) { p.at += samples }

// rejoin is a page reload: another source, sequence and clock.
func (p *person) rejoin(samples float64) {
	p.freeze(samples)
	p.source += 1000
	p.seq, p.ts = uint64(p.rng.Uint32()), uint64(p.rng.Uint32())
	p.restart = true
}

const hybrid = 15 << 3 // TOC: hybrid, full-band, 20 ms, mono

// marked is a packet that tells when it was captured.
func marked(at float64, samples int) []byte {
	toc := byte(hybrid)
	if samples == 480 {
		toc = 14 << 3
	}
	return binary.BigEndian.AppendUint64([]byte{toc}, math.Float64bits(at))
}

// captured is what marked wrote; false for what it did not write.
func captured(payload []byte) (float64, bool) {
	if len(payload) != 9 {
		return 0, false
	}
	return math.Float64frombits(binary.BigEndian.Uint64(payload[1:])), true
}

// ribbon collects a track's pieces and checks what holds of every track: they are contiguous Opus packets of the
// duration that they say.
type ribbon struct {
	end    int64
	counts [4]int64 // samples of each kind
	pieces int
	broken string
	each   func(Piece)
}

func (r *ribbon) emit(p Piece) {
	n, ok := opus.Duration(p.Payload)
	switch {
	case p.At != r.end:
		r.broken = "not contiguous"
	case !ok || n != p.Samples:
		r.broken = "not of its duration"
	case p.Kind == Silence && (p.Slot != -1 || p.Level != 127):
		r.broken = "silence that is heard"
	}
	r.end = p.At + int64(p.Samples)
	r.counts[p.Kind] += int64(p.Samples)
	r.pieces++
	if r.each != nil {
		r.each(p)
	}
}
