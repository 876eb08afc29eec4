package ogg

import (
	"errors"
	"fmt"
	"io"

	"stentor/forward/opus"
)

// packetMax is the longest packet that fits on one page. The longest Opus packet of 120 ms that a sane encoder makes has
// 7.6 KB; nothing that comes out of a datagram is longer than this.
const packetMax = segmentsMax*lacingMax - 1

// pageSamples ends a page after a second by itself: RFC 7845 §6 asks for no more.
const pageSamples = opus.SampleRate

// firstCapacity holds a second at 48 kb/s: for most speakers the Writer's buffer never grows again.
const firstCapacity = frontMax + 6<<10

// What Append and CloseAt refuse. The file is as good as before.
var (
	ErrPacket = errors.New("ogg: no Opus packet of that duration")
	ErrClosed = errors.New("ogg: the stream has ended")
	ErrTrim   = errors.New("ogg: an end that is not within the last page")
)

// A Writer writes one Ogg Opus stream. It is not for concurrent use.
//
// An error of the file stays: the page may be torn there, and everything behind it would be unreadable. All methods
// return it from then on. To go on, cut the file off at Bytes and Resume with State.
type Writer struct {
	w    io.Writer
	head Head
	err  error

	number  uint32 // of the next page
	granule int64  // at the end of what has been appended
	packets int64  // appended
	closed  bool

	// What is on the page being collected. buf has room for the longest header in front, so that header and packets go
	// out in one Write without being copied once more.
	buf     []byte
	lacing  []byte
	samples int64
	waiting int64 // packets

	written State // what whole pages have been handed to w
}

// State is where a stream stands at the end of a whole page: all that it takes to go on behind it.
type State struct {
	Head      Head
	GoodBytes int64  // octets up to the end of that page
	Pages     int64  // the two of the header included
	Packets   int64  // of audio
	Granule   int64  // of the last packet's end, in samples at 48 kHz, pre-skip included; 0 without packets
	Start     int64  // the first packet's place: 0 in files of ours, not in what was cut out of a live stream
	LastPage  uint32 // its number
	EOS       bool   // whether it says that the stream ends with it
}

// Played is how many samples a player gives out of it: all without the pre-skip (RFC 7845 §4.3).
func (s *State) Played() int64 { return max(0, s.Granule-s.Start-int64(s.Head.PreSkip)) }

// NewWriter begins a stream: it writes the two pages of the header to w, in one Write.
func NewWriter(w io.Writer, h Head) (*Writer, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	f := newWriter(w, h)
	head := onePacket(h.appendHead(nil), begins, h.Serial, 0)
	tags := onePacket(h.appendTags(nil), 0, h.Serial, 1)
	both := append(head, tags...)
	if n, err := w.Write(both); err != nil || n != len(both) {
		return nil, fmt.Errorf("write the header: %w", orShort(err))
	}
	f.number = 2
	f.written = State{Head: h, GoodBytes: int64(len(both)), Pages: 2, LastPage: 1}
	return f, nil
}

// Resume goes on with a stream that was cut off at s.GoodBytes, where w stands. s comes from Scan or from State. A stream
// that has ended cannot be gone on with: ErrClosed. One whose header is not whole has to be begun anew: ErrHead.
func Resume(w io.Writer, s State) (*Writer, error) {
	if s.EOS {
		return nil, ErrClosed
	}
	if s.Pages < 2 || s.GoodBytes == 0 {
		return nil, ErrHead
	}
	f := newWriter(w, s.Head)
	f.number, f.granule, f.packets, f.written = s.LastPage+1, s.Granule, s.Packets, s
	return f, nil
}

func newWriter(w io.Writer, h Head) *Writer {
	return &Writer{w: w, head: h, buf: make([]byte, frontMax, firstCapacity), lacing: make([]byte, 0, segmentsMax)}
}

// onePacket is a page with one packet on it that has no place in time.
func onePacket(packet []byte, flags byte, serial, number uint32) []byte {
	b := appendLacing(make([]byte, headerSize, frontMax+len(packet)), len(packet))
	segments := len(b) - headerSize
	b = append(b, packet...)
	putHeader(b, flags, 0, serial, number, segments)
	return b
}

