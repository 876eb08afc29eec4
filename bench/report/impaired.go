package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"stentor/bench/impair"
)

//go:embed impaired.html
var impairedText string

var impaired = template.Must(template.New("impaired").Parse(impairedText))

// impairedStory is a story on the page.
type impairedStory struct {
	Name, Story string
	Rows        []impairedRow
	Seeds       [][]string // of several
	Figures     [][]string
	Picture     template.HTML
}

type impairedRow struct {
	Must, Off, On string
	Held          bool
}

// WriteImpairedPage draws stories of listeners in trouble as an HTML page that needs nothing but itself. Of several seeds it
// draws the first, and has a table of all.
func WriteImpairedPage(w io.Writer, command string, list []*impair.Comparison) error {
	_, style, _ := strings.Cut(pageText, "<style>") // the look of the other page
	style, _, _ = strings.Cut(style, "</style>")
	var stories []impairedStory
	var seed uint64
	for _, series := range impair.InSeries(list) {
		c := series.Seeds[0] // is drawn
		seed = c.Seed
		s := impairedStory{Name: c.Name, Story: c.Story, Picture: timeline(c)}
		for _, v := range c.Verdicts {
			s.Rows = append(s.Rows, impairedRow{v.Must, impair.Format(v.Off, v.Unit), impair.Format(v.On, v.Unit), v.Held})
		}
		for _, r := range []struct {
			name string
			run  *impair.Run
		}{{"off", c.Off}, {"on", c.On}, {"on, good network", c.Good}} {
			s.Figures = append(s.Figures, append([]string{r.name}, r.run.Cells(c.Good)...))
		}
		if len(series.Seeds) > 1 {
			for _, x := range series.Spreads() {
				s.Seeds = append(s.Seeds, x.Cells(len(series.Seeds)))
			}
		}
		stories = append(stories, s)
	}
	return impaired.Execute(w, map[string]any{"Style": template.CSS(style), "Command": command, "Seed": seed, "Stories": stories})
}

const (
	panelHeight = 104
	panelGap    = 40
	panelTop    = 40  // of the first: what happens stands above
	panelLeft   = 108 // names of rungs need room
)

// panel is one of the plots that share a time axis.
type panel struct {
	name  string
	lines []line
	top   float64  // of the axis; 0: fits
	names []string // of whole values from the top down, instead of numbers
	steps bool     // values hold until the next one
}

// timeline is a story's picture: what was heard, rate, delay and the rung over time, off and on.
func timeline(c *impair.Comparison) template.HTML {
	panels := []panel{
		{name: "kb/s", steps: true, lines: []line{
			series(c.Off, "off", "s1", func(s *impair.Sample) float64 { return s.SentKbps }),
			series(c.On, "on", "s0", func(s *impair.Sample) float64 { return s.SentKbps }),
			series(c.On, "cap", "floor", capOf(c)),
		}},
		{name: "mouth to ear, ms", lines: both(c, func(s *impair.Sample) float64 { return s.DelayMs })},
		{name: "the leader heard, %", top: 100, lines: both(c, func(s *impair.Sample) float64 { return s.DominantPercent })},
		{name: "rung", steps: true, names: impair.Rungs(), top: float64(len(impair.Rungs()) - 1),
			lines: []line{series(c.On, "on", "s0", func(s *impair.Sample) float64 { return float64(len(impair.Rungs()) - 1 - s.Rung) })}},
		{name: "redundancy", steps: true, top: 2, names: []string{"2", "1", "0"},
			lines: []line{series(c.On, "on", "s0", func(s *impair.Sample) float64 { return float64(s.Redundancy) })}},
	}
	heard := []strips{{"heard with the controller off", c.Off.Strips}, {"heard with the controller on", c.On.Strips}}
	height := panelTop + len(panels)*(panelHeight+panelGap)
	for i := range heard {
		height += heard[i].height() + panelGap
	}
	seconds := float64(max(1, len(c.On.Trace)))
	px := func(t float64) float64 { return panelLeft + t/seconds*(chartWidth-panelLeft-plotRight) }
	var s strings.Builder
	legend(&s, []line{{name: "controller off", kind: "s1"}, {name: "controller on", kind: "s0"}, {name: "cap", kind: "floor"},
		{name: "heard", kind: "s2"}, {name: "made up", kind: "s4"}, {name: "silent", kind: "mute"}})
	open(&s, c.Name+" over time", chartWidth, height)
	y := panelTop
	for i := range heard {
		heard[i].draw(&s, y, px)
		y += heard[i].height()
		ticks(&s, y, px, seconds)
		y += panelGap
	}
	for i := range panels {
		panels[i].draw(&s, y, px, seconds)
		y += panelHeight + panelGap
	}
	happenings(&s, c, px, height-panelGap)
	s.WriteString("</svg>")
	return template.HTML(s.String())
}

