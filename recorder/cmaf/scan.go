package cmaf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	"stentor/forward/opus"
)

// chunksMax bounds what Scan keeps of one file: 10 s in chunks of 2.5 ms.
const chunksMax = 4000

// ErrTorn is what Packets ends with where octets follow the last whole chunk.
var ErrTorn = errors.New("cmaf: torn segment")

// ChunkAt is a whole chunk of a segment file.
type ChunkAt struct {
	Offset, Size int64 // octets
	Seq          uint32
	Base         int64 // position of the first sample
	Duration     int64 // samples
	Samples      int   // packets
}

// Packet is one Opus packet of the replay and where it lies.
type Packet struct {
	At       int64
	Duration int64
	Payload  []byte // borrowed: until the next packet
}

// Scan finds the whole chunks at the beginning of a segment file that AppendChunk wrote, and how many octets they
// take. A chunk is whole where its boxes are complete, every packet is an Opus packet of the duration stated, and it
// continues the one before. What lies behind, good < size, is a torn tail, or damage. An error says that reading
// failed. Memory is bounded, by 1 MB for a chunk and 4000 chunks, whatever the octets say.
func Scan(r io.ReaderAt, size int64) (chunks []ChunkAt, good int64, err error) {
	var c cursor
	for len(chunks) < chunksMax {
		ok, err := c.next(r, size)
		if err != nil || !ok {
			return chunks, c.good(), err
		}
		chunks = append(chunks, c.chunk)
	}
	return chunks, c.good(), nil
}

// Packets gives the packets of a segment file in order. It ends with ErrTorn where not all of the file is whole
// chunks.
func Packets(r io.ReaderAt, size int64) iter.Seq2[Packet, error] {
	return func(yield func(Packet, error) bool) {
		var c cursor
		for range chunksMax {
			ok, err := c.next(r, size)
			if err != nil {
				yield(Packet{}, err)
				return
			}
			if !ok {
				break
			}
			at, payloads := c.chunk.Base, c.payloads
			for i := range c.chunk.Samples {
				n, d := c.sample(i)
				if !yield(Packet{at, d, payloads[:n:n]}, nil) {
					return
				}
				at, payloads = at+d, payloads[n:]
			}
		}
		if c.good() != size {
			yield(Packet{}, ErrTorn)
		}
	}
}

// Joined gives the packets of count files one after the other, as Packets does. open is called for each when its turn
// comes; what it gives is closed where it is an io.Closer.
func Joined(count int, open func(i int) (io.ReaderAt, int64, error)) iter.Seq2[Packet, error] {
	return func(yield func(Packet, error) bool) {
		for i := range count {
			r, size, err := open(i)
			if err != nil {
				yield(Packet{}, fmt.Errorf("segment %d of %d: %w", i+1, count, err))
				return
			}
			more := true
			for p, err := range Packets(r, size) {
				if err != nil {
					err = fmt.Errorf("segment %d of %d: %w", i+1, count, err)
				}
				if more = yield(p, err) && err == nil; !more {
					break
				}
			}
			if c, ok := r.(io.Closer); ok {
				err = c.Close()
			}
			if !more {
				return
			}
			if err != nil {
				yield(Packet{}, err)
				return
			}
		}
	}
}

// cursor walks over a file's chunks.
type cursor struct {
	chunk  ChunkAt // the last one; Size is 0 before the first
	buf    []byte
	broken bool

	// Borrowed from buf.
	entries  []byte // of trun
	payloads []byte

	trun           uint32
	duration, size uint32 // common to all samples, where trun does not say
}

func (c *cursor) good() int64 { return c.chunk.Offset + c.chunk.Size }

// next reads the following chunk. It is false at the end of what is whole.
func (c *cursor) next(r io.ReaderAt, size int64) (bool, error) {
	from := c.good()
	if c.broken || size-from < boxHead {
		return false, nil
	}
	moof, err := c.box(r, from, size-from)
	if err != nil || moof == 0 {
		return false, err
	}
	mdat, err := c.box(r, from+moof, size-from-moof)
	if err != nil || mdat == 0 || moof+mdat > chunkMax {
		return false, err
	}
	c.buf = grown(c.buf, int(moof+mdat))
	if err := readAt(r, c.buf, from); err != nil {
		return false, err
	}
	was := c.chunk
	c.chunk = ChunkAt{Offset: from, Size: moof + mdat}
	if !c.parse(c.buf[:moof], c.buf[moof:]) || !c.weigh() || !c.continues(was) {
		c.chunk, c.broken = was, true
		return false, nil
	}
	return true, nil
}

