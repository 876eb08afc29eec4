package recorder

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the tests, or is the victim that one of them has started.
func TestMain(m *testing.M) {
	if spool := os.Getenv(victimSpool); spool != "" {
		beVictim(spool, os.Getenv(victimPart))
		return
	}
	goleak.VerifyTestMain(m)
}
