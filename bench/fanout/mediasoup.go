//go:build linux

package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// mediasoup is the room of bench/peers/mediasoup: Node, and mediasoup's worker, whose costs count together.
type mediasoup struct {
	joinSFU
	node, program string
	directory     string // where npm has installed mediasoup
	pids          []int
}

// newMediasoup looks for Node, the program, and the module in the given directory.
func newMediasoup(ctx context.Context, directory string) (*mediasoup, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("--against mediasoup: %w; install Node.js", err)
	}
	directory, err = filepath.Abs(directory)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(directory, "node_modules", "mediasoup")); err != nil {
		return nil, fmt.Errorf("--against mediasoup: %w; run \"npm install mediasoup@3\" in %s", err, directory)
	}
	root, err := source(ctx)
	if err != nil {
		return nil, err
	}
	return &mediasoup{node: node, program: filepath.Join(root, "bench", "peers", "mediasoup", "sfu.mjs"), directory: directory}, nil
}

func (m *mediasoup) Name() string { return "mediasoup" }

func (m *mediasoup) PIDs() []int { return m.pids }

func (m *mediasoup) Start(ctx context.Context, load Load) (err error) {
	if err := allowFiles(); err != nil {
		return err
	}
	if m.http, err = freePort("tcp"); err != nil {
		return err
	}
	if err := m.start(m.node, m.program, m.directory, m.http, strconv.Itoa(load.slots())); err != nil {
		return err
	}
	return m.until(ctx, func(ctx context.Context) error {
		text, err := m.call(ctx, http.MethodGet, "/healthz", nil)
		if err != nil {
			return err
		}
		m.pids, err = parsePIDs(text)
		return err
	})
}

// parsePIDs reads {"pids": [1, 2]}.
func parsePIDs(text []byte) ([]int, error) {
	var health struct {
		PIDs []int `json:"pids"`
	}
	if err := json.Unmarshal(text, &health); err != nil {
		return nil, fmt.Errorf("mediasoup's health %q: %w", text, err)
	}
	if len(health.PIDs) == 0 {
		return nil, errors.New("mediasoup names no process")
	}
	return health.PIDs, nil
}
