package report

import (
	"bytes"
	"strings"
	"testing"
)

// climb is a daemon that has done all as it should.
func climb() *Overload {
	return &Overload{
		Talking: 3, HoldS: 2, Confined: true, Refused: 4,
		Steps: []OverloadStep{
			{AtS: 3, Listeners: 200, Load: 0.3},
			{AtS: 6, Listeners: 400, Load: 0.7},
			{AtS: 9, Listeners: 600, Load: 0.6, State: "packing", Packed: 600}, // began before it did
			{AtS: 12, Listeners: 700, Load: 0.3, State: "packing", Packed: 700},
			{AtS: 15, Listeners: 900, Load: 0.95, State: "refusing", Packed: 900},
			{AtS: 18, Listeners: 450, Load: 0.5, State: "over"},
		},
		Events: []OverloadEvent{
			{AtS: 8, Reason: "packing", Listeners: 550}, {AtS: 14, Reason: "refusing", Listeners: 890}, {AtS: 17, Reason: "over", Listeners: 450},
		},
	}
}

// broken lists what has not held.
func broken(o *Overload) (out []string) {
	for _, v := range o.Verdicts() {
		if !v.Held {
			out = append(out, v.What)
		}
	}
	return out
}

func TestADaemonThatProtectsItselfHolds(t *testing.T) {
	o := climb()
	if wrong := broken(o); len(wrong) != 0 {
		t.Errorf("%q", wrong)
	}
	var b bytes.Buffer
	if err := WriteOverload(&b, o); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"packing began with 550 listeners; 0 packets", "before it 0.70 (400 listeners), after it 0.30 (700)", "from 890 listeners on",
		"4 joins were answered with busy", "= 14.0 s: refusing", "450 listeners, state \"over\", 0 of them packed",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "NO ") || strings.Contains(b.String(), "! ") {
		t.Errorf("something is wrong in\n%s", b.String())
	}
}

func TestWhatADaemonLosesIsHeldAgainstIt(t *testing.T) {
	for want, spoil := range map[string]func(*Overload){
		"7 packets were lost before":      func(o *Overload) { o.Events[0].Lost.Gaps = 7 },
		"9 packets were lost before":      func(o *Overload) { o.Events[1].Lost.ShardLate = 9 },
		"11 packets were lost after that": func(o *Overload) { o.Steps[5].Lost.BufferFull = 11 },
		"after it 0.80":                   func(o *Overload) { o.Steps[3].Load = 0.8 },
		"0 joins were answered":           func(o *Overload) { o.Refused = 0 },
		"3 of them packed":                func(o *Overload) { o.Steps[5].Packed = 3 },
		"without having packed":           func(o *Overload) { o.Events = o.Events[1:] },
		"a minute was over":               func(o *Overload) { o.Failed = "a minute was over" },
	} {
		o := climb()
		spoil(o)
		if wrong := strings.Join(broken(o), "\n"); !strings.Contains(wrong, want) {
			t.Errorf("%q is not in %q", want, wrong)
		}
	}
	o := &Overload{Steps: []OverloadStep{{Void: 1, Foreign: 1, Lost: Losses{Gaps: 5}}}}
	if wrong := broken(o); len(wrong) != 1 || len(o.doubts()) != 3 {
		t.Errorf("%q, doubts %q", wrong, o.doubts())
	}
}
