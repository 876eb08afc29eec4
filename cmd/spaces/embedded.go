package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"stentor/engine"
)

// defaultMedia is where the engine inside takes media unless told otherwise: the daemon's own port.
const defaultMedia = ":7900"

// embedded is an engine inside this process, on a socket that only this user can reach.
type embedded struct {
	control string // path of its socket
	engine  *engine.Engine
	dir     string
}

// newEmbedded opens the engine's sockets and its recordings. If media was asked for, a port that is taken is an error,
// else a free one is used, and the log says so.
func newEmbedded(s *settings, log *slog.Logger) (*embedded, error) {
	dir, err := os.MkdirTemp("", "spaces-") // Made with mode 0700.
	if err != nil {
		return nil, fmt.Errorf("make a directory for the control socket: %w", err)
	}
	e := &embedded{control: filepath.Join(dir, "control.sock"), dir: dir}
	cfg := engine.Default()
	cfg.Control, cfg.ControlMode = e.control, 0o600
	cfg.HTTP, cfg.Advertise, cfg.Log = "", s.advertise, log
	cfg.Spool, cfg.Store = s.spool, s.store
	if cfg.Media, err = mediaAddress(s.media, s.mediaChosen, log); err == nil {
		e.engine, err = engine.New(cfg)
	}
	if err != nil {
		e.remove()
		return nil, fmt.Errorf("start the engine: %w", err)
	}
	return e, nil
}

// mediaAddress is media, or a free port beside it when that one is taken and was not asked for.
func mediaAddress(media string, chosen bool, log *slog.Logger) (string, error) {
	if chosen {
		return media, nil
	}
	probe, err := net.ListenPacket("udp", media)
	if err == nil {
		return media, probe.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return "", err
	}
	probe, err = net.ListenPacket("udp", ":0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(probe.LocalAddr().String())
	if err := errors.Join(err, probe.Close()); err != nil {
		return "", err
	}
	log.Info("media port is taken, using another", "taken", media, "media", ":"+port)
	return ":" + port, nil
}

// run serves until ctx is done.
func (e *embedded) run(ctx context.Context) error {
	defer e.remove()
	if err := e.engine.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("engine: %w", err)
	}
	return nil
}

// remove takes the private directory away.
func (e *embedded) remove() {
	_ = os.RemoveAll(e.dir) // The system clears its temporary directory otherwise.
}
