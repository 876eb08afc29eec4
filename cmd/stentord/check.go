package main

import (
	"io"

	"go.yaml.in/yaml/v3"
)

// write prints the configuration as a file that load reads back, with the origin of each value beside it.
func (l *loaded) write(w io.Writer) error {
	doc := &yaml.Node{Kind: yaml.MappingNode}
	for i := range settings {
		s := &settings[i]
		origin := l.origin[s.name]
		if origin == "" {
			origin = "default"
		}
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: s.name}
		doc.Content = append(doc.Content, key, valueNode(s.at(&l.options), origin))
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return err
	}
	return enc.Close()
}

func valueNode(p any, origin string) *yaml.Node {
	list, ok := p.(*[]string)
	if !ok {
		return scalarNode(p, origin)
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, LineComment: origin}
	for i := range *list {
		n.Content = append(n.Content, scalarNode(&(*list)[i], ""))
	}
	return n
}

// scalarNode leaves numbers and modes bare; the encoder quotes text where it would be read as something else.
func scalarNode(p any, origin string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: format(p), LineComment: origin, Tag: "!!str"}
	switch kindOf(p) {
	case "number", "mode":
		n.Tag = "!!int"
	case "switch":
		n.Tag = "!!bool"
	}
	return n
}
