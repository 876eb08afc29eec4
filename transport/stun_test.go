package transport

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun"
)

// wire is a Conn that keeps what is written to it.
type wire struct {
	Conn
	sent [][]byte
	to   []netip.AddrPort
	mute bool
}

func (w *wire) WriteTo(b []byte, to netip.AddrPort) error {
	if !w.mute {
		w.sent, w.to = append(w.sent, bytes.Clone(b)), append(w.to, to)
	}
	return nil
}

const (
	keptUfrag, keptPwd   = "ours", "our password, that is long"
	guestUfrag, guestPwd = "theirs", "their password"
)

var (
	keptAt  = netip.MustParseAddrPort("10.0.0.2:5000")
	keptAt6 = netip.MustParseAddrPort("[2001:db8::2]:5000")
)

// keptSession is a session in the hands of keeper.go, whose path is keptAt.
func keptSession() (*Endpoint, *Session, *wire) {
	w := new(wire)
	e := &Endpoint{
		conn: w, has4: true, has6: true, integrity: newIntegrity(),
		byUfrag: map[string]*Session{}, byAddr: map[netip.AddrPort]*Session{}, checks: map[[12]byte]check{},
	}
	s := &Session{endpoint: e, chosen: make(chan struct{}), kept: true}
	s.credentials = credentials{keptUfrag, keptPwd, guestUfrag, guestPwd}
	e.byUfrag[keptUfrag] = s
	s.trust(keptAt)
	s.addrs[0].verified = true
	s.setPath(keptAt)
	return e, s, w
}

// signed is a Binding request of some attributes, MESSAGE-INTEGRITY under a password and, maybe, FINGERPRINT.
func signed(attrs []byte, pwd string, fingerprint bool) []byte {
	b := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, attrs...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(attrs)+24))
	mac := hmac.New(sha1.New, []byte(pwd))
	mac.Write(b)
	b = mac.Sum(append(b, 0, 8, 0, 20))
	if fingerprint {
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)+8-20))
		crc := stun.FingerprintValue(b)
		b = binary.BigEndian.AppendUint32(append(b, 0x80, 0x28, 0, 4), crc)
	}
	return b
}

func TestPasswordsOfEachLengthSign(t *testing.T) {
	for _, n := range []int{1, 22, 63, 64, 65, 256} {
		pwd := string(bytes.Repeat([]byte{'x'}, n))
		m, ok := parseSTUN(signed(nil, pwd, true))
		if !ok || !newIntegrity().holds(&m, pwd) || newIntegrity().holds(&m, pwd[1:]) {
			t.Errorf("%d characters: parsed %v", n, ok)
		}
	}
}

// consentCheck is what a browser sends every few seconds.
func consentCheck() []byte {
	return signed(append([]byte{0, 6, 0, 11}, append([]byte("ours:theirs"), 0)...), keptPwd, true)
}

func BenchmarkConsentCheck(b *testing.B) {
	e, _, w := keptSession()
	w.mute = true
	d, now := Datagram{consentCheck(), keptAt}, time.Now()
	b.ReportAllocs()
	for b.Loop() {
		e.take(KindSTUN, &d, nil, now)
	}
}

