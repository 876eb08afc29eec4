package model

import (
	"math"
	"slices"
	"testing"
	"time"
)

var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

const ms = time.Millisecond

// arrival is what became of a datagram sent at a time.
type arrival struct {
	sent, at time.Duration
	fate     Fate
}

// stream sends datagrams of size octets at an interval.
func stream(p *Path, n int, every time.Duration, size int) (out []arrival) {
	for i := range n {
		sent := time.Duration(i) * every
		at, fate := p.Send(start.Add(sent), size)
		out = append(out, arrival{sent, at.Sub(start), fate})
	}
	return out
}

func always(c Conditions) []Step { return []Step{{Conditions: c}} }

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s is %.4g, want %.4g ± %.2g", what, got, want, tolerance)
	}
}

func TestAPathWithoutConditionsIsPerfect(t *testing.T) {
	for _, a := range stream(New(1, nil, start), 100, ms, 1200) {
		if a.fate != Delivered || a.at != a.sent {
			t.Fatalf("sent at %v: %+v", a.sent, a)
		}
	}
}

// runs are the lengths of the runs of losses.
func runs(list []arrival) (lengths []int, lost int) {
	run := 0
	for _, a := range list {
		if a.fate == LostRandom {
			run++
			lost++
		} else if run > 0 {
			lengths, run = append(lengths, run), 0
		}
	}
	return lengths, lost
}

func TestLossIsAsManyAndAsBurstyAsAskedFor(t *testing.T) {
	const n = 200_000
	for _, c := range []struct{ loss, burst, mean float64 }{
		{0.10, 0, 1 / 0.9}, // independent: a run is geometric with the share that is not lost
		{0.20, 3, 3}, {0.05, 8, 8}, {0.30, 1, 1}, {0.5, 2, 2},
	} {
		for seed := range uint64(3) {
			got := stream(New(seed, always(Conditions{Loss: c.loss, Burst: c.burst}), start), n, ms, 100)
			lengths, lost := runs(got)
			near(t, "loss", float64(lost)/n, c.loss, 0.008)
			sum := 0
			for _, l := range lengths {
				sum += l
			}
			near(t, "mean burst", float64(sum)/float64(len(lengths)), c.mean, 0.08*c.mean)
		}
	}
}

func TestACappedPathCarriesItsRateAndDropsTheRest(t *testing.T) {
	// 172 + 28 octets each 20 ms are 80 kb/s; 64 fit.
	p := New(1, always(Conditions{Rate: 64_000, Queue: QueueOf(200*ms, 64_000), Delay: 30 * ms}), start)
	got := stream(p, 3000, 20*ms, 172)
	var octets, lost int
	for _, a := range got {
		switch a.fate {
		case Delivered:
			octets += 200
		case LostQueue:
			lost++
		}
		if wait := a.at - a.sent - 30*ms; a.fate == Delivered && (wait < 25*ms || wait > 200*ms) { // 25 ms on the line
			t.Fatalf("sent at %v: %v in the queue", a.sent, wait)
		}
	}
	near(t, "throughput", float64(octets)*8/60, 64_000, 400)
	near(t, "lost", float64(lost)/3000, 0.2, 0.01)
	near(t, "standing queue", (p.Queue(start.Add(60 * time.Second))).Seconds(), 0.19, 0.03)
	if f := p.Fates(); f[LostQueue] != uint64(lost) || f[Delivered]+f[LostQueue] != 3000 {
		t.Errorf("fates are %v", f)
	}
}

func TestAQueueBelowItsRateAddsOnlyTheTimeOnTheLine(t *testing.T) {
	p := New(1, always(Conditions{Rate: 100_000, Queue: 10_000, Delay: 10 * ms}), start)
	for _, a := range stream(p, 500, 20*ms, 172) { // 200 octets take 16 ms
		if a.fate != Delivered || a.at-a.sent != 26*ms {
			t.Fatalf("sent at %v: %+v", a.sent, a)
		}
	}
}

func TestARateThatChangesDrainsWhatWaits(t *testing.T) {
	// 100 datagrams of 1000 octets at once are 100 s at 8 kb/s. After 10 s the rate is tenfold, after 15 s there is no cap.
	p := New(1, []Step{
		{Conditions: Conditions{Rate: 8_000, Queue: 1 << 20}},
		{At: 10 * time.Second, Conditions: Conditions{Rate: 80_000, Queue: 1 << 20}},
		{At: 15 * time.Second},
	}, start)
	var at []time.Duration
	for range 100 {
		a, fate := p.Send(start, 1000-HeaderSize)
		if fate != Delivered {
			t.Fatalf("fate %d", fate)
		}
		at = append(at, a.Sub(start).Round(ms))
	}
	for i, want := range map[int]time.Duration{0: time.Second, 9: 10 * time.Second, 10: 10100 * ms, 59: 15 * time.Second, 60: 15 * time.Second, 99: 15 * time.Second} {
		if at[i] != want {
			t.Errorf("datagram %d leaves at %v, want %v", i, at[i], want)
		}
	}
	if a, _ := p.Send(start.Add(16*time.Second), 1000); a.Sub(start) != 16*time.Second {
		t.Errorf("without a cap it takes %v", a.Sub(start)-16*time.Second)
	}
}

