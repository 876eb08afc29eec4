package transport_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(clientsVar) != "" {
		os.Exit(runClients(os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}
