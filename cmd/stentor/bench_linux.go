package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"stentor/bench/fanout"
	"stentor/bench/report"
	"stentor/recorder"
)

// fanoutFlags are the flags of bench fanout.
type fanoutFlags struct {
	listeners []int
	speakers  int
	talking   []int
	rendition []string
	record    []string
	against   []string
	duration  time.Duration
	runs      int
	stentord  string
	janus     string
	livekit   string
	mediasoup string
	threads   int
	json      string
	report    string
}

func (t *tool) benchCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure what the daemon costs", Args: between(0, 0)}
	cmd.AddCommand(t.fanoutCommand(), floorCommand(), t.overloadCommand(), t.impairCommand())
	return cmd
}

func (t *tool) fanoutCommand() *cobra.Command {
	var f fanoutFlags
	cmd := &cobra.Command{
		Use:   "fanout",
		Short: "Measure sending a few speakers to many listeners",
		Long: "Measure sending a few speakers to many listeners. A stentord of its own is started on loopback; listeners and\n" +
			"speakers are real (ICE, DTLS, SRTP). The floor, which only encrypts and sends, is measured in the same run; so are other\n" +
			"servers with --against. docs/benchmarks.md tells how to read the figures. Run it where nothing else runs.",
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return t.benchFanout(cmd, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntSliceVar(&f.listeners, "listeners", []int{500}, "how many listen; several numbers, as 50,200,500,1000,2000, are measured one after the other")
	flags.IntVar(&f.speakers, "speakers", 3, "how many may speak")
	flags.IntSliceVar(&f.talking, "talking", []int{3}, "how many of them talk, all the time; several numbers are measured one after the other")
	flags.StringSliceVar(&f.rendition, "rendition", []string{"live"}, "rendition of the room: live, packed60, packed120 or auto; or several")
	flags.StringSliceVar(&f.record, "record", []string{fanout.RecordOff}, "whether the room is recorded: off or on, or stalled: its disk stands still for 10 s in each of two windows (root only); or several, in turns")
	flags.DurationVar(&f.duration, "duration", 20*time.Second, "steady time that is measured in each run")
	flags.IntVar(&f.runs, "runs", 1, "runs of each server; the table shows medians")
	flags.StringSliceVar(&f.against, "against", nil, "other servers to measure in the same way: "+strings.Join(fanout.Servers, ", "))
	flags.StringVar(&f.stentord, "stentord", "", "path of the daemon; built from source if not given")
	flags.StringVar(&f.janus, "janus", "", "path of Janus for --against janus; the one in PATH if not given")
	flags.StringVar(&f.livekit, "livekit", "", "path of livekit-server for --against livekit")
	flags.StringVar(&f.mediasoup, "mediasoup", "", "directory in which \"npm install mediasoup@3\" has succeeded, for --against mediasoup")
	flags.IntVar(&f.threads, "floor-threads", 0, "threads of the floor, which share the listeners; 0 is one a CPU, as stentord has shards. One thread is measured besides")
	flags.StringVar(&f.json, "json", "", "file to write all runs to, as one JSON object")
	flags.StringVar(&f.report, "report", "", "file to draw the comparison in, as an HTML page")
	return cmd
}

// floorCommand is the process that bench fanout starts to measure the floor.
func floorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "floor", Hidden: true, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			load, err := fanout.ParseFloorLoad(args)
			if err != nil {
				return usageError{err}
			}
			return fanout.RunFloor(load, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// config makes the bench's configuration of the flags.
func (f *fanoutFlags) config() (fanout.Config, error) {
	self, err := os.Executable()
	if err != nil {
		return fanout.Config{}, fmt.Errorf("find this program, to run the floor: %w", err)
	}
	c := fanout.Config{
		Against: f.against, Duration: f.duration, Runs: f.runs, Stentord: f.stentord,
		Janus: f.janus, LiveKit: f.livekit, Mediasoup: f.mediasoup,
		FloorCommand: []string{self, "bench", "floor"}, FloorThreads: f.threads, VerifyRecording: verifyRecording,
	}
	for _, listeners := range f.listeners {
		for _, talking := range f.talking {
			for _, rendition := range f.rendition {
				for _, record := range f.record {
					c.Loads = append(c.Loads, fanout.Load{
						Listeners: listeners, Speakers: f.speakers, Talking: talking, Rendition: rendition, Record: record,
					})
				}
			}
		}
	}
	return c, nil
}

// benchFanout measures, and shows what was measured also when a later part has failed.
func (t *tool) benchFanout(cmd *cobra.Command, f fanoutFlags) error {
	c, err := f.config()
	if err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return usageError{err}
	}
	progress := newProgress(t.err)
	c.Progress = progress.step
	d := report.Document{At: t.now().UTC(), Command: strings.Join(os.Args, " "), Machine: machine()}
	var failed error
	d.Cases, failed = fanout.Run(cmd.Context(), c)
	progress.close()
	d.Recording = report.CompareRecording(d.Cases)
	if failed != nil && !errors.Is(failed, context.Canceled) {
		failed = errors.New(failed.Error()) // what its errno means to other commands, it does not mean here
	}
	if len(d.Cases) == 0 {
		return failed
	}
	return errors.Join(failed, report.WriteTable(t.out, &d), writeFile(f.json, &d, writeJSON), writeFile(f.report, &d, report.WritePage))
}

// verifyRecording fails a bench that has made a recording with something wrong in it.
func verifyRecording(files fs.FS) error {
	found, err := recorder.Verify(files, nil)
	if err != nil {
		return err
	}
	var wrong []error
	for _, p := range found.Problems {
		wrong = append(wrong, errors.New(p.String()))
	}
	return errors.Join(wrong...)
}

func writeJSON(w io.Writer, d *report.Document) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(d)
}

// writeFile does nothing without a name.
func writeFile(name string, d *report.Document, write func(io.Writer, *report.Document) error) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f, d), f.Close())
}

// machine tells where we are.
func machine() report.Machine {
	m := report.Machine{CPU: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	return m
}
