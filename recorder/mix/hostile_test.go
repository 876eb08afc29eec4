package mix

import (
	"math/rand/v2"
	"slices"
	"testing"

	"stentor/forward/opus"
)

// Octets of chance and packets with a few octets changed, of every configuration: the mix goes on, below its ceiling,
// and the person who was broken is heard again.
func TestHostilePacketsDoNotStopTheMix(t *testing.T) {
	r := rand.New(rand.NewPCG(6716, 13))
	good := speech(t, "rms")
	m := newMixer(t, Config{})
	for f := range int64(3000) {
		for id := range uint32(3) {
			p := slices.Clone(good[r.IntN(len(good))])
			switch r.IntN(4) {
			case 0:
				p[0] = byte(r.Uint32())
			case 1:
				for range 1 + r.IntN(4) {
					p[r.IntN(len(p))] = byte(r.Uint32())
				}
			case 2:
				p = make([]byte, r.IntN(400))
				for i := range p {
					p[i] = byte(r.Uint32())
				}
			}
			samples, ok := opus.Duration(p)
			if !ok || r.IntN(10) == 0 {
				samples = 1 + r.IntN(6000)
			}
			m.Put(id, f*960+int64(r.IntN(2000))-1000, samples, p)
		}
		take(t, m, f*960)
		if p := peak(m.limited[:]); !(p <= ceiling+1e-6) {
			t.Fatalf("frame %d: peak of %v", f, p)
		}
	}
	if c := m.Counts(); c.Broken == 0 || c.Late == 0 || c.Failed > 0 {
		t.Errorf("%+v", c)
	}
	at := m.At()
	said{1, at + second, good[:150]}.put(m)
	pcm := decode(t, take(t, m, at+4*second), second)
	if db := rmsDB(from(pcm, 1100, 3900)); db < -30 {
		t.Errorf("then good packets are heard at %.1f dB", db)
	}
}
