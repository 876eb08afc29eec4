package impair

import (
	"flag"
	"sync"
	"testing"
	"testing/synctest"
)

// Bubble runs a function in virtual time: inside, the clock stands still while anything runs, and jumps when everything
// waits. It returns when all that was started inside has ended.
type Bubble func(f func())

// InTest is the Bubble of a test.
func InTest(t *testing.T) Bubble {
	return func(f func()) { synctest.Test(t, func(*testing.T) { f() }) }
}

// VirtualTime is the Bubble of a program that is no test. testing/synctest, which has the bubbles, wants a *testing.T, and
// only a test run makes one. So a test run is started that has one test, which waits for functions to run as long as the
// process lives: what a run does at its end, exiting above all, does not come. No flag is read and nothing is printed. Not for use
// within go test. Several bubbles may run at once.
func VirtualTime(f func()) {
	done := make(chan bool)
	jobs() <- job{f, done}
	<-done
}

type job struct {
	f    func()
	done chan bool
}

var jobs = sync.OnceValue(func() chan<- job {
	c := make(chan job)
	testing.Init()
	_ = flag.CommandLine.Parse(nil) // says that flags are parsed, whatever the command line holds
	go testing.Main(func(string, string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "VirtualTime", F: func(t *testing.T) { serve(t, c) }}}, nil, nil)
	return c
})

// serve runs each job in a bubble of its own.
func serve(t *testing.T, c <-chan job) {
	for j := range c {
		go func() {
			defer close(j.done) // also when the bubble ends by runtime.Goexit
			t.Run("bubble", func(t *testing.T) { InTest(t)(j.f) })
		}()
	}
}
