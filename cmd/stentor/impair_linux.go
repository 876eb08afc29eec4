package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"stentor/bench/impair"
	"stentor/bench/impair/scenario"
	"stentor/bench/report"
)

// impairFlags are the flags of bench impair.
type impairFlags struct {
	names     []string
	files     []string
	seed      uint64
	seeds     int
	listeners int
	real      bool
	parallel  int
	json      string
	report    string
	relay     string
	list      bool
}

// seedsMax is some hours of the stories that come along; all figures are kept in memory.
const seedsMax = 1000

// realAtOnce is how many stories share the machine in real time: each is some thousand packets a second.
const realAtOnce = 3

func (t *tool) impairCommand() *cobra.Command {
	var f impairFlags
	cmd := &cobra.Command{
		Use:   "impair",
		Short: "Play stories of listeners in trouble, and tell what they heard",
		Long: "Play stories of listeners in trouble, and tell what they heard. Each story is played with the congestion controller off\n" +
			"and on, and on a good network besides, so that it shows whether anybody else noticed. In virtual time, which is the\n" +
			"default, a seed gives the same table each time; --seeds plays several, and each bound must hold in each of them. With --real\n" +
			"everything goes over loopback sockets and takes its time. With --relay nothing is played: a relay lets the network of whoever\n" +
			"is behind it follow the story from the first media on; the daemon must be started with --advertise and the relay's address.",
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return t.benchImpair(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringSliceVar(&f.names, "scenario", nil, "stories to play, by name; all if not given")
	flags.StringSliceVar(&f.files, "file", nil, "stories to play from files of your own")
	flags.BoolVar(&f.list, "list", false, "tell the stories instead of playing them")
	flags.Uint64Var(&f.seed, "seed", 1, "what decides every loss and delay")
	flags.IntVar(&f.seeds, "seeds", 1, "play this many seeds, from --seed on, and tell means and the worst")
	flags.IntVar(&f.listeners, "listeners", 0, "listeners in the room; 0 is as many as the story has")
	flags.BoolVar(&f.real, "real", false, "real sockets and real time")
	flags.IntVar(&f.parallel, "parallel", 0, "stories at once; 0 is one a CPU, 3 with --real")
	flags.StringVar(&f.json, "json", "", "file to write all figures to, as one JSON array")
	flags.StringVar(&f.report, "report", "", "file to draw the stories in, as an HTML page")
	flags.StringVar(&f.relay, "relay", "", "listen=target: addresses of a relay before a daemon, as 127.0.0.1:7999=127.0.0.1:7900")
	return cmd
}

func (t *tool) benchImpair(ctx context.Context, f impairFlags) error {
	stories, err := f.stories()
	if err != nil {
		return usageError{err}
	}
	switch {
	case f.list:
		return t.tell(stories)
	case f.relay != "":
		return t.relay(ctx, f, stories)
	}
	list, failed := f.playSeeds(ctx, func(seed uint64) ([]*impair.Comparison, error) { return t.playAll(ctx, f, seed, stories) })
	if len(list) == 0 {
		return failed
	}
	return errors.Join(failed, t.tellImpair(f, list))
}

// errNotHeld is for a bench that has run, and shown something that should not be.
var errNotHeld = errors.New("not everything held that must")

// playSeeds plays all seeds, and has what came of them also when some have failed.
func (f *impairFlags) playSeeds(ctx context.Context, play func(seed uint64) ([]*impair.Comparison, error)) (list []*impair.Comparison, failed error) {
	for i := range uint64(f.seeds) {
		if ctx.Err() != nil {
			return list, errors.Join(failed, ctx.Err())
		}
		one, err := play(f.seed + i)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("seed %d: %w", f.seed+i, err))
		}
		for _, c := range one {
			if c != nil {
				list = append(list, c)
			}
		}
	}
	return list, failed
}

// tellImpair prints and writes what was played. What has not held is an error.
func (t *tool) tellImpair(f impairFlags, list []*impair.Comparison) error {
	table := impair.WriteTable
	if f.seeds > 1 {
		table = impair.WriteSeeds
	}
	err := errors.Join(table(t.out, list), write(f.json, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	}), write(f.report, func(w io.Writer) error {
		return report.WriteImpairedPage(w, f.command(), list)
	}))
	for _, c := range list {
		if !c.Held() {
			return errors.Join(err, errNotHeld)
		}
	}
	return err
}

