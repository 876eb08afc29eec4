package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

const (
	guideFile  = "../../docs/operating.md"
	guideBegin = "<!-- settings: written by go test ./cmd/stentord -update -->\n"
	guideEnd   = "<!-- end of settings -->\n"
)

// TestOperatingGuideHasTheSettings holds the table in the guide to the one in the program.
func TestOperatingGuideHasTheSettings(t *testing.T) {
	data, err := os.ReadFile(guideFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(data), guideBegin)
	table, after, ok2 := strings.Cut(rest, guideEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s: no place for the settings between %q and %q", guideFile, guideBegin, guideEnd)
	}
	want := guideTable()
	if *update {
		if err := os.WriteFile(guideFile, []byte(before+guideBegin+want+guideEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		table = want
	}
	if table != want {
		t.Errorf("the settings in %s are not those of the program; run: go test ./cmd/stentord -update", guideFile)
	}
}

func guideTable() string {
	var b strings.Builder
	b.WriteString("| file | environment | flag | default | accepted | meaning |\n|---|---|---|---|---|---|\n")
	defaults := defaultOptions()
	for i := range settings {
		s := &settings[i]
		standard := "`" + format(s.at(&defaults)) + "`"
		if s.absent != "" {
			standard = s.absent
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | `--%s` | %s | %s | %s |\n", s.name, s.env(), s.flag(), standard, s.limits, s.about)
	}
	return b.String()
}

// TestExampleFile loads the example as it is, and with every line in force.
func TestExampleFile(t *testing.T) {
	data, err := os.ReadFile("../../deploy/stentord.yaml")
	if err != nil {
		t.Fatal(err)
	}
	asIs, err := loadFrom(t, string(data), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := defaultOptions(); !reflect.DeepEqual(asIs.options, want) {
		t.Errorf("the example sets something: %+v, want %+v", asIs.options, want)
	}
	inForce := regexp.MustCompile(`(?m)^#([a-z_]+:)`).ReplaceAllString(string(data), "$1")
	all, err := loadFrom(t, inForce, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(all.origin) != len(settings) {
		t.Errorf("the example names %d of %d settings", len(all.origin), len(settings))
	}
	all.Node, all.Advertise = asIs.Node, asIs.Advertise // what has no default to show
	if !reflect.DeepEqual(all.options, asIs.options) {
		t.Errorf("the example shows other defaults: %+v, want %+v", all.options, asIs.options)
	}
}

// TestUnitFindsItsFiles holds the unit's paths to the daemon's defaults.
func TestUnitFindsItsFiles(t *testing.T) {
	data, err := os.ReadFile("../../deploy/stentord.service")
	if err != nil {
		t.Fatal(err)
	}
	runtimeDirectory := filepath.Base(filepath.Dir(defaultOptions().Control))
	for _, line := range []string{"Type=notify", "RuntimeDirectory=" + runtimeDirectory, "DynamicUser=yes"} {
		if !strings.Contains(string(data), "\n"+line+"\n") {
			t.Errorf("the unit does not say %s", line)
		}
	}
}
