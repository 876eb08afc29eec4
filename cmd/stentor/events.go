package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stentor/engine/control"
)

// eventsFlags are the flags of the command events.
type eventsFlags struct {
	follow bool
	rooms  []string
	after  string
}

func (t *tool) eventsCommand() *cobra.Command {
	var f eventsFlags
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show events: those after a cursor, or those to come",
		Long: "Show events. With --after, all after that cursor; with --follow, also those to come, until interrupted, through\n" +
			"restarts of the daemon. When --follow has lost events for good, it says so and goes on; with --json it prints the\n" +
			"result of events.subscribe with the snapshot to go on from.",
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.follow:
				return t.follow(cmd.Context(), f)
			case f.after == "":
				return usageError{errors.New("events: give --after CURSOR, --follow, or both")}
			}
			return t.list(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with the events to come")
	flags.StringArrayVar(&f.rooms, "room", nil, "only events of this room and of the engine; repeatable")
	flags.StringVar(&f.after, "after", "", "cursor of the last event that is known")
	return cmd
}

// list prints the events after the cursor, up to the one that was the newest at the beginning. Rooms are picked here and
// not by the daemon, because the newest event may be of another room.
func (t *tool) list(ctx context.Context, f eventsFlags) error {
	emit := t.eventPrinter()
	return t.call(ctx, func(ctx context.Context, c *control.Client) error {
		newest, err := newestCursor(ctx, c)
		if err != nil {
			return err
		}
		sub, result, err := c.Subscribe(ctx, control.SubscribeParams{After: f.after})
		if err != nil {
			return err
		}
		defer sub.Close()
		for cursor := result.Cursor; cursor != newest; {
			e, err := sub.Next(ctx)
			if err != nil {
				return err
			}
			cursor = e.Cursor
			if e.Room != "" && len(f.rooms) > 0 && !slices.Contains(f.rooms, e.Room) {
				continue
			}
			if err := emit(&e); err != nil {
				return err
			}
		}
		return nil
	})
}

func newestCursor(ctx context.Context, c *control.Client) (string, error) {
	sub, result, err := c.Subscribe(ctx, control.SubscribeParams{})
	if err != nil {
		return "", err
	}
	return result.Cursor, sub.Close()
}

// follow prints events until ctx ends. A daemon that is not there at the start is an error; one that goes away is
// waited for.
func (t *tool) follow(ctx context.Context, f eventsFlags) error {
	if err := t.call(ctx, func(context.Context, *control.Client) error { return nil }); err != nil {
		return err
	}
	emit := t.eventPrinter()
	lost := false
	w := control.Watcher{Path: t.control, Rooms: f.rooms, After: f.after, FromNow: f.after == ""}
	w.Down = func(err error) {
		if !lost {
			fmt.Fprintf(t.err, "stentor: connection lost, trying again: %s\n", t.explain(err))
		}
		lost = true
	}
	w.Up = func() {
		if lost {
			fmt.Fprintln(t.err, "stentor: connected again")
		}
		lost = false
	}
	err := w.Watch(ctx, func(item control.WatchItem) error {
		if item.Event != nil {
			return emit(item.Event)
		}
		return t.missed(item)
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// missed tells that there is a hole in what has been printed.
func (t *tool) missed(item control.WatchItem) error {
	fmt.Fprintf(t.err, "stentor: events were lost; going on after %s\n", item.Cursor)
	if !t.json {
		return nil
	}
	return json.NewEncoder(t.out).Encode(control.SubscribeResult{Cursor: item.Cursor, Snapshot: item.Snapshot})
}

// eventLine has fixed widths: a table that is aligned at its end cannot be followed.
const eventLine = "%-23s  %-20s  %-17s  %-16s  %-16s  %s\n"

// eventPrinter returns what prints one event, as a line of a table whose header comes with the first, or as it is.
func (t *tool) eventPrinter() func(*control.Event) error {
	if t.json {
		enc := json.NewEncoder(t.out)
		return func(e *control.Event) error { return enc.Encode(e) }
	}
	header := false
	return func(e *control.Event) error {
		if !header {
			fmt.Fprintf(t.out, eventLine, "TIME", "CURSOR", "EVENT", "ROOM", "PEER", "DETAIL")
			header = true
		}
		_, err := fmt.Fprintf(t.out, eventLine, e.Time.UTC().Format("2006-01-02 15:04:05.000"), e.Cursor, e.Type, dash(e.Room),
			dash(e.Peer), dash(detail(e)))
		return err
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// detail tells what else an event says.
func detail(e *control.Event) string {
	var parts []string
	for _, f := range []struct {
		value   *bool
		yes, no string
	}{
		{e.MaySpeak, "may speak", "may not speak"},
		{e.Muted, "muted", ""},
		{e.Priority, "priority", ""},
		{e.Speaking, "started", "stopped"},
	} {
		switch {
		case f.value != nil && *f.value:
			parts = append(parts, f.yes)
		case f.value != nil && f.no != "":
			parts = append(parts, f.no)
		}
	}
	if e.Type == control.EventSlotsChanged {
		parts = append(parts, "heard: "+dash(heard(e.Heard)))
	}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	if e.DeadlineS != nil {
		parts = append(parts, fmt.Sprintf("deadline %gs", *e.DeadlineS))
	}
	return strings.Join(parts, ", ")
}
