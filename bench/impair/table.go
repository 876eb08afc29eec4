package impair

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteTable writes a line for each thing that must hold. It holds nothing but figures of the runs, so that the same seed in
// virtual time gives the same table.
func WriteTable(w io.Writer, list []*Comparison) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SCENARIO\tMUST\tOFF\tON\tHELD")
	for _, c := range list {
		name := c.Name
		for _, v := range c.Verdicts {
			held := "yes"
			if !v.Held {
				held = "NO"
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", name, v.Must, Format(v.Off, v.Unit), Format(v.On, v.Unit), held)
			name = ""
		}
	}
	fmt.Fprintln(tw, "\t\t\t\t")
	fmt.Fprintln(tw, "SCENARIO\tCONTROLLER\tHEARD\tBY SOUND\tLEADER\tBY SOUND\tCONCEALED\tHOLE\tBY SOUND\tDELAY\t+\tKB/S\tQUEUE")
	for _, c := range list {
		for _, r := range []struct {
			name string
			*Run
		}{{"off", c.Off}, {"on", c.On}} {
			fmt.Fprintf(tw, "%s\t%s\t%s\n", c.Name, r.name, strings.Join(r.Cells(c.Good), "\t"))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", summary(list))
	return err
}

// Cells are the figures that every story has, for a line of a table: heard, the leader heard, each as counted and by sound,
// concealed, longest hole, counted and by sound, mouth to ear, what of that an unimpaired run did not have, kb/s, standing queue.
func (r *Run) Cells(good *Run) []string {
	return []string{
		Format(r.Heard.Heard, "%"), Format(r.Sounded, "%"), Format(r.Dominant, "%"), Format(r.DominantSounded, "%"),
		Format(r.Concealed, "%"), Format(r.Hole, "ms"), Format(r.Silence, "ms"), Format(r.DelayMs, "ms"),
		fmt.Sprintf("%+.0f ms", r.DelayMs-good.DelayMs), fmt.Sprintf("%.1f", r.Kbps), Format(r.QueueMsP95, "ms"),
	}
}

// summary says in a sentence how it went.
func summary(list []*Comparison) string {
	var failed []string
	seed := uint64(0)
	for _, c := range list {
		seed = c.Seed
		if !c.Held() {
			failed = append(failed, c.Name)
		}
	}
	if len(failed) > 0 {
		return fmt.Sprintf("seed %d: %d of %d scenarios did not hold: %s", seed, len(failed), len(list), strings.Join(failed, ", "))
	}
	return fmt.Sprintf("seed %d: all of %d scenarios held", seed, len(list))
}

// Format writes a figure with its unit: shares to the hundredth, seconds to the tenth, and the rest in whole numbers.
func Format(v float64, unit string) string {
	switch unit {
	case "%":
		return fmt.Sprintf("%.2f %%", v)
	case "s":
		return fmt.Sprintf("%.1f s", v)
	case "":
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.0f %s", v, unit)
}
