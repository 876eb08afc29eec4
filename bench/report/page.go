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

// section is a part of the page with its charts, which are small and stand side by side, or below each other.
type section struct {
	Title, Note string
	Small       bool
	Charts      []chart
}

type chart struct {
	Title string // empty where the section's says enough
	Chart template.HTML
}

// WritePage draws a document as an HTML page that needs nothing but itself.
func WritePage(w io.Writer, d *Document) error {
	columns := columnsOf(d)
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
		s.Charts = slices.DeleteFunc(s.Charts, func(c chart) bool { return c.Chart == "" })
		if len(s.Charts) > 0 {
			drawn = append(drawn, s)
		}
	}
	return page.Execute(w, map[string]any{"D": d, "Heads": heads, "Rows": rows, "Doubts": doubts, "Sections": drawn, "Recording": d.Recording})
}

func (c *Case) name() string {
	name := fmt.Sprintf("%s %d×%d", c.Server, c.Listeners, c.Talking)
	if c.Rendition != "live" {
		name += " " + c.Rendition
	}
	return name + c.recordedName()
}

// kind is the look of a case: a colour for ours and for each other server in the order of appearance, and a tone and dashes for the
// rendition, a darker one for what is recorded.
func kind(d *Document, c *Case) string {
	var seen []string
	for i := range d.Cases {
		if s := d.Cases[i].Server; !slices.Contains(seen, s) {
			seen = append(seen, s)
		}
	}
	rendition := max(0, slices.Index([]string{"live", "packed60", "packed120", "auto"}, c.Rendition))
	recorded := map[string]string{"on": " k1", "stalled": " k2"}[c.Recorded]
	return fmt.Sprintf("s%d r%d%s", slices.Index(seen, c.Server)%5, rendition, recorded)
}

func sections(d *Document) []section {
	wide := func(title, note string, charts ...chart) section {
		return section{Title: title, Note: note, Charts: charts}
	}
	besides := func(name, full string, digits int, of func(*Figures) float64) chart {
		list := caseBars(d, of)
		if i := slices.IndexFunc(list[min(1, len(list)):], func(b bar) bool { return b.kind == "" }); i >= 0 {
			list = list[:i+1] // the next load differs in talkers, and these figures do not
		}
		return chart{name, bars(full, smallWidth, list, digits)}
	}
	one := []chart{
		besides("Memory, KB", "Memory of a listener", 0, func(f *Figures) float64 { return f.RSSKBPerListener }),
		besides("CPU of a join, ms", "CPU time of a join", 2, func(f *Figures) float64 { return f.JoinCPUMs }),
		besides("CPU while nobody talks, µs a second", "CPU time of an idle listener", 0, func(f *Figures) float64 { return f.IdleUsPerListenerSecond }),
		besides("Until all have joined, s", "Time until all have joined", 1, func(f *Figures) float64 { return f.JoinTotalS }),
	}
	sizes := sizesOf(d)
	return []section{
		wide("CPU time per packet", "µs of the server's CPU for each packet that arrived; largest rooms. The floor only encrypts and sends, with as many threads as stand in brackets. Thin lines: the range of all runs.",
			chart{Chart: bars("CPU time per packet", chartWidth, packetBars(d), 2)}),
		wide("CPU time per listener", "µs of the server's CPU in each second that somebody listens; largest rooms. Packed renditions send fewer packets, which this shows and the chart above does not.",
			chart{Chart: bars("CPU time per listener and second", chartWidth, caseBars(d, func(f *Figures) float64 { return f.CPUUsPerListenerSecond }), 0)}),
		wide("Added latency", "Share of packets that had arrived after so many milliseconds, from the speaker's send call to the listener's socket; largest rooms.",
			byTalking(d, func(talking int) template.HTML {
				return plot("Added latency", "ms", "% of packets", latencyLines(d, talking), nil)
			})...),
		wide("Cost against size: a packet", "µs of CPU per packet, by the number of listeners.",
			byTalking(d, func(talking int) template.HTML {
				return plot("Cost of a packet against size", "listeners", "µs per packet",
					sizeLines(d, talking, func(f *Figures) float64 { return f.CPUUsPerPacket }, true), sizes)
			})...),
		wide("Cost against size: a listener", "µs of CPU per listener and second, by the number of listeners.",
			byTalking(d, func(talking int) template.HTML {
				return plot("Cost of a listener against size", "listeners", "µs per listener and second",
					sizeLines(d, talking, func(f *Figures) float64 { return f.CPUUsPerListenerSecond }, false), sizes)
			})...),
		{"What a listener costs besides", "Largest rooms.", true, one},
	}
}

