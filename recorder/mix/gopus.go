package mix

import (
	"fmt"

	"github.com/thesyncim/gopus"
	"stentor/forward/opus"
)

// Gopus is the codec in pure Go, so that the engine is built without a C compiler.
type Gopus struct{}

// NewDecoder implements Codec.
func (Gopus) NewDecoder() (Decoder, error) {
	d, err := gopus.NewDecoder(gopus.DefaultDecoderConfig(opus.SampleRate, 1))
	if err != nil {
		return nil, fmt.Errorf("opus decoder: %w", err)
	}
	return d, nil
}

// NewEncoder implements Codec. The application is the one of low delay because that is CELT alone, whose state after
// silence is known to both ends, and because it looks 2.5 ms ahead instead of 6.5. The hybrid mode would cost three
// times as much.
func (Gopus) NewEncoder(bitrate, complexity int) (Encoder, error) {
	e, err := gopus.NewEncoder(gopus.EncoderConfig{
		SampleRate: opus.SampleRate, Channels: 1, Application: gopus.ApplicationLowDelay,
	})
	if err != nil {
		return nil, fmt.Errorf("opus encoder: %w", err)
	}
	if err := e.SetBitrate(bitrate); err != nil {
		return nil, fmt.Errorf("opus encoder of %d b/s: %w", bitrate, err)
	}
	if err := e.SetComplexity(complexity); err != nil {
		return nil, fmt.Errorf("opus encoder of complexity %d: %w", complexity, err)
	}
	if err := e.SetBandwidth(gopus.BandwidthFullband); err != nil {
		return nil, fmt.Errorf("opus encoder of full band: %w", err)
	}
	return e, nil
}
