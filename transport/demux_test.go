package transport

import (
	"bytes"
	"testing"

	"github.com/pion/stun"
)

// datagram is size octets that begin with head.
func datagram(size int, head ...byte) []byte {
	b := make([]byte, size)
	copy(b, head)
	return b
}

func TestClassifyByRFC7983And5761(t *testing.T) {
	cookie := []byte{0x21, 0x12, 0xA4, 0x42}
	stunHead := func(first byte) []byte { return append([]byte{first, 1, 0, 0}, cookie...) }
	for _, c := range []struct {
		name string
		in   []byte
		want Kind
	}{
		{"empty", nil, KindUnknown},
		{"an 11-octet stub", datagram(11, 0x80), KindUnknown},
		{"STUN", datagram(20, stunHead(0)...), KindSTUN},
		{"STUN's last first octet", datagram(20, stunHead(3)...), KindSTUN},
		{"STUN without a whole header", datagram(19, stunHead(0)...), KindUnknown},
		{"STUN without the cookie", datagram(20, 0, 1), KindUnknown},
		{"beyond STUN", datagram(20, stunHead(4)...), KindUnknown},
		{"ZRTP", datagram(20, 16), KindUnknown},
		{"before DTLS", datagram(20, 19), KindUnknown},
		{"DTLS change_cipher_spec", datagram(14, 20), KindDTLS},
		{"DTLS handshake", datagram(100, 22), KindDTLS},
		{"DTLS's last", datagram(13, 63), KindDTLS},
		{"TURN channel", datagram(100, 64), KindUnknown},
		{"TURN channel's last", datagram(100, 79), KindUnknown},
		{"before RTP", datagram(100, 127), KindUnknown},
		{"RTP", datagram(12, 0x80, 111), KindRTP},
		{"RTP with a marker", datagram(12, 0x80, 0x80|111), KindRTP},
		{"RTP with everything set", datagram(100, 0xBF, 96), KindRTP},
		{"RTP with a marker and the last type before RTCP", datagram(12, 0x80, 191), KindRTP},
		{"RTCP's first type", datagram(12, 0x80, 192), KindRTCP},
		{"sender report", datagram(28, 0x80, 200), KindRTCP},
		{"transport feedback", datagram(28, 0x8F, 205), KindRTCP},
		{"RTCP's last type", datagram(12, 0x80, 223), KindRTCP},
		{"RTP with a marker and the first type behind RTCP", datagram(12, 0x80, 224), KindRTP},
		{"beyond RTP", datagram(100, 192), KindUnknown},
		{"all ones", bytes.Repeat([]byte{255}, 100), KindUnknown},
	} {
		if got := Classify(c.in); got != c.want {
			t.Errorf("%s: kind %d, want %d", c.name, got, c.want)
		}
	}
}

// request is a Binding request with a USERNAME, as a browser's.
func request(t testing.TB, username string, more ...stun.Setter) []byte {
	t.Helper()
	setters := append([]stun.Setter{stun.BindingRequest, stun.TransactionID, stun.NewUsername(username)}, more...)
	m, err := stun.Build(append(setters, stun.NewShortTermIntegrity("password"), stun.Fingerprint)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

func TestTheUserFragmentOfARequestIsFound(t *testing.T) {
	software := stun.NewSoftware("three") // its padding must be skipped
	whole := request(t, "ours:theirs")
	success := bytes.Clone(whole)
	success[0], success[1] = 1, 1
	for _, c := range []struct {
		name, want string
		ok         bool
		in         []byte
	}{
		{"a browser's", "ours", true, whole},
		{"behind an attribute", "ours", true, must(stun.Build(stun.BindingRequest, stun.TransactionID, software, stun.NewUsername("ours:theirs"))).Raw},
		{"two colons", "a", true, request(t, "a:b:c")},
		{"nothing before the colon", "", true, request(t, ":theirs")},
		{"no colon", "", false, request(t, "ours")},
		{"no USERNAME", "", false, must(stun.Build(stun.BindingRequest, stun.TransactionID, software)).Raw},
		{"a success", "", false, success},
		{"cut off", "", false, whole[:len(whole)-1]},
		{"an attribute that is longer than the message", "", false, overlong()},
	} {
		got, ok := stunUfrag(c.in)
		if ok != c.ok || string(got) != c.want {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// FuzzClassify holds our reading of STUN against pion/stun's, wherever that finds a message well-formed.
func FuzzClassify(f *testing.F) {
	f.Add([]byte{})
	f.Add(request(f, "ours:theirs"))
	f.Add(request(f, "a:b", stun.NewSoftware("three"), stun.RawAttribute{Type: stun.AttrUseCandidate}))
	f.Add(overlong())
	f.Add(datagram(13, 22, 254, 253))
	f.Add(datagram(12, 0x80, 111))
	f.Add(datagram(28, 0x80, 200, 0, 6))
	f.Fuzz(func(t *testing.T, b []byte) {
		if Classify(b) != KindSTUN {
			return
		}
		kind, id := stunType(b), stunTransaction(b)
		ufrag, ok := stunUfrag(b)
		if m, ok := parseSTUN(b); ok {
			newIntegrity().holds(&m, "password")
		}
		m := &stun.Message{Raw: bytes.Clone(b)}
		if m.Decode() != nil || len(b)-20 < int(m.Length) || m.Length%4 != 0 {
			return
		}
		if m.TransactionID != id || m.Type.Value() != kind {
			t.Fatalf("type %#x and transaction %x, want %v", kind, id, m)
		}
		name, err := m.Get(stun.AttrUsername)
		want, _, found := bytes.Cut(name, []byte{':'})
		found = found && err == nil && kind == stunBindingRequest
		if ok != found || found && !bytes.Equal(ufrag, want) {
			t.Fatalf("user fragment %q, %v; want %q, %v", ufrag, ok, want, found)
		}
	})
}

// overlong is a request whose only attribute, a USERNAME, claims more octets than there are.
func overlong() []byte {
	b := datagram(24, 0, 1, 0, 4, 0x21, 0x12, 0xA4, 0x42)
	copy(b[20:], []byte{0, 6, 0, 9})
	return b
}
