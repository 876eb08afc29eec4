//go:build linux

package fanout

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"stentor/engine/control"
)

const room = "bench"

// stentord is our own daemon.
type stentord struct {
	process
	binary  string
	args    []string // besides those that the bench needs
	dir     string   // for the control socket and the spool
	spool   string   // as seen from here, which is not where the daemon sees it when it has a disk of its own
	http    string   // address of /metrics
	media   string   // address of the media socket
	socket  string   // path of the control socket
	control *control.Client
}

// newStentord uses a binary, or builds one into dir.
func newStentord(ctx context.Context, binary string, args []string, dir string) (*stentord, error) {
	if binary == "" {
		binary = filepath.Join(dir, "stentord")
		if err := build(ctx, binary, ".", "stentor/cmd/stentord"); err != nil {
			return nil, err
		}
	}
	return &stentord{binary: binary, args: args, dir: dir}, nil
}

func (s *stentord) Name() string { return "stentor" }

func (s *stentord) Start(ctx context.Context, load Load) error {
	var err error
	if s.media, err = freePort("udp"); err != nil {
		return err
	}
	if s.http, err = freePort("tcp"); err != nil {
		return err
	}
	s.socket = filepath.Join(s.dir, "control.sock")
	spool := filepath.Join(s.dir, "spool")
	if err := errors.Join(os.RemoveAll(spool), os.Mkdir(spool, 0o750)); err != nil { // a recording of an earlier run
		return err
	}
	name, args := s.binary, append([]string{
		"--node", "bench", "--media", s.media, "--http", s.http, "--control", s.socket, "--log-level", "warn", "--spool", spool,
	}, s.args...)
	s.spool = spool
	if load.Record == RecordStalled {
		if name, args, err = onDisk(ctx, filepath.Join(s.dir, "spool.img"), spool, name, args...); err != nil {
			return err
		}
	}
	if err := s.start(name, args...); err != nil {
		return err
	}
	if load.Record == RecordStalled {
		s.spool = inside(s.PIDs()[0], spool)
	}
	err = s.until(ctx, func(ctx context.Context) (err error) {
		s.control, err = control.Dial(ctx, s.socket)
		return err
	})
	if err != nil {
		return fmt.Errorf("stentord: %w", err)
	}
	_, err = s.control.RoomOpen(ctx, &control.RoomOpenParams{Room: room, Slots: load.slots(), DefaultRendition: load.Rendition})
	return err
}

func (s *stentord) Join(ctx context.Context, name string, speaks bool, offer string) (string, error) {
	r, err := s.control.PeerJoin(ctx, &control.PeerJoinParams{Room: room, Peer: name, MaySpeak: speaks, SDP: offer})
	if err != nil {
		return "", err
	}
	return r.SDP, nil
}

func (s *stentord) Metrics(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Close = true // no connection that idles on both sides
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return parseMetrics(res.Body)
}

func (s *stentord) Stop() error {
	if s.control != nil {
		_ = s.control.Close() // says nothing that matters here
		s.control = nil
	}
	err := s.process.Stop()
	_ = os.Remove(filepath.Join(s.dir, "control.sock")) // a killed daemon leaves it behind
	return err
}
