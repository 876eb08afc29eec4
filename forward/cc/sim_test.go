package cc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A deterministic world of one listener behind a bottleneck: talkers, a leg that does what a Ladder decides, a queue
// with tail drop, loss, an outage, TCP flows beside it, and a receiver that answers as browsers do. Steps of 1 ms.
type world struct {
	seed     uint64
	seconds  int
	talking  func(ms int) int
	rate     func(ms int) float64 // of the bottleneck, b/s; 0: none
	buffer   float64              // seconds of the bottleneck's rate; tail drop
	base     float64              // ms one way
	jitter   float64              // ms, uniform
	loss     func(r *rand.Rand, w *world) bool
	dead     func(ms int) bool // the network
	stall    func(ms int) int  // held back till then, and delivered at once
	flows    int               // TCP flows beside us
	flowsAt  int               // ms, when they begin
	config   Config
	packed   Packing
	fixed    bool // nobody asks the rung
	off      bool // without the controller
	hostile  func(r *rand.Rand, l *Ladder, ms int, now time.Time)
	bad      bool // Gilbert-Elliott
	noAnswer bool // the receiver sends no transport-wide feedback
	mute     int  // ms, from when on it sends none; 0: never
	nack     bool // it asks for what it misses
	nackFrom int  // ms, since when
	trace    func(ms int, l *Ladder, d Decision)
}

const frameOctets = 80 // 32 kb/s in 20 ms

type simPacket struct {
	slot    int
	num     int // of the slot's packets
	again   bool
	copy    bool
	frames  []int // redundancy included
	size    int
	seq     int // of all packets of the leg
	twcc    int // -1: not stamped
	sent    int
	probing bool
	flow    int // TCP's, from 1
}

type outcome struct {
	seed       uint64
	heard      [3]float64 // of the frames of each slot
	soon       float64    // of the dominant speaker's, within 300 ms
	resent     int
	copies     int
	refused    [RefusalsN]int
	saved      int
	hole       int     // ms, longest between arrivals of the dominant speaker's new frames, after 5 s
	standing   float64 // ms, most that the least delay of a second above the base was, after 5 s
	late       float64 // ms, mean delay of packets above the base
	kbps       float64
	moves      [MovesN]uint32
	final      Decision
	history    []step
	feedbacks  int
	feedbackAt int // ms, last
	stamped    int // packets
	packets    int
}

type step struct {
	ms  int
	d   Decision
	est float64
}

type sim struct {
	*world
	r        *rand.Rand
	l        *Ladder
	now      time.Time
	d        Decision
	out      outcome
	follow   Packing
	pending  [3][]int
	before   [3][4][]int
	frames   [3]int
	seq      int
	twcc     int
	free     float64 // when the bottleneck is, ms
	arrivals [][]simPacket
	feedback [][][]byte
	acks     [][]int
	lostAcks [][]int
	lastArr  float64

	history  *History
	sent     []simPacket // Ref of the history
	nums     [3]int
	asking   [3][]simMiss
	top      [3]int // highest number that came
	nacks    [][]simMiss
	nacked   [2]uint64 // now, and at the last report
	reported int       // packets at the last report
	lates    []simMiss // that came after others were told of

	got      map[int]float64 // twcc -> ms
	told     int
	most     int
	rrNext   int
	rrSeq    int
	rrMax    int
	rrGot    int
	transit  float64
	jit      float64
	rtt      float64
	heardAt  [3]map[int]float64
	came     map[[2]int]bool // slot and number: SRTP drops what comes twice
	minDelay [600]float64
	tcp      []tcp
	delays   float64
	delayN   int
	octets   int
}

// simMiss is a packet that a receiver misses, or got late.
type simMiss struct{ slot, num, since, ask int }

type tcp struct {
	window, slow float64
	inflight     int
	cut          int
}

func (w *world) run() outcome {
	s := &sim{world: w, r: rand.New(rand.NewPCG(w.seed, 7)), got: map[int]float64{}, told: -1, most: -1, rrMax: -1, rrSeq: -1}
	s.now = time.Unix(1_700_000_000, 0)
	s.l = New(w.config, s.now)
	n := w.seconds*1000 + 20000
	s.nacks, s.top = make([][]simMiss, n), [3]int{-1, -1, -1}
	if s.nack {
		s.history = NewHistory(3, s.now)
	}
	s.arrivals, s.feedback, s.acks, s.lostAcks = make([][]simPacket, n), make([][][]byte, n), make([][]int, n), make([][]int, n)
	for i := range s.heardAt {
		s.heardAt[i] = map[int]float64{}
		s.came = map[[2]int]bool{}
	}
	for i := range s.minDelay {
		s.minDelay[i] = 1e9
	}
	s.rrNext = 1000 + s.r.IntN(4000)
	for range w.flows {
		s.tcp = append(s.tcp, tcp{window: 2, slow: 64})
	}
	for ms := range w.seconds * 1000 {
		s.step(ms, s.now.Add(time.Duration(ms)*time.Millisecond))
	}
	return s.finish()
}

