package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Overload is how a daemon on one CPU was filled up, and emptied.
type Overload struct {
	At      time.Time `json:"at"`
	Command string    `json:"command"`
	Machine Machine   `json:"machine"`

	Talking  int             `json:"talking"`  // all the time, each in a slot of his own
	HoldS    float64         `json:"hold_s"`   // how long each step was measured
	Confined bool            `json:"confined"` // daemon and generator have had CPUs of their own
	Steps    []OverloadStep  `json:"steps"`
	Events   []OverloadEvent `json:"events"`           // engine.overload, in order
	Asked    int             `json:"asked"`            // joins of listeners
	Refused  int             `json:"refused"`          // of them, answered with busy
	Failed   string          `json:"failed,omitempty"` // why the climb ended before anybody was refused
}

// Losses are packets for listeners that were not heard, since the daemon's start.
type Losses struct {
	ShardLate  float64 `json:"shard_late"`  // the daemon's count: the program has overtaken a shard
	BufferFull float64 `json:"buffer_full"` // the daemon's count: the kernel did not take them
	Received   float64 `json:"received"`    // the kernel's count: of datagrams to the daemon, its receive buffer was full
	Gaps       float64 `json:"gaps"`        // the listeners' count: numbers that did not come
}

// lost is what listeners have not got, by whoever has counted more of it.
func (l Losses) lost() float64 { return max(l.ShardLate+l.BufferFull, l.Gaps) }

func (l Losses) less(o Losses) Losses {
	return Losses{l.ShardLate - o.ShardLate, l.BufferFull - o.BufferFull, l.Received - o.Received, l.Gaps - o.Gaps}
}

// OverloadStep is a number of listeners, and what the daemon did with them.
type OverloadStep struct {
	AtS       float64 `json:"at_s"`
	Listeners int     `json:"listeners"`
	Packed    int     `json:"packed"` // of the daemon's legs, speakers' included
	State     string  `json:"state"`  // last engine.overload; "": none yet
	Load      float64 `json:"load"`   // of the busiest shard, over the hold
	Cores     float64 `json:"cores"`  // the daemon's CPU, over the hold
	PacketsS  float64 `json:"packets_s"`
	P50       float64 `json:"latency_ms_p50"`
	P99       float64 `json:"latency_ms_p99"`
	Foreign   float64 `json:"foreign_cores"`  // what other processes used, over the hold
	Void      float64 `json:"receiver_drops"` // packets that the generator itself has dropped so far; not 0: gaps are its own
	Lost      Losses  `json:"lost"`           // so far
}

// OverloadEvent is one engine.overload.
type OverloadEvent struct {
	AtS       float64 `json:"at_s"`
	Reason    string  `json:"reason"`
	Listeners int     `json:"listeners"`
	Lost      Losses  `json:"lost"` // so far
}

// Verdict is one thing that should hold.
type Verdict struct {
	Held bool   `json:"held"`
	What string `json:"what"`
}

func (o *Overload) first(reason string) *OverloadEvent {
	for i := range o.Events {
		if o.Events[i].Reason == reason {
			return &o.Events[i]
		}
	}
	return nil
}

// Verdicts says what held.
func (o *Overload) Verdicts() (out []Verdict) {
	say := func(held bool, format string, args ...any) {
		out = append(out, Verdict{held, fmt.Sprintf(format, args...)})
	}
	if len(o.Steps) == 0 {
		return out
	}
	last := &o.Steps[len(o.Steps)-1]
	packing, refusing := o.first("packing"), o.first("refusing")
	switch {
	case packing == nil && refusing == nil:
		say(last.Lost.lost() == 0, "the daemon never had to protect itself; %.0f packets were lost", last.Lost.lost())
		return out
	case packing == nil:
		say(false, "the daemon refused without having packed")
	default:
		say(packing.Lost.lost() == 0, "packing began with %d listeners; %.0f packets were lost before", packing.Listeners, packing.Lost.lost())
		before, after := o.around(packing.AtS)
		if before != nil && after != nil {
			say(after.Load < before.Load, "load of the busiest shard before it %.2f (%d listeners), after it %.2f (%d)",
				before.Load, before.Listeners, after.Load, after.Listeners)
		}
	}
	if refusing != nil {
		say(refusing.Lost.lost() == 0, "joins were refused from %d listeners on; %.0f packets were lost before", refusing.Listeners, refusing.Lost.lost())
		say(o.Refused > 0, "%d joins were answered with busy", o.Refused)
		say(last.Lost.lost() == refusing.Lost.lost(), "%.0f packets were lost after that", last.Lost.lost()-refusing.Lost.lost())
	} else if o.Failed == "" {
		say(true, "the bound of listeners was reached before anybody was refused; %.0f packets were lost", last.Lost.lost())
	}
	if o.Failed != "" {
		say(false, "%s", o.Failed)
	}
	say(last.State == "over" && last.Packed == 0, "in the end %d listeners, state %q, %d of them packed", last.Listeners, last.State, last.Packed)
	return out
}

// around are the last step before a moment, and the first that began after it.
func (o *Overload) around(at float64) (before, after *OverloadStep) {
	for i := range o.Steps {
		s := &o.Steps[i]
		switch {
		case s.AtS <= at:
			before = s
		case after == nil && s.AtS-o.HoldS >= at:
			after = s
		}
	}
	return before, after
}

// WriteOverload prints a line a step, the events, and the verdicts.
func WriteOverload(w io.Writer, o *Overload) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join([]string{
		"s", "LISTENERS", "STATE", "PACKED", "LOAD", "CORES", "PACKETS/s", "LATENCY ms p50/p99", "LOST: LATE", "BUFFER", "RECEIVED", "GAPS", "FOREIGN CORES",
	}, "\t"))
	var was Losses
	for i := range o.Steps {
		s := &o.Steps[i]
		lost := s.Lost.less(was)
		was = s.Lost
		fmt.Fprintf(t, "%.1f\t%d\t%s\t%d\t%.2f\t%.2f\t%.0f\t%.1f / %.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\n", s.AtS, s.Listeners, s.State, s.Packed, s.Load, s.Cores,
			s.PacketsS, s.P50, s.P99, lost.ShardLate, lost.BufferFull, lost.Received, lost.Gaps, s.Foreign)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, e := range o.Events {
		if _, err := fmt.Fprintf(w, "= %.1f s: %s, %d listeners, %.0f packets lost so far\n", e.AtS, e.Reason, e.Listeners, e.Lost.lost()); err != nil {
			return err
		}
	}
	for _, v := range o.Verdicts() {
		mark := "ok"
		if !v.Held {
			mark = "NO"
		}
		if _, err := fmt.Fprintf(w, "%s %s\n", mark, v.What); err != nil {
			return err
		}
	}
	for _, doubt := range o.doubts() {
		if _, err := fmt.Fprintf(w, "! %s\n", doubt); err != nil {
			return err
		}
	}
	return nil
}

// doubts says what a reader must know before he believes it.
func (o *Overload) doubts() (out []string) {
	var foreign, void float64
	for i := range o.Steps {
		foreign, void = max(foreign, o.Steps[i].Foreign), max(void, o.Steps[i].Void)
	}
	if void > 0 {
		out = append(out, fmt.Sprintf("the generator itself dropped %.0f packets; the listeners' gaps are void", void))
	}
	if foreign > quietCores {
		out = append(out, fmt.Sprintf("other processes used up to %.2f cores: with fewer listeners than on a quiet machine it was full", foreign))
	}
	if !o.Confined {
		out = append(out, "daemon and generator shared their CPUs")
	}
	return out
}
