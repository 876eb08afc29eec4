package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"stentor/engine"
	"stentor/engine/control"
)

// Exit codes; doc.go says when each is given.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

const (
	defaultControl = "/run/stentor/control.sock"
	envControl     = "STENTOR_CONTROL"
)

// usageError is a command line that cannot be meant.
type usageError struct{ error }

// tool is what all commands share.
type tool struct {
	control string        // path of the control socket
	json    bool          // print the protocol's objects, not tables
	timeout time.Duration // for one call
	now     func() time.Time
	out     io.Writer
	err     io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	t := &tool{control: os.Getenv(envControl), now: time.Now, out: os.Stdout, err: os.Stderr}
	os.Exit(t.run(ctx, os.Args[1:]))
}

// run is main without the process around it.
func (t *tool) run(ctx context.Context, args []string) int {
	cmd := t.command()
	cmd.SetArgs(args)
	cmd.SetOut(t.out)
	cmd.SetErr(t.err)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(t.err, "stentor: %s\n", t.explain(err))
	if errors.As(err, new(usageError)) || strings.HasPrefix(err.Error(), "unknown command") {
		return exitUsage
	}
	return exitFailed
}

func (t *tool) command() *cobra.Command {
	if t.control == "" {
		t.control = defaultControl
	}
	root := &cobra.Command{
		Use:           "stentor",
		Version:       engine.Build(),
		Short:         "Look into a running stentord",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.StringVar(&t.control, "control", t.control, "path of the daemon's control socket; also "+envControl)
	flags.BoolVar(&t.json, "json", false, "print the protocol's objects, one a line")
	flags.DurationVar(&t.timeout, "timeout", 5*time.Second, "how long to wait for an answer")
	root.AddCommand(t.infoCommand(), t.roomsCommand(), t.peersCommand(), t.eventsCommand(), t.recordCommand(), t.benchCommand(),
		t.versionCommand())
	return root
}

func (t *tool) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print this tool's version",
		Args:  between(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(t.out, "stentor", engine.Build())
			return err
		},
	}
}

// between is cobra.RangeArgs with our exit code.
func between(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < low || len(args) > high {
			return usageError{fmt.Errorf("usage: %s", cmd.UseLine())}
		}
		return nil
	}
}

// call connects, and runs f with a context that ends after the timeout.
func (t *tool) call(ctx context.Context, f func(context.Context, *control.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	client, err := control.Dial(ctx, t.control)
	if err != nil {
		return err
	}
	defer client.Close()
	return f(ctx, client)
}

// explain says for people what went wrong.
func (t *tool) explain(err error) string {
	var refused *control.Error
	var errno syscall.Errno
	switch {
	case errors.As(err, &refused):
		return refusal(refused)
	case errors.Is(err, syscall.EACCES):
		return fmt.Sprintf("not allowed to use %s: its owner and group may", t.control)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("no stentord at %s: the socket is there, but nobody listens", t.control)
	case errors.As(err, &errno):
		return fmt.Sprintf("no stentord at %s: %v", t.control, errno)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("stentord at %s has not answered within %v", t.control, t.timeout)
	case errors.Is(err, context.Canceled):
		return "interrupted"
	}
	return err.Error()
}

func refusal(e *control.Error) string {
	text := fmt.Sprintf("%s: %s", e.Reason, e.Message)
	if e.Field != "" && !strings.Contains(e.Message, e.Field) {
		text += " (" + e.Field + ")"
	}
	if e.Hint != "" {
		text += "\nhint: " + e.Hint
	}
	return text
}
