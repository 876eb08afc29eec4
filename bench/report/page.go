package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// section is one chart of the page.
type section struct {
	Title, Note string
	Chart       template.HTML
}

// WritePage draws a document as an HTML page that needs nothing but itself.
func WritePage(w io.Writer, d *Document) error {
	heads := make([]string, len(columns))
	for i, c := range columns {
		heads[i] = c.head
	}
	var rows [][]string
	var doubts []string
	for i := range d.Cases {
		row := make([]string, len(columns))
		for j, c := range columns {
			row[j] = c.cell(&d.Cases[i])
		}
		rows = append(rows, row)
		for _, doubt := range d.Cases[i].Doubts() {
			doubts = append(doubts, d.Cases[i].name()+": "+doubt)
		}
	}
	var drawn []section
	for _, s := range sections(d) {
		if s.Chart != "" {
			drawn = append(drawn, s)
		}
	}
	return page.Execute(w, map[string]any{"D": d, "Heads": heads, "Rows": rows, "Doubts": doubts, "Sections": drawn})
}

func (c *Case) name() string {
	name := fmt.Sprintf("%s %d×%d", c.Server, c.Listeners, c.Talking)
	if c.Rendition != "live" {
		name += " " + c.Rendition
	}
	return name
}

// kind is the colour of a server: one for ours, one for each other in the order of appearance.
func kind(d *Document, server string) string {
	n := 0
	seen := map[string]bool{}
	for i := range d.Cases {
		s := d.Cases[i].Server
		if s == server {
			break
		}
		if !seen[s] {
			seen[s] = true
			n++
		}
	}
	return fmt.Sprintf("s%d", n%5)
}

func sections(d *Document) []section {
	return []section{
		{"CPU time per packet", "µs of the server's CPU for each packet that arrived. The floor only encrypts and sends. Thin lines: the range of all runs.",
			bars("CPU time per packet", packetBars(d), 2)},
		{"CPU time per listener", "µs of the server's CPU in each second that somebody listens.",
			bars("CPU time per listener and second", caseBars(d, func(f *Figures) float64 { return f.CPUUsPerListenerSecond }), 0)},
		{"Added latency", "Share of packets that had arrived after so many milliseconds, from the speaker's send call to the listener's socket; largest room of each server.",
			plot("Added latency", "ms", "% of packets", latencyLines(d))},
		{"Cost against size", "µs of CPU per packet, by the number of listeners.",
			plot("Cost against size", "listeners", "µs per packet", sizeLines(d))},
	}
}

// byLoad lists the cases so that those of one load stand together.
func byLoad(d *Document) []*Case {
	out := make([]*Case, len(d.Cases))
	for i := range d.Cases {
		out[i] = &d.Cases[i]
	}
	slices.SortStableFunc(out, func(a, b *Case) int {
		return cmp.Or(cmp.Compare(a.Listeners, b.Listeners), cmp.Compare(b.Talking, a.Talking))
	})
	return out
}

// caseBars makes one bar a case.
func caseBars(d *Document, of func(*Figures) float64) []bar {
	var out []bar
	for _, c := range byLoad(d) {
		out = append(out, bar{name: c.name(), value: of(&c.Median), low: of(&c.Low), high: of(&c.High), kind: kind(d, c.Server)})
	}
	return out
}

// packetBars puts each case's floor above the first case that has the same load.
func packetBars(d *Document) []bar {
	var out []bar
	type load struct {
		listeners, talking int
		rendition          string
	}
	seen := map[load]bool{}
	all := caseBars(d, func(f *Figures) float64 { return f.CPUUsPerPacket })
	for i, c := range byLoad(d) {
		key := load{c.Listeners, c.Talking, c.Rendition}
		if !seen[key] && c.Median.FloorUsPerPacket > 0 {
			seen[key] = true
			name := "floor" + c.name()[len(c.Server):]
			out = append(out, bar{name, c.Median.FloorUsPerPacket, c.Low.FloorUsPerPacket, c.High.FloorUsPerPacket, "floor"})
		}
		out = append(out, all[i])
	}
	return out
}

// latencyLines are the curves of each server's cases of its largest room.
func latencyLines(d *Document) []line {
	largest := map[string]int{}
	for i := range d.Cases {
		c := &d.Cases[i]
		largest[c.Server] = max(largest[c.Server], c.Listeners)
	}
	var out []line
	for i := range d.Cases {
		c := &d.Cases[i]
		if c.Listeners != largest[c.Server] || len(c.Median.LatencyCurve) == 0 {
			continue
		}
		l := line{name: c.name(), kind: kind(d, c.Server), dash: slices.ContainsFunc(out, func(o line) bool { return o.kind == kind(d, c.Server) })}
		for p, ms := range c.Median.LatencyCurve[:100] { // the slowest packet of all would set the scale
			l.x, l.y = append(l.x, max(ms, 0.01)), append(l.y, float64(p))
		}
		out = append(out, l)
	}
	return out
}

// sizeLines join the cases that differ in their listeners alone.
func sizeLines(d *Document) []line {
	var out []line
	var names []string
	for i := range d.Cases {
		c := &d.Cases[i]
		name := fmt.Sprintf("%s ×%d %s", c.Server, c.Talking, c.Rendition)
		at := slices.Index(names, name)
		if at < 0 {
			at = len(names)
			names = append(names, name)
			k := kind(d, c.Server)
			out = append(out, line{name: name, kind: k, dash: slices.ContainsFunc(out, func(o line) bool { return o.kind == k })})
		}
		l := &out[at]
		j, _ := slices.BinarySearch(l.x, float64(c.Listeners))
		l.x, l.y = slices.Insert(l.x, j, float64(c.Listeners)), slices.Insert(l.y, j, c.Median.CPUUsPerPacket)
	}
	return slices.DeleteFunc(out, func(l line) bool { return len(l.x) < 2 })
}
