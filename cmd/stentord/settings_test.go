package main

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestEveryConfigFieldIsASetting(t *testing.T) {
	var o options
	pointers := map[any]string{}
	for i := range settings {
		pointers[settings[i].at(&o)] = settings[i].name
	}
	if len(pointers) != len(settings) {
		t.Errorf("%d settings share %d values", len(settings), len(pointers))
	}
	config := reflect.ValueOf(&o.Config).Elem()
	for i := range config.NumField() {
		field := config.Type().Field(i).Name
		if field == "Log" { // made from log_level and log_format
			continue
		}
		name := pointers[config.Field(i).Addr().Interface()]
		if strings.ReplaceAll(name, "_", "") != strings.ToLower(field) {
			t.Errorf("engine.Config.%s: its setting is %q", field, name)
		}
	}
}

func TestEverySettingHasFlagVariableAndKey(t *testing.T) {
	flags := command(nil).Flags()
	form := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for i := range settings {
		s := &settings[i]
		if !form.MatchString(s.name) {
			t.Errorf("%q is not in snake_case", s.name)
		}
		if flags.Lookup(s.flag()) == nil {
			t.Errorf("%s: no flag --%s", s.name, s.flag())
		}
		if settingNamed(s.name) != s {
			t.Errorf("%s: not found by its name in a file", s.name)
		}
		if want := "STENTOR_" + strings.ToUpper(s.name); s.env() != want {
			t.Errorf("%s: variable is %s, not %s", s.name, s.env(), want)
		}
	}
}

func TestDefaultsAreValid(t *testing.T) {
	o := defaultOptions()
	if err := o.Config.Validate(); err != nil {
		t.Error(err)
	}
}

// TestLimitsAreThoseOfTheEngine tries both ends of each documented range, and one beyond.
func TestLimitsAreThoseOfTheEngine(t *testing.T) {
	for i := range settings {
		s := &settings[i]
		low, high, ranged := strings.Cut(s.limits, " … ")
		if !ranged {
			continue
		}
		if s.name == "hold_level_dbov" {
			high = "-50" // the default of onset_level_dbov, by which it is bounded
		}
		if s.name == "onset_level_dbov" {
			low = "-60" // the default of hold_level_dbov, which bounds it from below
		}
		for _, text := range []string{low, high} {
			if err := validWith(s, text); err != nil {
				t.Errorf("%s=%s: %v", s.name, text, err)
			}
		}
		for _, text := range beyond(s, low, high) {
			if validWith(s, text) == nil {
				t.Errorf("%s=%s is accepted, the table says %s", s.name, text, s.limits)
			}
		}
	}
}

func validWith(s *setting, text string) error {
	o := defaultOptions()
	if err := assign(s.at(&o), []string{text}); err != nil {
		return err
	}
	return o.Config.Validate()
}

// beyond returns texts just outside low … high.
func beyond(s *setting, low, high string) []string {
	switch kindOf(s.at(&options{})) {
	case "number":
		var l, h int
		if assignInt(&l, low) != nil || assignInt(&h, high) != nil {
			panic(s.name + ": limits are no numbers")
		}
		l, h = l-1, h+1
		return []string{format(&l), format(&h)}
	case "duration":
		l, err := time.ParseDuration(low)
		if err != nil {
			panic(s.name + ": limits are no durations")
		}
		return []string{(l - time.Millisecond).String(), high + "1ms"}
	case "mode":
		return []string{"-1", "1000"}
	}
	panic(s.name + ": a range of what?")
}
