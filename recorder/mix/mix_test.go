package mix

import (
	"bytes"
	"testing"

	"stentor/forward/opus"
)

// A room in which nobody speaks costs nothing and is exactly silent.
func TestNobodySpeaks(t *testing.T) {
	m, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	err = m.Mix(48000+959, func(at int64, payload []byte) {
		if at != n*FrameSamples || !bytes.Equal(payload, opus.Quiet) {
			t.Errorf("packet %d: % x at %d", n, payload, at)
		}
		n++
	})
	if c := m.Counts(); err != nil || n != 50 || c.Quiet != 50 || c.Frames != 50 || m.At() != 48000 {
		t.Errorf("%d packets, %+v, at %d, error %v", n, c, m.At(), err)
	}
}
