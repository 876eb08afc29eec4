package mix

import (
	"bytes"

	"stentor/forward/opus"
)

// tailMax is how many silent frames an encoder is run for. libopus' high-pass takes 25 of them to ring out.
const tailMax = 50

// tail runs the encoder, and does without while all is silent. A CELT encoder's packet of zeros is opus.Quiet, and
// after that more zeros change neither its state nor the decoder's. So from the first one on it need not be run, and goes on
// as if it had been: no reset, no step, nothing to be heard.
type tail struct {
	enc    Encoder
	packet [PacketMax]byte
	rung   bool // the last packet was opus.Quiet, for zeros
	silent int  // frames of zeros since there was sound
}

// settle brings a new encoder to where silence leaves it, which is where decoders are after opus.Quiet.
func (t *tail) settle() error {
	t.enc.Reset()
	var zeros [FrameSamples]float32
	for range 3 {
		n, err := t.enc.Encode(zeros[:], t.packet[:])
		if err != nil {
			return err
		}
		if bytes.Equal(t.packet[:n], opus.Quiet) {
			break
		}
	}
	t.rung, t.silent = true, 0
	return nil
}

// encode is the packet of a frame. It lives until the next call and must not be written to. Where the encoder fails it
// is opus.Quiet.
func (t *tail) encode(pcm []float32, silent bool) (payload []byte, err error) {
	if silent && t.rung {
		return opus.Quiet, nil
	}
	if t.silent++; !silent {
		t.silent = 0
	}
	n, err := t.enc.Encode(pcm, t.packet[:])
	if err != nil || t.silent > tailMax {
		if again := t.settle(); err == nil {
			err = again
		}
		return opus.Quiet, err
	}
	t.rung = silent && bytes.Equal(t.packet[:n], opus.Quiet)
	return t.packet[:n], nil
}
