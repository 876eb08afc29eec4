package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"
)

// certificate is a client's certificate and the fingerprint that the offer names (RFC 8122).
type certificate struct {
	tls         tls.Certificate
	fingerprint string
}

// processCertificate is made once: a key costs as much as a handshake, and nobody compares clients by it.
var processCertificate = sync.OnceValues(NewCertificate)

// certificateOf uses the given certificate, or the process's own for nil.
func certificateOf(given *tls.Certificate) (certificate, error) {
	if given == nil {
		own, err := processCertificate()
		if err != nil {
			return certificate{}, err
		}
		given = &own
	}
	if len(given.Certificate) == 0 {
		return certificate{}, errors.New("the certificate is empty")
	}
	return certificate{tls: *given, fingerprint: fingerprint(given.Certificate[0])}, nil
}

// NewCertificate makes a self-signed ECDSA P-256 certificate, as browsers do. It is valid from 1970 to 2100, since a
// test's virtual clock may show any time between.
func NewCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("generate the client's key: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "WebRTC"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign the client's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// fingerprint writes a certificate's digest as SDP does: "sha-256 AB:CD:…".
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	var b strings.Builder
	b.WriteString("sha-256 ")
	for i, octet := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", octet)
	}
	return b.String()
}
