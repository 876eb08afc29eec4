package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const (
	envPrefix = "STENTOR_"
	envConfig = envPrefix + "CONFIG" // the same as --config
)

// loaded is a configuration together with where each of its values came from.
type loaded struct {
	options
	origin  map[string]string // setting name -> "file:line", variable or flag; no entry: the default
	unknown []string          // variables that look like ours and are not
}

// load applies the sources in their order: defaults, file, environment, flags. file may be empty.
func load(file string, environ []string, flags *pflag.FlagSet) (*loaded, error) {
	l := &loaded{options: defaultOptions(), origin: map[string]string{}}
	if file != "" {
		if err := l.readFile(file); err != nil {
			return nil, err
		}
	}
	if err := l.readEnviron(environ); err != nil {
		return nil, err
	}
	if err := l.readFlags(flags); err != nil {
		return nil, err
	}
	return l, l.validate()
}

// set gives a setting its value and remembers the origin, which also begins the error.
func (l *loaded) set(s *setting, origin, where string, texts []string) error {
	if err := assign(s.at(&l.options), texts); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	l.origin[s.name] = origin
	return nil
}

// validate adds to the engine's verdict where the wrong value came from.
func (l *loaded) validate() error {
	err := l.Config.Validate()
	if err == nil {
		return nil
	}
	name, _, _ := strings.Cut(err.Error(), ":")
	if origin, ok := l.origin[name]; ok {
		return fmt.Errorf("%s: %w", origin, err)
	}
	return err
}

func (l *loaded) readEnviron(environ []string) error {
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envConfig {
			continue
		}
		s := settingNamed(strings.ToLower(strings.TrimPrefix(name, envPrefix)))
		if s == nil || s.env() != name {
			l.unknown = append(l.unknown, name)
			continue
		}
		if err := l.set(s, name, name, []string{text}); err != nil {
			return err
		}
	}
	slices.Sort(l.unknown)
	return nil
}

// readFile reads a YAML mapping of setting names to values. Node by node, so that each complaint has a line and a key.
func (l *loaded) readFile(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err // names the operation and the file already
	}
	defer f.Close()
	dec := yaml.NewDecoder(f)
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF): // empty, or comments only
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: has more than one YAML document", file)
	}
	return l.readMapping(file, doc.Content[0])
}

func (l *loaded) readMapping(file string, n *yaml.Node) error {
	if n.Tag == "!!null" { // a document mark and nothing after it
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: is no mapping of settings to values", file, n.Line)
	}
	seen := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := fmt.Sprintf("%s:%d", file, key.Line)
		where := at + ": " + key.Value
		s := settingNamed(key.Value)
		if s == nil {
			return fmt.Errorf("%s: no such setting%s", where, suggestion(key.Value))
		}
		if first, ok := seen[s.name]; ok {
			return fmt.Errorf("%s: already set in line %d", where, first)
		}
		seen[s.name] = key.Line
		texts, err := nodeTexts(value, s.at(&l.options))
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		if err := l.set(s, at, where, texts); err != nil {
			return err
		}
	}
	return nil
}

// nodeTexts takes the text out of a YAML value, having checked that it is of the kind that the setting wants.
func nodeTexts(n *yaml.Node, p any) ([]string, error) {
	_, isList := p.(*[]string)
	switch {
	case isList && n.Kind == yaml.SequenceNode:
		texts := []string{""} // a list may be empty, and what assign takes may not
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode || item.Tag != "!!str" {
				return nil, fmt.Errorf("the item in line %d is no text", item.Line)
			}
			texts = append(texts, item.Value)
		}
		return texts, nil
	case n.Kind != yaml.ScalarNode:
		return nil, fmt.Errorf("is a %s, wanted is: %s", nodeKind(n), kindOf(p))
	case n.Tag == "!!null":
		return nil, fmt.Errorf("has no value, wanted is: %s", kindOf(p))
	}
	return []string{n.Value}, checkTag(n, p)
}

// checkTag refuses what YAML reads as something other than what the setting holds: 8 and "8" are not the same there.
func checkTag(n *yaml.Node, p any) error {
	switch p.(type) {
	case *int, *bool:
		if n.Tag == "!!str" && n.Style != 0 {
			return fmt.Errorf("%q is text to YAML, write it without quotes", n.Value)
		}
	case *os.FileMode, *time.Duration: // 0660 is a number to YAML and "0660" is text: both are clear
	default:
		if n.Tag != "!!str" {
			return fmt.Errorf("%s is no text to YAML, write %q", n.Value, n.Value)
		}
	}
	return nil
}

func nodeKind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "list"
	case yaml.MappingNode:
		return "mapping"
	}
	return "reference"
}

// suggestion offers the setting that was probably meant: the same letters, written as a flag or a variable is.
func suggestion(key string) string {
	plain := strings.ToLower(strings.ReplaceAll(key, "-", "_"))
	if s := settingNamed(strings.TrimPrefix(plain, "stentor_")); s != nil {
		return ", did you mean " + s.name + "?"
	}
	return ""
}

// lookup finds a variable in an environment such as os.Environ gives; the last one wins.
func lookup(environ []string, name string) string {
	var found string
	for _, kv := range environ {
		if text, ok := strings.CutPrefix(kv, name+"="); ok {
			found = text
		}
	}
	return found
}