// capOf is the cap's line, which is not drawn where there is none.
func capOf(c *impair.Comparison) func(*impair.Sample) float64 {
	most := 1.0
	for i := range c.Off.Trace {
		most = max(most, c.Off.Trace[i].SentKbps, c.On.Trace[i].SentKbps)
	}
	return func(s *impair.Sample) float64 {
		if s.CapKbps > 1.5*most {
			return 0
		}
		return s.CapKbps
	}
}

func both(c *impair.Comparison, of func(*impair.Sample) float64) []line {
	return []line{series(c.Off, "off", "s1", of), series(c.On, "on", "s0", of)}
}

func series(r *impair.Run, name, kind string, of func(*impair.Sample) float64) line {
	l := line{name: name, kind: kind}
	for i := range r.Trace {
		l.x, l.y = append(l.x, float64(r.Trace[i].S)), append(l.y, of(&r.Trace[i]))
	}
	return l
}

func (p *panel) draw(s *strings.Builder, y int, px func(float64) float64, seconds float64) {
	top := p.top
	for _, l := range p.lines {
		for _, v := range l.y {
			top = max(top, v)
		}
	}
	top = max(top, 1)
	py := func(v float64) float64 { return float64(y) + (1-v/top)*panelHeight }
	fmt.Fprintf(s, `<text x="%d" y="%d" class="head">%s</text>`, panelLeft, y-6, p.name)
	step := niceStep(top)
	if p.names != nil {
		step = 1
	}
	for v := 0.0; v <= top*1.001; v += step {
		label := fmt.Sprintf("%g", v)
		if p.names != nil {
			label = p.names[len(p.names)-1-int(v)]
		}
		fmt.Fprintf(s, `<path d="M%d %.1fH%.1f" class="grid"/>`, panelLeft, py(v), px(seconds))
		fmt.Fprintf(s, `<text x="%d" y="%.1f" class="tick" text-anchor="end">%s</text>`, panelLeft-6, py(v)+4, label)
	}
	ticks(s, y+panelHeight, px, seconds)
	for i := range p.lines {
		p.drawLine(s, &p.lines[i], px, py)
	}
}

// ticks name the seconds below a panel.
func ticks(s *strings.Builder, bottom int, px func(float64) float64, seconds float64) {
	for t := 0.0; t <= seconds; t += 10 {
		fmt.Fprintf(s, `<text x="%.1f" y="%d" class="tick" text-anchor="middle">%g s</text>`, px(t), bottom+15, t)
	}
}

// drawLine leaves out what is not there: a cap of 0, and a delay where nothing was heard.
func (p *panel) drawLine(s *strings.Builder, l *line, px, py func(float64) float64) {
	gaps := l.kind == "floor" || strings.HasSuffix(p.name, "ms")
	fmt.Fprintf(s, `<path class="line %s" d="`, l.kind)
	move := true
	for i := range l.x {
		if gaps && l.y[i] == 0 {
			move = true
			continue
		}
		if move {
			fmt.Fprintf(s, "M%.1f %.1f", px(l.x[i]), py(l.y[i]))
		} else {
			fmt.Fprintf(s, "L%.1f %.1f", px(l.x[i]), py(l.y[i]))
		}
		if p.steps {
			fmt.Fprintf(s, "H%.1f", px(l.x[i]+1))
		}
		move = false
	}
	s.WriteString(`"/>`)
}

// happenings marks what the network does.
func happenings(s *strings.Builder, c *impair.Comparison, px func(float64) float64, bottom int) {
	for _, step := range c.Scenario.Network {
		x := px(step.At.Seconds())
		fmt.Fprintf(s, `<path d="M%.1f %dV%d" class="happens"/>`, x, panelTop-22, bottom)
		fmt.Fprintf(s, `<text x="%.1f" y="%d" class="tick">%s</text>`, x+4, panelTop-24, template.HTMLEscapeString(step.What))
	}
}
