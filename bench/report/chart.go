package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// Sizes of a chart in its own units; the page scales it to its width.
const (
	chartWidth = 760
	smallWidth = 380 // of charts that stand side by side
	barHeight  = 20
	barGap     = 7
	barHead    = 30  // of a group's heading
	barLeft    = 150 // where bars begin, right of their names
	barRight   = 70  // room for the value behind the longest bar
	plotHeight = 300
	plotLeft   = 66
	plotRight  = 16
	plotTop    = 12
	plotBottom = 42
)

// bar is one line of a bar chart.
type bar struct {
	name      string
	value     float64
	low, high float64 // of several runs; equal for one
	kind      string  // CSS classes of its colour; empty for a heading
}

// bars draws horizontal bars from zero, so that lengths compare as values do.
func bars(title string, width int, list []bar, digits int) template.HTML {
	top, height := 0.0, barGap
	for _, b := range list {
		top = max(top, b.high, b.value)
		height += b.height()
	}
	if top == 0 {
		return ""
	}
	scale := float64(width-barLeft-barRight) / top
	var s strings.Builder
	open(&s, title, width, height)
	y := barGap
	for _, b := range list {
		b.draw(&s, y, scale, digits)
		y += b.height()
	}
	s.WriteString("</svg>")
	return template.HTML(s.String())
}

func (b *bar) height() int {
	if b.kind == "" {
		return barHead
	}
	return barHeight + barGap
}

func (b *bar) draw(s *strings.Builder, y int, scale float64, digits int) {
	if b.kind == "" {
		fmt.Fprintf(s, `<text x="%d" y="%d" class="head">%s</text>`, barLeft, y+barHead-10, html.EscapeString(b.name))
		return
	}
	mid := y + barHeight/2
	fmt.Fprintf(s, `<text x="%d" y="%d" class="name" text-anchor="end">%s</text>`, barLeft-10, mid+5, html.EscapeString(b.name))
	fmt.Fprintf(s, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" class="%s"/>`, barLeft, y, b.value*scale, barHeight, b.kind)
	if b.high > b.low {
		x1, x2 := barLeft+b.low*scale, barLeft+b.high*scale
		fmt.Fprintf(s, `<path d="M%.1f %dH%.1fM%.1f %dV%dM%.1f %dV%d" class="range"/>`, x1, mid, x2, x1, mid-4, mid+4, x2, mid-4, mid+4)
	}
	fmt.Fprintf(s, `<text x="%.1f" y="%d" class="value">%s</text>`, barLeft+max(b.value, b.high)*scale+8, mid+5, round(b.value, digits))
}

// line is one of a plot.
type line struct {
	name  string
	x, y  []float64
	kind  string // CSS classes of its colour and dashes
	marks bool   // its points are measured ones
}

// axis maps values to a chart, by logarithm.
type axis struct {
	low, high float64
	ticks     []float64
}

// logAxis spans values above zero with ticks at 1, 2 and 5 times the powers of ten.
func logAxis(values []float64) axis {
	a := axis{low: math.Inf(1), high: math.Inf(-1)}
	for _, v := range values {
		if v > 0 {
			a.low, a.high = min(a.low, v), max(a.high, v)
		}
	}
	if a.low > a.high {
		return axis{low: 1, high: 10, ticks: []float64{1, 10}}
	}
	a.low, a.high = a.low/1.1, a.high*1.1
	for p := math.Floor(math.Log10(a.low)); p <= math.Ceil(math.Log10(a.high)); p++ {
		for _, m := range [3]float64{1, 2, 5} {
			if t := m * math.Pow(10, p); t >= a.low && t <= a.high {
				a.ticks = append(a.ticks, t)
			}
		}
	}
	return a
}

func (a axis) at(v float64) float64 {
	v = min(max(v, a.low), a.high)
	return (math.Log(v) - math.Log(a.low)) / (math.Log(a.high) - math.Log(a.low))
}

// plot draws lines over a logarithmic x axis, and y from zero. Their names stand in a legend above, where there is room for any number and
// length of them. ticks are of the x axis; nil for round ones.
func plot(title, xName, yName string, lines []line, ticks []float64) template.HTML {
	var xs []float64
	top := 0.0
	for _, l := range lines {
		xs = append(xs, l.x...)
		for _, y := range l.y {
			top = max(top, y)
		}
	}
	if top == 0 {
		return ""
	}
	x := logAxis(xs)
	if ticks != nil {
		x.ticks = ticks
	}
	step := niceStep(top)
	top = math.Ceil(top/step) * step
	const width = float64(chartWidth - plotLeft - plotRight)
	px := func(v float64) float64 { return plotLeft + x.at(v)*width }
	py := func(v float64) float64 { return plotTop + (1-v/top)*plotHeight }
	var s strings.Builder
	legend(&s, lines)
	open(&s, title, chartWidth, plotTop+plotHeight+plotBottom)
	for v := 0.0; v <= top*1.001; v += step {
		fmt.Fprintf(&s, `<path d="M%d %.1fH%.1f" class="grid"/>`, plotLeft, py(v), plotLeft+width)
		fmt.Fprintf(&s, `<text x="%d" y="%.1f" class="tick" text-anchor="end">%g</text>`, plotLeft-8, py(v)+4, v)
	}
	for _, t := range x.ticks {
		fmt.Fprintf(&s, `<path d="M%.1f %dV%d" class="grid"/>`, px(t), plotTop, plotTop+plotHeight)
		fmt.Fprintf(&s, `<text x="%.1f" y="%d" class="tick" text-anchor="middle">%g</text>`, px(t), plotTop+plotHeight+17, t)
	}
	fmt.Fprintf(&s, `<text x="%.1f" y="%d" class="tick" text-anchor="middle">%s</text>`, plotLeft+width/2, plotTop+plotHeight+36, html.EscapeString(xName))
	fmt.Fprintf(&s, `<text transform="translate(14 %d) rotate(-90)" class="tick" text-anchor="middle">%s</text>`, plotTop+plotHeight/2, html.EscapeString(yName))
	for i := range lines {
		lines[i].draw(&s, px, py)
	}
	s.WriteString("</svg>")
	return template.HTML(s.String())
}

// legend names the lines of a plot.
func legend(s *strings.Builder, lines []line) {
	s.WriteString(`<ul class="legend">`)
	for _, l := range lines {
		fmt.Fprintf(s, `<li><i class="%s"></i>%s</li>`, l.kind, html.EscapeString(l.name))
	}
	s.WriteString("</ul>")
}

func (l *line) draw(s *strings.Builder, px, py func(float64) float64) {
	if len(l.x) == 0 {
		return
	}
	s.WriteString(`<path d="`)
	for i := range l.x {
		fmt.Fprintf(s, "%c%.1f %.1f", "ML"[min(i, 1)], px(l.x[i]), py(l.y[i]))
	}
	fmt.Fprintf(s, `" class="line %s"/>`, l.kind)
	for i := range l.x {
		if l.marks {
			fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="4" class="%s"><title>%s: %.3g at %g</title></circle>`,
				px(l.x[i]), py(l.y[i]), l.kind, html.EscapeString(l.name), l.y[i], l.x[i])
		}
	}
}

// niceStep divides an axis into four to eight parts of 1, 2 or 5 times a power of ten.
func niceStep(top float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(top/4)))
	for _, m := range [3]float64{5, 2, 1} {
		if top/(m*p) >= 4 {
			return m * p
		}
	}
	return p
}

func open(s *strings.Builder, title string, width, height int) {
	fmt.Fprintf(s, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, height, html.EscapeString(title))
}
