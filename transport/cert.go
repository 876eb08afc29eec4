package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// certificateLife is how long the self-made certificate is valid. Browsers compare its fingerprint and do not look
// at the dates (RFC 8827 §6.5), other clients may: a daemon that runs longer than ten years wants a restart.
const certificateLife = 10 * 365 * 24 * time.Hour

// newCertificate makes the ECDSA P-256 certificate of this run of the daemon, and its SHA-256 fingerprint.
func newCertificate(now time.Time) (tls.Certificate, [sha256.Size]byte, error) {
	fail := func(err error) (tls.Certificate, [sha256.Size]byte, error) {
		return tls.Certificate{}, [sha256.Size]byte{}, fmt.Errorf("make certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return fail(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "stentor"},
		NotBefore:    now.Add(-24 * time.Hour), // clients' clocks differ
		NotAfter:     now.Add(certificateLife),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fail(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, sha256.Sum256(der), nil
}
