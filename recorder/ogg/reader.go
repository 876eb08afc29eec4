package ogg

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"stentor/forward/opus"
)

// Packet is one packet of audio and its place.
type Packet struct {
	Data    []byte // borrowed: until the next call of Next
	At      int64  // the place of its first sample, at 48 kHz, pre-skip included
	Samples int    // how many it decodes to
	Granule int64  // the place behind its last sample: At+Samples, or less where the stream's end is trimmed
}

// Damage is something a file has that it should not have, or lacks.
type Damage struct {
	Offset int64  // where, in octets
	Bytes  int64  // how many octets have been passed over; 0 where octets are missing, or the stream should have ended
	Why    string // one of the constants below
}

// What can be wrong with a file.
const (
	NoPage      = "no whole page"                                // a torn tail, or octets that have changed
	PagesLost   = "pages are missing, or stand twice"            // their numbers do not count up
	Foreign     = "a page of another stream"                     // another serial number
	WrongPlace  = "granule position that its packets don't give" // RFC 7845 §4
	NoPacket    = "no Opus packet"                               // RFC 6716 §3.4
	PacketTorn  = "a packet without its end, or its beginning"
	BehindEnd   = "octets behind the end of the stream"
	granulesMax = math.MaxInt64 / 2 // three million years; sums with it don't overflow
)

// damageMax is how many places of damage are told one by one. A file with more is told to have so many, not where.
const damageMax = 1000

// ErrDamaged is Check's for a file that is not whole, or has not been closed.
var ErrDamaged = errors.New("ogg: the file is not whole")

// A Reader gives out the packets of an Ogg Opus file. It is not for concurrent use. It allocates its buffer of 64 KB, and
// no more for whatever a file claims.
type Reader struct {
	pages pages
	head  Head

	number  uint32 // of the page to come
	granule int64  // at the end of the last packet
	placed  bool   // whether granule is known: a page has been read
	eos     bool

	// The packets of the page at hand, and those of them that have been given out.
	packets [segmentsMax]Packet
	n, next int

	partial []byte // the beginning of a packet that the next page ends
	open    bool   // whether there is such a one
	joined  []byte // a packet of two pages

	good      State
	whole     int64 // packets since good that have ended whole
	damage    []Damage
	damageAll int64
}

// NewReader reads the header of a file: ErrHead where a stream's two header packets do not stand whole in front.
func NewReader(r io.Reader) (*Reader, error) {
	f := &Reader{pages: newPages(r)}
	var p page
	skipped, err := f.pages.next(&p)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the header: %w", err)
	}
	if err != nil || skipped > 0 || p.flags != begins || len(p.lacing) == 0 || !f.head.parseHead(p.body) {
		return nil, ErrHead
	}
	f.head.Serial, f.number = p.serial, p.number+1
	if err := f.readTags(); err != nil {
		return nil, err
	}
	f.good = State{
		Head: f.head, GoodBytes: f.pages.offset + int64(f.pages.size), Pages: int64(f.number - p.number), LastPage: f.number - 1,
	}
	return f, nil
}

// readTags reads the comment header, which may go over several pages and ends the last of them (RFC 7845 §3).
func (f *Reader) readTags() error {
	var p page
	var tags []byte
	for last := byte(lacingMax); last == lacingMax; {
		skipped, err := f.pages.next(&p)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the comments: %w", err)
		}
		if err != nil || skipped > 0 || p.serial != f.head.Serial || p.number != f.number || len(p.lacing) == 0 {
			return ErrHead
		}
		if len(tags)+len(p.body) > 16*pageMax {
			return ErrHead // a megabyte of comments
		}
		tags = append(tags, p.body...)
		last = p.lacing[len(p.lacing)-1]
		f.number++
	}
	if !f.head.parseTags(tags) {
		return ErrHead
	}
	return nil
}

// Head is what stands before the audio.
func (f *Reader) Head() Head { return f.head }

// EOS tells whether the page that ends the stream has been read.
func (f *Reader) EOS() bool { return f.eos }

// State is where the file is whole up to, of what has been read: before any damage.
func (f *Reader) State() State { return f.good }

// Damage is what was wrong with what has been read, the first thousand places of it.
func (f *Reader) Damage() []Damage { return slices.Clip(f.damage) }

func (f *Reader) damaged(offset, octets int64, why string) {
	f.damageAll++
	if len(f.damage) < damageMax {
		f.damage = append(f.damage, Damage{offset, octets, why})
	}
}

// Next gives out the next packet. Behind damage it goes on with the next packet that is whole, whose At then tells how
// much is missing. At the end, torn or not, it returns io.EOF; any other error is that of the underlying reader.
func (f *Reader) Next() (Packet, error) {
	for f.next == f.n {
		if err := f.readPage(); err != nil {
			return Packet{}, err
		}
	}
	f.next++
	return f.packets[f.next-1], nil
}

