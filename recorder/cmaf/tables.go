package cmaf

import (
	"fmt"
	"math"
)

// sizesMax is the number of packets of a whole file, 93 h of 20 ms: 32 MB here, and twice 64 MB while the moov is made.
const sizesMax = 1 << 24

// tables are those of a progressive file's samples (ISO/IEC 14496-12 §8.6.1, §8.7).
type tables struct {
	sizes  []uint16
	runs   []run // stts
	chunks []spool
	open   spool // the chunk being filled
	octets int64
	media  int64 // samples
}

type run struct {
	count uint32
	delta uint32
}

// spool is a chunk: a second of packets that lie together.
type spool struct {
	packets  uint32
	octets   uint32
	duration int64
}

func (t *tables) add(size int, duration int64) error {
	if len(t.sizes) == sizesMax {
		return fmt.Errorf("cmaf: more than %d packets", sizesMax)
	}
	t.sizes = append(t.sizes, uint16(size))
	if n := len(t.runs); n > 0 && t.runs[n-1].delta == uint32(duration) {
		t.runs[n-1].count++
	} else {
		t.runs = append(t.runs, run{1, uint32(duration)})
	}
	t.octets += int64(size)
	t.media += duration
	t.open.packets++
	t.open.octets += uint32(size)
	t.open.duration += duration
	if t.open.duration >= SampleRate {
		t.close()
	}
	return nil
}

// close ends a chunk.
func (t *tables) close() {
	if t.open.packets > 0 {
		t.chunks = append(t.chunks, t.open)
		t.open = spool{}
	}
}

// head is everything before the first packet. The offsets in it depend on its length, and that on their width alone.
func (t *tables) head(h Head, duration int64) []byte {
	wide := false
	b := t.layOut(h, duration, 0, wide)
	if int64(len(b))+t.octets > math.MaxUint32 {
		wide = true
		b = t.layOut(h, duration, 0, wide)
	}
	return t.layOut(h, duration, int64(len(b)), wide)
}

// layOut writes the head of a file whose packets begin at offset; wide means 64 bits for what may be beyond 4 GB.
func (t *tables) layOut(h Head, duration, offset int64, wide bool) []byte {
	b := make([]byte, 0, 1024+4*len(t.sizes)+20*len(t.chunks)+8*len(t.runs))
	b = appendFtyp(b, "isom", "isom", "iso2", "mp41", "mp42")
	b, moov := begin(b, "moov")
	b = appendMvhd(b, duration)
	b = appendTrak(b, h, times{media: t.media, presented: duration}, func(b []byte) []byte {
		b = t.appendStts(b)
		b = t.appendStsc(b)
		b = t.appendStsz(b)
		b = t.appendOffsets(b, offset, wide)
		return t.appendRoll(b)
	})
	b = end(b, moov)
	if wide {
		b = put32(b, 1)
		b = append(b, "mdat"...)
		return put64(b, uint64(t.octets)+2*boxHead)
	}
	b = put32(b, uint32(t.octets+boxHead))
	return append(b, "mdat"...)
}

func (t *tables) appendStts(b []byte) []byte {
	b, at := beginFull(b, "stts", 0, 0)
	b = put32(b, uint32(len(t.runs)))
	for _, r := range t.runs {
		b = put32(put32(b, r.count), r.delta)
	}
	return end(b, at)
}

// appendStsc says how many packets a chunk has, once for chunks that have as many as the one before.
func (t *tables) appendStsc(b []byte) []byte {
	b, at := beginFull(b, "stsc", 0, 0)
	count, entries := len(b), uint32(0)
	b = put32(b, 0)
	for i, c := range t.chunks {
		if i == 0 || c.packets != t.chunks[i-1].packets {
			b = put32(put32(put32(b, uint32(i+1)), c.packets), 1)
			entries++
		}
	}
	put32(b[:count], entries)
	return end(b, at)
}

func (t *tables) appendStsz(b []byte) []byte {
	b, at := beginFull(b, "stsz", 0, 0)
	b = put32(put32(b, 0), uint32(len(t.sizes)))
	for _, n := range t.sizes {
		b = put32(b, uint32(n))
	}
	return end(b, at)
}

func (t *tables) appendOffsets(b []byte, offset int64, wide bool) []byte {
	kind := "stco"
	if wide {
		kind = "co64"
	}
	b, at := beginFull(b, kind, 0, 0)
	b = put32(b, uint32(len(t.chunks)))
	for _, c := range t.chunks {
		if wide {
			b = put64(b, uint64(offset))
		} else {
			b = put32(b, uint32(offset))
		}
		offset += int64(c.octets)
	}
	return end(b, at)
}

// appendRoll says that a decoder needs 80 ms before a seek's target to be right there (Encapsulation of Opus in ISOBMFF
// §4.3.6.2), in packets, of the first one's duration.
func (t *tables) appendRoll(b []byte) []byte {
	if len(t.runs) == 0 {
		return b
	}
	distance := (80*SampleRate/1000 + t.runs[0].delta - 1) / t.runs[0].delta
	b, at := beginFull(b, "sgpd", 1, 0)
	b = append(b, "roll"...)
	b = put32(put32(b, 2), 1)
	b = end(put16(b, uint16(-int16(distance))), at)
	b, at = beginFull(b, "sbgp", 0, 0)
	b = append(b, "roll"...)
	b = put32(b, 1)
	return end(put32(put32(b, uint32(len(t.sizes))), 1), at)
}
