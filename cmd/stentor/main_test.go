package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"stentor/engine/control"
)

var update = flag.Bool("update", false, "rewrite golden files")

// ask runs the tool against a socket.
func ask(path string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	t := &tool{control: path, now: func() time.Time { return clock }, out: &out, err: &errs}
	code = t.run(context.Background(), args)
	return code, out.String(), errs.String()
}

func TestTablesAndObjects(t *testing.T) {
	path := socket(t)
	serveFake(t, newFake(), path)
	for name, args := range map[string][]string{
		"info": {"info"}, "rooms": {"rooms"}, "room": {"rooms", "lounge"}, "peers": {"peers", "lounge"},
		"peer": {"peers", "lounge", "ann"},
	} {
		for file, args := range map[string][]string{name + ".txt": args, name + ".jsonl": append(args, "--json")} {
			code, stdout, stderr := ask(path, args...)
			if code != exitDone || stderr != "" {
				t.Errorf("%v: exit %d, stderr %q", args, code, stderr)
			}
			golden(t, file, stdout)
		}
	}
}

// TestObjectsAreTheProtocols reads the output back with the protocol's types, strictly.
func TestObjectsAreTheProtocols(t *testing.T) {
	path := socket(t)
	serveFake(t, newFake(), path)
	_, stdout, _ := ask(path, "rooms", "--json")
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines for two rooms:\n%s", len(lines), stdout)
	}
	for _, line := range lines {
		dec := json.NewDecoder(strings.NewReader(line))
		dec.DisallowUnknownFields()
		var r control.Room
		if err := dec.Decode(&r); err != nil || r.Room == "" {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestRefusalsTellReasonAndHint(t *testing.T) {
	path := socket(t)
	serveFake(t, newFake(), path)
	for _, tc := range []struct {
		args  []string
		words []string
	}{
		{[]string{"rooms", "cellar"}, []string{"room_not_found", "cellar", "\nhint: "}},
		{[]string{"peers", "lounge", "dan"}, []string{"peer_not_found", "dan", "\nhint: "}},
		{[]string{"events", "--after", "nonsense"}, []string{"invalid_params", "after"}},
		{[]string{"events", "--after", "0123456789abcdef.5"}, []string{"cursor_expired", "\nhint: "}},
	} {
		code, stdout, stderr := ask(path, tc.args...)
		if code != exitFailed || stdout != "" {
			t.Errorf("%v: exit %d, stdout %q", tc.args, code, stdout)
		}
		for _, w := range tc.words {
			if !strings.Contains(stderr, w) {
				t.Errorf("%v: stderr does not say %q: %s", tc.args, w, stderr)
			}
		}
	}
}

func TestNoDaemon(t *testing.T) {
	dead := socket(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	none := socket(t)
	for path, want := range map[string]string{
		none: "stentor: no stentord at " + none + ": no such file or directory\n",
		dead: "stentor: no stentord at " + dead + ": the socket is there, but nobody listens\n",
	} {
		for _, args := range [][]string{{"info"}, {"rooms"}, {"peers", "x"}, {"events", "--after", "x"}, {"events", "--follow"}} {
			code, stdout, stderr := ask(path, args...)
			if code != exitFailed || stdout != "" || stderr != want {
				t.Errorf("%v: exit %d, %q, %q; want 1 and %q", args, code, stdout, stderr, want)
			}
		}
	}
}

func TestSilentDaemon(t *testing.T) {
	path := socket(t)
	f := newFake()
	f.hold = make(chan struct{})
	serveFake(t, f, path)
	code, _, stderr := ask(path, "info", "--timeout", "20ms")
	close(f.hold)
	want := fmt.Sprintf("stentor: stentord at %s has not answered within 20ms\n", path)
	if code != exitFailed || stderr != want {
		t.Errorf("exit %d, %q; want 1, %q", code, stderr, want)
	}
}

func TestWrongCommandLinesExitWithTwo(t *testing.T) {
	for _, args := range [][]string{{"room"}, {"rooms", "a", "b"}, {"peers"}, {"peers", "a", "b", "c"}, {"info", "x"}, {"info", "--jsn"},
		{"events"}, {"rooms", "--timeout", "x"}} {
		code, stdout, stderr := ask("/nowhere", args...)
		if code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "stentor: ") {
			t.Errorf("%v: exit %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

func TestVersionNeedsNoDaemon(t *testing.T) {
	code, stdout, _ := ask("/nowhere", "version")
	if code != exitDone || !strings.HasPrefix(stdout, "stentor ") {
		t.Errorf("exit %d, %q", code, stdout)
	}
}

func yesPointer() *bool { b := true; return &b }
func noPointer() *bool  { b := false; return &b }

// story appends one event of each type.
func story(l *control.Log) {
	l.Append(control.Event{Type: control.EventRoomOpened, Room: "lounge"})
	l.Append(control.Event{Type: control.EventPeerJoined, Room: "lounge", Peer: "ann", AudioID: 7, MaySpeak: yesPointer(),
		Muted: noPointer(), Priority: yesPointer(), Rendition: "live"})
	l.Append(control.Event{Type: control.EventPeerConnected, Room: "lounge", Peer: "ann"})
	l.Append(control.Event{Type: control.EventPeerSpeaking, Room: "lounge", Peer: "ann", Speaking: yesPointer()})
	l.Append(control.Event{Type: control.EventSlotsChanged, Room: "lounge", Heard: lounge.Heard})
	l.Append(control.Event{Type: control.EventPeerLeft, Room: "lounge", Peer: "ann", Reason: control.LeftByCall})
	l.Append(control.Event{Type: control.EventEngineDraining, DeadlineS: new(30.0)})
	l.Append(control.Event{Type: control.EventRoomOpened, Room: "attic"})
}

// chance matches what differs between two runs: the log's epoch and the times.
var chance = regexp.MustCompile(`[0-9a-f]{16}\.|\d{4}-\d\d-\d\d[ T][0-9:.]+Z?`)

func TestEventsAfterACursor(t *testing.T) {
	path := socket(t)
	f := newFake()
	serveFake(t, f, path)
	beginning := f.log.Cursor()
	story(f.log)
	for file, args := range map[string][]string{
		"events.txt": {}, "events.jsonl": {"--json"}, "events_attic.txt": {"--room", "attic"},
		"events_lounge.txt": {"--room", "lounge", "--room", "none"},
	} {
		code, stdout, stderr := ask(path, append([]string{"events", "--after", beginning}, args...)...)
		if code != exitDone || stderr != "" {
			t.Errorf("%v: exit %d, stderr %q", args, code, stderr)
		}
		golden(t, file, chance.ReplaceAllString(stdout, "~"))
	}
	code, stdout, _ := ask(path, "events", "--after", f.log.Cursor())
	if code != exitDone || stdout != "" {
		t.Errorf("after the newest: exit %d, %q; want nothing", code, stdout)
	}
}

// follower is the tool in the middle of events --follow.
type follower struct {
	*json.Decoder
	stop   context.CancelFunc
	code   chan int
	stderr bytes.Buffer // read it after the end only
}

func follow(t *testing.T, path string, args ...string) *follower {
	t.Helper()
	r, w := io.Pipe()
	f := &follower{Decoder: json.NewDecoder(r), code: make(chan int, 1)}
	var ctx context.Context
	ctx, f.stop = context.WithCancel(t.Context())
	tool := &tool{control: path, now: time.Now, out: w, err: &f.stderr}
	go func() {
		f.code <- tool.run(ctx, append([]string{"events", "--follow", "--json"}, args...))
		w.Close()
	}()
	return f
}

func (f *follower) next(t *testing.T) (e control.Event) {
	t.Helper()
	if err := f.Decode(&e); err != nil {
		t.Fatalf("no event: %v; stderr %s", err, &f.stderr)
	}
	return e
}

// end interrupts the tool and checks that it takes this as a wish, not as a failure.
func (f *follower) end(t *testing.T) {
	t.Helper()
	f.stop()
	if code := <-f.code; code != exitDone {
		t.Errorf("interrupted: exit %d, want 0; stderr %s", code, &f.stderr)
	}
}

func TestFollowGoesOnUntilInterrupted(t *testing.T) {
	path := socket(t)
	f := newFake()
	serveFake(t, f, path)
	beginning := f.log.Cursor()
	story(f.log)
	tool := follow(t, path, "--after", beginning, "--room", "attic")
	if e := tool.next(t); e.Type != control.EventEngineDraining {
		t.Errorf("first came %+v, want the engine's event", e)
	}
	if e := tool.next(t); e.Room != "attic" {
		t.Errorf("then came %+v, want that of room attic", e)
	}
	f.log.Append(control.Event{Type: control.EventRoomClosed, Room: "lounge"})
	f.log.Append(control.Event{Type: control.EventRoomClosed, Room: "attic"})
	if e := tool.next(t); e.Type != control.EventRoomClosed || e.Room != "attic" {
		t.Errorf("while following came %+v, want the end of room attic", e)
	}
	tool.end(t)
}

func TestFollowComesBackToTheSameLog(t *testing.T) {
	path := socket(t)
	f := newFake()
	stop := serveFake(t, f, path)
	beginning := f.log.Cursor()
	f.log.Append(control.Event{Type: control.EventRoomOpened, Room: "before"})
	tool := follow(t, path, "--after", beginning)
	tool.next(t)
	stop()
	f.log.Append(control.Event{Type: control.EventRoomOpened, Room: "meanwhile"})
	serveFake(t, f, path)
	if e := tool.next(t); e.Room != "meanwhile" {
		t.Errorf("after the break came %+v, want what happened meanwhile", e)
	}
	tool.end(t)
	for _, want := range []string{"connection lost", "connected again"} {
		if !strings.Contains(tool.stderr.String(), want) {
			t.Errorf("stderr does not say %q: %s", want, &tool.stderr)
		}
	}
}

func TestFollowSaysWhatIsLost(t *testing.T) {
	path := socket(t)
	f := newFake()
	serveFake(t, f, path)
	tool := follow(t, path, "--after", "0123456789abcdef.5")
	var result control.SubscribeResult
	if err := tool.Decode(&result); err != nil {
		t.Fatal(err)
	}
	if result.Cursor != f.log.Cursor() || result.Snapshot == nil || len(result.Snapshot.Rooms) != 1 {
		t.Errorf("got %+v, want a snapshot of one room", result)
	}
	tool.end(t)
	if !strings.Contains(tool.stderr.String(), "events were lost") {
		t.Errorf("stderr says %q", &tool.stderr)
	}
}

func TestAgesAndSizesReadWell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 192 * time.Second: "3m12s", 5*time.Hour + 2*time.Minute: "5h2m", 50 * time.Hour: "2d2h",
	} {
		if got := age(d); got != want {
			t.Errorf("age of %v is %s, want %s", d, got, want)
		}
	}
	for n, want := range map[uint64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_250_000: "1.2 MB", 999_960: "1.0 MB", 1 << 63: "9.2 EB",
	} {
		if got := size(n); got != want {
			t.Errorf("size of %d is %s, want %s", n, got, want)
		}
	}
}

// golden compares with a file in testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n got %s\nwant %s", file, got, want)
	}
}
