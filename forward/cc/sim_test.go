package cc

import (
	"encoding/binary"
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
	off      bool // without the controller
	hostile  func(r *rand.Rand, l *Ladder, ms int, now time.Time)
	bad      bool // Gilbert-Elliott
	noAnswer bool // the receiver sends no transport-wide feedback
	nack     bool // it asks for what it misses
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

// mend and asked do as a leg does (forward/resend.go).
func (s *sim) mend(ms int, now time.Time) {
	for slot := range 3 {
		s.out.refused[RefusedBudget] += s.history.Lost(slot, s.l, s.cover(), s.trip(), now, func(again Sent) { s.resend(again, ms, now) })
	}
	s.out.saved += s.l.Saved()
}

func (s *sim) asked(m simMiss, ms int, now time.Time) {
	again, why := s.history.Asked(m.slot, uint16(m.num), s.d.Resend, s.trip(), now)
	if s.out.refused[why]++; why == Granted {
		s.resend(again, ms, now)
	}
	s.nacked[0] = s.history.Nacked()
}

func (s *sim) trip() time.Duration { return time.Duration(s.rtt) * time.Millisecond }

func (s *sim) resend(again Sent, ms int, now time.Time) {
	p := s.sent[again.Ref]
	p.again = true
	s.history.Paid(p.size)
	if again.Stamped {
		s.l.Resent(again.TWCC, now)
	}
	s.out.resent++
	s.send(p, ms)
}

// ask is libwebrtc's NackTracker with a short wait for what was overtaken.
func (s *sim) ask(ms int) {
	if !s.nack || s.dead != nil && s.dead(ms) {
		return
	}
	for slot := range s.asking {
		kept := s.asking[slot][:0]
		for _, m := range s.asking[slot] {
			if ms-m.since >= 500 {
				continue
			}
			if ms >= m.ask {
				m.ask = ms + max(int(s.rtt), 50)
				i := ms + int(s.base)
				s.nacks[i] = append(s.nacks[i], m)
			}
			kept = append(kept, m)
		}
		s.asking[slot] = kept
	}
}

// misses books what is missing before a packet.
func (s *sim) misses(p simPacket, ms int) {
	for n := s.top[p.slot] + 1; n < p.num && s.top[p.slot] >= 0; n++ {
		s.asking[p.slot] = append(s.asking[p.slot], simMiss{p.slot, n, ms, ms + 10})
	}
	s.top[p.slot] = max(s.top[p.slot], p.num)
	s.asking[p.slot] = slices.DeleteFunc(s.asking[p.slot], func(m simMiss) bool { return m.num == p.num })
}

func (s *sim) decide(ms int, now time.Time) {
	n := s.talking(ms)
	before := s.d
	s.d = s.l.Decide(now, Demand{Talking: n, Payload: n * 32000, Main: min(n, 1) * 32000})
	for range s.d.Probe {
		size := s.d.Padding + 68
		s.l.SentProbe(uint16(s.twcc), size, now)
		s.send(simPacket{size: size, probing: true, twcc: s.twcc}, ms)
		s.twcc++
	}
	if s.config.Resend && !s.nack && s.d.Stamp != (s.history != nil) {
		s.history = nil
		if s.d.Stamp {
			s.history = NewHistory(3, now)
		}
	}
	if s.d.Spread && (s.d.RED != 2 || s.d.Rung != Live) {
		panic("copies are spread that are not sent")
	}
	c := s.d
	c.Resend, before.Resend = false, false
	c.Padding, before.Padding, c.Probe, before.Probe, c.Estimate, before.Estimate = 0, 0, 0, 0, 0, 0
	if c != before {
		s.out.history = append(s.out.history, step{ms, s.d, s.l.estimate})
	}
	if s.trace != nil {
		s.trace(ms, s.l, s.d)
	}
}

func (s *sim) talk(ms int, now time.Time) {
	for slot := range 3 {
		if slot >= s.talking(ms) || ms%20 != slot*7 {
			continue
		}
		f := s.frames[slot]
		s.frames[slot]++
		if s.d.One && slot > 0 && s.follow == s.d.Packing {
			continue
		}
		s.pending[slot] = append(s.pending[slot], f)
		if s.follow == AsItCame {
			s.flush(slot, ms, now)
		}
	}
	want := s.d.Packing
	long := s.follow == Of120ms || want == Of120ms && s.follow != want
	if ms%60 == 59 && (!long || ms%120 == 119) {
		for slot := range 3 {
			s.flush(slot, ms, now)
		}
		s.follow = want
	}
}

// cover is what the next packets carry of earlier ones.
func (s *sim) cover() uint8 {
	if s.d.Spread {
		return 0b1010
	}
	return 1<<s.d.RED - 1
}

func (s *sim) flush(slot, ms int, now time.Time) {
	own := s.pending[slot]
	if len(own) == 0 {
		return
	}
	s.pending[slot] = nil
	p := simPacket{sent: ms, slot: slot, num: s.nums[slot], frames: own, size: 60 + len(own)*frameOctets, twcc: -1}
	s.nums[slot]++
	cover := uint8(0)
	for i := range int(s.d.RED) {
		if s.d.Spread {
			i = 2*i + 1
		}
		if b := s.before[slot][i]; b != nil {
			p.frames = append(append([]int{}, p.frames...), b...)
			p.size += len(b)*frameOctets + redHeader
			cover |= 1 << i
		}
	}
	copy(s.before[slot][1:], s.before[slot][:])
	s.before[slot][0] = own
	if s.d.Stamp {
		p.size += 8
		p.twcc = s.twcc
		s.l.Sent(uint16(p.twcc), p.size, now)
		s.twcc++
		s.out.stamped++
	}
	s.out.packets++
	p.seq = s.seq
	s.seq++
	if s.history != nil {
		ref := uint64(len(s.sent))
		s.sent = append(s.sent, p)
		s.history.Add(slot, Sent{Ref: ref, Seq: uint64(p.num), TWCC: uint16(p.twcc), Stamped: p.twcc >= 0, Cover: cover}, p.size, now)
	}
	s.send(p, ms)
	if s.d.Copies {
		s.copy(slot, ms, now)
	}
}

// copy does as a leg does (forward/copies.go).
func (s *sim) copy(slot, ms int, now time.Time) {
	again, ok := s.history.Copy(slot, now)
	if !ok {
		return
	}
	p := s.sent[again.Ref]
	p.copy = true
	s.l.Copied(again.TWCC, now)
	s.out.copies++
	s.send(p, ms)
}

// send puts a packet on the path.
func (s *sim) send(p simPacket, ms int) bool {
	if !p.copy {
		p.sent = ms
	}
	s.octets += p.size
	if s.dead != nil && s.dead(ms) {
		return false
	}
	at := float64(ms)
	if rate := s.rate(ms); rate > 0 {
		start := max(at, s.free)
		if (start-at)/1000 > s.buffer {
			return false
		}
		s.free = start + float64(p.size*8)/rate*1000
		at = s.free
	}
	if p.flow == 0 && s.loss != nil && s.loss(s.r, s.world) {
		return false
	}
	if s.stall != nil {
		at = max(at, float64(s.stall(int(at))))
	}
	at += s.base + s.jitter*s.r.Float64()
	at = max(at, s.lastArr)
	s.lastArr = at
	if i := int(at) + 1; i < len(s.arrivals) {
		s.arrivals[i] = append(s.arrivals[i], p)
	}
	return true
}

func (s *sim) arrive(p simPacket, ms int) {
	if p.flow > 0 {
		i := ms + int(s.base)
		s.acks[i] = append(s.acks[i], p.flow)
		return
	}
	if !p.probing {
		if s.came[[2]int{p.slot, p.num}] {
			return
		}
		s.came[[2]int{p.slot, p.num}] = true
	}
	if p.twcc >= 0 && !s.noAnswer {
		if p.twcc > s.told {
			s.got[p.twcc] = float64(ms)
		} else { // told as lost
			s.lates = append(s.lates, simMiss{num: p.twcc, since: ms})
		}
		s.most = max(s.most, p.twcc)
	}
	if p.probing {
		return
	}
	s.rrGot++
	for _, f := range p.frames {
		if _, had := s.heardAt[p.slot][f]; !had {
			s.heardAt[p.slot][f] = float64(ms)
		}
	}
	if s.nack {
		s.misses(p, ms)
	}
	if p.again { // no receiver measures anything by it
		return
	}
	delay := float64(ms - p.sent)
	s.delays, s.delayN = s.delays+delay-s.base, s.delayN+1
	s.minDelay[ms/1000] = min(s.minDelay[ms/1000], delay-s.base)
	if s.rrMax >= 0 {
		d := delay - s.transit
		s.jit += (max(d, -d) - s.jit) / 16
	}
	s.transit, s.rtt = delay, delay+s.base
	s.rrMax = max(s.rrMax, p.seq)
}

// answer is a feedback message of what has come since the last one.
func (s *sim) answer(ms int) {
	if s.dead != nil && s.dead(ms) {
		return
	}
	for _, late := range s.lates { // told anew, as libwebrtc does
		i := ms + int(s.base)
		s.feedback[i] = append(s.feedback[i], feedbackMessage(uint16(late.num), []float64{float64(late.since)}))
	}
	s.lates = s.lates[:0]
	if s.most <= s.told {
		return
	}
	base := s.told + 1
	if s.most-base > 5000 {
		base = s.most - 5000
	}
	var at []float64
	for q := base; q <= s.most; q++ {
		v, ok := s.got[q]
		delete(s.got, q)
		if !ok {
			v = -1
		}
		at = append(at, v)
	}
	s.told = s.most
	i := ms + int(s.base)
	s.feedback[i] = append(s.feedback[i], feedbackMessage(uint16(base), at))
	s.out.feedbacks++
	s.out.feedbackAt = ms
}

// feedbackMessage writes a message with two-bit vectors; at: ms, or -1 for lost.
func feedbackMessage(base uint16, at []float64) []byte {
	b := make([]byte, 20)
	b[0], b[1] = 0x80|15, 205
	binary.BigEndian.PutUint16(b[12:], base)
	binary.BigEndian.PutUint16(b[14:], uint16(len(at)))
	ref := -1
	last := 0
	var deltas []byte
	var chunk uint16
	for i, v := range at {
		sym := uint16(0)
		if v >= 0 {
			tick := int(v * 4)
			if ref < 0 {
				ref = tick / 256
				last = ref * 256
			}
			d := tick - last
			last = tick
			if d >= 0 && d < 256 {
				sym = 1
				deltas = append(deltas, byte(d))
			} else {
				sym = 2
				deltas = binary.BigEndian.AppendUint16(deltas, uint16(int16(min(max(d, -32768), 32767))))
			}
		}
		chunk |= sym << (12 - 2*(i%7))
		if i%7 == 6 || i == len(at)-1 {
			b = binary.BigEndian.AppendUint16(b, chunk|0xc000)
			chunk = 0
		}
	}
	b[16], b[17], b[18] = byte(ref>>16), byte(ref>>8), byte(ref)
	b = append(b, deltas...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	return b
}

func (s *sim) report(ms int, now time.Time) {
	s.rrNext = ms + 1000 + s.r.IntN(4000)
	if s.dead != nil && s.dead(ms) || s.rrMax < 0 {
		return
	}
	expected := s.rrMax - s.rrSeq
	fraction := 0
	if expected > 0 {
		fraction = min(255, max(0, (expected-s.rrGot)*256/expected))
	}
	s.rrSeq, s.rrGot = s.rrMax, 0
	lost := Missing(uint8(fraction), s.nacked[0]-s.nacked[1], uint64(s.out.packets-s.reported))
	s.nacked[1], s.reported = s.nacked[0], s.out.packets
	s.l.Report(lost, uint32(s.jit*48), time.Duration(s.rtt)*time.Millisecond, now)
}

// bulk is TCP: slow start, then a packet more a round trip, half of it after a loss.
func (s *sim) bulk(ms int) {
	for _, f := range s.acks[ms] {
		c := &s.tcp[f-1]
		c.inflight--
		if c.window < c.slow {
			c.window++
		} else {
			c.window += 1 / c.window
		}
	}
	for _, f := range s.lostAcks[ms] {
		c := &s.tcp[f-1]
		c.inflight--
		if ms > c.cut {
			c.window = max(c.window/2, 2)
			c.slow, c.cut = c.window, ms+int(2*s.base+s.buffer*1000)
		}
	}
	for f := range s.tcp {
		c := &s.tcp[f]
		for ms >= s.flowsAt && c.inflight < int(c.window) {
			c.inflight++
			if !s.send(simPacket{size: 1500, flow: f + 1}, ms) {
				i := ms + int(2*s.base+s.buffer*1000)
				s.lostAcks[i] = append(s.lostAcks[i], f+1)
				break
			}
		}
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
