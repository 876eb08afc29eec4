package client

import (
	"bytes"
	"slices"
	"testing"

	"stentor/forward/red"
)

func TestFramesAreSentAgainAsFarAsTheyFit(t *testing.T) {
	var u uplink
	u.init(2)
	a := &answer{red: true}
	frame := func(n, size int) *Frame {
		return &Frame{Payload: bytes.Repeat([]byte{byte(n)}, size), Timestamp: uint32(n) * 960}
	}
	for _, c := range []struct {
		n, size int
		want    []uint32 // offsets
	}{
		{1, 80, nil}, {2, 80, []uint32{960}}, {3, 80, []uint32{1920, 960}},
		{4, 1050, []uint32{1920, 960}[1:]}, // three are too long
		{5, 80, []uint32{1920}},            // the one before is too long for a block
		{6, 80, []uint32{960}},
		{30, 80, nil}, // too long ago
		{31, 80, []uint32{960}},
	} {
		f := frame(c.n, c.size)
		blocks := u.redundant(f, a)
		var got []uint32
		for _, b := range blocks {
			got = append(got, b.Offset)
		}
		if blocks == nil || !slices.Equal(got, c.want) {
			t.Errorf("frame %d goes with %v, want %v", c.n, got, c.want)
		}
		u.remember(f)
	}
	if u.redundant(frame(32, 80), &answer{}) != nil {
		t.Error("redundancy that the answer has not taken")
	}
}

func TestAFrameIsRecoveredOnceAndNotWhenItHasCome(t *testing.T) {
	var got []uint32
	c := &Client{cfg: Config{OnPacket: func(p Packet) {
		if p.Recovered {
			got = append(got, p.Timestamp)
		}
	}}}
	c.down.init()
	for _, n := range []uint32{1, 2, 4, 7, 8} { // 3, 5 and 6 are lost
		p := Packet{Seq: uint16(n), Timestamp: n * 960, Redundant: true, Payload: red.Append(nil, []red.Block{
			{PayloadType: 111, Offset: 1920, Payload: []byte("two")}, {PayloadType: 111, Offset: 960, Payload: []byte("one")},
		}, 111, []byte("frame"))}
		if !c.down.book(&p, false) || !c.unpack(&p) || string(p.Payload) != "frame" {
			t.Fatalf("packet %d: %+v", n, p)
		}
	}
	before := uint32(1<<32 - 960) // two packets before the first
	if want := []uint32{before, 0, 3 * 960, 5 * 960, 6 * 960}; !slices.Equal(got, want) {
		t.Errorf("recovered %d, want %d", got, want)
	}
	if s := c.down.stats()[0]; s.Recovered != 5 || s.Redundant != 5 || s.Lost != 3 {
		t.Errorf("counted %+v", s)
	}
}