// command is what makes the same figures again.
func (f *impairFlags) command() string {
	s := fmt.Sprintf("stentor bench impair --seed %d", f.seed)
	if f.seeds > 1 {
		s += fmt.Sprintf(" --seeds %d", f.seeds)
	}
	if f.real {
		s += " --real"
	}
	if f.listeners > 0 {
		s += fmt.Sprintf(" --listeners %d", f.listeners)
	}
	for _, name := range f.names {
		s += " --scenario " + name
	}
	for _, name := range f.files {
		s += " --file " + shellWord(name)
	}
	return s
}

// shellWord quotes a file's name if a shell would take it apart.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r > 127 || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("0123456789-_./", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// write does nothing without a name.
func write(name string, to func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(to(file), file.Close())
}

// stories finds those that are asked for.
func (f *impairFlags) stories() ([]*scenario.Scenario, error) {
	all, err := scenario.All()
	if err != nil {
		return nil, err
	}
	var out []*scenario.Scenario
	for _, name := range f.files {
		s, err := readStory(name)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	var known []string
	for _, s := range all {
		known = append(known, s.Name)
		if slices.Contains(f.names, s.Name) || len(f.names) == 0 && len(f.files) == 0 {
			out = append(out, s)
		}
	}
	for _, name := range f.names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no story %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	if f.listeners < 0 || f.listeners > 1000 || f.parallel < 0 || f.seeds < 1 || f.seeds > seedsMax {
		return nil, fmt.Errorf("--listeners is 0 … 1000, --parallel not below 0, and --seeds 1 … %d", seedsMax)
	}
	return out, nil
}

func readStory(name string) (*scenario.Scenario, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	s, err := scenario.Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// tell lists stories.
func (t *tool) tell(stories []*scenario.Scenario) error {
	for _, s := range stories {
		if _, err := fmt.Fprintf(t.out, "%s: %s\n", s.Name, strings.TrimSpace(s.Story)); err != nil {
			return err
		}
	}
	return nil
}

// playAll plays several stories at once; their order stays.
func (t *tool) playAll(ctx context.Context, f impairFlags, seed uint64, stories []*scenario.Scenario) ([]*impair.Comparison, error) {
	stage := &impair.Stage{Seed: seed, Listeners: f.listeners, Real: f.real, Bubble: impair.VirtualTime}
	atOnce := f.parallel
	if atOnce == 0 {
		atOnce = runtime.NumCPU()
		if f.real {
			atOnce = realAtOnce
		}
	}
	progress := newProgress(t.err)
	defer progress.close()
	list, errs := make([]*impair.Comparison, len(stories)), make([]error, len(stories))
	turns := make(chan bool, atOnce)
	var playing sync.WaitGroup
	for i, s := range stories {
		turns <- true
		progress.step("impair", f.stepOf(s, seed), i, len(stories))
		playing.Go(func() {
			list[i], errs[i] = stage.Compare(ctx, s)
			<-turns
		})
	}
	playing.Wait()
	return list, errors.Join(errs...)
}

// stepOf is what is being played.
func (f *impairFlags) stepOf(s *scenario.Scenario, seed uint64) string {
	if f.seeds > 1 {
		return fmt.Sprintf("seed %d, %s", seed, s.Name)
	}
	return s.Name
}

// relay stands before a daemon until it is interrupted.
func (t *tool) relay(ctx context.Context, f impairFlags, stories []*scenario.Scenario) error {
	if len(stories) != 1 {
		return usageError{errors.New("a relay follows one story: name it by --scenario or --file")}
	}
	for _, c := range []struct {
		flag  string
		given bool
	}{{"--seeds", f.seeds != 1}, {"--json", f.json != ""}, {"--report", f.report != ""}} {
		if c.given {
			return usageError{fmt.Errorf("%s: a relay plays nothing, so it does not go with --relay", c.flag)}
		}
	}
	listen, target, ok := strings.Cut(f.relay, "=")
	if !ok {
		return usageError{fmt.Errorf("--relay %s: want listen=target", f.relay)}
	}
	r, err := impair.NewRelayOf(listen, target, stories[0], f.seed)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(t.out, "%s\n", r.Addr()); err != nil {
		return errors.Join(err, r.Close())
	}
	<-ctx.Done()
	return r.Close()
}
