package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"stentor/engine"
)

// serve runs one engine until a signal asks it to leave.
func serve(o *options, unknown []string) error {
	log := o.logger(os.Stderr)
	slog.SetDefault(log)
	o.Log = log
	for _, name := range unknown {
		log.Warn("environment variable names no setting", "variable", name)
	}
	ctx, stop := untilSignal(log)
	defer stop()
	e, err := engine.New(o.Config)
	if err != nil {
		return err
	}
	log.Info("running", "version", engine.Version, "media", o.Media, "control", o.Control, "http", o.HTTP)
	tell(log, "READY=1")
	if err := e.Run(ctx); err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	return nil
}

// untilSignal returns a context that the first SIGINT or SIGTERM ends. The second ends the process: whoever sends it has
// waited long enough for the polite way.
func untilSignal(log *slog.Logger) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		sig := <-signals
		log.Info("leaving", "signal", sig.String())
		tell(log, "STOPPING=1")
		cancel()
		sig = <-signals
		log.Warn("not waiting any longer", "signal", sig.String())
		os.Exit(exitFailed)
	}()
	return ctx, cancel
}

func tell(log *slog.Logger, state string) {
	if err := notify(state); err != nil {
		log.Warn("systemd was not told", "state", state, "error", err)
	}
}
