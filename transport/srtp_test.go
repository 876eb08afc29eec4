package transport

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"
)

var profiles = map[string]srtp.ProtectionProfile{
	"GCM": srtp.ProtectionProfileAeadAes128Gcm,
	"CM":  srtp.ProtectionProfileAes128CmHmacSha1_80,
}

// eachProfile runs a test under both profiles.
func eachProfile(t *testing.T, f func(t *testing.T, k keys)) {
	for name, p := range profiles {
		t.Run(name, func(t *testing.T) { f(t, testKeys(p)) })
	}
}

// testKeys are the same at each run. The two directions differ.
func testKeys(p srtp.ProtectionProfile) keys {
	saltLen := must(p.SaltLen())
	fill := func(n int, first byte) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = first + byte(i)
		}
		return b
	}
	return keys{p, fill(16, 1), fill(saltLen, 50), fill(16, 100), fill(saltLen, 150)}
}

// farSide is srtp/v2 as the peer has it: sealing what we open, opening what we seal.
func (k keys) farSide(t testing.TB) (seals, opens *srtp.Context) {
	t.Helper()
	return must(srtp.CreateContext(k.remoteKey, k.remoteSalt, k.profile)), must(srtp.CreateContext(k.localKey, k.localSalt, k.profile))
}

// randomHeader has CSRCs and header extensions of either form, or none.
func randomHeader(r *rand.Rand, ssrc uint32, seq uint16) *rtp.Header {
	h := &rtp.Header{
		Version: 2, PayloadType: uint8(r.IntN(128)), Marker: r.IntN(2) == 0,
		SequenceNumber: seq, Timestamp: r.Uint32(), SSRC: ssrc,
	}
	for range r.IntN(4) * r.IntN(5) {
		h.CSRC = append(h.CSRC, r.Uint32())
	}
	longest := []int{0, 16, 100}[r.IntN(3)] // none, RFC 8285 §4.2's one-octet form, §4.3's
	if longest > 0 {
		h.Extension, h.ExtensionProfile = true, 0xBEDE
	}
	if longest > 16 {
		h.ExtensionProfile = 0x1000
	}
	for id := uint8(1); id < 5 && longest > 0; id++ {
		value := make([]byte, 1+r.IntN(longest))
		for i := range value {
			value[i] = byte(r.Uint32())
		}
		if err := h.SetExtension(id, value); err != nil {
			panic(err)
		}
	}
	return h
}

func randomPayload(r *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestSealedPacketsAreThoseOfSRTP runs both sealers along the same packets, three roll-overs of the sequence
// number, where numbers are also skipped.
func TestSealedPacketsAreThoseOfSRTP(t *testing.T) {
	eachProfile(t, func(t *testing.T, k keys) {
		r := rand.New(rand.NewPCG(1, 2))
		ours := sealer(k)
		theirs := must(srtp.CreateContext(k.localKey, k.localSalt, k.profile))
		_, far := k.farSide(t)
		var slot, want, plain [4 * DatagramSize]byte
		var parsed rtp.Header
		seq64 := uint64(65000)
		for i := range 40_000 {
			seq64 += 1 + uint64(r.IntN(10))
			header := must(randomHeader(r, 7, uint16(seq64)).Marshal())
			payload := randomPayload(r, r.IntN(1400+1))
			if i%8 != 0 {
				payload = payload[:min(len(payload), 120)] // mostly voice
			}
			plaintext := append(append(plain[:0], header...), payload...)
			expected, err := theirs.EncryptRTP(want[:], plaintext, &parsed)
			if err != nil {
				t.Fatal(err)
			}
			n := ours.SealRTP(slot[:], copy(slot[:], header), payload, seq64)
			if len(plaintext)+SealOverhead <= DatagramSize && !bytes.Equal(slot[:n], expected) {
				t.Fatalf("packet %d, number %d: %d octets differ from srtp/v2's %d", i, seq64, n, len(expected))
			}
			if opened, err := far.DecryptRTP(nil, expected, nil); err != nil || !bytes.Equal(opened, plaintext) {
				t.Fatalf("packet %d: the peer gets %d octets, %v", i, len(opened), err)
			}
		}
		if seq64>>16 < 3 {
			t.Fatalf("ended at %d: too few roll-overs", seq64)
		}
	})
}

// TestSealedPacketsOfSeveralSourcesOpen is what forwarding does under GCM: many SSRCs through one sealer, each with
// a number of its own.
func TestSealedPacketsOfSeveralSourcesOpen(t *testing.T) {
	eachProfile(t, func(t *testing.T, k keys) {
		r := rand.New(rand.NewPCG(3, 4))
		ours := sealer(k)
		_, far := k.farSide(t)
		next := map[uint32]uint64{1: 65_500, 2: 3, 0xFFFFFFFF: 30_000}
		slot := make([]byte, DatagramSize)
		for range 5_000 {
			ssrc := []uint32{1, 2, 0xFFFFFFFF}[r.IntN(3)]
			next[ssrc]++
			header := must(randomHeader(r, ssrc, uint16(next[ssrc])).Marshal())
			payload := randomPayload(r, r.IntN(400))
			n := ours.SealRTP(slot, copy(slot, header), payload, next[ssrc])
			opened, err := far.DecryptRTP(nil, slot[:n], nil)
			if err != nil || !bytes.Equal(opened, append(header, payload...)) {
				t.Fatalf("SSRC %d, number %d: %v", ssrc, next[ssrc], err)
			}
		}
	})
}

func TestSealingNeverWritesBeyondTheSlot(t *testing.T) {
	eachProfile(t, func(t *testing.T, k keys) {
		e := sealer(k)
		r := rand.New(rand.NewPCG(5, 6))
		header := must((&rtp.Header{Version: 2, SSRC: 9}).Marshal())
		report := must(rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 9, Reports: make([]rtcp.ReceptionReport, 3)}}))
		for size := len(header); size < 200; size++ {
			room := bytes.Repeat([]byte{0xEE}, 400)
			slot := room[:size] // its capacity goes on
			payload := randomPayload(r, r.IntN(size))
			n := e.SealRTP(slot, copy(slot, header), payload, uint64(size))
			if fits := len(header)+len(payload)+SealOverhead <= size; fits != (n > 0) || n > size {
				t.Fatalf("%d octets of payload into %d: %d", len(payload), size, n)
			}
			if !all(room[size:], 0xEE) {
				t.Fatalf("RTP wrote behind a slot of %d octets", size)
			}
			n = e.SealRTCP(slot, report)
			if fits := len(report)+20 <= size; fits != (n > 0) || n > size {
				t.Fatalf("%d octets of RTCP into %d: %d", len(report), size, n)
			}
			if !all(room[size:], 0xEE) {
				t.Fatalf("RTCP wrote behind a slot of %d octets", size)
			}
		}
	})
}

