package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stentor/bench/report"
)

func TestABenchThatCannotBeMeantIsRefused(t *testing.T) {
	for _, args := range [][]string{
		{"bench", "fanout", "--against", "livekit"}, {"bench", "fanout", "--talking", "9"}, {"bench", "fanout", "extra"},
		{"bench", "fanout", "--record", "maybe"},
		{"bench", "floor", "x"}, {"bench", "overload", "--talking", "0"}, {"bench", "overload", "extra"},
	} {
		if code, _, stderr := ask("nowhere", args...); code != exitUsage {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
	}
}

// What has not held must be seen by who reads the exit code alone, and leave everything that was measured.
func TestAnOverloadThatHasNotHeldFails(t *testing.T) {
	for lost, want := range map[float64]error{0: nil, 3: errNotHeld} {
		var out bytes.Buffer
		tool, file := &tool{out: &out}, filepath.Join(t.TempDir(), "out.json")
		err := tool.tellOverload(&report.Overload{Steps: []report.OverloadStep{{Listeners: 200, Lost: report.Losses{Gaps: lost}}}}, file)
		if !errors.Is(err, want) || strings.Contains(out.String(), "\nNO ") != (want != nil) {
			t.Errorf("%.0f packets lost: %v\n%s", lost, err, out.String())
		}
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}

func TestProgressIsALineAPhaseWhereThereIsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	p.step("stentor", "join", 1, 2)
	p.step("stentor", "join", 2, 2)
	p.step("stentor", "talk", 0, 2)
	p.close()
	if out.String() != "stentor: join\nstentor: talk\n" {
		t.Errorf("%q", out.String())
	}
}

// TestBarsEndWithTheRun draws bars of phases that end, do not end, and have not begun, and must come back.
func TestBarsEndWithTheRun(t *testing.T) {
	var out bytes.Buffer
	steps := make(chan step, 8)
	for _, s := range []step{
		{"stentor", "build", 0, 1}, {"stentor", "run 1 of 1", 0, 1}, {"stentor", "join", 1, 2}, {"stentor", "join", 2, 2}, {"pion", "talk", 1, 2},
	} {
		steps <- s
	}
	close(steps)
	bars(&out)(steps)
	if len(steps) != 0 {
		t.Error("steps were left")
	}
}
