package cc

// doubt is what is kept of a leg while its packets are stamped: what was sent, and what feedback says of it. 6.4 KB,
// made when the doubt begins and given back when it ends. Owned by the Ladder.
type doubt struct {
	began    int64
	ring     [sentMax]sent
	trend    trend
	bins     [bins]bin
	bin      int64 // number of the last bin
	after    tally // since the last move or trial
	probe    probe
	last     signals
	at       int64 // of the last feedback that told of a packet of ours
	unsaid   int64 // when the first packet since then was sent; -1: none was
	reports  int   // receiver reports since then
	judged   int64 // when calm and clean were last brought up to date
	calm     int64 // µs without congestion, with feedback
	clean    int64 // µs without congestion and loss
	acked    int   // packets ever told of
	saved    int   // packets that came because they were sent again
	lapsed   int64 // what was sent before is not to be sent again: an outage has ended
	copies   bool  // every packet is sent twice
	late     bool  // what came last was left out of the trend, as a copy's arrival
	interval int64 // µs between two packets of a talker
	moved    bool  // a rung or RED was changed

	from    int64 // packets sent before are no evidence: the move had not taken effect, or a probe filled the queue
	bias    int64 // µs of queue that was there before the first packet was stamped, by the reports
	arrived int64 // last arrival, extended beyond refWrap
	zero    int64 // arrival less sending of the first packet: delays count from here

	first    int64 // µs of queue that was seen first since the last move; -1: none yet
	low      int64 // since when there is next to no queue; -1: there is
	eased    bool  // there was none for a second since the last move
	run      int   // lost in a row, not counted yet
	runStart int64 // when the first of them was sent
}

// sent is one packet on its way.
type sent struct {
	at    uint32 // µs, modulo 2^32 (71 min)
	size  uint16 // octets on the wire
	tag   uint8  // upper bits of its number
	state uint8
}

// States of a packet, and the marks of what was sent twice, of what was sent again, and of a probe.
const (
	nothing = iota
	inFlight
	lost
	received
	copied  = 0x20
	resent  = 0x40
	probing = 0x80
	marks   = copied | resent | probing
)

const (
	// sentMax holds 3.4 s of three live slots: a round trip with a queue of 2 s, feedback interval included.
	sentMax = 512
	// sentOld is how old a packet may be to be told of.
	sentOld = 30 * second
	// Losses are counted in bins of a quarter second over 4 s.
	bins    = 16
	binSpan = 250 * millisecond
	// outageSpan is how long nothing must get through to be an outage and not loss. Bursts of 3 packets in the mean
	// last as long as that once in 10^8 times (live) or 10^3 (packed60, whose burst is then 1 s of speech, an outage
	// for who listens).
	outageSpan = second
	// freshFor is how long feedback stands for the present.
	freshFor = second
	// delayMost is how far a delay may lie from the first: more is another clock.
	delayMost = 30 * second
)

type bin struct{ received, lost, runs uint16 }

// tally counts packets sent at or after a time.
type tally struct {
	from           int64
	received, lost int
}

func (a *tally) n() int { return a.received + a.lost }

func (a *tally) loss() float64 { return float64(a.lost) / float64(max(1, a.n())) }

func newDoubt(t, bias int64) *doubt {
	d := &doubt{began: t, at: t, judged: t, bias: bias, first: -1, low: -1, unsaid: -1}
	d.trend.reset()
	return d
}

// sent remembers a packet.
func (d *doubt) sent(seq uint16, size int, mark uint8, t int64) {
	if d.unsaid < 0 {
		d.unsaid = t
	}
	d.ring[seq%sentMax] = sent{uint32(t), uint16(min(max(size, 0), 1<<16-1)), uint8(seq / sentMax), inFlight | mark}
}

// feedback takes what a message says of packets that were sent, and reads the signals anew.
func (d *doubt) feedback(f *Feedback, t int64) bool {
	if d.unsaid >= 0 && t-d.unsaid > outageSpan { // and not a pause in which nobody talked
		d.outage(t)
	}
	f.skip(sentMax)
	known := false
	for {
		seq, at, got, ok := f.Next()
		if !ok {
			break
		}
		p := &d.ring[seq%sentMax]
		state := p.state &^ marks
		if state == nothing || state == received || p.tag != uint8(seq/sentMax) {
			continue
		}
		sentAt := t - int64(uint32(t)-p.at)
		if t-sentAt > sentOld {
			continue
		}
		if got {
			known = true
			d.arrive(p, sentAt, d.extend(at), t)
		} else if state == inFlight {
			d.miss(p, sentAt)
		}
	}
	if known {
		d.at, d.unsaid, d.reports = t, -1, 0
		d.last = d.trend.read(t)
		d.last.received *= d.came(t)
		if d.last.points > 0 {
			d.last.queue += d.bias
			if d.first < 0 {
				d.first = d.last.queue
			}
			d.ease(t)
		}
		if d.last.standing > 0 {
			d.last.standing += d.bias
		}
	}
	return known
}

