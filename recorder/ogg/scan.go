package ogg

import (
	"errors"
	"fmt"
	"io"
)

// Scanned is what a file was found to hold.
type Scanned struct {
	State            // up to the first damage: what the file is worth when it is cut off at GoodBytes
	Damage  []Damage // the first thousand places of it
	Damages int64    // all of them
	Beyond  int64    // packets that are whole and stand behind damage
}

// Scan reads a file from beginning to end. A file is whole if it has no Damage and EOS; a torn one is repaired by cutting
// it off at GoodBytes, and finished by Resume and Close. ErrHead is a file without a whole header, which holds nothing.
// Other errors are r's.
func Scan(r io.ReaderAt, size int64) (Scanned, error) {
	f, err := NewReader(io.NewSectionReader(r, 0, size))
	if err != nil {
		return Scanned{}, err
	}
	var all int64
	for {
		if _, err = f.Next(); err != nil {
			break
		}
		all++
	}
	if !errors.Is(err, io.EOF) {
		return Scanned{}, fmt.Errorf("read at %d: %w", f.pages.offset, err)
	}
	for i := range f.damage {
		if d := &f.damage[i]; d.Why == BehindEnd {
			d.Bytes = size - d.Offset
		}
	}
	return Scanned{f.good, f.Damage(), f.damageAll, all - f.good.Packets}, nil
}

// Check tells how many samples a whole file plays, pre-skip and trimmed end left out. ErrDamaged says what is wrong with
// one that is not whole or has no end; ErrHead and r's errors are Scan's.
func Check(r io.ReaderAt, size int64) (played int64, err error) {
	s, err := Scan(r, size)
	switch {
	case err != nil:
		return 0, err
	case s.Damages > 0:
		return s.Played(), fmt.Errorf("%w: %s at octet %d, %d places in all", ErrDamaged, s.Damage[0].Why, s.Damage[0].Offset, s.Damages)
	case !s.EOS:
		return s.Played(), fmt.Errorf("%w: it has no end", ErrDamaged)
	}
	return s.Played(), nil
}
