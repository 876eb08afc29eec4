package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite golden files and the table in docs/operating.md")

// loadFrom runs load with the given sources; file is the content of the file, none when empty.
func loadFrom(t *testing.T, file string, environ, args []string) (*loaded, error) {
	t.Helper()
	path := ""
	if file != "" {
		path = filepath.Join(t.TempDir(), "stentord.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := pflag.NewFlagSet("stentord", pflag.ContinueOnError)
	defineFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return load(path, environ, flags)
}

func TestLaterSourcesWin(t *testing.T) {
	for _, tc := range []struct {
		story, file string
		environ     []string
		args        []string
		want        int
		origin      string
	}{
		{story: "nothing set", want: 10_000},
		{story: "file over default", file: "max_rooms: 1", want: 1, origin: ":1"},
		{story: "environment over default", environ: []string{"STENTOR_MAX_ROOMS=2"}, want: 2, origin: "STENTOR_MAX_ROOMS"},
		{story: "flag over default", args: []string{"--max-rooms=3"}, want: 3, origin: "--max-rooms"},
		{story: "environment over file", file: "max_rooms: 1", environ: []string{"STENTOR_MAX_ROOMS=2"}, want: 2,
			origin: "STENTOR_MAX_ROOMS"},
		{story: "flag over file", file: "max_rooms: 1", args: []string{"--max-rooms=3"}, want: 3, origin: "--max-rooms"},
		{story: "flag over environment", environ: []string{"STENTOR_MAX_ROOMS=2"}, args: []string{"--max-rooms=3"}, want: 3,
			origin: "--max-rooms"},
		{story: "all set", file: "max_rooms: 1", environ: []string{"STENTOR_MAX_ROOMS=2"}, args: []string{"--max-rooms=3"},
			want: 3, origin: "--max-rooms"},
		{story: "the last flag wins", args: []string{"--max-rooms=3", "--max-rooms=4"}, want: 4, origin: "--max-rooms"},
		{story: "the default again", file: "max_rooms: 1", args: []string{"--max-rooms=10000"}, want: 10_000,
			origin: "--max-rooms"},
	} {
		t.Run(tc.story, func(t *testing.T) {
			l, err := loadFrom(t, tc.file, tc.environ, tc.args)
			if err != nil {
				t.Fatal(err)
			}
			if l.MaxRooms != tc.want {
				t.Errorf("max_rooms is %d, want %d", l.MaxRooms, tc.want)
			}
			if !strings.HasSuffix(l.origin["max_rooms"], tc.origin) {
				t.Errorf("it came from %q, want %q", l.origin["max_rooms"], tc.origin)
			}
		})
	}
}

func TestListsReplaceAcrossSourcesAndGrowWithinFlags(t *testing.T) {
	file := "advertise: [192.0.2.1, 192.0.2.2]"
	for _, tc := range []struct {
		environ, args, want []string
	}{
		{want: []string{"192.0.2.1", "192.0.2.2"}},
		{environ: []string{"STENTOR_ADVERTISE=192.0.2.3, 2001:db8::1"}, want: []string{"192.0.2.3", "2001:db8::1"}},
		{environ: []string{"STENTOR_ADVERTISE="}, want: nil},
		{args: []string{"--advertise=192.0.2.4,192.0.2.5:9", "--advertise=192.0.2.6"},
			want: []string{"192.0.2.4", "192.0.2.5:9", "192.0.2.6"}},
	} {
		l, err := loadFrom(t, file, tc.environ, tc.args)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(l.Advertise, tc.want) {
			t.Errorf("environment %q, flags %q: %q, want %q", tc.environ, tc.args, l.Advertise, tc.want)
		}
	}
}

func TestUnknownVariablesAreNamed(t *testing.T) {
	l, err := loadFrom(t, "", []string{"STENTOR_ROOMS=1", "PATH=/bin", "STENTOR_CONFIG=x", "STENTOR_max_rooms=1",
		"STENTOR_MAX_ROOMS=5"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"STENTOR_ROOMS", "STENTOR_max_rooms"}; !reflect.DeepEqual(l.unknown, want) {
		t.Errorf("unknown: %q, want %q", l.unknown, want)
	}
	if l.MaxRooms != 5 {
		t.Errorf("max_rooms is %d, want 5", l.MaxRooms)
	}
}

func TestBadVariablesAreNamed(t *testing.T) {
	for variable, want := range map[string]string{
		"STENTOR_MAX_ROOMS=many":      `STENTOR_MAX_ROOMS: "many" is no whole number`,
		"STENTOR_MAX_ROOMS=":          `STENTOR_MAX_ROOMS: "" is no whole number`,
		"STENTOR_MAX_SLOTS=0":         `STENTOR_MAX_SLOTS: max_slots: 0 is outside 1 … 16`,
		"STENTOR_CONNECT_TIMEOUT=1":   `STENTOR_CONNECT_TIMEOUT: "1" is no duration such as 30s or 2m`,
		"STENTOR_CONTROL_MODE=rw-rw-": `STENTOR_CONTROL_MODE: "rw-rw-" is no octal mode such as 0660`,
	} {
		if _, err := loadFrom(t, "", []string{variable}, nil); err == nil || err.Error() != want {
			t.Errorf("%s: error %q, want %q", variable, err, want)
		}
	}
}

// TestBadFilesSayWhatAndWhere holds the message for each file in testdata/bad beside it.
func TestBadFilesSayWhatAndWhere(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		flags := pflag.NewFlagSet("stentord", pflag.ContinueOnError)
		defineFlags(flags)
		_, err := load(file, nil, flags)
		if err == nil {
			t.Errorf("%s: accepted", file)
			continue
		}
		golden(t, strings.TrimSuffix(file, ".yaml")+".txt", []byte(err.Error()+"\n"))
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the message has several lines: %s", file, err)
		}
	}
}

func TestEmptyFileSetsNothing(t *testing.T) {
	for _, file := range []string{"\n", "# nothing\n", "---\n"} {
		l, err := loadFrom(t, file, nil, nil)
		if err != nil {
			t.Errorf("%q: %v", file, err)
			continue
		}
		if want := defaultOptions(); !reflect.DeepEqual(l.options, want) {
			t.Errorf("%q: %+v, want %+v", file, l.options, want)
		}
	}
}

func TestMissingFileIsNamed(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run([]string{"--check", "--config", "testdata/none.yaml"}, nil, &stdout, &stderr)
	want := "stentord: open testdata/none.yaml: no such file or directory\n"
	if code != exitFailed || stderr.String() != want {
		t.Errorf("exit %d, %q; want 1, %q", code, stderr.String(), want)
	}
}

// everySetting sets each setting to something other than its default.
var everySetting = []string{
	"--node=x: [y]", "--media=127.0.0.1:9", "--advertise=192.0.2.1,[2001:db8::1]:9", "--control=/tmp/#s", "--control-mode=0600",
	"--http=", "--max-rooms=1", "--max-peers=2", "--max-peers-per-room=3", "--max-slots=4", "--max-connections=5",
	"--max-message-bytes=16384", "--event-log=16", "--consent-timeout=90s", "--connect-timeout=1h", "--onset-level-dbov=-3",
	"--hold-level-dbov=-4", "--shards=7", "--adapt=false", "--spool=/srv/spool", "--spool-free-mb=9", "--store=file:///srv/store", "--recovery-point=2s",
	"--segment=6s", "--mix-bitrate=32000", "--retention=720h", "--log-level=debug", "--log-format=json", "--profile=true",
}

func TestCheckPrintsAFileThatSaysTheSame(t *testing.T) {
	for _, args := range [][]string{nil, everySetting} {
		want, err := loadFrom(t, "", nil, args)
		if err != nil {
			t.Fatal(err)
		}
		if args != nil && len(want.origin) != len(settings) {
			t.Errorf("%d of %d settings are tried", len(want.origin), len(settings))
		}
		var stdout, stderr bytes.Buffer
		if code := run(append([]string{"--check"}, args...), nil, &stdout, &stderr); code != exitStopped || stderr.Len() > 0 {
			t.Fatalf("exit %d, %s", code, &stderr)
		}
		got, err := loadFrom(t, stdout.String(), nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, &stdout)
		}
		if !reflect.DeepEqual(normal(got.options), normal(want.options)) {
			t.Errorf("read back: %+v, want %+v", got.options, want.options)
		}
	}
}

