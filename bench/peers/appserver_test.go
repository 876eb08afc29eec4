package peers

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/pion/webrtc/v4"

	"stentor/engine/control"
)

// appServerVariable makes the test binary an app server on the control socket that it names.
const appServerVariable = "TEST_PEERS_APP_SERVER"

// appServer opens the room, joins whom its standard input names (one control.PeerJoinParams a line), and writes results
// and events to its standard output, one said a line, until it is killed.
func appServer(socket string) int {
	ctx := context.Background()
	client, err := control.Dial(ctx, socket)
	if err != nil {
		return complain(err)
	}
	sub, _, err := client.Subscribe(ctx, control.SubscribeParams{})
	if err != nil {
		return complain(err)
	}
	if _, err := client.RoomOpen(ctx, &control.RoomOpenParams{Room: room, Slots: 3}); err != nil {
		return complain(err)
	}
	lines := make(chan said)
	go tell(lines)
	go func() {
		for {
			e, err := sub.Next(ctx)
			if err != nil {
				return
			}
			lines <- said{Event: &e}
		}
	}()
	for in := json.NewDecoder(os.Stdin); ; {
		var p control.PeerJoinParams
		if err := in.Decode(&p); err != nil {
			return complain(err)
		}
		result, err := client.PeerJoin(ctx, &p)
		if err != nil {
			return complain(err)
		}
		lines <- said{Result: result}
	}
}

// said is one line of an app server.
type said struct {
	Result *control.PeerJoinResult `json:",omitempty"`
	Event  *control.Event          `json:",omitempty"`
}

func tell(lines <-chan said) {
	out := json.NewEncoder(os.Stdout)
	for l := range lines {
		if out.Encode(l) != nil {
			return
		}
	}
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "app server:", err)
	return 1
}

// server is an app server process.
type server struct {
	cmd     *exec.Cmd
	in      io.Writer
	results chan *control.PeerJoinResult
	events  chan control.Event // closed when the process has said all that it will
}

func startServer(t *testing.T, d *daemon) *server {
	t.Helper()
	s := &server{cmd: exec.Command(os.Args[0]), results: make(chan *control.PeerJoinResult, 16), events: make(chan control.Event, 256)}
	s.cmd.Env = append(os.Environ(), appServerVariable+"="+d.socket)
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.in = in
	go s.read(out)
	t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // if the test came to no kill of its own
	return s
}

func (s *server) read(out io.Reader) {
	defer close(s.events)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var l said
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			return // cut off by the kill
		}
		if l.Result != nil {
			s.results <- l.Result
		} else {
			s.events <- *l.Event
		}
	}
}

// until waits for an event and returns it.
func (s *server) until(t *testing.T, is func(control.Event) bool) control.Event {
	t.Helper()
	for e := range s.events {
		if is(e) {
			return e
		}
	}
	t.Fatal("the app server has ended")
	return control.Event{}
}

// joinVia joins the room through an app server.
func (p *peer) joinVia(t *testing.T, s *server, maySpeak bool) {
	t.Helper()
	params := control.PeerJoinParams{Room: room, Peer: p.name, MaySpeak: maySpeak, SDP: p.offer(t, nil)}
	if err := json.NewEncoder(s.in).Encode(params); err != nil {
		t.Fatal(err)
	}
	result := <-s.results
	p.audioID = result.AudioID
	p.answer(t, result.SDP)
	p.becomes(t, webrtc.PeerConnectionStateConnected)
	s.until(t, func(e control.Event) bool { return e.Type == control.EventPeerConnected && e.Peer == p.name })
}

// TestAppServerDiesInMidTalk: the app server is killed while one talks; another says something meanwhile. No listener
// loses a packet, and a new app server gets the missed events, all of them and no others.
func TestAppServerDiesInMidTalk(t *testing.T) {
	const ip = "127.0.0.1"
	d := startDaemon(t, ip)
	s := startServer(t, d)
	lea, sam, bob := newPeer(t, "lea", build{ip: ip}), newPeer(t, "sam", build{ip: ip}), newPeer(t, "bob", build{ip: ip})
	for _, p := range []*peer{lea, sam, bob} {
		p.joinVia(t, s, p != lea)
	}
	sam.talk(always)
	lea.ear.hears(t, sam.audioID, 25)
	last := s.until(t, func(e control.Event) bool { return e.Type == control.EventSlotsChanged })
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for e := range s.events { // what it was told before it died
		last = e
	}
	_ = s.cmd.Wait() // killed

	const spoken = 25
	bob.talk(spoken)
	lea.ear.hears(t, bob.audioID, spoken)
	lea.ear.fallsSilent(t, bob.audioID)

	missed := missedEvents(t, d.follow(t, last.Cursor), last.Seq)
	want := []string{"peer.speaking bob false", "peer.speaking bob true", "slots.changed", "slots.changed"}
	if slices.Sort(missed); !slices.Equal(missed, want) {
		t.Errorf("missed events are %q, want %q", missed, want)
	}
	lea.ear.hears(t, sam.audioID, len(lea.ear.voice(sam.audioID))+25)
	spokenBySam := sam.hush()
	lea.ear.hears(t, sam.audioID, spokenBySam)
	lea.ear.whole(t, sam, 0)
	lea.ear.whole(t, bob, 0)
}

// missedEvents reads until both of the ends of bob's speech have been told, and holds the numbers to be without a gap.
func missedEvents(t *testing.T, f *feed, seq uint64) (missed []string) {
	t.Helper()
	for stopped, free := false, false; !stopped || !free; {
		e := f.next(t)
		if seq++; e.Seq != seq {
			t.Fatalf("event %d comes after %d", e.Seq, seq-1)
		}
		switch e.Type {
		case control.EventPeerSpeaking:
			stopped = !*e.Speaking
			missed = append(missed, fmt.Sprint(e.Type, " ", e.Peer, " ", *e.Speaking))
		case control.EventSlotsChanged:
			free = !slices.ContainsFunc(e.Heard, func(s control.Slot) bool { return s.Peer == "bob" })
			missed = append(missed, e.Type)
		default:
			missed = append(missed, e.Type+" "+e.Peer)
		}
	}
	return missed
}
