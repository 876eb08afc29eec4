package report

import (
	"fmt"
	"html/template"
	"strings"

	"stentor/bench/impair"
	"stentor/bench/impair/ear"
)

const (
	stripHeight = 18 // of a speaker's row
	stripGap    = 5
	// stripStep is of how many cells of 20 ms one column is: 100 ms are about a pixel of a story of a minute.
	stripStep = 5
)

// strips are what became of what each speaker said, in rows with the panels' time axis.
type strips struct {
	name string
	of   []impair.Strip
}

func (p *strips) height() int { return len(p.of)*(stripHeight+stripGap) - stripGap }

// draw fills each column from below with what was heard, and from above with what was made up in its place; what lies open between
// them was silent.
func (p *strips) draw(s *strings.Builder, y int, px func(float64) float64) {
	fmt.Fprintf(s, `<text x="%d" y="%d" class="head">%s</text>`, panelLeft, y-6, template.HTMLEscapeString(p.name))
	for i, row := range p.of {
		top := y + i*(stripHeight+stripGap)
		fmt.Fprintf(s, `<text x="%d" y="%d" class="tick" text-anchor="end">%s</text>`, panelLeft-6, top+stripHeight-5, template.HTMLEscapeString(row.Speaker))
		columns := tenths(row.Cells)
		for _, kind := range []struct {
			class string
			of    func(tenth) (from, to float64)
		}{
			{"mute", func(c tenth) (float64, float64) { return 0, c.spoken }},
			{"heard", func(c tenth) (float64, float64) { return 1 - c.sounded, 1 }},
			{"madeup", func(c tenth) (float64, float64) { return 0, c.madeUp }},
		} {
			fmt.Fprintf(s, `<path class="%s" d="%s"/>`, kind.class, outline(columns, kind.of, float64(top), px))
		}
	}
}

// tenth is 100 ms of a row: shares of what was said in it, and 1 for whether anything was.
type tenth struct{ spoken, sounded, madeUp float64 }

func tenths(cells string) (out []tenth) {
	for i := 0; i < len(cells); i += stripStep {
		part := cells[i:min(i+stripStep, len(cells))]
		said := len(part) - strings.Count(part, string(rune(ear.Unspoken)))
		if said == 0 {
			out = append(out, tenth{})
			continue
		}
		share := func(c ear.Cell) float64 { return float64(strings.Count(part, string(rune(c)))) / float64(said) }
		out = append(out, tenth{1, share(ear.Sounded), share(ear.MadeUp)})
	}
	return out
}

// outline is a path around part of each column, neighbours of one height together.
func outline(columns []tenth, of func(tenth) (from, to float64), top float64, px func(float64) float64) string {
	var s strings.Builder
	const seconds = stripStep * 0.02
	for i := 0; i < len(columns); {
		from, to := of(columns[i])
		j := i + 1
		for ; j < len(columns); j++ {
			if f, t := of(columns[j]); f != from || t != to {
				break
			}
		}
		if to > from {
			x0, x1 := px(float64(i)*seconds), px(float64(j)*seconds)
			fmt.Fprintf(&s, "M%.1f %.1fH%.1fV%.1fH%.1fz", x0, top+from*stripHeight, x1, top+to*stripHeight, x0)
		}
		i = j
	}
	return s.String()
}
