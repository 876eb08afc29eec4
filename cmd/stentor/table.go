package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"stentor/engine/control"
)

// table aligns columns, two spaces apart.
type table struct{ w *tabwriter.Writer }

func newTable(out io.Writer) *table { return &table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)} }

// row adds a line. An empty cell shows as a dash, so that columns can be counted by awk.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		if c == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t")) // the writer keeps its error for flush
}

func (t *table) flush() error { return t.w.Flush() }

// age writes a duration in its two largest units: 45s, 3m12s, 5h2m, 8d3h.
func age(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%dm", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%dd%dh", s/86400, s%86400/3600)
}

// size writes bytes with a decimal unit.
func size(bytes uint64) string { return scaled(float64(bytes), "B") }

// scaled writes a number with one decimal and a decimal prefix, and below 1000 as it is.
func scaled(v float64, unit string) string {
	if v < 1000 {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	prefixes := "kMGTPE"
	i := 0
	for v /= 1000; v >= 999.95 && i < len(prefixes)-1; v /= 1000 {
		i++
	}
	return fmt.Sprintf("%.1f %c%s", v, prefixes[i], unit)
}

// traffic writes totals and the mean rate over the time they came in.
func traffic(packets, bytes uint64, over time.Duration) string {
	text := fmt.Sprintf("%d packets, %s", packets, size(bytes))
	if over < time.Second {
		return text
	}
	return text + ", " + scaled(float64(bytes)*8/over.Seconds(), "bit/s") + " on average"
}

func outOf(n, limit int) string { return fmt.Sprintf("%d/%d", n, limit) }

func roundTrip(ms float64) string {
	if ms == 0 {
		return "not yet known"
	}
	return fmt.Sprintf("%.1f ms", ms)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// role says what a peer may do.
func role(p control.Peer) string {
	switch {
	case p.MaySpeak && p.Priority:
		return "speaker, priority"
	case p.MaySpeak:
		return "speaker"
	}
	return "listener"
}

// heard names the peers in the slots that are taken.
func heard(slots []control.Slot) string {
	var names []string
	for _, s := range slots {
		if s.Peer != "" {
			names = append(names, s.Peer)
		}
	}
	return strings.Join(names, ", ")
}