func TestAConsentCheckAllocatesNothing(t *testing.T) {
	e, s, w := keptSession()
	d := Datagram{consentCheck(), keptAt}
	now := time.Now()
	if drop := e.take(KindSTUN, &d, nil, now); drop != DropNone || len(w.sent) != 1 {
		t.Fatalf("dropped as %s, %d answers", drop, len(w.sent))
	}
	if s.LastSeen().UnixNano() != now.UnixNano() {
		t.Error("not seen")
	}
	w.mute = true
	if n := testing.AllocsPerRun(100, func() { e.take(KindSTUN, &d, nil, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzKeeper holds the keeper against pion/stun: it answers what that takes for a check of the peer's, and nothing else,
// and pion/stun takes its answers. A fuzzer cannot sign, so this signs what it makes, if it wants.
func FuzzKeeper(f *testing.F) {
	name := append([]byte{0, 6, 0, 11}, append([]byte("ours:theirs"), 0)...)
	f.Add(name, true, true, false)
	f.Add(append(name, 0, 0x25, 0, 0), true, true, true)
	f.Add(append(name, 0x80, 0x29, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8), true, false, false)
	f.Add(append(name, 0x80, 0x28, 0, 4, 1, 2, 3, 4), true, false, false)
	f.Add(append(name, make([]byte, 4)...), true, true, false)
	f.Add(signed(name, keptPwd, true), false, false, false)
	f.Add(signed(name, guestPwd, true), false, false, true)
	f.Add(overlong(), false, false, true)
	f.Fuzz(func(t *testing.T, b []byte, sign, fingerprint, elsewhere bool) {
		if sign && len(b) < 1000 {
			b = signed(b, keptPwd, fingerprint)
		}
		if Classify(b) != KindSTUN || stunType(b) != stunBindingRequest {
			return
		}
		e, s, w := keptSession()
		d := Datagram{bytes.Clone(b), keptAt}
		if elsewhere {
			d.From = keptAt6
		}
		drop := e.take(KindSTUN, &d, nil, time.Now())
		if !bytes.Equal(d.Data, b) {
			t.Fatal("the datagram is changed")
		}
		if answered := len(w.sent) > 0; answered != (drop == DropNone) {
			t.Fatalf("%d datagrams, dropped as %s", len(w.sent), drop)
		}
		strictly, loosely := pionTakes(b)
		switch {
		case drop != DropNone && strictly:
			t.Fatalf("not answered, but dropped as %s", drop)
		case drop == DropNone && !loosely:
			t.Fatal("answered, and pion/stun would not")
		case drop == DropNone:
			wantAnswer(t, w, b, d.From)
		}
		if s.Path() != keptAt {
			t.Fatal("one request has moved the path")
		}
	})
}

// pionTakes tells whether pion/stun finds a request well-formed and signed; loosely, or such that nobody can mean
// anything else by it.
func pionTakes(b []byte) (strictly, loosely bool) {
	m := &stun.Message{Raw: bytes.Clone(b)}
	if m.Decode() != nil {
		return false, false
	}
	name, err := m.Get(stun.AttrUsername)
	if err != nil || string(name) != keptUfrag+":"+guestUfrag || stun.NewShortTermIntegrity(keptPwd).Check(m) != nil {
		return false, false
	}
	if m.Contains(stun.AttrFingerprint) && stun.Fingerprint.Check(m) != nil {
		return false, false
	}
	strictly = 20+int(m.Length) == len(b) && m.Length%4 == 0
	signed := false
	for i, a := range m.Attributes {
		switch a.Type {
		case stun.AttrFingerprint:
			strictly = strictly && i == len(m.Attributes)-1
		case stun.AttrMessageIntegrity:
			signed = true
		case stun.AttrUsername:
			strictly = strictly && !signed
		}
	}
	return strictly, true
}

// wantAnswer wants the first datagram to be an answer to a request, and all others checks, by pion/stun's reading.
func wantAnswer(t *testing.T, w *wire, request []byte, from netip.AddrPort) {
	t.Helper()
	for i, b := range w.sent {
		m := &stun.Message{Raw: b}
		if err := m.Decode(); err != nil || w.to[i] != from || 20+int(m.Length) != len(b) {
			t.Fatalf("datagram %d to %s: %v", i, w.to[i], err)
		}
		pwd := keptPwd
		if i > 0 {
			pwd = guestPwd
		}
		if err := stun.NewShortTermIntegrity(pwd).Check(m); err != nil {
			t.Fatal(err)
		}
		if err := stun.Fingerprint.Check(m); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if m.Type != stun.BindingRequest {
				t.Fatalf("a second %s", m.Type)
			}
			continue
		}
		if !bytes.Equal(b[4:20], request[4:20]) {
			t.Fatal("an answer to another request")
		}
		var mapped stun.XORMappedAddress
		var why stun.ErrorCodeAttribute
		switch m.Type {
		case stun.BindingSuccess:
			if err := mapped.GetFrom(m); err != nil || mapped.String() != from.String() {
				t.Fatalf("mapped %s: %v", mapped, err)
			}
		case stun.BindingError:
			if err := why.GetFrom(m); err != nil || why.Code != stun.CodeRoleConflict {
				t.Fatalf("%v, %v", why, err)
			}
		default:
			t.Fatalf("answered with %s", m.Type)
		}
	}
}
