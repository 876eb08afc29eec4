package main

import (
	"fmt"
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// meter shows how far long work on a recording is: a bar for each step on a terminal, nothing elsewhere. For one goroutine.
type meter struct {
	what string
	bars *mpb.Progress // nil: nobody looks
	bar  *mpb.Bar
	name string
}

func (t *tool) newMeter(what string) *meter {
	m := &meter{what: what}
	if watched(t.err) && !t.json {
		m.bars = mpb.New(mpb.WithOutput(t.err), mpb.WithWidth(60))
	}
	return m
}

// watched tells whether a person looks at w.
func watched(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// step tells how much of a step is done. A total of 0 is not known yet.
func (m *meter) step(name string, done, total int64) {
	if m.bars == nil {
		return
	}
	if m.bar == nil || name != m.name {
		m.end()
		m.name = name
		m.bar = m.bars.AddBar(max(total, 1), mpb.PrependDecorators(decor.Name(fmt.Sprintf("%s: %s", m.what, name), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Percentage(), decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace), "")))
	}
	if total > 0 {
		m.bar.SetTotal(total, false)
		m.bar.SetCurrent(done)
	}
}

// end leaves the bar as it is; one that is full has ended by itself.
func (m *meter) end() {
	if m.bar != nil {
		m.bar.Abort(false)
	}
}

func (m *meter) close() {
	if m.bars == nil {
		return
	}
	m.end()
	m.bars.Shutdown()
	m.bars = nil
}
