package cc

import (
	"math/rand/v2"
	"testing"

	"github.com/pion/rtcp"
)

type told struct {
	seq      uint16
	at       int64
	received bool
}

func tell(b []byte) ([]told, bool) {
	f, ok := ParseFeedback(b)
	if !ok {
		return nil, false
	}
	var all []told
	for {
		seq, at, got, ok := f.Next()
		if !ok {
			return all, true
		}
		all = append(all, told{seq, at, got})
	}
}

// oracle is the same by pion/rtcp.
func oracle(b []byte) ([]told, bool) {
	var f rtcp.TransportLayerCC
	if f.Unmarshal(b) != nil || f.PacketStatusCount == 0 {
		return nil, false
	}
	var all []told
	at := int64(f.ReferenceTime) * 64_000
	deltas := f.RecvDeltas
	add := func(symbol uint16) bool {
		if len(all) == int(f.PacketStatusCount) {
			return true
		}
		t := told{seq: f.BaseSequenceNumber + uint16(len(all)), received: symbol == 1 || symbol == 2}
		if t.received {
			if len(deltas) == 0 {
				return false
			}
			at += deltas[0].Delta
			deltas = deltas[1:]
		}
		t.at = at
		all = append(all, t)
		return symbol != 3
	}
	for _, c := range f.PacketChunks {
		switch c := c.(type) {
		case *rtcp.RunLengthChunk:
			for range c.RunLength {
				if !add(c.PacketStatusSymbol) {
					return nil, false
				}
			}
		case *rtcp.StatusVectorChunk:
			for _, s := range c.SymbolList {
				if !add(s) {
					return nil, false
				}
			}
		}
	}
	return all, len(all) == int(f.PacketStatusCount)
}

// feedbackOf writes any mix of chunks; the tail of the last one is beyond the count.
func feedbackOf(r *rand.Rand) []byte {
	f := rtcp.TransportLayerCC{
		Header:             rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback},
		BaseSequenceNumber: uint16(r.Uint32()), ReferenceTime: r.Uint32() & 0xffffff,
	}
	size := feedbackHeader
	delta := func(s uint16) {
		size += int(s)
		switch s {
		case 1:
			f.RecvDeltas = append(f.RecvDeltas, &rtcp.RecvDelta{Type: 1, Delta: 250 * int64(r.IntN(256))})
		case 2:
			f.RecvDeltas = append(f.RecvDeltas, &rtcp.RecvDelta{Type: 2, Delta: 250 * int64(r.IntN(65536)-32768)})
		}
	}
	for range 1 + r.IntN(6) {
		size += 2
		if r.IntN(2) == 0 {
			c := &rtcp.RunLengthChunk{PacketStatusSymbol: uint16(r.IntN(3)), RunLength: uint16(1 + r.IntN(20))}
			for range c.RunLength {
				delta(c.PacketStatusSymbol)
			}
			f.PacketStatusCount += c.RunLength
			f.PacketChunks = append(f.PacketChunks, c)
			continue
		}
		c := &rtcp.StatusVectorChunk{Type: 1, SymbolSize: uint16(r.IntN(2))}
		n := 14
		if c.SymbolSize == 1 {
			n = 7
		}
		for range n {
			s := uint16(r.IntN(2 + int(c.SymbolSize)))
			c.SymbolList = append(c.SymbolList, s)
			delta(s)
		}
		f.PacketStatusCount += uint16(n)
		f.PacketChunks = append(f.PacketChunks, c)
	}
	f.Header.Length = uint16(f.MarshalSize()/4 - 1)
	f.Header.Padding = f.MarshalSize() > size
	b, err := f.Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

func same(a, b []told) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].seq != b[i].seq || a[i].received != b[i].received || a[i].received && a[i].at != b[i].at {
			return false
		}
	}
	return true
}

func TestFeedbackSaysWhatPionReads(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	read := 0
	for range 3000 {
		b := feedbackOf(r)
		want, ok := oracle(b)
		if !ok { // pion refuses a message that ends with its chunks, without a delta
			continue
		}
		read++
		if got, ok := tell(b); !ok || !same(got, want) {
			t.Fatalf("%x:\n%v, %v, want\n%v", b, got, ok, want)
		}
	}
	if read < 2500 {
		t.Errorf("only %d messages were compared", read)
	}
}

