package cc

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pion/rtcp"
)

func askedFor(b []byte) (ssrc uint32, seqs []uint16, ok bool) {
	n, ok := ParseNack(b)
	if !ok {
		return 0, nil, false
	}
	for {
		seq, ok := n.Next()
		if !ok {
			return n.Media, seqs, true
		}
		seqs = append(seqs, seq)
	}
}

// nackOf writes any pairs.
func nackOf(r *rand.Rand) []byte {
	n := rtcp.TransportLayerNack{SenderSSRC: r.Uint32(), MediaSSRC: r.Uint32()}
	for range 1 + r.IntN(5) {
		n.Nacks = append(n.Nacks, rtcp.NackPair{PacketID: uint16(r.Uint32()), LostPackets: rtcp.PacketBitmap(r.Uint32() & r.Uint32())})
	}
	b, err := n.Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

func TestNacksSayWhatPionReads(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		b := nackOf(r)
		var want rtcp.TransportLayerNack
		if err := want.Unmarshal(b); err != nil {
			t.Fatal(err)
		}
		var seqs []uint16
		for i := range want.Nacks {
			seqs = append(seqs, want.Nacks[i].PacketList()...)
		}
		if ssrc, got, ok := askedFor(b); !ok || !IsNack(b) || ssrc != want.MediaSSRC || !slices.Equal(got, seqs) {
			t.Fatalf("%x: %v, want %v", b, got, seqs)
		}
	}
}

// Of a message that asks for too much the newest numbers are left, and each is counted once.
func TestALongNackIsShortened(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		n := rtcp.TransportLayerNack{}
		for range 1 + r.IntN(250) {
			n.Nacks = append(n.Nacks, rtcp.NackPair{PacketID: uint16(r.Uint32()), LostPackets: rtcp.PacketBitmap(r.Uint32() & r.Uint32())})
		}
		b, err := n.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		_, all, _ := askedFor(b)
		nack, _ := ParseNack(b)
		for range r.IntN(3) * r.IntN(len(all)+1) / 2 { // some are read already
			nack.Next()
		}
		rest := nack
		var want []uint16
		for seq, ok := rest.Next(); ok; seq, ok = rest.Next() {
			want = append(want, seq)
		}
		if nack.Count() != len(want) {
			t.Fatalf("%d numbers are counted, there are %d", nack.Count(), len(want))
		}
		left := nack.Shorten()
		var got []uint16
		for seq, ok := nack.Next(); ok; seq, ok = nack.Next() {
			got = append(got, seq)
		}
		if left != max(0, len(want)-historySize) || !slices.Equal(got, want[left:]) {
			t.Fatalf("of %d numbers %d are left out and %d left", len(want), left, len(got))
		}
	}
}

func TestIncompleteNacksAreRefused(t *testing.T) {
	whole := nackOf(rand.New(rand.NewPCG(1, 2)))
	for n := range whole {
		if _, _, ok := askedFor(whole[:n]); ok {
			t.Errorf("%d octets of %d are taken", n, len(whole))
		}
	}
	for name, change := range map[string]func(b []byte){
		"another format":      func(b []byte) { b[0] = 0x82 },
		"another type":        func(b []byte) { b[1] = 206 },
		"no pairs":            func(b []byte) { binary.BigEndian.PutUint16(b[2:], 2) },
		"all of it padding":   func(b []byte) { b[0] |= 0x20; b[len(b)-1] = byte(len(b) - 12) },
		"padding of nothing":  func(b []byte) { b[0] |= 0x20; b[len(b)-1] = 0 },
		"padding of 3 octets": func(b []byte) { b[0] |= 0x20; b[len(b)-1] = 3 },
	} {
		b := slices.Clone(whole)
		change(b)
		if _, _, ok := askedFor(b); ok {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestReportsHideWhatWasSentAgain(t *testing.T) {
	for _, c := range []struct {
		fraction        uint8
		nacked, packets uint64
		want            uint8
	}{{0, 10, 100, 25}, {128, 10, 100, 128}, {7, 0, 100, 7}, {7, 3, 0, 7}, {0, 900, 100, 255}} {
		if got := Missing(c.fraction, c.nacked, c.packets); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func FuzzNack(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 8 {
		f.Add(nackOf(r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ssrc, got, ok := askedFor(b)
		if !ok {
			return
		}
		size := 4 * (int(b[2])<<8 + int(b[3]) + 1)
		if len(got) == 0 || len(got) > 17*size/4 {
			t.Fatalf("%d numbers in %d octets", len(got), size)
		}
		var want rtcp.TransportLayerNack
		if b[0]&0x20 != 0 || want.Unmarshal(b[:size]) != nil { // pion takes padding for pairs
			return
		}
		var seqs []uint16
		for i := range want.Nacks {
			seqs = append(seqs, want.Nacks[i].PacketList()...)
		}
		if ssrc != want.MediaSSRC || !slices.Equal(got, seqs) {
			t.Fatalf("%v, want %v", got, seqs)
		}
	})
}
