package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stentor/bench/fanout"
	"stentor/bench/report"
)

func (t *tool) overloadCommand() *cobra.Command {
	var c fanout.OverloadConfig
	var file string
	cmd := &cobra.Command{
		Use:   "overload",
		Short: "Fill a daemon up until it refuses, and see what is lost",
		Long: "Fill a daemon up until it refuses, and see what is lost. A stentord of its own is started on one CPU, the generator keeps the\n" +
			"others. Listeners come in steps while people talk, until joins are answered with busy; then half of them leave, and half of\n" +
			"those, until the daemon is as it was. The table shows each step, when packing and refusing began, and what was lost by then.\n" +
			"It fails if something has not held.",
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return t.benchOverload(cmd, c, file) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&c.Talking, "talking", 3, "how many talk, all the time, each in a slot of his own")
	flags.IntVar(&c.Step, "step", 200, "how many listeners come between two measurements; a quarter of all when that is more")
	flags.IntVar(&c.Most, "most", 8000, "listeners to stop at")
	flags.DurationVar(&c.Hold, "hold", 3*time.Second, "time of a measurement")
	flags.DurationVar(&c.Budget, "budget", 90*time.Second, "time for coming, and again for leaving, at most")
	flags.BoolVar(&c.Sudden, "sudden", false, "one talks until all listeners are there, or one is refused, and then all do at once")
	flags.StringVar(&c.Stentord, "stentord", "", "path of the daemon; built from source if not given")
	flags.StringVar(&file, "json", "", "file to write everything to, as one JSON object")
	return cmd
}

// benchOverload shows what was measured also when a later part has failed.
func (t *tool) benchOverload(cmd *cobra.Command, c fanout.OverloadConfig, file string) error {
	if err := c.Validate(); err != nil {
		return usageError{err}
	}
	progress := newProgress(t.err)
	c.Progress = progress.step
	out, failed := fanout.Overload(cmd.Context(), c)
	progress.close()
	out.At, out.Command, out.Machine = t.now().UTC(), strings.Join(os.Args, " "), machine()
	if len(out.Steps) == 0 {
		return failed
	}
	return errors.Join(failed, t.tellOverload(&out, file))
}

// tellOverload prints and writes what was measured. What has not held is an error.
func (t *tool) tellOverload(out *report.Overload, file string) error {
	err := errors.Join(report.WriteOverload(t.out, out), write(file, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(out)
	}))
	for _, v := range out.Verdicts() {
		if !v.Held {
			return errors.Join(err, errNotHeld)
		}
	}
	return err
}