// Append adds a packet to the page being collected, after writing the page where the packet doesn't fit on it any more or
// would make it longer than a second. samples is the packet's duration at 48 kHz, which has to be what the packet itself
// says, or no granule would be true: ErrPacket otherwise. The packet is copied. Nothing is allocated once the page's
// buffer has grown to what the stream needs.
func (f *Writer) Append(packet []byte, samples int) error {
	if f.err != nil {
		return f.err
	}
	if f.closed {
		return ErrClosed
	}
	if d, ok := opus.Duration(packet); !ok || d != samples || len(packet) > packetMax {
		return ErrPacket
	}
	segments := len(packet)/lacingMax + 1
	if len(f.lacing)+segments > segmentsMax || f.samples > 0 && f.samples+int64(samples) > pageSamples {
		if err := f.writePage(0); err != nil {
			return err
		}
	}
	f.buf = append(f.buf, packet...)
	f.lacing = appendLacing(f.lacing, len(packet))
	f.samples += int64(samples)
	f.granule += int64(samples)
	f.packets++
	f.waiting++
	return nil
}

// Flush ends the page being collected and writes it. Without packets it does nothing. A page is written by one Write.
func (f *Writer) Flush() error {
	if f.err != nil {
		return f.err
	}
	if f.waiting == 0 {
		return nil
	}
	return f.writePage(0)
}

// Close ends the stream: what has been collected goes out on a page that says so, or on its own a page without packets
// does (a "nil page", RFC 3533 §6). The file itself is its owner's to close. A second Close does nothing.
func (f *Writer) Close() error { return f.CloseAt(f.granule) }

// CloseAt is Close with the end trimmed to the sample (RFC 7845 §4.4): end is what Samples counts, pre-skip included, and
// has to lie on the page being collected, between what Written and Samples say: ErrTrim otherwise. Packets that lie behind
// it altogether are left out. A stream too short for its pre-skip is left without packets, since its readers would have to
// reject it otherwise (RFC 7845 §4.5).
func (f *Writer) CloseAt(end int64) error {
	if f.err != nil || f.closed {
		return f.err
	}
	if end > f.granule || end < f.written.Granule {
		return ErrTrim
	}
	if f.written.Packets == 0 && end < int64(f.head.PreSkip) {
		end = 0
	}
	for f.granule > end && f.takeBack(end) {
	}
	f.granule = end
	f.closed = true
	return f.writePage(ends)
}

// takeBack takes the last packet off the page, if all of it is behind end.
func (f *Writer) takeBack(end int64) bool {
	segments, size := 1, int(f.lacing[len(f.lacing)-1])
	for segments < len(f.lacing) && f.lacing[len(f.lacing)-1-segments] == lacingMax {
		segments++
		size += lacingMax
	}
	samples, _ := opus.Duration(f.buf[len(f.buf)-size:])
	if f.granule-int64(samples) < end {
		return false
	}
	f.buf, f.lacing = f.buf[:len(f.buf)-size], f.lacing[:len(f.lacing)-segments]
	f.granule -= int64(samples)
	f.packets--
	f.waiting--
	return true
}

// writePage writes the page being collected and begins the next.
func (f *Writer) writePage(flags byte) error {
	front := headerSize + len(f.lacing)
	page := f.buf[frontMax-front:]
	copy(page[headerSize:], f.lacing)
	granule := f.granule
	if len(f.lacing) == 0 {
		granule = noGranule
	}
	putHeader(page, flags, granule, f.head.Serial, f.number, len(f.lacing))
	n, err := f.w.Write(page)
	if err != nil || n != len(page) {
		f.err = fmt.Errorf("write page %d: %w", f.number, orShort(err))
		return f.err
	}
	f.written.GoodBytes += int64(n)
	f.written.Pages++
	f.written.Packets += f.waiting
	f.written.Granule = f.granule
	f.written.LastPage = f.number
	f.written.EOS = flags&ends != 0
	f.number++
	f.buf, f.lacing, f.samples, f.waiting = f.buf[:frontMax], f.lacing[:0], 0, 0
	return nil
}

func orShort(err error) error {
	if err == nil {
		return io.ErrShortWrite
	}
	return err
}

// Samples is how many samples at 48 kHz have been appended, pre-skip included, those before a Resume too. Without an
// end trimmed it is the granule position of the last packet.
func (f *Writer) Samples() int64 { return f.granule }

// Written is how many of Samples are on pages that the file has taken. It says nothing of the disk: sync the file first.
func (f *Writer) Written() int64 { return f.written.Granule }

// Packets is how many packets have been appended.
func (f *Writer) Packets() int64 { return f.packets }

// Bytes is how long the file is that all whole pages make, from its beginning. A torn page may lie behind it after an
// error.
func (f *Writer) Bytes() int64 { return f.written.GoodBytes }

// State is where the file stands with all whole pages: what Scan would say of it.
func (f *Writer) State() State { return f.written }
