package recorder

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A victim is a process of its own that records three people who talk, in real time and to real files, until it is killed.
// It says what it has done, a line each:
//
//	ready                      it can be killed from now on
//	said <position> <packets>  all three have sent a packet, at this position of the recording, and so many in all
//	told <type>                the recorder has told of an event
type victim struct {
	cmd   *exec.Cmd
	stdin io.Closer // it ends when this is closed, should the test die
	lines *bufio.Scanner

	said    int64 // where the last packet went
	packets int   // that each has sent
	ready   int   // times that it told that the recording is ready
}

const (
	victimSpool = "STENTOR_TEST_SPOOL"
	victimPart  = "STENTOR_TEST_PART"

	partTalk   = "talk"   // records until it is killed
	partStop   = "stop"   // stops the recording after a second
	partFinish = "finish" // finishes what is in the spool
)

var voices = map[string]float64{"ann": 400, "bob": 1000, "cay": 2000}

// beVictim is the process.
func beVictim(spool, part string) {
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(0) }()
	for _, hz := range voices {
		toneOf(hz)
	}
	fmt.Println("ready")
	s := &studio{spool: spool, disk: realDisk{}, epoch: time.Now()}
	s.config = Config{Spool: spool, Node: "victim", FreeMin: 1, Log: slog.New(slog.DiscardHandler), Tell: func(e Event) { fmt.Println("told", e.Type) }}
	var err error
	if s.recorder, err = newOn(s.config, s.disk); err != nil {
		panic(err)
	}
	if part == partFinish {
		select {}
	}
	s.desk = NewDesk(DeskConfig{Position: s.position})
	var mouths []*mouth
	for name, hz := range voices {
		m := s.joins(name, uint32(hz), hz)
		m.slot = int8(len(mouths))
		mouths = append(mouths, m)
	}
	if err := s.recorder.Start(s.desk, Start{Recording: "take", Room: "room", Tracks: true, Replay: true}); err != nil {
		panic(err)
	}
	s.recorder.mu.Lock()
	start := s.recorder.recordings["take"].take.start
	s.recorder.mu.Unlock()
	tick := time.NewTicker(20 * time.Millisecond)
	for i, began := 0, time.Now(); ; <-tick.C {
		for ; time.Duration(i)*20*time.Millisecond <= time.Since(began); i++ { // ticks are missed on a busy machine, words are not
			if part == partStop && i == 50 {
				if err := s.recorder.Stop("take", "stopped"); err != nil {
					panic(err)
				}
			}
			at := s.position()
			for _, m := range mouths {
				m.says()
			}
			if part == partTalk || i < 50 {
				fmt.Println("said", at-start, i+1)
			}
		}
	}
}

// startVictim starts one and waits until it is ready to be killed.
func startVictim(t *testing.T, spool, part string) *victim {
	t.Helper()
	v := &victim{cmd: exec.Command(os.Args[0])}
	v.cmd.Env = append(os.Environ(), victimSpool+"="+spool, victimPart+"="+part)
	v.cmd.Stderr = os.Stderr
	var err error
	if v.stdin, err = v.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	v.lines = bufio.NewScanner(out)
	if !v.lines.Scan() || v.lines.Text() != "ready" {
		t.Fatalf("the victim says %q", v.lines.Text())
	}
	return v
}

// kill ends it at some moment within a time, and returns when it is dead.
func (v *victim) kill(within time.Duration) {
	delay := rand.N(within)
	timer := time.AfterFunc(delay, func() { _ = v.cmd.Process.Kill() })
	defer timer.Stop()
	for v.lines.Scan() {
		var kind EventType
		line := v.lines.Text()
		_, _ = fmt.Sscanf(line, "said %d %d", &v.said, &v.packets)
		if _, err := fmt.Sscanf(line, "told %d", &kind); err == nil && kind == Ready {
			v.ready++
		}
		if strings.HasPrefix(line, "panic") {
			panic(line)
		}
	}
	_ = v.cmd.Wait() // killed
	v.stdin.Close()
}
