//go:build linux

package fanout

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test's binary be the floor's process, too.
func TestMain(m *testing.M) {
	if os.Getenv(FloorEnv) != "" {
		load, err := ParseFloorLoad(os.Args[1:])
		if err == nil {
			err = RunFloor(load, os.Stdin, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
