package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"stentor/engine"
)

// Exit codes; doc.go says when each is given.
const (
	exitStopped = 0
	exitFailed  = 1
	exitUsage   = 2
)

// usageError is a command line that cannot be meant.
type usageError struct{ error }

func main() {
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is main without the process around it.
func run(args, environ []string, stdout, stderr io.Writer) int {
	cmd := command(environ)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.Execute()
	if err == nil {
		return exitStopped
	}
	fmt.Fprintf(stderr, "stentord: %v\n", err)
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}

func command(environ []string) *cobra.Command {
	var config string
	var check bool
	cmd := &cobra.Command{
		Use:   "stentord",
		Short: "Media engine for live audio rooms",
		Long: "Stentord is a media engine for live audio rooms, driven over its control socket.\n\n" +
			"Settings come from, later over earlier: defaults, the file of --config, environment, flags.\n" +
			"--max-rooms on the command line is max_rooms in the file and STENTOR_MAX_ROOMS in the environment.",
		Version:           engine.Build(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := load(config, environ, cmd.Flags())
			if err != nil {
				return err
			}
			if check {
				return printCheck(cmd, l)
			}
			return serve(&l.options, l.unknown)
		},
	}
	cmd.SetVersionTemplate("stentord {{.Version}}\n")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&config, "config", lookup(environ, envConfig), "YAML file to read settings from")
	flags.BoolVar(&check, "check", false, "validate the configuration, print it as YAML, and exit")
	defineFlags(flags)
	return cmd
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

// printCheck prints what would run; what is only doubtful goes to standard error, so that the output stays a file.
func printCheck(cmd *cobra.Command, l *loaded) error {
	for _, name := range l.unknown {
		fmt.Fprintf(cmd.ErrOrStderr(), "stentord: warning: %s names no setting\n", name)
	}
	return l.write(cmd.OutOrStdout())
}
