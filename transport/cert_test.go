package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"testing"
	"time"
)

func TestTheCertificateHasTheFingerprint(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	cert, sum, err := newCertificate(now)
	if err != nil {
		t.Fatal(err)
	}
	if len(cert.Certificate) != 1 || sha256.Sum256(cert.Certificate[0]) != sum {
		t.Error("the fingerprint is another's")
	}
	parsed, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	key, ok := parsed.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() || !key.Equal(cert.PrivateKey.(*ecdsa.PrivateKey).Public()) {
		t.Errorf("key %v", parsed.PublicKey)
	}
	if !parsed.NotBefore.Before(now) || !parsed.NotAfter.After(now.Add(certificateLife-time.Minute)) {
		t.Errorf("valid from %s to %s", parsed.NotBefore, parsed.NotAfter)
	}
	if _, other, err := newCertificate(now); err != nil || other == sum {
		t.Errorf("two certificates are the same: %v", err)
	}
}

func TestTheOffersFingerprintDecides(t *testing.T) {
	raw := [][]byte{[]byte("a certificate")}
	for hash, digest := range map[string]string{ // by sha256sum, sha384sum, sha512sum
		"sha-256": "81acd762140fa692a142822d2fbe4dc6f54bcaa501f68ab37e5aeed0bafe4d99",
		"sha-384": "36f6bfde68a9fb8e384dc0bedb500b9f1bc4b8999319a0b2fef6fe0145fcecc3bc46a21da2979665927189033a0ac456",
		"sha-512": "db819b5cbf393ade5b8d3dd23fb202a49a6acbd5a3102e79ee70c5b24d87ebcda146b1bbdc7f1380ba7b3b2c6616a98f91e2452035c9f75fb7748c9227d0189c",
	} {
		want, err := hex.DecodeString(digest)
		if err != nil {
			t.Fatal(err)
		}
		s := &Session{config: SessionConfig{FingerprintHash: hash, Fingerprint: want}}
		if err := s.verify(raw, nil); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
		want[7] ^= 1
		for _, bad := range []struct {
			digest []byte
			chain  [][]byte
		}{{want, raw}, {nil, raw}, {want[:8], raw}, {want, nil}} {
			s.config.Fingerprint = bad.digest
			if s.verify(bad.chain, nil) == nil {
				t.Errorf("%s: %x is taken", hash, bad.digest)
			}
		}
	}
	s := &Session{config: SessionConfig{FingerprintHash: "md5"}}
	if s.verify(raw, nil) == nil {
		t.Error("md5 is taken")
	}
}