func (s *sim) step(ms int, now time.Time) {
	s.bulk(ms)
	for _, p := range s.arrivals[ms] {
		s.arrive(p, ms)
	}
	s.arrivals[ms] = nil
	s.talk(ms, now)
	fed := false
	for _, b := range s.feedback[ms] {
		s.l.Feedback(b, now)
		fed = true
	}
	if ms%100 == 0 && s.r.IntN(4) > 0 {
		s.answer(ms)
	}
	s.ask(ms)
	for _, m := range s.nacks[ms] {
		s.history.Ask(m.slot, uint16(m.num))
	}
	for _, m := range s.nacks[ms] {
		s.asked(m, ms, now)
	}
	if ms >= s.rrNext {
		s.report(ms, now)
	}
	if s.hostile != nil {
		s.hostile(s.r, s.l, ms, now)
	}
	if s.off {
		return
	}
	if fed || ms%1000 == 0 || s.d.Stamp && ms%100 == 0 {
		s.decide(ms, now)
	}
	if fed && s.history != nil && s.config.Resend && s.d.Resend {
		s.mend(ms, now)
	}
}

func (s *sim) finish() outcome {
	o := &s.out
	o.seed = s.seed
	for slot := range 3 {
		n, ok := 0, 0
		for f := range s.frames[slot] - 100 {
			at, had := s.heardAt[slot][f]
			n++
			if had && at-float64(f*20) < 1500 {
				ok++
			}
			if had && slot == 0 && at-float64(f*20) < 300 {
				o.soon++
			}
		}
		if slot == 0 {
			o.soon *= 100 / float64(n)
		}
		if n > 0 {
			o.heard[slot] = 100 * float64(ok) / float64(n)
		}
	}
	var times []float64 // what was sent again comes later than what follows it
	for _, at := range s.heardAt[0] {
		if at > 5000 {
			times = append(times, at)
		}
	}
	slices.Sort(times)
	for i := 1; i < len(times); i++ {
		o.hole = max(o.hole, int(times[i]-times[i-1]))
	}
	for i := 5; i < s.seconds; i++ {
		if s.minDelay[i] < 1e9 {
			o.standing = max(o.standing, s.minDelay[i])
		}
	}
	o.late = s.delays / float64(max(1, s.delayN))
	o.kbps = float64(s.octets) * 8 / float64(s.seconds) / 1000
	o.moves, o.final = s.l.Moves(), s.d
	return *o
}

func (o outcome) String() string {
	s := fmt.Sprintf("copies %d resent %d saved %d refused %v soon %.1f%% heard %.1f%% hole %d ms standing %.0f ms late %.0f ms %.0f kb/s moves %v stamped %d/%d feedback %d until %d ms",
		o.copies, o.resent, o.saved, o.refused, o.soon, o.heard, o.hole, o.standing, o.late, o.kbps, o.moves, o.stamped, o.packets, o.feedbacks, o.feedbackAt)
	for _, h := range o.history {
		s += fmt.Sprintf("\n  %6d ms %-13v red %d copies %-5v stamp %-5v %v est %.0f", h.ms, h.d.Rung, h.d.RED, h.d.Copies, h.d.Stamp, h.d.Why, h.est)
	}
	return s
}

func talk(n int) func(int) int { return func(int) int { return n } }

func fixed(rate float64) func(int) float64 { return func(int) float64 { return rate } }

func random(p float64) func(*rand.Rand, *world) bool {
	return func(r *rand.Rand, _ *world) bool { return r.Float64() < p }
}

// gilbert loses p of the packets in bursts of the given mean.
func gilbert(p, burst float64) func(*rand.Rand, *world) bool {
	return func(r *rand.Rand, w *world) bool {
		if w.bad {
			w.bad = r.Float64() >= 1/burst
		} else {
			w.bad = r.Float64() < p/(1-p)/burst
		}
		return w.bad
	}
}

var full = Config{RED: 2, Feedback: true, Probe: true, Resend: true}

func before(ms int, rate, after float64) func(int) float64 {
	return func(now int) float64 {
		if now < ms {
			return rate
		}
		return after
	}
}

// lowest is the lowest rung in a run's story.
func (o outcome) lowest() Rung {
	var r Rung
	for _, h := range o.history {
		r = max(r, h.d.Rung)
	}
	return r
}
