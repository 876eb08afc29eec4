package main

import (
	"fmt"
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sys/unix"
)

// progress shows how far a bench is: a bar for the phase under way on a terminal, a line a phase elsewhere. Owned by one
// goroutine at a time but for step, which those who join call.
type progress struct {
	steps chan step
	done  chan struct{}
}

type step struct {
	server, phase string
	done, total   int
}

func newProgress(w io.Writer) *progress {
	p := &progress{steps: make(chan step, 64), done: make(chan struct{})}
	show := lines(w)
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		show = bars(w)
	}
	go func() {
		defer close(p.done)
		show(p.steps)
	}()
	return p
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func (p *progress) step(server, phase string, done, total int) {
	p.steps <- step{server, phase, done, total}
}

func (p *progress) close() {
	close(p.steps)
	<-p.done
}

// lines writes one when a phase begins.
func lines(w io.Writer) func(<-chan step) {
	return func(steps <-chan step) {
		var last step
		for s := range steps {
			if s.server != last.server || s.phase != last.phase {
				fmt.Fprintf(w, "%s: %s\n", s.server, s.phase)
			}
			last = s
		}
	}
}

// bars draws one for each phase.
func bars(w io.Writer) func(<-chan step) {
	return func(steps <-chan step) {
		container := mpb.New(mpb.WithOutput(w), mpb.WithWidth(60))
		var bar *mpb.Bar
		var last step
		for s := range steps {
			if bar == nil || s.server != last.server || s.phase != last.phase {
				if bar != nil {
					bar.Abort(false) // stays as it is; one that is full has ended by itself
				}
				bar = container.AddBar(int64(s.total), mpb.PrependDecorators(
					decor.Name(s.server+": "+s.phase, decor.WCSyncSpaceR)), mpb.AppendDecorators(decor.Percentage()))
			}
			bar.SetCurrent(int64(s.done))
			last = s
		}
		container.Shutdown() // also a bar that is not full: a run may have failed
	}
}