// box is the size of the box at from, of which left octets are there: 0 where that is too little or too much.
func (c *cursor) box(r io.ReaderAt, from, left int64) (int64, error) {
	if left < boxHead {
		return 0, nil
	}
	c.buf = grown(c.buf, boxHead)
	if err := readAt(r, c.buf, from); err != nil {
		return 0, err
	}
	size := int64(binary.BigEndian.Uint32(c.buf))
	if size < boxHead || size > left || size > chunkMax {
		return 0, nil
	}
	return size, nil
}

func grown(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

func readAt(r io.ReaderAt, b []byte, at int64) error {
	if n, err := r.ReadAt(b, at); n < len(b) {
		return fmt.Errorf("read %d octets at %d: %w", len(b), at, err)
	}
	return nil
}

// parse reads the boxes as AppendChunk writes them, and no others.
func (c *cursor) parse(moof, mdat []byte) bool {
	size := len(moof)
	body, rest, ok := take(moof, "moof")
	payloads, _, ok2 := take(mdat, "mdat")
	if !ok || !ok2 || len(rest) > 0 {
		return false
	}
	mfhd, body, ok := take(body, "mfhd")
	if !ok || len(mfhd) != 8 {
		return false
	}
	traf, rest, ok := take(body, "traf")
	if !ok || len(rest) > 0 {
		return false
	}
	tfhd, traf, ok := take(traf, "tfhd")
	if !ok || !c.parseTfhd(tfhd) {
		return false
	}
	tfdt, traf, ok := take(traf, "tfdt")
	if !ok || len(tfdt) != 12 || tfdt[0] != 1 {
		return false
	}
	trun, rest, ok := take(traf, "trun")
	if !ok || len(rest) > 0 || !c.parseTrun(trun, size+boxHead) {
		return false
	}
	c.chunk.Seq = binary.BigEndian.Uint32(mfhd[4:])
	c.chunk.Base = int64(binary.BigEndian.Uint64(tfdt[4:]))
	c.payloads = payloads
	return c.chunk.Base >= 0 && c.chunk.Base <= positionMax
}

// positionMax is a position beyond every recording, 100 years, so that sums cannot overflow.
const positionMax = 100 * 366 * 86400 * SampleRate

func (c *cursor) parseTfhd(b []byte) bool {
	if len(b) < 12 || binary.BigEndian.Uint32(b[4:]) != trackID {
		return false
	}
	c.duration, c.size = binary.BigEndian.Uint32(b[8:]), 0
	switch binary.BigEndian.Uint32(b) {
	case tfhdBaseIsMoof | tfhdDuration:
		return len(b) == 12
	case tfhdBaseIsMoof | tfhdDuration | tfhdSize:
		if len(b) != 16 {
			return false
		}
		c.size = binary.BigEndian.Uint32(b[12:])
		return true
	}
	return false
}

// parseTrun takes the sizes and durations; offset is where the payloads have to begin.
func (c *cursor) parseTrun(b []byte, offset int) bool {
	if len(b) < 12 || int(binary.BigEndian.Uint32(b[8:])) != offset {
		return false
	}
	c.trun = binary.BigEndian.Uint32(b)
	if c.trun&^(trunDuration|trunSize) != trunOffset || (c.trun&trunSize == 0) != (c.size != 0) {
		return false
	}
	n := binary.BigEndian.Uint32(b[4:])
	if n == 0 || n > samplesMax {
		return false
	}
	c.chunk.Samples, c.entries = int(n), b[12:]
	return len(c.entries) == int(n)*c.stride()
}

// stride is the length of an entry of trun.
func (c *cursor) stride() (n int) {
	if c.trun&trunDuration != 0 {
		n += 4
	}
	if c.trun&trunSize != 0 {
		n += 4
	}
	return n
}

// sample is the size and the duration of the i-th sample.
func (c *cursor) sample(i int) (size, duration int64) {
	e := c.entries[i*c.stride():]
	size, duration = int64(c.size), int64(c.duration)
	if c.trun&trunDuration != 0 {
		duration, e = int64(binary.BigEndian.Uint32(e)), e[4:]
	}
	if c.trun&trunSize != 0 {
		size = int64(binary.BigEndian.Uint32(e))
	}
	return size, duration
}

// weigh adds up the chunk and looks at every packet: a block that never reached the disk reads as zeros, in which no
// packet of ours begins.
func (c *cursor) weigh() bool {
	payloads := c.payloads
	for i := range c.chunk.Samples {
		size, duration := c.sample(i)
		if size > int64(len(payloads)) {
			return false
		}
		if n, ok := opus.Duration(payloads[:size]); !ok || int64(n) != duration {
			return false
		}
		c.chunk.Duration += duration
		payloads = payloads[size:]
	}
	return len(payloads) == 0
}

// continues tells whether the chunk follows the one before without a gap: the Segmenter begins a segment after one.
func (c *cursor) continues(was ChunkAt) bool {
	return was.Size == 0 || c.chunk.Seq == was.Seq+1 && c.chunk.Base == was.Base+was.Duration
}
