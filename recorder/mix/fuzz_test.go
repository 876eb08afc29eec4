package mix

import (
	"testing"

	"stentor/forward/opus"
)

// FuzzMixer takes its input as pieces: the source, a step of the position, the samples, an octet of length, and
// that many octets. Whatever they are, the mix goes on, packet by packet, each a legal one of 20 ms.
func FuzzMixer(f *testing.F) {
	for _, who := range []string{"slt", "rms"} {
		var b []byte
		for i, p := range speech(f, who)[40:46] {
			b = append(b, byte(i%2), 8, 8, byte(len(p)))
			b = append(b, p...)
		}
		f.Add(b)
	}
	f.Add([]byte{1, 8, 8, 3, 0xf8, 0xff, 0xfe, 1, 8, 8, 1, 0xf8, 1, 200, 255, 0, 1, 1, 1, 4, 0xfc, 1, 2, 3})
	codec := &usedCodec{}
	f.Fuzz(func(t *testing.T, b []byte) {
		codec.given = 0
		m := newMixer(t, Config{Codec: codec})
		at, want := m.At(), m.At()
		until := at + second/10
		for len(b) >= 4 {
			id, step, samples := uint32(b[0]), int64(int8(b[1])), int(b[2])
			payload := b[4:][:min(int(b[3]), len(b)-4)]
			b = b[4+len(payload):]
			at += step * 121
			m.Put(id, at, samples*120, payload)
			until = max(until, at+second/10)
		}
		err := m.Mix(until, func(at int64, p []byte) {
			if n, ok := opus.Duration(p); at != want || n != FrameSamples || !ok {
				t.Fatalf("% x at %d, want one at %d", p, at, want)
			}
			want += FrameSamples
		})
		if err != nil || want != m.At() || want <= until-FrameSamples {
			t.Fatalf("stopped at %d instead of %d, error %v", want, until, err)
		}
		for i, x := range m.limited {
			if !(x >= -ceiling-1e-5 && x <= ceiling+1e-5) {
				t.Fatalf("sample %d is %v", i, x)
			}
		}
	})
}

// usedCodec gives what it gave before, which takes less time than making it.
type usedCodec struct {
	enc      Encoder
	decoders []Decoder
	given    int
}

func (c *usedCodec) NewEncoder(bitrate, complexity int) (_ Encoder, err error) {
	if c.enc == nil {
		c.enc, err = Gopus{}.NewEncoder(bitrate, complexity)
	}
	return c.enc, err
}

func (c *usedCodec) NewDecoder() (Decoder, error) {
	if c.given == len(c.decoders) {
		d, err := Gopus{}.NewDecoder()
		if err != nil {
			return nil, err
		}
		c.decoders = append(c.decoders, d)
	}
	c.given++
	return c.decoders[c.given-1], nil
}
