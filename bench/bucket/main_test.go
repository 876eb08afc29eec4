package bucket

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// serverPath is versitygw, which TestMain builds.
var serverPath string

func TestMain(m *testing.M) {
	code := buildAndRun(m)
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bucket-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	serverPath = filepath.Join(dir, "versitygw")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", serverPath, "github.com/versity/versitygw/cmd/versitygw")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
