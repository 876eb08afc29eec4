package impair

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"stentor/bench/impair/model"
	"stentor/transport/simnet"
)

// socket is a UDP socket on loopback.
func socket(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func relay(t *testing.T, target netip.AddrPort, begin func() (simnet.Path, simnet.Path)) *Relay {
	t.Helper()
	r, err := NewRelay("127.0.0.1:0", target, begin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func send(t *testing.T, c *net.UDPConn, to netip.AddrPort, text string) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte(text), to); err != nil {
		t.Fatal(err)
	}
}

// patience is a bound for what never comes, not a measurement.
const patience = time.Minute

// receive waits for a datagram.
func receive(t *testing.T, c *net.UDPConn) (text string, from netip.AddrPort) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	n, from, err := c.ReadFromUDPAddrPort(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("no datagram came to %v in %v", c.LocalAddr(), patience)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n]), from
}

// rtp is a datagram that looks like media.
const rtp = "\x80\x6f_a packet of media"

func TestARelayKeepsItsClientsApart(t *testing.T) {
	daemon, ann, bob := socket(t), socket(t), socket(t)
	r := relay(t, addrOf(daemon), nil)
	send(t, ann, r.Addr(), "from ann")
	text, annsPort := receive(t, daemon)
	if text != "from ann" {
		t.Errorf("the daemon got %q", text)
	}
	send(t, bob, r.Addr(), "from bob")
	text, bobsPort := receive(t, daemon)
	if text != "from bob" || bobsPort == annsPort {
		t.Errorf("the daemon got %q from %v", text, bobsPort)
	}
	send(t, daemon, bobsPort, "to bob")
	send(t, daemon, annsPort, "to ann")
	if text, from := receive(t, ann); text != "to ann" || from != r.Addr() {
		t.Errorf("ann got %q from %v", text, from)
	}
	if text, _ := receive(t, bob); text != "to bob" {
		t.Errorf("bob got %q", text)
	}
}

// odd is a path that loses every second datagram, beginning with the first, and holds the others.
type odd struct {
	n    int
	hold time.Duration
}

func (o *odd) Send(now time.Time, _ int) (time.Time, bool) {
	o.n++
	return now.Add(o.hold), o.n%2 == 0
}

func TestARelayImpairsFromTheFirstMediaOn(t *testing.T) {
	daemon, ann := socket(t), socket(t)
	r := relay(t, addrOf(daemon), func() (down, up simnet.Path) { return &odd{hold: time.Millisecond}, &odd{} })
	for range 3 {
		send(t, ann, r.Addr(), "hello")
		_, port := receive(t, daemon)
		send(t, daemon, port, "\x01 a handshake")
		receive(t, ann)
	}
	send(t, ann, r.Addr(), "last")
	_, port := receive(t, daemon)
	for _, text := range []string{rtp + "1", rtp + "2", rtp + "3", rtp + "4"} {
		send(t, daemon, port, text)
	}
	for _, want := range []string{rtp + "2", rtp + "4"} {
		if text, _ := receive(t, ann); text != want {
			t.Errorf("ann got %q, want %q", text, want)
		}
	}
	send(t, ann, r.Addr(), "lost")
	send(t, ann, r.Addr(), "found")
	if text, _ := receive(t, daemon); text != "found" {
		t.Errorf("the daemon got %q", text)
	}
}

func TestARelayHoldsWhatIsLateInOrder(t *testing.T) {
	daemon, ann := socket(t), socket(t)
	r := relay(t, addrOf(daemon), nil)
	send(t, ann, r.Addr(), "hello")
	_, port := receive(t, daemon)
	start := time.Now()
	r.Impair(newMeter(1, []model.Step{{Conditions: model.Conditions{Delay: 30 * time.Millisecond}}}, start), nil)
	for _, c := range "abcdef" {
		send(t, daemon, port, string(c))
	}
	got := ""
	for range 6 {
		text, _ := receive(t, ann)
		got += text
	}
	if got != "abcdef" {
		t.Errorf("ann got %q", got)
	}
	if d := time.Since(start); d < 30*time.Millisecond { // no upper bound: the machine may be busy
		t.Errorf("after %v", d)
	}
}

func TestARelayOfAStoryBeginsItAnewForEachClient(t *testing.T) {
	daemon, ann := socket(t), socket(t)
	s := story(t, voice+"network: [{at: 0s, outage: true}]")
	r, err := NewRelayOf("127.0.0.1:0", addrOf(daemon).String(), s, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	send(t, ann, r.Addr(), "one")
	_, port := receive(t, daemon)
	send(t, daemon, port, rtp) // never comes, and begins the story
	send(t, daemon, port, "\x01 lost, too")
	bob := socket(t)
	send(t, bob, r.Addr(), "two")
	_, bobs := receive(t, daemon)
	send(t, daemon, bobs, "\x01 to bob")
	if text, _ := receive(t, bob); text != "\x01 to bob" {
		t.Errorf("bob got %q", text)
	}
}

func TestRelaysThatCannotBe(t *testing.T) {
	s := story(t, voice+"network: [{at: 0s}]")
	for _, c := range [][2]string{{"nowhere", "127.0.0.1:1"}, {"127.0.0.1:0", "nowhere"}, {"192.0.2.1:1", "127.0.0.1:1"}} {
		if r, err := NewRelayOf(c[0], c[1], s, 1); err == nil {
			_ = r.Close()
			t.Errorf("%v was opened", c)
		}
	}
}

func TestReaddress(t *testing.T) {
	const sdp = "a=candidate:1 1 udp 2130706431 127.0.0.1 7900 typ host\r\na=candidate:2 1 udp 1 10.0.0.1 7900 typ host\r\n"
	got := Readdress(sdp, netip.MustParseAddrPort("127.0.0.1:7900"), netip.MustParseAddrPort("127.0.0.1:4000"))
	if want := strings.Replace(sdp, "127.0.0.1 7900", "127.0.0.1 4000", 1); got != want {
		t.Errorf("%q", got)
	}
}

func TestAMeterKeepsAccount(t *testing.T) {
	start := time.Unix(0, 0)
	m := newMeter(1, []model.Step{{Conditions: model.Conditions{Rate: 8000, Queue: 1600}}}, start)
	for i := range 40 { // 200 octets each 100 ms are 16 kb/s
		m.Send(start.Add(time.Duration(i)*100*time.Millisecond), 200-model.HeaderSize)
	}
	if got := m.kbps(time.Second, 4*time.Second); got != 16 {
		t.Errorf("%g kb/s", got)
	}
	between(t, "queue", m.queueMsP95(2*time.Second, 4*time.Second), 1300, 1600)
	lost := 0
	for _, s := range m.seconds {
		lost += s.lostPackets
	}
	between(t, "lost", float64(lost), 10, 14)
}