func TestIncompleteFeedbackIsRefused(t *testing.T) {
	whole := feedbackMessage(7, []float64{64, -1, 70, 6400})
	if _, ok := ParseFeedback(whole); !ok {
		t.Fatal("the whole message is refused")
	}
	for n := range whole {
		if _, ok := ParseFeedback(whole[:n]); ok {
			t.Errorf("%d octets of %d are taken", n, len(whole))
		}
	}
	for name, change := range map[string]func(b []byte){
		"another format":        func(b []byte) { b[0] = 0x81 },
		"another type":          func(b []byte) { b[1] = 206 },
		"no packets":            func(b []byte) { b[15] = 0 },
		"more than the chunks":  func(b []byte) { b[14] = 0xff },
		"the reserved symbol":   func(b []byte) { b[20] |= 0x30 },
		"a run of nothing":      func(b []byte) { b[20], b[21] = 0x20, 0 },
		"more deltas than here": func(b []byte) { b[20], b[21], b[15] = 0x40, 60, 60 },
	} {
		b := append([]byte(nil), whole...)
		change(b)
		if _, ok := ParseFeedback(b); ok {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzFeedback(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 8 {
		f.Add(feedbackOf(r))
	}
	f.Add(feedbackMessage(65530, []float64{1, 2, -1, -1, 500, 9000, 3, -1, 4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := tell(b)
		if !ok {
			return
		}
		if len(got) == 0 || len(got) > 65535 {
			t.Fatalf("%d packets", len(got))
		}
		for i := range got {
			if got[i].seq != got[0].seq+uint16(i) {
				t.Fatal("numbers do not follow each other")
			}
		}
		size := 4 * (int(b[2])<<8 + int(b[3]) + 1)
		// pion reads what is behind the message, and a delta for each symbol behind the count: it is asked only where
		// both would read the same.
		if want, ok := oracle(b[:size]); ok && !same(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

// However many packets a message tells of, no more of it is read than we may have sent, and that is told as ever.
func TestOfALongMessageTheEndIsRead(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		at := make([]float64, 1+r.IntN(900))
		ms := 1000.0
		for i := range at {
			if at[i] = -1; r.IntN(3) > 0 {
				ms += 20
				at[i] = ms
			}
		}
		b := feedbackMessage(uint16(r.Uint32()), at)
		all, ok := tell(b)
		f, _ := ParseFeedback(b)
		f.skip(sentMax)
		for _, want := range all[max(0, len(all)-sentMax):] {
			if seq, at, got, more := f.Next(); !ok || !more || seq != want.seq || at != want.at || got != want.received {
				t.Fatalf("%d told of: got %d %d %v, want %+v", len(all), seq, at, got, want)
			}
		}
	}
}

func TestAMessageOfNothingButLossIsLittleWork(t *testing.T) {
	lost := make([]byte, 20, 40)
	lost[0], lost[1], lost[3], lost[14], lost[15] = 0x80|15, 205, 9, 0xff, 0xff // of 65,535 packets
	for range 10 {
		lost = append(lost, 0x1f, 0xff) // 8,191 of which were not received
	}
	f, ok := ParseFeedback(lost)
	if !ok {
		t.Fatal("refused")
	}
	f.skip(sentMax)
	n := 0
	for _, _, _, more := f.Next(); more; _, _, _, more = f.Next() {
		n++
	}
	if n != sentMax {
		t.Errorf("%d numbers were read", n)
	}
	chunks := append(lost[:20:20], make([]byte, 1200)...)
	chunks[2], chunks[3] = byte((len(chunks)/4-1)>>8), byte(len(chunks)/4-1)
	for i := 20; i < len(chunks); i += 2 {
		chunks[i] = 0x80 // 14 that were not received
	}
	if _, ok := ParseFeedback(chunks); ok {
		t.Error("a message of a thousand chunks is believed")
	}
}
