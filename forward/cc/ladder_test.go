package cc

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

func TestALadderIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Ladder{}); n > 1024 {
		t.Errorf("a leg's Ladder has %d octets", n)
	}
	if n := unsafe.Sizeof(doubt{}); n > 8192 {
		t.Errorf("a doubt has %d octets", n)
	}
}

var start = time.Unix(1_700_000_000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

var three = Demand{Talking: 3, Payload: 96_000, Main: 32_000}

func TestAQuietRoomIsNotStamped(t *testing.T) {
	l := New(full, start)
	if d := l.Decide(at(0), Demand{}); d.Stamp {
		t.Error("stamped before anybody talks")
	}
	if d := l.Decide(at(1000), three); !d.Stamp {
		t.Error("not stamped when the first one talks")
	}
	for ms := 1000; ms < 14_000; ms += 1000 {
		l.Decide(at(ms), Demand{})
	}
	if l.doubt != nil {
		t.Error("the history is kept while nobody talks")
	}
	if d := l.Decide(at(15_000), three); !d.Stamp {
		t.Error("the doubt is forgotten")
	}
}

func TestTheShardsLimitIsNoDoubt(t *testing.T) {
	l := New(full, start)
	l.proven = 1e6
	l.Limit(Packed60)
	d := l.Decide(at(0), three)
	if d.Rung != Packed60 || d.Packing != Of60ms || d.One || d.Stamp || d.Why != WhyShard {
		t.Errorf("%+v", d)
	}
	l.Limit(Live)
	if d := l.Decide(at(1000), three); d.Rung != Live || d.Why != WhyHealthy {
		t.Errorf("%+v", d)
	}
	l.Limit(200)
	if d := l.Decide(at(2000), three); d.Rung != Packed120One {
		t.Errorf("%+v", d)
	}
}

func TestForbiddenRungsAreNotUsed(t *testing.T) {
	for forbid := range uint8(16) {
		config := full
		config.Forbid = forbid
		w := world{seconds: 30, talking: talk(3), rate: before(15_000, 40e3, 0), buffer: 0.5, base: 30, jitter: 5, config: config}
		w.trace = func(ms int, l *Ladder, d Decision) {
			if forbid != 15 && forbid>>d.Rung&1 == 1 {
				t.Fatalf("%04b: %v at %d ms", forbid, d.Rung, ms)
			}
			l.Limit(Rung(ms / 5000 % 4))
		}
		w.run()
	}
}

func TestARoomWithoutLiveSaysSo(t *testing.T) {
	l := New(Config{Forbid: 1}, start)
	if d := l.Decide(at(0), Demand{}); d.Rung != Packed60 || d.Why != WhyForbidden {
		t.Errorf("%+v", d)
	}
}

func TestWithoutREDNegotiatedThereIsNone(t *testing.T) {
	config := full
	config.RED = 1
	w := world{seconds: 20, talking: talk(1), rate: fixed(0), base: 30, loss: gilbert(0.3, 3), config: config}
	most := uint8(0)
	w.trace = func(_ int, _ *Ladder, d Decision) { most = max(most, d.RED) }
	w.run()
	if most != 1 {
		t.Errorf("depth %d where 1 is negotiated", most)
	}
	w.config.RED, most = 0, 0
	if w.run(); most != 0 {
		t.Errorf("depth %d where none is negotiated", most)
	}
}

func TestRoundTripTime(t *testing.T) {
	for _, c := range []struct {
		now, lsr, dlsr uint32
		want           time.Duration
		ok             bool
	}{
		{10 << 16, 8 << 16, 1 << 16, time.Second, true},
		{1 << 15, math.MaxUint32 - 1<<15 + 1, 0, time.Second, true}, // the clock has wrapped
		{10 << 16, 0, 0, 0, false},                                  // no sender report yet
		{10 << 16, 9 << 16, 2 << 16, 0, false},                      // before it was sent
		{40 << 16, 1 << 16, 0, 0, false},                            // 39 s
	} {
		if got, ok := RTT(c.now, c.lsr, c.dlsr); got != c.want || ok != c.ok {
			t.Errorf("RTT(%d, %d, %d) = %v, %v", c.now, c.lsr, c.dlsr, got, ok)
		}
	}
}

func TestReportsCountOnceASecond(t *testing.T) {
	l := New(full, start)
	n := 0
	for ms := 1000; ms < 11_000; ms += 20 {
		if l.Report(255, 0, 0, at(ms)) {
			n++
		}
	}
	if n > 12 {
		t.Errorf("%d reports in 10 s count", n)
	}
}

// A listener who lies for a minute and then tells the truth is at the top again.
func TestLiesAreNotForEver(t *testing.T) {
	lies := map[string]func(r *rand.Rand, l *Ladder, ms int, now time.Time){
		"all is lost": func(_ *rand.Rand, l *Ladder, _ int, now time.Time) { l.Report(255, math.MaxUint32, 9*time.Second, now) },
		"time goes back": func(r *rand.Rand, l *Ladder, _ int, now time.Time) {
			l.Report(200, 1<<31, -time.Hour, now.Add(-time.Duration(r.Int64N(1e15))))
		},
		"packets not sent": func(r *rand.Rand, l *Ladder, ms int, now time.Time) { l.Feedback(feedbackOf(r), now) },
		"queues": func(r *rand.Rand, l *Ladder, ms int, now time.Time) {
			all := make([]float64, 100)
			for i := range all {
				all[i] = float64(ms*3 + r.IntN(1000))
			}
			l.Feedback(feedbackMessage(uint16(ms/10), all), now)
		},
	}
	for name, lie := range lies {
		w := world{seconds: 200, talking: talk(2), rate: fixed(0), base: 30, jitter: 5, config: full}
		w.hostile = func(r *rand.Rand, l *Ladder, ms int, now time.Time) {
			if ms > 5000 && ms < 65_000 && ms%50 == 0 {
				lie(r, l, ms, now)
			}
		}
		for seed := range uint64(2) {
			w.seed = seed
			if o := w.run(); o.final.Rung != Live || o.final.RED != 0 {
				t.Errorf("%s: still %v, RED %d: %v", name, o.final.Rung, o.final.RED, o)
			}
		}
	}
}

func TestLateIsNotLost(t *testing.T) {
	l := New(full, start)
	l.Decide(at(0), three)
	for i := range 100 {
		l.Sent(uint16(i), 200, at(20*i))
		if i%10 == 9 { // the fourth of ten comes after the message that misses it
			told := []float64{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1}
			for k := range told {
				if k != 3 {
					told[k] = float64(20*(i-9+k) + 30)
				}
			}
			l.Feedback(feedbackMessage(uint16(i-9), told), at(20*i+60))
			l.Feedback(feedbackMessage(uint16(i-6), []float64{float64(20*i + 65)}), at(20*i+70))
		}
	}
	if p, n, _ := l.doubt.losses(2100 * millisecond); p != 0 || n != 100 {
		t.Errorf("%.2f of %d are lost, and all came", p, n)
	}
}

// Chromium reports every few seconds, and with a round-trip time of before: a queue that has filled since then is never seen
// to grow, and two thirds are lost while delays stand still.
func TestAFullQueueIsNotAnsweredWithRedundancy(t *testing.T) {
	l := New(full, start)
	l.proven = 1e6
	l.Decide(at(0), three)
	l.Report(170, 0, 30*time.Millisecond, at(1000))
	l.Decide(at(1000), three)
	const batch = 9 // 60 ms of three lines
	var d Decision
	for first := 0; first < 20*batch && d.Rung == Live; first += batch {
		told := []float64{-1, -1, -1, -1, -1, -1, -1, -1, -1}
		for k := range told {
			sent := 1000 + (first+k)*60/batch
			l.Sent(uint16(first+k), 130, at(sent))
			if k%3 == 0 {
				told[k] = float64(sent + 500)
			}
		}
		ms := 1560 + first*60/batch
		l.Feedback(feedbackMessage(uint16(first), told), at(ms))
		if d = l.Decide(at(ms), three); d.RED > 0 {
			t.Fatalf("more redundancy %d ms after the first feedback", ms-1560)
		}
	}
	if d.Rung != Packed60One || d.Estimate < 40_000 || d.Estimate > 80_000 { // a third of 150 packets a second of 130 octets
		t.Errorf("%v, estimate %d b/s", d.Rung, d.Estimate)
	}
}

func TestNumbersAndClocksWrap(t *testing.T) {
	l := New(full, start)
	l.Decide(at(0), three)
	d := l.doubt
	d.arrived = refWrap - second // the receiver's clock begins anew in a second
	for i := range 400 {
		ms := 20 * i
		seq := uint16(65_400 + i)
		l.Sent(seq, 200, at(ms))
		m := feedbackMessage(seq, []float64{float64(refWrap/1000) - 1000 + float64(ms) + 30})
		if !l.Feedback(m, at(ms+60)) {
			t.Fatalf("feedback of %d is not known", seq)
		}
	}
	if q := d.last.queue; q > millisecond || d.last.slope > 0.01 || d.last.slope < -0.01 {
		t.Errorf("a steady path shows a queue of %d µs, slope %.3f", q, d.last.slope)
	}
}

// FuzzLadder plays any calls in any order: each 6 octets are one.
func FuzzLadder(f *testing.F) {
	f.Add([]byte("any calls in any order, again and again and again and again"), uint8(0x17))
	f.Fuzz(func(t *testing.T, script []byte, flags uint8) {
		config := Config{RED: flags & 3, Feedback: flags&4 != 0, Probe: flags&8 != 0, Forbid: flags >> 4, Copies: flags&3 == 0}
		l := New(config, start)
		r := rand.New(rand.NewPCG(uint64(flags), 1))
		now, seq := start, uint16(0)
		for ; len(script) >= 6; script = script[6:] {
			b := script
			now = now.Add(time.Duration(int8(b[1])) * time.Duration(b[2]) * time.Millisecond)
			v := int(b[3])<<16 | int(b[4])<<8 | int(b[5])
			switch b[0] % 10 {
			case 9:
				l.Asks(now)
			case 8:
				l.Copied(seq-uint16(b[4]), now)
			case 0, 1:
				for range v % 64 {
					l.Sent(seq, v>>8, now)
					seq++
				}
			case 2:
				l.SentProbe(seq, v, now)
				seq++
			case 3:
				l.Report(b[3], uint32(v)<<8, time.Duration(int8(b[4]))*time.Duration(v)*time.Microsecond, now)
			case 4:
				l.Feedback(feedbackMessage(seq-uint16(b[4]), make([]float64, 1+int(b[5]))), now)
			case 5:
				l.Feedback(feedbackOf(r), now)
			case 6:
				l.Limit(Rung(b[3]))
			case 7:
				holds(t, config, l, l.Decide(now, Demand{Talking: int(int8(b[3])), Payload: v << 8, Main: v - 1<<20}))
			}
		}
	})
}

// holds is what is true of any decision.
func holds(t *testing.T, c Config, l *Ladder, d Decision) {
	t.Helper()
	forbidden := c.Forbid&15 != 15 && c.Forbid>>d.Rung&1 == 1
	if d.Rung >= rungs || forbidden || d.RED > min(c.RED, 2) || d.Stamp && !c.Feedback || d.Probe > probeMost || d.Probe > 0 && !c.Probe || d.Copies && (!c.Copies || !d.Stamp || d.RED > 0) {
		t.Fatalf("%+v for %+v", d, c)
	}
	if d.Estimate < 0 || d.Why >= whys || math.IsNaN(l.estimate) || math.IsInf(l.estimate, 0) {
		t.Fatalf("%+v", d)
	}
}

func BenchmarkSent(b *testing.B) {
	l := New(full, start)
	l.Decide(start, three)
	b.ReportAllocs()
	for i := range b.N {
		l.Sent(uint16(i), 200, start.Add(time.Duration(i)*20*time.Millisecond))
	}
}

func BenchmarkReport(b *testing.B) {
	l := New(full, start)
	b.ReportAllocs()
	for i := range b.N {
		l.Report(uint8(i), 200, 30*time.Millisecond, start.Add(time.Duration(i)*time.Second))
	}
}

// BenchmarkDecideHealthy is what a healthy leg costs once a second.
func BenchmarkDecideHealthy(b *testing.B) {
	l := New(full, start)
	l.proven = 1e6
	b.ReportAllocs()
	for i := range b.N {
		l.Decide(start.Add(time.Duration(i)*time.Second), three)
	}
}

// BenchmarkDoubt is what a packet costs while in doubt: a message for each 10 packets, and a decision.
func BenchmarkDoubt(b *testing.B) {
	l := New(full, start)
	l.Decide(start, three)
	messages := make([][]byte, 64)
	for i := range messages {
		told := make([]float64, 10)
		for k := range told {
			told[k] = float64(i*70 + 7*k + 30)
		}
		messages[i] = feedbackMessage(uint16(10*i), told)
	}
	b.ReportAllocs()
	for i := range b.N {
		now := start.Add(time.Duration(i) * 7 * time.Millisecond)
		l.Sent(uint16(i%640), 200, now)
		if i%10 == 9 {
			l.Feedback(messages[i/10%64], now)
			l.Decide(now, three)
		}
	}
}

func TestNothingIsAllocatedPerPacket(t *testing.T) {
	l := New(full, start)
	l.Decide(start, three)
	message := feedbackMessage(0, []float64{30, 37, -1, 60})
	i := 0
	n := testing.AllocsPerRun(1000, func() {
		now := at(7 * i)
		l.Sent(uint16(i), 200, now)
		l.Report(0, 100, 30*time.Millisecond, now)
		l.Feedback(message, now)
		if i < 500 { // before the doubt ends
			l.Decide(now, three)
		}
		i++
	})
	if n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// What is sent again was lost all the same, and how long it took says nothing.
func TestWhatWasSentAgainStaysLost(t *testing.T) {
	l := New(full, start)
	l.Decide(start, three)
	for i := range 20 {
		l.Sent(uint16(i), 200, at(20*i))
	}
	told := make([]float64, 20)
	for i := range told {
		told[i] = float64(20*i + 30)
	}
	told[5], told[9] = -1, -1
	l.Feedback(feedbackMessage(0, told), at(450))
	for seq, want := range map[uint16]Fate{5: Lost, 9: Lost, 8: Received, 20: Unknown, 5 + sentMax: Unknown} {
		if got := l.Fate(seq); got != want {
			t.Errorf("fate of %d: %v, want %v", seq, got, want)
		}
	}
	before := l.doubt.last
	l.Resent(5, at(460))
	l.Feedback(feedbackMessage(5, []float64{520}), at(550))
	l.Feedback(feedbackMessage(9, []float64{530}), at(560)) // this one was only late
	if p, n, _ := l.doubt.losses(l.last); n != 20 || int(p*20+0.5) != 1 {
		t.Errorf("%v of %d packets are lost", p, n)
	}
	if l.Fate(5) != Received || l.Saved() != 1 || l.Saved() != 0 {
		t.Errorf("fate %v", l.Fate(5))
	}
	if q := l.doubt.last.queue; q > before.queue+10_000 && l.doubt.trend.points[(l.doubt.trend.n-1)%pointsMax].arrived == 520_000 {
		t.Errorf("a packet that was sent again is a queue of %d µs", q)
	}
	l.Sent(20, 200, at(600)) // asked for before feedback tells of it
	l.Resent(20, at(620))
	if l.Fate(20) != Lost {
		t.Errorf("who asks for a packet has not got it: %v", l.Fate(20))
	}
}
