package red

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func block(offset uint32, payload string) Block {
	return Block{PayloadType: 111, Offset: offset, Payload: []byte(payload)}
}

func TestWhatIsPackedComesOutAgain(t *testing.T) {
	long := strings.Repeat("x", LengthMax)
	for _, blocks := range [][]Block{
		nil,
		{block(960, "one")},
		{block(1920, "two"), block(960, "one")},
		{block(OffsetMax, long), block(1, "y")},
		{block(2880, ""), block(960, "z")},
	} {
		b := Append([]byte("before"), blocks, 111, []byte("primary"))
		b = b[len("before"):]
		if len(b) != Size(blocks, []byte("primary")) {
			t.Errorf("%d octets, Size says %d", len(b), Size(blocks, []byte("primary")))
		}
		var p Packet
		if !p.Parse(b) {
			t.Fatalf("refused: %x", b)
		}
		if Depth(b) != len(blocks) {
			t.Errorf("Depth is %d, want %d", Depth(b), len(blocks))
		}
		if p.PayloadType != 111 || string(p.Primary) != "primary" || len(p.Redundant) != len(blocks) {
			t.Fatalf("came out as %+v", p)
		}
		for i, got := range p.Redundant {
			if got.PayloadType != 111 || got.Offset != blocks[i].Offset || !bytes.Equal(got.Payload, blocks[i].Payload) {
				t.Errorf("block %d is %+v, want %+v", i, got, blocks[i])
			}
		}
	}
}

// The octets of a packet as RFC 2198 §5 draws it: type 5, offset 1000, two octets; then type 0 with the rest.
func TestTheDrawingOfTheRFC(t *testing.T) {
	want := []byte{0x85, 1000 >> 6, 1000 << 2 & 0xff, 2, 0x00, 'a', 'b', 'c', 'd', 'e'}
	got := Append(nil, []Block{{PayloadType: 5, Offset: 1000, Payload: []byte("ab")}}, 0, []byte("cde"))
	if !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestWhatIsCutOffIsRefused(t *testing.T) {
	whole := Append(nil, []Block{block(1920, "two"), block(960, "one")}, 111, []byte("p"))
	var p Packet
	for n := range whole {
		if p.Parse(whole[:n]) {
			t.Errorf("%d of %d octets are taken as %+v", n, len(whole), p)
		}
	}
	var many []Block
	for range DepthMax + 1 {
		many = append(many, block(960, "x"))
	}
	if p.Parse(Append(nil, many, 111, []byte("p"))) {
		t.Errorf("%d redundant blocks are taken", len(many))
	}
	if !p.Parse(Append(nil, many[1:], 111, []byte("p"))) {
		t.Errorf("%d redundant blocks are refused", len(many)-1)
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		b    Block
		want bool
	}{
		{block(960, "x"), true},
		{block(0, "x"), false},
		{block(OffsetMax+1, "x"), false},
		{block(960, ""), false},
		{block(960, strings.Repeat("x", LengthMax+1)), false},
		{block(OffsetMax, strings.Repeat("x", LengthMax)), true},
	} {
		if got := c.b.Fits(); got != c.want {
			t.Errorf("offset %d, %d octets: %v", c.b.Offset, len(c.b.Payload), got)
		}
	}
}

func TestRetypeChangesTypesAlone(t *testing.T) {
	blocks := []Block{block(1920, "two"), block(960, "one")}
	b := Append(nil, blocks, 111, []byte("\x80p"))
	Retype(b, 96)
	for i := range blocks {
		blocks[i].PayloadType = 96
	}
	if want := Append(nil, blocks, 96, []byte("\x80p")); !bytes.Equal(b, want) {
		t.Errorf("%x, want %x", b, want)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var p Packet
	dst := make([]byte, 0, 1200)
	blocks := []Block{block(1920, "two"), block(960, "one")}
	if n := testing.AllocsPerRun(100, func() {
		b := Append(dst[:0], blocks, 111, blocks[0].Payload)
		if !p.Parse(b) {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{111, 1})
	f.Add(Append(nil, []Block{block(1920, "two"), block(960, "one")}, 111, []byte("primary")))
	f.Add(bytes.Repeat([]byte{0xef}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		was := bytes.Clone(b)
		var p Packet
		if !p.Parse(b) {
			return
		}
		if len(p.Primary) == 0 || len(p.Redundant) > DepthMax {
			t.Fatalf("%+v", p)
		}
		if again := Append(nil, p.Redundant, p.PayloadType, p.Primary); !bytes.Equal(again, b) {
			t.Fatalf("%x came out as %x", b, again)
		}
		if !bytes.Equal(b, was) {
			t.Fatal("Parse has written")
		}
		var q Packet
		Retype(b, p.PayloadType)
		if !q.Parse(b) || !reflect.DeepEqual(q.Primary, p.Primary) {
			t.Fatal("Retype has changed more than types")
		}
	})
}
