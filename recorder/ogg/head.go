package ogg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"stentor/forward/opus"
)

// Head is what stands before the audio: the identification header and the comment header (RFC 7845 §5).
type Head struct {
	// Serial tells the streams of a file apart (RFC 3533 §6). A track is alone in its file, so any number does.
	Serial uint32

	// Channels is how many channels a decoder is to give out, 1 or 2; 0 is taken for 2. It binds no packet: each says in
	// its own TOC whether it is coded mono or stereo, may change from one to the next, and a decoder turns one into the
	// other (RFC 7845 §5.1.1.1, RFC 6716 §2.1.2). A browser may send stereo wherever Opus was negotiated, since the 2 of
	// "opus/48000/2" is no choice of anybody's (RFC 7587 §7.1). So 2 loses nothing whatever comes, and a mono packet in it
	// costs no octet more; 1 would have players fold a stereo speaker down.
	Channels int

	// PreSkip is how many samples at the beginning are to be decoded but not played (RFC 7845 §4.2), 0 to 65535. A file's
	// position 0 is the first sample played.
	PreSkip int

	// Comments are "NAME=value" each (RFC 7845 §5.2): NAME of printable ASCII without '=', the value in UTF-8. All of them
	// have to fit on one page, 60 KB.
	Comments []string

	// Vendor is who made the file. "stentor" where it is empty.
	Vendor string
}

// What makes a Head that cannot be written, or a file that does not begin with one.
var (
	ErrHead = errors.New("ogg: no Opus stream begins here")

	ErrChannels = errors.New("ogg: channels other than 1 and 2")
	ErrPreSkip  = errors.New("ogg: pre-skip beyond 0 to 65535")
	ErrComment  = errors.New("ogg: comment that is not NAME=value, or too many of them")
)

const (
	headMagic = "OpusHead"
	tagsMagic = "OpusTags"

	// headSize is an identification header's length with channel mapping family 0 (RFC 7845 §5.1).
	headSize = 19

	// commentsMax are the most octets of a comment header: it has to fit on a page with all its lacing values.
	commentsMax = 60 << 10
)

// check says what of h cannot be written, and puts the defaults in.
func (h *Head) check() error {
	if h.Channels == 0 {
		h.Channels = 2
	}
	if h.Vendor == "" {
		h.Vendor = "stentor"
	}
	if h.Channels < 1 || h.Channels > 2 {
		return ErrChannels
	}
	if h.PreSkip < 0 || h.PreSkip > 0xffff {
		return ErrPreSkip
	}
	size := len(tagsMagic) + 8 + len(h.Vendor)
	for _, c := range h.Comments {
		if !isComment(c) {
			return fmt.Errorf("%w: %q", ErrComment, c)
		}
		size += 4 + len(c)
	}
	if size > commentsMax {
		return ErrComment
	}
	return nil
}

// isComment tells whether c is a comment by the rules of Vorbis, which RFC 7845 §5.2 takes over.
func isComment(c string) bool {
	name, _, ok := strings.Cut(c, "=")
	notAllowed := func(r rune) bool { return r < 0x20 || r > 0x7d }
	return ok && name != "" && !strings.ContainsFunc(name, notAllowed) && utf8.ValidString(c)
}

// appendHead writes the identification header (RFC 7845 §5.1): no gain, channel mapping family 0.
func (h *Head) appendHead(b []byte) []byte {
	b = append(b, headMagic...)
	b = append(b, 1, byte(h.Channels))
	b = binary.LittleEndian.AppendUint16(b, uint16(h.PreSkip))
	b = binary.LittleEndian.AppendUint32(b, opus.SampleRate)
	return append(b, 0, 0, 0)
}

// appendTags writes the comment header (RFC 7845 §5.2).
func (h *Head) appendTags(b []byte) []byte {
	text := func(s string) {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	b = append(b, tagsMagic...)
	text(h.Vendor)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.Comments)))
	for _, c := range h.Comments {
		text(c)
	}
	return b
}

// parseHead reads an identification header. Versions 0 to 15 are compatible with 1; what lies behind the known fields is
// for later ones (RFC 7845 §5.1). A channel mapping family other than 0 is for surround sound, which we don't read.
func (h *Head) parseHead(b []byte) bool {
	if len(b) < headSize || string(b[:8]) != headMagic || b[8]&0xf0 != 0 || b[18] != 0 {
		return false
	}
	h.Channels = int(b[9])
	h.PreSkip = int(binary.LittleEndian.Uint16(b[10:]))
	return h.Channels == 1 || h.Channels == 2
}

// parseTags reads a comment header. Each length is held against what is there before anything is made of it; what lies
// behind the last comment is padding (RFC 7845 §5.2).
func (h *Head) parseTags(b []byte) bool {
	if len(b) < 8 || string(b[:8]) != tagsMagic {
		return false
	}
	b = b[8:]
	ok := true
	number := func() (n uint32) {
		if ok = ok && len(b) >= 4; ok {
			n, b = binary.LittleEndian.Uint32(b), b[4:]
		}
		return n
	}
	text := func() (s string) {
		n := number()
		if ok = ok && uint64(n) <= uint64(len(b)); ok {
			s, b = string(b[:n]), b[n:]
		}
		return s
	}
	h.Vendor, h.Comments = text(), nil
	for n := number(); ok && n > 0; n-- {
		if c := text(); ok {
			h.Comments = append(h.Comments, c)
		}
	}
	h.Comments = slices.Clip(h.Comments)
	return ok
}
