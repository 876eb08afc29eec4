package transport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stentor/bench/client"
	"stentor/transport"
	"stentor/transport/sdp"
)

// clientsVar makes this test program a crowd of clients, so that what they cost is not counted as the endpoint's.
const clientsVar = "STENTOR_TEST_CLIENTS"

const (
	crowd     = 500
	joinsMax  = 8 // at once
	idleAfter = 8 * time.Second
	idleTime  = 20 * time.Second
)

// line is what the crowd and the endpoint tell each other: an offer or its answer; from the crowd at last nothing.
type line struct {
	Client int    `json:"client"`
	SDP    string `json:"sdp"`
}

// BenchmarkSessions tells what a session costs while it joins and while it idles, over loopback, with the clients in
// another process. Run it once:
//
//	go test ./transport -run '^$' -bench Sessions -benchtime 1x
func BenchmarkSessions(b *testing.B) {
	for b.Loop() {
		measureSessions(b)
	}
	b.ReportMetric(0, "ns/op")
}

// silent is an Owner and a Receiver: nobody listens.
type silent struct{ secured *sync.WaitGroup }

func (o silent) Secured(*transport.Session)                            { o.secured.Done() }
func (silent) Moved(*transport.Session, netip.AddrPort)                {}
func (silent) Ended(*transport.Session, transport.EndReason, error)    {}
func (silent) RTP(s *transport.Session, packet []byte, now time.Time)  {}
func (silent) RTCP(s *transport.Session, packet []byte, now time.Time) {}

func measureSessions(b *testing.B) {
	ok := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	conn, err := transport.ListenUDP("127.0.0.1:0")
	ok(err)
	e, err := transport.NewEndpoint(transport.Config{Conn: conn, Advertise: []netip.AddrPort{conn.LocalAddr()}, Log: slog.New(slog.DiscardHandler)})
	ok(err)
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		for e.Poll(time.Time{}, silent{}) == nil {
		}
	}()

	clients := exec.Command(os.Args[0])
	clients.Env = append(os.Environ(), clientsVar+"="+strconv.Itoa(crowd), "GOMAXPROCS=1")
	clients.Stderr = os.Stderr
	in, err := clients.StdinPipe()
	ok(err)
	out, err := clients.StdoutPipe()
	ok(err)
	before := measure()
	ok(clients.Start())

	var secured sync.WaitGroup
	secured.Add(crowd)
	started := time.Now()
	sessions := answerAll(b, e, json.NewDecoder(out), json.NewEncoder(in), silent{&secured})
	secured.Wait()
	joined := measure()
	b.ReportMetric((joined.cpu-before.cpu).Seconds()*1e3/crowd, "join-cpu-ms")
	b.ReportMetric(time.Since(started).Seconds(), "joins-s")

	time.Sleep(idleAfter)
	quiet := measure()
	b.ReportMetric(float64(quiet.goroutines-before.goroutines)/crowd, "goroutines/session")
	b.ReportMetric(float64(quiet.heap-before.heap)/1024/crowd, "heap-KB/session")
	b.ReportMetric(float64(quiet.stack-before.stack)/1024/crowd, "stack-KB/session")
	b.ReportMetric(float64(quiet.rss-before.rss)/1024/crowd, "rss-KB/session")
	idle := measure()
	time.Sleep(idleTime)
	b.ReportMetric((measure().cpu-idle.cpu).Seconds()*1e6/idleTime.Seconds()/crowd, "idle-us/s")

	for _, s := range sessions {
		s.Close()
	}
	_ = in.Close()
	ok(clients.Wait())
	_ = e.Close()
	<-polled
}

// answerAll answers offers until the crowd says that it is in.
func answerAll(b *testing.B, e *transport.Endpoint, in *json.Decoder, out *json.Encoder, owner silent) (sessions []*transport.Session) {
	for {
		var offer line
		if err := in.Decode(&offer); err != nil {
			b.Fatal(err)
		}
		if offer.SDP == "" {
			return sessions
		}
		o, err := sdp.ParseOffer(offer.SDP)
		if err != nil {
			b.Fatal(err)
		}
		s, err := e.NewSession(transport.SessionConfig{
			Ufrag: o.Ufrag, Pwd: o.Pwd, FingerprintHash: o.FingerprintHash, Fingerprint: o.Fingerprint, SSRCs: o.Uplink().SSRCs, Owner: owner,
		})
		if err != nil {
			b.Fatal(err)
		}
		sessions = append(sessions, s)
		ufrag, pwd := s.Credentials()
		answer, err := o.Answer(sdp.AnswerConfig{
			SessionID: 1, Version: 1, Ufrag: ufrag, Pwd: pwd, Fingerprint: e.Fingerprint(),
			Candidates: e.Candidates(), CNAME: "stentor", MaxSlots: 3, SSRCs: []uint32{1, 2, 3}, StreamID: "room",
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := out.Encode(line{offer.Client, answer}); err != nil {
			b.Fatal(err)
		}
	}
}

// usage is what this process uses.
type usage struct {
	cpu              time.Duration
	goroutines       int
	heap, stack, rss int64 // octets
}

func measure() usage {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return usage{
		cpu:        time.Duration(r.Utime.Nano() + r.Stime.Nano()),
		goroutines: runtime.NumGoroutine(), heap: int64(m.HeapAlloc), stack: int64(m.StackInuse), rss: resident(),
	}
}

// resident is this process' memory, in octets.
func resident() int64 {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	pages, err := strconv.ParseInt(string(bytes.Fields(status)[1]), 10, 64)
	if err != nil {
		panic(err)
	}
	return pages * int64(os.Getpagesize())
}

// runClients is the crowd: they join, joinsMax at a time, and stay until the input ends.
func runClients(stdin io.Reader, stdout io.Writer) int {
	var mu sync.Mutex
	out := json.NewEncoder(stdout)
	tell := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		if err := out.Encode(l); err != nil {
			panic(err)
		}
	}
	var answers [crowd]chan string
	for i := range answers {
		answers[i] = make(chan string, 1)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		in := json.NewDecoder(stdin)
		for {
			var l line
			if in.Decode(&l) != nil {
				return
			}
			answers[l.Client] <- l.SDP
		}
	}()
	places, joined := make(chan struct{}, joinsMax), sync.WaitGroup{}
	for i := range answers {
		joined.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			conn, err := transport.ListenUDP("127.0.0.1:0")
			if err != nil {
				panic(err)
			}
			c, err := client.New(client.Config{Conn: conn})
			if err != nil {
				panic(err)
			}
			tell(line{i, c.Offer()})
			if err := c.Connect(context.Background(), <-answers[i]); err != nil {
				fmt.Fprintln(os.Stderr, "client", i, err)
				os.Exit(1)
			}
		})
	}
	joined.Wait()
	tell(line{})
	<-over
	return 0
}
