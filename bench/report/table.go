package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

type column struct {
	head string
	cell func(*Case) string
}

// columns are the table's, from left to right.
var columns = []column{
	{"SERVER", func(c *Case) string { return c.Server }},
	{"LISTENERS×TALKING", func(c *Case) string { return fmt.Sprintf("%d×%d", c.Listeners, c.Talking) }},
	{"RENDITION", func(c *Case) string { return c.Rendition }},
	recordedColumn,
	{"LOSS %", func(c *Case) string { return round(c.Median.LossPercent, 3) }},
	{"µs/PACKET", func(c *Case) string { return spread(c, func(f *Figures) float64 { return f.CPUUsPerPacket }, 2) }},
	{"FLOOR (THREADS)", func(c *Case) string {
		m := &c.Median
		return floors(m, round(m.FloorUsPerPacket, 2)+" ("+round(m.FloorThreads, 0)+")", round(m.FloorOneUsPerPacket, 2)+" (1)")
	}},
	{"×FLOOR", func(c *Case) string {
		m := &c.Median
		return floors(m, round(m.RatioToFloor, 2), round(m.RatioToFloorOne, 2))
	}},
	{"µs/LISTENER·s", func(c *Case) string { return round(c.Median.CPUUsPerListenerSecond, 0) }},
	{"PACKETS/s/CORE", func(c *Case) string { return round(c.Median.PacketsPerSecondPerCore, 0) }},
	{"LATENCY ms p50/p99/p999", func(c *Case) string {
		m := &c.Median
		return round(m.LatencyMsP50, 1) + " / " + round(m.LatencyMsP99, 1) + " / " + round(m.LatencyMsP999, 1)
	}},
	{"JOIN ms p50/p99", func(c *Case) string { return round(c.Median.JoinMsP50, 0) + " / " + round(c.Median.JoinMsP99, 0) }},
	{"JOIN CPU ms", func(c *Case) string { return round(c.Median.JoinCPUMs, 2) }},
	{"ALL JOINED s", func(c *Case) string { return round(c.Median.JoinTotalS, 1) }},
	{"RSS KB", func(c *Case) string { return round(c.Median.RSSKBPerListener, 0) }},
	{"IDLE µs/s", func(c *Case) string { return round(c.Median.IdleUsPerListenerSecond, 0) }},
}

// recordedColumn is left out where nothing was recorded.
var recordedColumn = column{"RECORDED", func(c *Case) string {
	switch c.Recorded {
	case "on":
		return "yes"
	case "stalled":
		return "disk stalled"
	}
	return "no"
}}

// columnsOf are those that have something to tell.
func columnsOf(d *Document) []column {
	if slices.ContainsFunc(d.Cases, func(c Case) bool { return c.recorded() }) {
		return columns
	}
	return slices.DeleteFunc(slices.Clone(columns), func(c column) bool { return c.head == recordedColumn.head })
}

// WriteTable prints one line a case: medians, and in brackets the least and greatest of several runs.
func WriteTable(w io.Writer, d *Document) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	columns := columnsOf(d)
	heads := make([]string, len(columns))
	for i, c := range columns {
		heads[i] = c.head
	}
	fmt.Fprintln(t, strings.Join(heads, "\t"))
	for i := range d.Cases {
		cells := make([]string, len(columns))
		for j, c := range columns {
			cells[j] = c.cell(&d.Cases[i])
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range d.Recording {
		if _, err := fmt.Fprintf(w, "= %s\n", d.Recording[i].String()); err != nil {
			return err
		}
	}
	for i := range d.Cases {
		c := &d.Cases[i]
		for _, doubt := range c.Doubts() {
			if _, err := fmt.Fprintf(w, "! %s %d×%d %s%s: %s\n", c.Server, c.Listeners, c.Talking, c.Rendition, c.recordedName(), doubt); err != nil {
				return err
			}
		}
	}
	return nil
}

// quietCores is what a machine uses for itself when nothing else runs.
const quietCores = 0.1

// Doubts says what a reader must know before he believes a case.
func (c *Case) Doubts() []string {
	var out []string
	say := func(n float64, format string) {
		if n > 0 {
			out = append(out, fmt.Sprintf(format, n))
		}
	}
	h := &c.High
	say(h.ReceiverDrops, "the generator itself dropped %.0f packets; the run is void")
	say(h.ProbeFailures, "probes could not read %.0f packets")
	say(h.ProbeMissing, "probes missed %.0f frames")
	say(h.Duplicates, "%.0f duplicates")
	say(h.StrangePackets, "%.0f packets without a header that could be meant")
	say(h.SendDrops, "the kernel refused %.0f packets")
	say(h.RecordingDropped, "%.0f packets are missing in the recording")
	say(h.RecordingLost, "%.0f packets never reached the recording")
	if h.ForeignCores+h.StolenCores > quietCores {
		out = append(out, fmt.Sprintf("other processes used up to %.2f cores, other machines %.2f: latencies are theirs, too", h.ForeignCores, h.StolenCores))
	}
	if h.CPUStatPercent > 110 || c.Low.CPUStatPercent > 0 && c.Low.CPUStatPercent < 90 {
		out = append(out, fmt.Sprintf("/proc/PID/stat says %.0f … %.0f %% of schedstat's CPU", c.Low.CPUStatPercent, h.CPUStatPercent))
	}
	return out
}

// floors shows what is told of the floor, and of that of one thread where it is another.
func floors(f *Figures, main, one string) string {
	switch {
	case f.FloorThreads == 0:
		return "–"
	case f.FloorThreads == 1 || f.FloorOneUsPerPacket == 0:
		return main
	}
	return main + " / " + one
}

// spread is the median, with the range of several runs.
func spread(c *Case, of func(*Figures) float64, digits int) string {
	s := round(of(&c.Median), digits)
	if len(c.Runs) > 1 {
		s += " (" + round(of(&c.Low), digits) + "…" + round(of(&c.High), digits) + ")"
	}
	return s
}

func round(v float64, digits int) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return "0"
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}