func all(b []byte, c byte) bool { return len(bytes.Trim(b, string([]byte{c}))) == 0 }

func TestSealedReportsOpen(t *testing.T) {
	eachProfile(t, func(t *testing.T, k keys) {
		e := sealer(k)
		_, far := k.farSide(t)
		slot := make([]byte, DatagramSize)
		for i := range uint32(100) {
			plain := must(rtcp.Marshal([]rtcp.Packet{
				&rtcp.SenderReport{SSRC: 5, PacketCount: i},
				&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: 5, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "stentor"}}}}},
			}))
			n := e.SealRTCP(slot, plain)
			if opened, err := far.DecryptRTCP(nil, slot[:n], nil); err != nil || !bytes.Equal(opened, plain) {
				t.Fatalf("report %d: %v", i, err)
			}
		}
		if n := e.SealRTCP(slot, []byte{0x80}); n != 0 {
			t.Errorf("a stub is sealed to %d octets", n)
		}
	})
}

func TestSealingWithGCMAllocatesNothing(t *testing.T) {
	e := sealer(testKeys(srtp.ProtectionProfileAeadAes128Gcm))
	slot, payload := make([]byte, DatagramSize), make([]byte, 120)
	n := copy(slot, must((&rtp.Header{Version: 2, SSRC: 9, CSRC: []uint32{1}}).Marshal()))
	seq64 := uint64(0)
	if got := testing.AllocsPerRun(1000, func() {
		seq64++
		e.SealRTP(slot, n, payload, seq64)
	}); got != 0 {
		t.Errorf("%v allocations a packet", got)
	}
}

func TestGCMWantsKeysOfItsSize(t *testing.T) {
	if _, err := newGCMSealer(make([]byte, 16), make([]byte, 14)); err == nil {
		t.Error("a salt of 14 octets is taken")
	}
	if _, err := newGCMSealer(make([]byte, 32), make([]byte, 12)); err == nil {
		t.Error("a key of 32 octets is taken")
	}
}

// BenchmarkSealGCM seals a voice packet for one listener, ours against srtp/v2's.
func BenchmarkSealGCM(b *testing.B) {
	k := testKeys(srtp.ProtectionProfileAeadAes128Gcm)
	header := must((&rtp.Header{Version: 2, SSRC: 9, CSRC: []uint32{1}}).Marshal())
	payload := make([]byte, 120)
	slot := make([]byte, DatagramSize)
	b.Run("stentor", func(b *testing.B) {
		e := sealer(k)
		b.ReportAllocs()
		seq64 := uint64(0)
		for b.Loop() {
			seq64++
			n := copy(slot, header)
			binary.BigEndian.PutUint16(slot[2:], uint16(seq64))
			e.SealRTP(slot, n, payload, seq64)
		}
	})
	b.Run("srtp", func(b *testing.B) {
		c := must(srtp.CreateContext(k.localKey, k.localSalt, k.profile))
		plain := append(slices.Clone(header), payload...)
		var parsed rtp.Header
		b.ReportAllocs()
		seq := uint16(0)
		for b.Loop() {
			seq++
			binary.BigEndian.PutUint16(plain[2:], seq)
			if _, err := c.EncryptRTP(slot, plain, &parsed); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// sealer is our side's.
func sealer(k keys) *Egress { return must(NewEgress(k.profile, k.localKey, k.localSalt)) }