// readPage takes the next page of the stream: whole, ours, in turn, its packets and their places, in this order.
func (f *Reader) readPage() error {
	f.n, f.next = 0, 0
	if f.eos {
		if f.pages.more() && (len(f.damage) == 0 || f.damage[len(f.damage)-1].Why != BehindEnd) {
			f.damaged(f.pages.offset, 0, BehindEnd)
		}
		return io.EOF
	}
	var p page
	skipped, err := f.pages.next(&p)
	if skipped > 0 {
		f.damaged(f.pages.offset-skipped, skipped, NoPage)
	}
	if err != nil {
		if f.open {
			f.damaged(f.pages.offset, 0, PacketTorn)
			f.open = false
		}
		return err
	}
	at := f.pages.offset
	if p.serial != f.head.Serial {
		f.damaged(at, int64(p.size), Foreign)
		return nil
	}
	if p.number < f.number {
		f.damaged(at, int64(p.size), PagesLost)
		return nil
	}
	if p.number > f.number {
		if skipped == 0 {
			f.damaged(at, 0, PagesLost)
		}
		f.open, f.placed = false, false
	}
	f.number = p.number + 1
	f.split(&p, at)
	first := f.place(&p, at)
	if f.good.Packets == 0 && f.damageAll == 0 {
		f.good.Start = first
	}
	f.eos = p.flags&ends != 0
	if f.damageAll == 0 && !f.open {
		f.good.GoodBytes = at + int64(p.size)
		f.good.Pages++
		f.good.Granule, f.good.LastPage, f.good.EOS = f.granule, p.number, f.eos
		f.good.Packets += f.whole
		f.whole = 0
	}
	return nil
}

// split cuts the page into its packets by its lacing values (RFC 3533 §6).
func (f *Reader) split(p *page, at int64) {
	rest := p.flags&continued != 0 // whether what comes is the end of a packet of the page before
	if rest != f.open {
		f.damaged(at, 0, PacketTorn)
		f.open = false
	}
	lost := rest && !f.open // its beginning is not there
	from, to := 0, 0
	for _, l := range p.lacing {
		to += int(l)
		if l == lacingMax {
			continue
		}
		data := p.body[from:to:to]
		if f.open {
			f.joined = append(append(f.joined[:0], f.partial...), data...)
			data, f.open = f.joined, false
		}
		if !lost {
			f.add(data, at)
		}
		from, lost = to, false
	}
	if from == to || lost {
		return
	}
	if !f.open {
		f.partial = f.partial[:0]
	}
	f.partial, f.open = append(f.partial, p.body[from:to]...), true
	if len(f.partial) > pageMax {
		f.damaged(at, 0, NoPacket)
		f.open = false
	}
}

// add takes a packet that the page ends. Its place follows when all of them are known.
func (f *Reader) add(data []byte, at int64) {
	samples, ok := opus.Duration(data)
	if !ok {
		f.damaged(at, 0, NoPacket)
		return
	}
	f.packets[f.n] = Packet{Data: data, Samples: samples}
	f.n++
	f.whole++
}

// place gives the page's packets their places (RFC 7845 §4). A page's granule is the end of its last packet; so the first
// packet's place is known from the page before, or where that is missing by counting back. It
// returns the first packet's place.
func (f *Reader) place(p *page, at int64) (first int64) {
	var sum int64
	for i := range f.n {
		sum += int64(f.packets[i].Samples)
	}
	last := p.flags&ends != 0
	if f.n == 0 {
		if p.granule != noGranule && f.placed && p.granule != f.granule {
			f.damaged(at, 0, WrongPlace)
		}
		return 0
	}
	end := p.granule
	if end < 0 || end > granulesMax {
		f.damaged(at, 0, WrongPlace)
		end = f.granule + sum
	}
	if last && !f.placed && f.good.Packets == 0 && end < int64(f.head.PreSkip) {
		f.damaged(at, 0, WrongPlace) // more is to be skipped than there is (§4.5)
	}
	start := end - sum
	trimmed := last && start < f.granule && end >= f.granule
	switch {
	case trimmed:
		start = f.granule
	case start < f.granule || f.placed && start != f.granule:
		f.damaged(at, 0, WrongPlace)
		start = max(start, 0)
	}
	f.granule, f.placed = end, true
	for i := range f.n {
		k := &f.packets[i]
		k.At = start
		start += int64(k.Samples)
		k.Granule = min(start, max(end, k.At))
	}
	return f.packets[0].At
}
