package cmaf

import "fmt"

// SampleRate is the clock of all positions, and the timescale of everything written here, in Hz.
const SampleRate = 48000

// DefaultPreSkip is libopus's look-ahead at 48 kHz in samples, 6.5 ms.
const DefaultPreSkip = 312

const trackID = 1

// Head describes the stream, as the Opus sample entry does (Encapsulation of Opus in ISOBMFF §4.3.2).
type Head struct {
	Channels  uint8  // 1 or 2; 0 means 1
	PreSkip   uint16 // samples by which the decoded audio is late, less than 20 ms; see DefaultPreSkip
	InputRate uint32 // of what was encoded, in Hz, for information; 0 means 48000
}

// DefaultHead is a mono stream of libopus.
func DefaultHead() Head { return Head{Channels: 1, PreSkip: DefaultPreSkip, InputRate: SampleRate} }

func (h Head) checked() (Head, error) {
	if h.Channels == 0 {
		h.Channels = 1
	}
	if h.InputRate == 0 {
		h.InputRate = SampleRate
	}
	if h.Channels > 2 {
		return h, fmt.Errorf("cmaf: %d channels, of at most 2", h.Channels)
	}
	if h.PreSkip >= quietSamples { // one packet of silence at the end has to make up for it
		return h, fmt.Errorf("cmaf: pre-skip of %d samples, of at most %d", h.PreSkip, quietSamples-1)
	}
	return h, nil
}

// Init is the initialization segment, init.mp4, which EXT-X-MAP names: ftyp and a moov without samples.
func Init(h Head) ([]byte, error) {
	h, err := h.checked()
	if err != nil {
		return nil, err
	}
	b := appendFtyp(nil, "iso6", "iso6", "cmfc", "mp42")
	b, moov := begin(b, "moov")
	b = appendMvhd(b, 0)
	b = appendTrak(b, h, times{}, func(b []byte) []byte {
		for _, kind := range [...]string{"stts", "stsc"} {
			var at int
			b, at = beginFull(b, kind, 0, 0)
			b = end(put32(b, 0), at)
		}
		b, at := beginFull(b, "stsz", 0, 0)
		b = end(put64(b, 0), at)
		b, at = beginFull(b, "stco", 0, 0)
		return end(put32(b, 0), at)
	})
	b, mvex := begin(b, "mvex")
	b, trex := beginFull(b, "trex", 0, 0)
	b = put32(b, trackID)
	b = put32(b, 1) // sample description
	b = put64(b, 0) // duration and size stand in each fragment
	b = put32(b, independent)
	b = end(b, trex)
	b = end(b, mvex)
	return end(b, moov), nil
}

// independent are the sample flags of audio: every packet depends on no other (§8.6.4).
const independent = 0x02000000

// times are a track's, in samples. All zero: not known, a fragmented file.
type times struct {
	media     int64 // what the samples last
	presented int64 // what the edit list leaves of it
}

func appendFtyp(b []byte, major string, compatible ...string) []byte {
	b, at := begin(b, "ftyp")
	b = append(b, major...)
	b = put32(b, 0)
	for _, brand := range compatible {
		b = append(b, brand...)
	}
	return end(b, at)
}

func appendMvhd(b []byte, duration int64) []byte {
	b, at := beginFull(b, "mvhd", 1, 0)
	b = put64(put64(b, 0), 0) // creation and modification: no clock here
	b = put32(b, SampleRate)
	b = put64(b, uint64(duration))
	b = put32(b, 0x10000) // rate
	b = put16(b, 0x100)   // volume
	b = append(b, make([]byte, 10)...)
	b = putMatrix(b)
	b = append(b, make([]byte, 24)...)
	b = put32(b, trackID+1)
	return end(b, at)
}

func appendTrak(b []byte, h Head, t times, tables func([]byte) []byte) []byte {
	b, trak := begin(b, "trak")
	b = appendTkhd(b, t.presented)
	b = appendEdts(b, h, t.presented)
	b, mdia := begin(b, "mdia")
	b, at := beginFull(b, "mdhd", 1, 0)
	b = put64(put64(b, 0), 0)
	b = put32(b, SampleRate)
	b = put64(b, uint64(t.media))
	b = put16(b, 0x55c4) // "und"
	b = end(put16(b, 0), at)
	b, at = beginFull(b, "hdlr", 0, 0)
	b = put32(b, 0)
	b = append(b, "soun"...)
	b = append(b, make([]byte, 12)...)
	b = end(append(b, "Stentor\x00"...), at)
	b, minf := begin(b, "minf")
	b, at = beginFull(b, "smhd", 0, 0)
	b = end(put32(b, 0), at)
	b = appendDinf(b)
	b, stbl := begin(b, "stbl")
	b = appendStsd(b, h)
	b = end(tables(b), stbl)
	b = end(b, minf)
	b = end(b, mdia)
	return end(b, trak)
}

func appendTkhd(b []byte, duration int64) []byte {
	b, at := beginFull(b, "tkhd", 1, 3) // enabled, in the movie
	b = put64(put64(b, 0), 0)
	b = put32(put32(b, trackID), 0)
	b = put64(b, uint64(duration))
	b = put64(b, 0)
	b = put32(b, 0) // layer, alternate group
	b = put16(b, 0x100)
	b = put16(b, 0)
	b = putMatrix(b)
	return end(put64(b, 0), at) // width, height
}

// appendEdts says that the presentation begins PreSkip into the media. A duration of 0 means all that fragments bring
// (§8.6.6.1).
func appendEdts(b []byte, h Head, duration int64) []byte {
	b, edts := begin(b, "edts")
	b, at := beginFull(b, "elst", 1, 0)
	b = put32(b, 1)
	b = put64(b, uint64(duration))
	b = put64(b, uint64(h.PreSkip))
	b = end(put32(b, 0x10000), at)
	return end(b, edts)
}

// appendDinf says that the media is in this file.
func appendDinf(b []byte) []byte {
	b, dinf := begin(b, "dinf")
	b, dref := beginFull(b, "dref", 0, 0)
	b = put32(b, 1)
	b, at := beginFull(b, "url ", 0, 1)
	b = end(b, at)
	b = end(b, dref)
	return end(b, dinf)
}

// appendStsd is the Opus sample entry with its dOps (Encapsulation of Opus in ISOBMFF §4.3).
func appendStsd(b []byte, h Head) []byte {
	b, stsd := beginFull(b, "stsd", 0, 0)
	b = put32(b, 1)
	b, entry := begin(b, "Opus")
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 1) // data reference 1
	b = put64(b, 0)
	b = put16(b, uint16(h.Channels))
	b = put16(b, 16)
	b = put32(b, 0)
	b = put32(b, SampleRate<<16)
	b, at := begin(b, "dOps")
	b = append(b, 0, h.Channels)
	b = put16(b, h.PreSkip)
	b = put32(b, h.InputRate)
	b = append(b, 0, 0, 0) // gain, mapping family
	b = end(b, at)
	b = end(b, entry)
	return end(b, stsd)
}
