package align

import (
	"encoding/binary"
	"testing"
)

var fuzzPayloads = [][]byte{
	{hybrid, 1, 2, 3}, {hybrid}, {11 << 3, 1, 2, 3}, {28 << 3, 1, 2, 3}, {31<<3 | 4, 1, 2, 3}, {0xfb, 6, 1, 1, 1, 1, 1, 1},
	{14 << 3, 9, 9}, {0xff}, nil, {3, 3, 1, 1},
}

var fuzzSamples = []int{960, 960, 2880, 120, 960, 5760, 480, 960, 960, 1440}

// FuzzTrack holds what is true of every track, whatever a source says and however time goes: contiguous Opus packets of
// their duration, never far ahead of arrival, and no more of them than time and packets ask for.
func FuzzTrack(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 0, 0, 1, 0, 0, 3, 20, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		track, r := New(0), &ribbon{}
		p := Packet{Restart: true}
		now := int64(0)
		for range 500 {
			if len(ops) < 6 {
				break
			}
			op, kind := ops[0], int(ops[1])%len(fuzzPayloads)
			arg := int64(int16(binary.LittleEndian.Uint16(ops[2:])))
			late := int64(binary.LittleEndian.Uint16(ops[4:]))
			ops = ops[6:]
			now += late << (op & 3 * 2)
			before, pieces := r.end, r.pieces
			if op&0xc == 0xc {
				track.Advance(now, r.emit)
			} else {
				p.Seq += uint64(1 + int64(op>>7)*arg)
				p.TS += uint64(p.Samples)
				if op&0x10 != 0 {
					p.TS += uint64(arg << (op >> 2 & 3 * 20))
				}
				p.At, p.Payload, p.Samples = now, fuzzPayloads[kind], fuzzSamples[kind]
				p.Level, p.Restart = uint8(late), op&0x60 == 0x60
				track.Put(&p, r.emit)
			}
			if r.broken != "" || track.End() != r.end {
				t.Fatal(r.broken)
			}
			if r.end > before && r.end > now+Ahead {
				t.Fatalf("%d samples ahead of arrival", r.end-now)
			}
			if n := r.pieces - pieces; n > int(r.end-before)/5760+24*heldMax {
				t.Fatalf("%d pieces for %d samples", n, r.end-before)
			}
		}
		track.Close(now, r.emit)
		if r.broken != "" || r.end < now {
			t.Fatalf("%s, ends at %d of %d", r.broken, r.end, now)
		}
	})
}
