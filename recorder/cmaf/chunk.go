package cmaf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"stentor/forward/opus"
)

// Limits of a chunk. The Segmenter keeps to them, Scan refuses what is beyond.
const (
	// 10 s of the shortest packets, 2.5 ms.
	samplesMax = 4000
	// 10 s at Opus's highest bitrate, 510 kb/s, are 640 KB.
	chunkMax = 1 << 20
	// 48 frames of 1275 octets with their sizes; what is longer is padding that nobody needs.
	payloadMax = 1<<16 - 1
)

// ErrSample is what AppendChunk and the Segmenter answer to what is no Opus packet, or not of the duration stated.
var ErrSample = errors.New("cmaf: not an Opus packet of that duration")

// Sample is one Opus packet.
type Sample struct {
	Payload  []byte // borrowed for the call
	Duration uint32 // in samples; that of the payload
}

// Chunk is AppendChunk into a buffer of its own.
func Chunk(seq uint32, base int64, samples []Sample) ([]byte, error) {
	return AppendChunk(nil, seq, base, samples)
}

// AppendChunk appends a movie fragment to dst, a moof with its mdat (ISO/IEC 14496-12 §8.8): seq counts fragments of
// the track from 1, base is the first sample's position, 0 or more. It allocates nothing where dst has room.
//
// A chunk of 25 packets has 200 octets around its packets, half of them the packets' sizes; what all packets have in
// common, the duration as a rule and the size at a constant bitrate, stands once.
func AppendChunk(dst []byte, seq uint32, base int64, samples []Sample) ([]byte, error) {
	sum, err := weigh(base, samples)
	if err != nil {
		return dst, err
	}
	start := len(dst)
	b, moof := begin(dst, "moof")
	b, at := beginFull(b, "mfhd", 0, 0)
	b = end(put32(b, seq), at)
	b, traf := begin(b, "traf")
	b, at = beginFull(b, "tfhd", 0, tfhdBaseIsMoof|tfhdDuration|sum.tfhd)
	b = put32(put32(b, trackID), samples[0].Duration)
	if sum.tfhd&tfhdSize != 0 {
		b = put32(b, uint32(len(samples[0].Payload)))
	}
	b = end(b, at)
	b, at = beginFull(b, "tfdt", 1, 0)
	b = end(put64(b, uint64(base)), at)
	b, at = beginFull(b, "trun", 0, trunOffset|sum.trun)
	b = put32(b, uint32(len(samples)))
	offset := len(b)
	b = put32(b, 0)
	for _, s := range samples {
		if sum.trun&trunDuration != 0 {
			b = put32(b, s.Duration)
		}
		if sum.trun&trunSize != 0 {
			b = put32(b, uint32(len(s.Payload)))
		}
	}
	b = end(b, at)
	b = end(b, traf)
	b = end(b, moof)
	binary.BigEndian.PutUint32(b[offset:], uint32(len(b)-start+boxHead))
	b, mdat := begin(b, "mdat")
	for _, s := range samples {
		b = append(b, s.Payload...)
	}
	return end(b, mdat), nil
}

// Flags of tfhd (§8.8.7) and trun (§8.8.8).
const (
	tfhdDuration   = 0x08
	tfhdSize       = 0x10
	tfhdBaseIsMoof = 0x20000
	trunOffset     = 0x001
	trunDuration   = 0x100
	trunSize       = 0x200
)

// weighed is which fields a chunk needs.
type weighed struct{ tfhd, trun uint32 }

func weigh(base int64, samples []Sample) (w weighed, err error) {
	if base < 0 || len(samples) == 0 || len(samples) > samplesMax {
		return w, fmt.Errorf("cmaf: a chunk of %d packets at %d", len(samples), base)
	}
	w.tfhd = tfhdSize
	octets := 0
	for _, s := range samples {
		if n, ok := opus.Duration(s.Payload); !ok || uint32(n) != s.Duration || len(s.Payload) > payloadMax {
			return w, ErrSample
		}
		octets += len(s.Payload)
		if s.Duration != samples[0].Duration {
			w.trun |= trunDuration
		}
		if len(s.Payload) != len(samples[0].Payload) {
			w.tfhd, w.trun = 0, w.trun|trunSize
		}
	}
	if octets > chunkMax-headMax {
		return w, fmt.Errorf("cmaf: a chunk of %d octets, of at most %d", octets, chunkMax-headMax)
	}
	return w, nil
}

// headMax is the longest moof with the head of its mdat.
const headMax = 8 + 16 + 8 + 24 + 20 + 20 + 8*samplesMax + boxHead