func TestAnOutageLosesWhatIsSentInItAndNothingElse(t *testing.T) {
	p := New(1, []Step{{}, {At: 5 * time.Second, Conditions: Conditions{Down: true}}, {At: 10 * time.Second}}, start)
	for _, a := range stream(p, 750, 20*ms, 100) {
		want := Delivered
		if a.sent >= 5*time.Second && a.sent < 10*time.Second {
			want = LostDown
		}
		if a.fate != want {
			t.Fatalf("sent at %v: fate %d", a.sent, a.fate)
		}
	}
}

func TestJitterOvertakesOnlyWhereItMay(t *testing.T) {
	for _, reorder := range []bool{false, true} {
		got := stream(New(3, always(Conditions{Delay: 20 * ms, Jitter: 50 * ms, Reorder: reorder}), start), 5000, 10*ms, 100)
		inOrder := slices.IsSortedFunc(got, func(a, b arrival) int { return int(a.at - b.at) })
		if inOrder == reorder {
			t.Errorf("reorder %v: in order is %v", reorder, inOrder)
		}
		var sum float64
		for _, a := range got {
			d := a.at - a.sent
			if d < 20*ms || d >= 70*ms {
				t.Fatalf("a delay of %v", d)
			}
			sum += d.Seconds()
		}
		if reorder {
			near(t, "mean delay", sum/5000, 0.045, 0.001)
		}
	}
}

func TestBulkFlowsFillTheBottleneckAndLeaveRoomForOthers(t *testing.T) {
	c := Conditions{Rate: 1_000_000, Queue: QueueOf(200*ms, 1_000_000), Delay: 20 * ms, Flows: 2}
	p := New(1, always(c), start)
	got := stream(p, 3000, 20*ms, 172) // 80 kb/s, for a minute
	lost, waited := 0, 0.0
	for _, a := range got {
		if a.fate != Delivered {
			lost++
		} else {
			waited += (a.at - a.sent - 20*ms).Seconds()
		}
	}
	near(t, "use of the line by bulk", float64(p.BulkOctets())*8/60, 920_000, 60_000)
	near(t, "our loss", float64(lost)/3000, 0.01, 0.03)
	near(t, "mean wait", waited/float64(3000-lost), 0.14, 0.05)
	if lost == 0 {
		t.Error("two flows never fill the queue")
	}
}

func TestFlowsEndWithTheirStep(t *testing.T) {
	p := New(1, []Step{
		{Conditions: Conditions{Rate: 1_000_000, Queue: 30_000, Flows: 3}},
		{At: 10 * time.Second, Conditions: Conditions{Rate: 1_000_000, Queue: 30_000}},
		{At: 20 * time.Second, Conditions: Conditions{Rate: 1_000_000, Queue: 30_000, Flows: 1}},
	}, start)
	if q := p.Queue(start.Add(9 * time.Second)); q < 30*ms {
		t.Errorf("with three flows the queue is %v", q)
	}
	p.Queue(start.Add(11 * time.Second))
	before := p.BulkOctets()
	if q := p.Queue(start.Add(19 * time.Second)); q != 0 || p.BulkOctets() != before {
		t.Errorf("without flows the queue is %v", q)
	}
	p.Queue(start.Add(30 * time.Second))
	if p.BulkOctets()-before < 1_000_000 {
		t.Errorf("a flow that begins again moves %d octets in 10 s", p.BulkOctets()-before)
	}
}

func TestTheSameSeedDoesTheSame(t *testing.T) {
	schedule := []Step{
		{Conditions: Conditions{Rate: 300_000, Queue: 9000, Delay: 10 * ms, Jitter: 5 * ms, Reorder: true, Loss: 0.1, Burst: 2, Flows: 2}},
		{At: 7 * time.Second, Conditions: Conditions{Loss: 0.3}},
	}
	run := func(seed uint64) []arrival { return stream(New(seed, schedule, start), 1000, 11*ms, 150) }
	if !slices.Equal(run(5), run(5)) {
		t.Error("the same seed did different things")
	}
	if slices.Equal(run(5), run(6)) {
		t.Error("another seed did the same")
	}
}

func TestTimeThatGoesBackCountsAsTheLatest(t *testing.T) {
	p := New(1, always(Conditions{Delay: ms}), start)
	p.Send(start.Add(time.Second), 100)
	if at, _ := p.Send(start, 100); at != start.Add(time.Second+ms) {
		t.Errorf("arrives at %v", at.Sub(start))
	}
}

func TestConditionsThatMakeNoSenseAreRefused(t *testing.T) {
	good := Conditions{Rate: 64_000, Queue: 1600, Delay: ms, Jitter: ms, Loss: 0.5, Burst: 2, Flows: 1}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]Conditions{
		"rate":       {Rate: 10, Queue: 1600},
		"queue":      {Rate: 64_000},
		"no rate":    {Queue: 1600},
		"delay":      {Delay: -1},
		"jitter":     {Jitter: time.Hour},
		"loss":       {Loss: 1},
		"nan":        {Loss: math.NaN()},
		"burst":      {Loss: 0.1, Burst: 0.5},
		"lone burst": {Burst: 2},
		"overlap":    {Loss: 0.8, Burst: 2},
		"flows":      {Rate: 64_000, Queue: 1600, Flows: -1},
		"lone flows": {Flows: 2},
	} {
		if bad.Validate() == nil {
			t.Errorf("%s: %+v was taken", name, bad)
		}
	}
}