// normal makes the two ways of an empty list one.
func normal(o options) options {
	if len(o.Advertise) == 0 {
		o.Advertise = nil
	}
	return o
}

func TestCheckTellsOrigins(t *testing.T) {
	var stdout, stderr bytes.Buffer
	environ := []string{"STENTOR_CONFIG=testdata/good.yaml", "STENTOR_MAX_PEERS=50", "STENTOR_MAXPEERS=60"}
	if code := run([]string{"--check", "--shards=2"}, environ, &stdout, &stderr); code != exitStopped {
		t.Fatalf("exit %d, %s", code, &stderr)
	}
	golden(t, "testdata/check.txt", stdout.Bytes())
	if want := "stentord: warning: STENTOR_MAXPEERS names no setting\n"; stderr.String() != want {
		t.Errorf("stderr %q, want %q", stderr.String(), want)
	}
}

func TestWrongCommandLinesExitWithTwo(t *testing.T) {
	for _, args := range [][]string{{"--maxrooms=1"}, {"--max-rooms=x"}, {"--max-rooms"}, {"start"}, {"--check=perhaps"}} {
		var stdout, stderr bytes.Buffer
		if code := run(args, nil, &stdout, &stderr); code != exitUsage {
			t.Errorf("%q: exit %d, want 2", args, code)
		}
		if out := stderr.String(); !strings.HasPrefix(out, "stentord: ") || strings.Count(out, "\n") != 1 {
			t.Errorf("%q: %q is not one line", args, out)
		}
	}
}

func TestDurationsAreWrittenAsPeopleWriteThem(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"1s": time.Second, "1m": time.Minute, "1m30s": 90 * time.Second, "10m": 10 * time.Minute, "1h": time.Hour,
		"1h0m1s": time.Hour + time.Second, "100ms": 100 * time.Millisecond, "0s": 0,
	} {
		if got := format(&d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", file, got, want)
	}
}