// extend gives an arrival time its upper part.
func (d *doubt) extend(at int64) int64 {
	diff := (at - d.arrived) % refWrap
	switch {
	case diff > refWrap/2:
		diff -= refWrap
	case diff < -refWrap/2:
		diff += refWrap
	}
	d.arrived += diff
	return d.arrived
}

func (d *doubt) arrive(p *sent, sentAt, arrived, t int64) {
	again := p.state&^marks == lost // it was only late
	mark := p.state & marks
	p.state = received | mark
	d.acked++
	if mark&probing != 0 {
		d.probe.arrive(int(p.size), arrived)
		return
	}
	if mark&resent != 0 { // the network has lost it once, and its delay is none
		d.saved++
		return
	}
	if again {
		d.unlose()
	}
	d.endRun(sentAt, t)
	if sentAt < d.from {
		return
	}
	d.count(t).received++
	if sentAt >= d.after.from {
		d.after.received++
	}
	delay := arrived - sentAt - d.zero
	if d.trend.base == [2]int32{delayNone, delayNone} || delay > delayMost || delay < -delayMost {
		d.trend.reset()
		d.zero, delay = arrived-sentAt, 0
	}
	if d.bias != 0 && delay < -d.bias/2 {
		d.bias = 0 // the queue has drained: the base tells the truth now
	}
	if d.byCopy(mark, delay) {
		d.trend.weigh(uint32(p.size))
		return
	}
	d.trend.add(sentAt, arrived, int32(delay), uint32(p.size), t)
}

func (d *doubt) miss(p *sent, sentAt int64) {
	mark := p.state & (probing | copied)
	p.state = lost | mark
	if mark&probing != 0 {
		d.probe.missed++
		return
	}
	if sentAt < d.from {
		return
	}
	if d.run == 0 {
		d.runStart = sentAt
	}
	d.run++
}

// resend notes that a packet is sent again. Who asks for it before feedback tells of it misses it.
func (d *doubt) resend(seq uint16, t int64) {
	p := &d.ring[seq%sentMax]
	if p.state == nothing || p.tag != uint8(seq/sentMax) {
		return
	}
	if p.state&^marks == inFlight {
		d.miss(p, t-int64(uint32(t)-p.at))
	}
	p.state |= resent
}

// fate is what feedback says of a packet.
func (d *doubt) fate(seq uint16, t int64) Fate {
	p := &d.ring[seq%sentMax]
	switch state := p.state &^ marks; {
	case p.tag != uint8(seq/sentMax) || t-int64(uint32(t)-p.at) < d.lapsed:
		return Unknown
	case state == lost:
		return Lost
	case state == received:
		return Received
	}
	return Unknown
}

// endRun counts the losses before a packet that arrived, unless they are an outage.
func (d *doubt) endRun(sentAt, t int64) {
	if d.run == 0 {
		return
	}
	if sentAt-d.runStart >= outageSpan {
		d.outage(t)
		return
	}
	b := d.count(t)
	b.lost += uint16(d.run)
	b.runs++
	if d.runStart >= d.after.from {
		d.after.lost += d.run
	}
	d.run = 0
}

// unlose takes back one loss.
func (d *doubt) unlose() {
	if d.run > 0 {
		d.run--
		return
	}
	for i := range d.bins {
		if d.bins[i].lost > 0 {
			d.bins[i].lost--
			break
		}
	}
	d.after.lost = max(0, d.after.lost-1)
}

// outage forgets what was measured: nothing of it is about the path that is there now.
func (d *doubt) outage(t int64) {
	d.run = 0
	d.trend.restart()
	d.last = signals{}
	clear(d.bins[:])
	d.after = tally{from: t}
	d.calm, d.clean, d.judged, d.lapsed = 0, 0, t, t
}

// change tells that what is sent changes now: evidence begins when that has reached the wire, at the room's next
// boundary, 120 ms away at most.
func (d *doubt) change(t int64) {
	d.from = t + 150*millisecond
	d.run, d.first, d.low, d.eased = 0, -1, -1, false
	d.trend.restart()
	d.last = signals{}
	clear(d.bins[:])
	d.after = tally{from: d.from}
	d.calm, d.clean, d.moved = 0, 0, true
}

// ease notes a queue that is gone, and stays so for a second; a download's dips for less.
func (d *doubt) ease(t int64) {
	switch {
	case d.last.queue >= drained:
		d.low = -1
	case d.low < 0:
		d.low = t
	case t-d.low >= second:
		d.eased = true
	}
}

func (d *doubt) count(t int64) *bin {
	n := t / binSpan
	for i := max(d.bin+1, n-bins+1); i <= n; i++ {
		d.bins[i%bins] = bin{}
	}
	d.bin = max(d.bin, n)
	return &d.bins[d.bin%bins]
}

// losses is what was lost of how many packets in the last 4 s, and the mean length of a loss.
func (d *doubt) losses(t int64) (fraction float64, n int, burst float64) {
	d.count(t)
	var got, gone, runs int
	for _, b := range d.bins {
		got, gone, runs = got+int(b.received), gone+int(b.lost), runs+int(b.runs)
	}
	n = got + gone
	return float64(gone) / float64(max(1, n)), n, float64(gone) / float64(max(1, runs))
}
