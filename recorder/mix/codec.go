package mix

// PacketMax is the room that an encoder is given for a packet, in octets: one frame of the largest size and its TOC
// (RFC 6716 §3.2.1).
const PacketMax = 1276

// Codec makes decoders and encoders. The default is Gopus.
type Codec interface {
	// NewDecoder makes a decoder of 48 kHz, mono. It is asked for when one more source sounds than ever before.
	NewDecoder() (Decoder, error)
	// NewEncoder makes an encoder of 48 kHz, mono, full band, 20 ms, of bitrate b/s on average and a complexity of 0
	// to 10. It must be CELT only: after some zeros its packets must be opus.Quiet, as libopus' are (RFC 6716 §4.3),
	// for only then is leaving it out the same as running it.
	NewEncoder(bitrate, complexity int) (Encoder, error)
}

// Decoder decodes the packets of one source. It is never called from two goroutines.
type Decoder interface {
	// Decode writes the samples of a packet to pcm, which has room for 120 ms, full scale being 1, and says how many
	// they are. Stereo comes down to mono. Of a nil packet it conceals the loss of len(pcm) samples, a multiple of 120.
	// After an error the decoder can go on with the next packet.
	Decode(packet []byte, pcm []float32) (n int, err error)
	// Reset forgets the stream.
	Reset()
}

// Encoder encodes the mix.
type Encoder interface {
	// Encode writes the packet of FrameSamples of pcm to packet, which has room for PacketMax octets, and says its size.
	Encode(pcm []float32, packet []byte) (n int, err error)
	// Lookahead is by how many samples what is decoded lags what is encoded, below 720.
	Lookahead() int
	// Reset forgets the stream. The controls stay.
	Reset()
}
