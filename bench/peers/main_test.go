package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// daemonPath is stentord, which TestMain builds.
var daemonPath string

func TestMain(m *testing.M) {
	if socket := os.Getenv(appServerVariable); socket != "" {
		os.Exit(appServer(socket))
	}
	code := buildAndRun(m)
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "peers-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	daemonPath = filepath.Join(dir, "stentord")
	build := exec.Command("go", "build", "-o", daemonPath, "./cmd/stentord")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
