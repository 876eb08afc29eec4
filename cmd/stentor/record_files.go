package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"stentor/recorder"
	"stentor/recorder/manifest"
)

// problem is something that a recording says of itself and that is not so.
type problem struct {
	File string `json:"file"`
	What string `json:"what"`
}

// verdict is what verify tells of a recording.
type verdict struct {
	Recording string            `json:"recording"`
	From      string            `json:"from"` // as it was named
	State     manifest.State    `json:"state"`
	Duration  manifest.Position `json:"duration_s"`
	Files     int               `json:"files"`
	Bytes     int64             `json:"bytes"`
	Problems  []problem         `json:"problems"`
	Unknown   []string          `json:"unknown"` // files that the manifest does not name
}

func (t *tool) recordVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR|URL|RECORDING…",
		Short: "Hold files against their manifest: checksums, lengths, tracks, playlist, timeline",
		Long: "Hold files against their manifest: checksums, lengths, tracks, playlist, timeline. Exits with 1 if anything is wrong.\n" +
			"With --json, prints one object for each recording.",
		Args: between(1, 1000),
		RunE: func(cmd *cobra.Command, args []string) error {
			bad := 0
			for i, arg := range args {
				v, err := t.verify(cmd.Context(), arg)
				if err != nil {
					return fmt.Errorf("%s: %w", arg, plain(err))
				}
				if len(v.Problems) > 0 {
					bad++
				}
				if err := t.tellVerdict(v, i > 0); err != nil {
					return err
				}
			}
			if bad > 0 {
				return fmt.Errorf("%d of %d recordings are not what they say", bad, len(args))
			}
			return nil
		},
	}
}

func (t *tool) verify(ctx context.Context, arg string) (*verdict, error) {
	dir, done, err := t.localCopy(ctx, arg)
	if err != nil {
		return nil, err
	}
	defer done()
	m := t.newMeter(arg)
	defer m.close()
	report, err := recorder.Verify(os.DirFS(dir), func(done, total int64) { m.step("verify", done, total) })
	if err != nil {
		return nil, err
	}
	v := &verdict{
		Recording: report.Manifest.Recording, From: arg, State: report.Manifest.State, Duration: report.Manifest.Duration,
		Files: report.Files, Bytes: report.Bytes, Problems: []problem{}, Unknown: []string{},
	}
	for _, p := range report.Problems {
		v.Problems = append(v.Problems, problem(p))
	}
	v.Unknown = append(v.Unknown, report.Unknown...)
	return v, ctx.Err()
}

func (t *tool) tellVerdict(v *verdict, further bool) error {
	if t.json {
		return json.NewEncoder(t.out).Encode(v)
	}
	if further {
		fmt.Fprintln(t.out)
	}
	tab := newTable(t.out)
	tab.row("recording", v.Recording)
	tab.row("state", string(v.State))
	tab.row("duration", seconds(v.Duration.Seconds()))
	tab.row("files", fmt.Sprintf("%d, %s", v.Files, size(uint64(v.Bytes))))
	for _, name := range v.Unknown {
		tab.row("unknown", name)
	}
	for _, p := range v.Problems {
		tab.row("wrong", p.File+": "+p.What)
	}
	if len(v.Problems) == 0 {
		tab.row("all is well")
	}
	return tab.flush()
}

// outputFlags say where a tool writes to.
type outputFlags struct {
	name  string
	force bool
}

func (o *outputFlags) add(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVarP(&o.name, "output", "o", "", usage)
	cmd.Flags().BoolVar(&o.force, "force", false, "replace a file of that name")
}

// check keeps a file that is there.
func (o *outputFlags) check() error {
	if _, err := os.Stat(o.name); err == nil && !o.force {
		return fmt.Errorf("%s is there already; give another name, or --force", o.name)
	}
	return nil
}

func (t *tool) recordRemixCommand() *cobra.Command {
	var to outputFlags
	var bitrate int
	cmd := &cobra.Command{
		Use:   "remix DIR|URL|RECORDING",
		Short: "Make the mix anew from the tracks, as the room heard them",
		Args:  between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if bitrate != 0 && (bitrate < 6000 || bitrate > 510_000) {
				return usageError{fmt.Errorf("--bitrate %d: want 6000 to 510000", bitrate)}
			}
			return t.produce(cmd.Context(), args[0], to, "-remix.mp4", func(ctx context.Context, dir string, o recorder.Output) error {
				o.Bitrate = bitrate
				return recorder.Remix(ctx, dir, o)
			})
		},
	}
	to.add(cmd, "file to write, .mp4 or .ogg (default RECORDING-remix.mp4)")
	cmd.Flags().IntVar(&bitrate, "bitrate", 0, "of the mix, in b/s (default 48000)")
	return cmd
}

func (t *tool) recordExportCommand() *cobra.Command {
	var to outputFlags
	cmd := &cobra.Command{
		Use:   "export DIR|URL|RECORDING",
		Short: "Write the mix as one file, or all tracks with labels into a directory",
		Long: "Write the mix as one file, or all tracks with labels into a directory.\n\n" +
			"  -o talk.mp4   the mix, as players, phones and browsers take it\n" +
			"  -o talk.ogg   the same audio, in Ogg\n" +
			"  -o talk/      each person's track, the mix, and who spoke when as labels.txt, for Audacity and the like\n\n" +
			"Nothing is encoded again. A recording that still runs is written as far as it is.",
		Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !parts(to.name) {
				return t.produce(cmd.Context(), args[0], to, ".mp4", recorder.ExportMix)
			}
			if to.force {
				return usageError{errors.New("export: --force is for files; name a directory that is not there yet")}
			}
			return t.produce(cmd.Context(), args[0], to, "", func(ctx context.Context, dir string, o recorder.Output) error {
				return recorder.ExportParts(ctx, dir, filepath.Clean(o.Name), o.Progress)
			})
		},
	}
	to.add(cmd, "file (.mp4, .ogg) or new directory (with a slash at its end) to write (default RECORDING.mp4)")
	return cmd
}

// parts tells whether a name is that of a directory for all parts.
func parts(name string) bool {
	return strings.HasSuffix(name, "/") || name != "" && filepath.Ext(name) == ""
}

// produce runs a tool that writes an output, and says what it wrote.
func (t *tool) produce(ctx context.Context, arg string, to outputFlags, ending string,
	run func(ctx context.Context, dir string, o recorder.Output) error,
) error {
	if to.name != "" {
		if err := recorder.CheckOutput(to.name); ending != "" && err != nil {
			return usageError{err}
		}
		if err := to.check(); err != nil { // before anything is downloaded
			return err
		}
	}
	dir, done, err := t.localCopy(ctx, arg)
	if err != nil {
		return fmt.Errorf("%s: %w", arg, plain(err))
	}
	defer done()
	if to.name == "" {
		recording, err := manifest.Load(os.DirFS(dir))
		if err != nil {
			return fmt.Errorf("%s: %w", arg, plain(err))
		}
		to.name = recording.Recording + ending
	}
	if err := to.check(); err != nil {
		return err
	}
	m := t.newMeter(arg)
	err = run(ctx, dir, recorder.Output{Name: to.name, Progress: m.step})
	m.close()
	if err != nil {
		return fmt.Errorf("%s: %w", arg, plain(err))
	}
	if t.json {
		return nil
	}
	_, err = fmt.Fprintln(t.out, to.name)
	return err
}
