package main

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// assign reads text into the value that p points to. Only a list takes more than one text, and a text of a list may hold
// several items with commas between them; the others take the last.
func assign(p any, texts []string) error {
	if list, ok := p.(*[]string); ok {
		*list = splitList(texts)
		return nil
	}
	text := texts[len(texts)-1]
	switch v := p.(type) {
	case *string:
		*v = text
	case *bool:
		return assignBool(v, text)
	case *int:
		return assignInt(v, text)
	case *time.Duration:
		return assignDuration(v, text)
	case *os.FileMode:
		return assignMode(v, text)
	case *slog.Level:
		return assignLevel(v, text)
	case *logFormat:
		return assignFormat(v, text)
	default:
		panic(fmt.Sprintf("settings table: no way to read a %T", p))
	}
	return nil
}

func splitList(texts []string) []string {
	var items []string
	for _, t := range texts {
		for item := range strings.SplitSeq(t, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
	}
	return items
}

func assignInt(v *int, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%q is no whole number", text)
	}
	*v = n
	return nil
}

func assignBool(v *bool, text string) error {
	if text != "true" && text != "false" {
		return fmt.Errorf("%q is neither true nor false", text)
	}
	*v = text == "true"
	return nil
}

func assignDuration(v *time.Duration, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is no duration such as 30s or 2m", text)
	}
	*v = d
	return nil
}

// assignMode reads an octal number with or without the prefix that YAML 1.2 or C want.
func assignMode(v *os.FileMode, text string) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
	if err != nil {
		return fmt.Errorf("%q is no octal mode such as 0660", text)
	}
	*v = os.FileMode(n)
	return nil
}

var levelNames = []string{"debug", "info", "warn", "error"}

func assignLevel(v *slog.Level, text string) error {
	if !slices.Contains(levelNames, text) {
		return fmt.Errorf("%q is not one of %s", text, strings.Join(levelNames, ", "))
	}
	return v.UnmarshalText([]byte(text))
}

func assignFormat(v *logFormat, text string) error {
	if text != "text" && text != "json" {
		return fmt.Errorf("%q is neither text nor json", text)
	}
	*v = logFormat(text)
	return nil
}

// format writes a value so that assign reads it back.
func format(p any) string {
	switch v := p.(type) {
	case *string:
		return *v
	case *bool:
		return strconv.FormatBool(*v)
	case *int:
		return strconv.Itoa(*v)
	case *time.Duration:
		return trimZeroUnits(v.String())
	case *os.FileMode:
		return fmt.Sprintf("%#o", uint32(*v))
	case *slog.Level:
		return strings.ToLower(v.String())
	case *logFormat:
		return string(*v)
	case *[]string:
		return strings.Join(*v, ",")
	}
	panic(fmt.Sprintf("settings table: no way to write a %T", p))
}

// trimZeroUnits makes 1m0s 1m, as people write it.
func trimZeroUnits(s string) string {
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