// byTalking draws a chart for each number of talkers, the most first: lines of several in one could not be told from each other.
func byTalking(d *Document, draw func(talking int) template.HTML) (out []chart) {
	var numbers []int
	for i := range d.Cases {
		numbers = append(numbers, d.Cases[i].Talking)
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	slices.Reverse(numbers)
	for _, n := range numbers {
		c := chart{Chart: draw(n)}
		if len(numbers) > 1 {
			c.Title = fmt.Sprintf("%d talking", n)
		}
		out = append(out, c)
	}
	return out
}

// sizesOf are the numbers of listeners, from small to large.
func sizesOf(d *Document) (sizes []float64) {
	for i := range d.Cases {
		sizes = append(sizes, float64(d.Cases[i].Listeners))
	}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}

// largest lists the cases of the most listeners that each server has had, those of one load together: bars of all sizes would be a wood.
func largest(d *Document) []*Case {
	most := map[string]int{}
	for i := range d.Cases {
		c := &d.Cases[i]
		most[c.Server] = max(most[c.Server], c.Listeners)
	}
	var out []*Case
	for i := range d.Cases {
		if c := &d.Cases[i]; c.Listeners == most[c.Server] {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b *Case) int {
		return cmp.Or(cmp.Compare(b.Listeners, a.Listeners), cmp.Compare(b.Talking, a.Talking))
	})
	return out
}

// title is a case's name under a heading that tells its load.
func (c *Case) title() string {
	name := c.Server
	if c.Rendition != "live" {
		name += " " + c.Rendition
	}
	return name + c.recordedName()
}

// groupBars makes a heading for each load, and the bars of each case.
func groupBars(d *Document, of func(*Case) []bar) (out []bar) {
	last := ""
	for _, c := range largest(d) {
		if load := fmt.Sprintf("%d listeners × %d talking", c.Listeners, c.Talking); load != last {
			out, last = append(out, bar{name: load}), load
		}
		out = append(out, of(c)...)
	}
	return out
}

func caseBar(d *Document, c *Case, of func(*Figures) float64) bar {
	return bar{name: c.title(), value: of(&c.Median), low: of(&c.Low), high: of(&c.High), kind: kind(d, c)}
}

// caseBars makes one bar a case.
func caseBars(d *Document, of func(*Figures) float64) []bar {
	return groupBars(d, func(c *Case) []bar { return []bar{caseBar(d, c, of)} })
}

// packetBars puts the floors above the first case that has the same load and rendition.
func packetBars(d *Document) []bar {
	seen := map[string]bool{}
	return groupBars(d, func(c *Case) (out []bar) {
		m, l, h := &c.Median, &c.Low, &c.High
		key := fmt.Sprint(c.Listeners, c.Talking, c.Rendition)
		if !seen[key] && m.FloorUsPerPacket > 0 {
			name := "floor"
			if c.Rendition != "live" {
				name += " " + c.Rendition
			}
			out = append(out, bar{fmt.Sprintf("%s (%.0f)", name, m.FloorThreads), m.FloorUsPerPacket, l.FloorUsPerPacket, h.FloorUsPerPacket, "floor"})
			if c.Rendition == "live" && m.FloorThreads != 1 && m.FloorOneUsPerPacket > 0 {
				out = append(out, bar{name + " (1)", m.FloorOneUsPerPacket, l.FloorOneUsPerPacket, h.FloorOneUsPerPacket, "floor"})
			}
		}
		seen[key] = true
		return append(out, caseBar(d, c, func(f *Figures) float64 { return f.CPUUsPerPacket }))
	})
}

// latencyLines are the curves of each server's cases of its largest room.
func latencyLines(d *Document, talking int) (out []line) {
	for _, c := range largest(d) {
		if c.Talking != talking || len(c.Median.LatencyCurve) == 0 {
			continue
		}
		l := line{name: c.title(), kind: kind(d, c)}
		for p, ms := range c.Median.LatencyCurve[:100] { // the slowest packet of all would set the scale
			l.x, l.y = append(l.x, max(ms, 0.01)), append(l.y, float64(p))
		}
		out = append(out, l)
	}
	return out
}

// sizeLines join the cases that differ in their listeners alone, and with them their floor.
func sizeLines(d *Document, talking int, of func(*Figures) float64, withFloor bool) []line {
	var out []line
	add := func(name, kind string, x, y float64) {
		at := slices.IndexFunc(out, func(l line) bool { return l.name == name })
		if at < 0 {
			at = len(out)
			out = append(out, line{name: name, kind: kind, marks: true})
		}
		l := &out[at]
		if j, known := slices.BinarySearch(l.x, x); !known {
			l.x, l.y = slices.Insert(l.x, j, x), slices.Insert(l.y, j, y)
		}
	}
	for i := range d.Cases {
		if c := &d.Cases[i]; c.Talking == talking {
			add(c.title(), kind(d, c), float64(c.Listeners), of(&c.Median))
		}
	}
	for i := range d.Cases {
		c := &d.Cases[i]
		if withFloor && c.Talking == talking && c.Rendition == "live" && c.Median.FloorUsPerPacket > 0 {
			add(fmt.Sprintf("floor (%.0f)", c.Median.FloorThreads), "floor", float64(c.Listeners), c.Median.FloorUsPerPacket)
		}
	}
	return slices.DeleteFunc(out, func(l line) bool { return len(l.x) < 2 })
}
