package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stentor/bench/impair"
	"stentor/bench/impair/scenario"
)

// asTool makes the test binary be the tool: virtual time outside of a test run wants a process that is none.
const asTool = "STENTOR_TEST_AS_TOOL"

func TestMain(m *testing.M) {
	if os.Getenv(asTool) != "" {
		main()
	}
	os.Exit(m.Run())
}

// runTool runs the tool in a process of its own.
func runTool(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asTool+"=1")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// short is a story that holds, and that is played in no time.
const short = `
name: short
story: A short one.
who: 1 of 3 listeners
lasts: 4s
speakers: [{name: ada, rate: 32 kb/s, level: -20}]
network: [{at: 1s, loss: 5 %}]
must: [sessions lost at most 0, changed at most 0]
`

func storyFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "story.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAStoryIsPlayedInVirtualTimeAndGivesTheSameTableTwice(t *testing.T) {
	file, dir := storyFile(t, short), t.TempDir()
	args := []string{"bench", "impair", "--file", file, "--seed", "5", "--json", filepath.Join(dir, "out.json"), "--report", filepath.Join(dir, "out.html")}
	first, stderr, err := runTool(t, args...)
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	if !strings.Contains(first, "seed 5: all of 1 scenarios held") || strings.Contains(first, "PASS") {
		t.Errorf("it prints\n%s", first)
	}
	second, _, err := runTool(t, args...)
	if err != nil || second != first {
		t.Errorf("the second time it prints\n%s, %v", second, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "out.json"))
	var list []struct {
		Name     string
		Verdicts []struct{ Held bool }
	}
	if err := json.Unmarshal(b, &list); err != nil || len(list) != 1 || list[0].Name != "short" || len(list[0].Verdicts) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if page, err := os.ReadFile(filepath.Join(dir, "out.html")); err != nil || !strings.Contains(string(page), "A short one.") {
		t.Errorf("the page: %v", err)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestSeveralSeedsAreToldTogether(t *testing.T) {
	file := storyFile(t, strings.Replace(short, "changed at most 0", "concealed at most 2 %, changed at most 0", 1))
	args := []string{"bench", "impair", "--file", file, "--seed", "5", "--seeds", "3"}
	stdout, stderr, err := runTool(t, args...)
	for _, want := range []string{"concealed at most 2 %", "of 3", "sessions lost at most 0", "3 of 3", "seeds 5 to 7"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s%s", want, stdout, stderr)
		}
	}
	if failed := !strings.Contains(stdout, "held in each"); failed != (err != nil) {
		t.Errorf("%v of\n%s", err, stdout)
	}
}

// compared is a short story with what came of it.
func compared(t *testing.T, seed uint64) *impair.Comparison {
	t.Helper()
	s, err := scenario.Read(strings.NewReader(short))
	if err != nil {
		t.Fatal(err)
	}
	c := &impair.Comparison{Name: s.Name, Seed: seed, Scenario: s, Off: &impair.Run{}, On: &impair.Run{}, Good: &impair.Run{}}
	for _, m := range s.Must {
		c.Verdicts = append(c.Verdicts, impair.Verdict{Must: m.String(), Held: true})
	}
	return c
}

func TestASeedThatFailsDoesNotTakeTheOthersAlong(t *testing.T) {
	f := impairFlags{seed: 5, seeds: 3}
	list, err := f.playSeeds(context.Background(), func(seed uint64) ([]*impair.Comparison, error) {
		if seed == 6 {
			return []*impair.Comparison{nil}, errors.New("no sockets left")
		}
		return []*impair.Comparison{compared(t, seed)}, nil
	})
	if err == nil || err.Error() != "seed 6: no sockets left" || len(list) != 2 || list[1].Seed != 7 {
		t.Errorf("%d seeds are left, %v", len(list), err)
	}
	var out strings.Builder
	if err := (&tool{out: &out}).tellImpair(f, list); err != nil || !strings.Contains(out.String(), "2 of 2") {
		t.Errorf("%v:\n%s", err, out.String())
	}
	ctx, cancel := context.WithCancel(context.Background())
	list, err = f.playSeeds(ctx, func(seed uint64) ([]*impair.Comparison, error) {
		cancel()
		return []*impair.Comparison{compared(t, seed)}, nil
	})
	if len(list) != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted, it goes on to seed %d, %v", f.seed+uint64(len(list)), err)
	}
}

