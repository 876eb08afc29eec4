package scenario

import (
	"embed"
	"fmt"
	"path"
)

//go:embed stories/*.yaml
var files embed.FS

// All reads the stories that come with the program, in the order of their files' names.
func All() ([]*Scenario, error) {
	list, err := files.ReadDir("stories")
	if err != nil {
		return nil, err
	}
	var out []*Scenario
	for _, e := range list {
		f, err := files.Open(path.Join("stories", e.Name()))
		if err != nil {
			return nil, err
		}
		s, err := Read(f)
		_ = f.Close() // it is in memory
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		out = append(out, s)
	}
	return out, nil
}
