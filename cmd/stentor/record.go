package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"stentor/engine/control"
)

func (t *tool) recordCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Start and stop recordings; look at, check and export their files",
		Long: "Start and stop recordings; look at, check and export their files.\n\n" +
			"verify, remix and export take a recording's directory or URL, or the name of one that the daemon knows. What is in\n" +
			"a bucket is downloaded first; the credentials are those of the environment (AWS_ACCESS_KEY_ID …).",
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(t.recordListCommand(), t.recordShowCommand(), t.recordStartCommand(), t.recordStopCommand(), t.recordDeleteCommand(),
		t.recordVerifyCommand(), t.recordRemixCommand(), t.recordExportCommand())
	return cmd
}

func (t *tool) recordListCommand() *cobra.Command {
	var p control.RecordingListParams
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "Show all recordings, by the time they began",
		Args:  between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				list, err := c.RecordingList(ctx, &p)
				if err != nil {
					return err
				}
				slices.SortStableFunc(list.Recordings, func(a, b control.Recording) int {
					return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.Recording, b.Recording))
				})
				return show(t, list.Recordings, t.recordingsTable)
			})
		},
	}
	cmd.Flags().StringVar(&p.Room, "room", "", "only those of this room")
	return cmd
}

func (t *tool) recordShowCommand() *cobra.Command {
	return t.onRecording("show RECORDING", "Show one recording and whose tracks it has", (*control.Client).RecordingGet)
}

func (t *tool) recordStopCommand() *cobra.Command {
	return t.onRecording("stop RECORDING", "End a recording; its files are then closed and stored", (*control.Client).RecordingStop)
}

// onRecording makes a command that calls one method with a recording's name, and shows the recording.
func (t *tool) onRecording(use, short string,
	method func(*control.Client, context.Context, *control.RecordingParams) (*control.Recording, error),
) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				r, err := method(c, ctx, &control.RecordingParams{Recording: args[0]})
				if err != nil {
					return err
				}
				return show(t, []control.Recording{*r}, t.recordingTable)
			})
		},
	}
}

func (t *tool) recordStartCommand() *cobra.Command {
	var noTracks, noReplay bool
	cmd := &cobra.Command{
		Use:   "start ROOM RECORDING",
		Short: "Begin to record a room, under a name that was never used",
		Args:  between(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			tracks, replay := !noTracks, !noReplay
			p := control.RecordingStartParams{Room: args[0], Recording: args[1], Tracks: &tracks, Replay: &replay}
			return t.call(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				r, err := c.RecordingStart(ctx, &p)
				if err != nil {
					return err
				}
				return show(t, []control.Recording{*r}, t.recordingTable)
			})
		},
	}
	cmd.Flags().BoolVar(&noTracks, "no-tracks", false, "keep no file per person")
	cmd.Flags().BoolVar(&noReplay, "no-replay", false, "make no mix")
	return cmd
}

func (t *tool) recordDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete RECORDING…",
		Short: "Delete recordings, running or not, from the spool and the store, for good",
		Args:  between(1, 1000),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				for _, name := range args {
					if _, err := c.RecordingDelete(ctx, &control.RecordingParams{Recording: name}); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (t *tool) recordingsTable(tab *table, recordings []control.Recording) {
	tab.row("RECORDING", "ROOM", "STATE", "STARTED", "DURATION", "SIZE", "DROPPED", "STORED")
	for _, r := range recordings {
		tab.row(r.Recording, r.Room, r.State, moment(r.StartedAt), seconds(r.DurationS), size(uint64(max(r.Bytes, 0))), fmt.Sprint(r.Dropped),
			yes(r.Stored))
	}
}

func (t *tool) recordingTable(tab *table, recordings []control.Recording) {
	r := recordings[0]
	tab.row("recording", r.Recording)
	tab.row("room", r.Room)
	tab.row("state", r.State)
	if r.Reason != "" {
		tab.row("reason", r.Reason)
	}
	tab.row("started", moment(r.StartedAt))
	if r.StoppedAt != nil {
		tab.row("stopped", moment(*r.StoppedAt))
	}
	tab.row("duration", seconds(r.DurationS))
	tab.row("  on the disk", seconds(r.SafeS))
	tab.row("size", size(uint64(max(r.Bytes, 0))))
	tab.row("packets missing", fmt.Sprint(r.Dropped))
	tab.row("tracks", yes(r.Tracks))
	tab.row("replay", yes(r.Replay))
	tab.row("stored", yes(r.Stored))
	tab.row("location", r.Location)
	for _, p := range r.People {
		tab.row("track of "+p.Peer, fmt.Sprintf("%s, %s of speech, %d lost, clock %+.1f ppm", p.File, seconds(p.SpokenS), p.Lost, p.DriftPPM))
	}
}

// moment writes a time to the second, in UTC; "" where there is none.
func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04:05")
}

func seconds(s float64) string { return age(time.Duration(s * float64(time.Second))) }