func TestTheReportNamesTheCommandThatMakesItAgain(t *testing.T) {
	for want, f := range map[string]impairFlags{
		"stentor bench impair --seed 5": {seed: 5, seeds: 1},
		"stentor bench impair --seed 1 --seeds 3 --real --listeners 20 --scenario outage --scenario cap-lifted --file a.yaml --file 'my b'\\''s.yaml'": {
			seed: 1, seeds: 3, real: true, listeners: 20, names: []string{"outage", "cap-lifted"}, files: []string{"a.yaml", "my b's.yaml"},
		},
	} {
		if got := f.command(); got != want {
			t.Errorf("it names\n%s, want\n%s", got, want)
		}
	}
}

func TestHelpFitsATerminal(t *testing.T) {
	for _, name := range []string{"impair", "overload"} {
		_, stdout, _ := ask("nowhere", "bench", name, "--help")
		for _, line := range strings.Split(stdout, "\n") {
			if len(line) > 130 {
				t.Errorf("%s --help: a line of %d characters: %s", name, len(line), line)
			}
		}
	}
}

func TestAStoryThatDoesNotHoldFails(t *testing.T) {
	file := storyFile(t, strings.Replace(short, "sessions lost at most 0", "concealed at most 0 %", 1))
	stdout, stderr, err := runTool(t, "bench", "impair", "--file", file)
	if err == nil || !strings.Contains(stdout, "did not hold: short") || !strings.Contains(stderr, "not everything held") {
		t.Errorf("%v: %s%s", err, stdout, stderr)
	}
}

func TestImpairThatCannotBeMeantIsRefused(t *testing.T) {
	bad := storyFile(t, strings.Replace(short, "lasts: 4s", "lasts: long", 1))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--scenario", "nonsense"}, "there are random-loss, bursty-loss"},
		{[]string{"--file", bad}, `line 5: "long" is no time`},
		{[]string{"--file", "/nowhere"}, "no such file"},
		{[]string{"--relay", "127.0.0.1:0=127.0.0.1:1"}, "follows one story"},
		{[]string{"--relay", "127.0.0.1:0", "--scenario", "outage"}, "want listen=target"},
		{[]string{"--relay", "127.0.0.1:0=127.0.0.1:1", "--scenario", "outage", "--seeds", "2"}, "--seeds"},
		{[]string{"--relay", "127.0.0.1:0=127.0.0.1:1", "--scenario", "outage", "--json", "x"}, "--json"},
		{[]string{"--relay", "127.0.0.1:0=127.0.0.1:1", "--scenario", "outage", "--report", "x"}, "--report"},
		{[]string{"--listeners", "-1"}, "--listeners"},
		{[]string{"--seeds", "0"}, "--seeds 1 …"},
	} {
		if code, _, stderr := ask("nowhere", append([]string{"bench", "impair"}, c.args...)...); code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit %d, %s", c.args, code, stderr)
		}
	}
}

func TestStoriesAreTold(t *testing.T) {
	code, stdout, _ := ask("nowhere", "bench", "impair", "--list")
	if code != exitDone || !strings.Contains(stdout, "outage: A tunnel") || strings.Count(stdout, "\n") < 7 {
		t.Errorf("exit %d:\n%s", code, stdout)
	}
}

// addrWriter tells what is written first.
type addrWriter chan string

func (w addrWriter) Write(b []byte) (int, error) {
	w <- strings.TrimSpace(string(b))
	return len(b), nil
}

func TestARelayTellsItsAddressAndStandsBeforeADaemon(t *testing.T) {
	daemon, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	ctx, cancel := context.WithCancel(context.Background())
	told, ended := make(addrWriter, 1), make(chan int, 1)
	tool := &tool{now: time.Now, out: told, err: os.Stderr}
	go func() {
		ended <- tool.run(ctx, []string{"bench", "impair", "--scenario", "outage", "--relay", "127.0.0.1:0=" + daemon.LocalAddr().String()})
	}()
	conn, err := net.Dial("udp", <-told)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, _, err := daemon.ReadFrom(b); err != nil || string(b[:n]) != "hello" {
		t.Errorf("%q, %v", b[:n], err)
	}
	cancel()
	if code := <-ended; code != exitDone {
		t.Errorf("exit %d", code)
	}
}
