package transport

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
)

// This file is what is left of DTLS when the handshake is done. Media goes by SRTP, so the association has three
// things left to do: to understand the peer's close_notify, to say ours, and to repeat its last flight to a peer that
// has missed it. All three fit into two keys and one datagram; pion/dtls would keep three goroutines and 31 KB for them.

// cipherSuites are those that an association can go on with. The first is the one that every WebRTC implementation
// has (RFC 8827 §6.5).
var cipherSuites = []dtls.CipherSuiteID{
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
}

const (
	recordHeader = 13 // RFC 6347 §4.1: type, version, epoch, sequence number, length
	gcmNonce     = 8  // the part of the nonce that a record carries (RFC 5288 §3)

	recordCipherSpec = 20 // content types, RFC 5246 §6.2.1 and §7
	recordAlert      = 21
	recordHandshake  = 22
	alertFatal       = 2
	alertClose       = 0

	// finaleInterval is the least time between two repetitions of the last flight. A client repeats its own, which asks for
	// it, after 1, 2, 4 s, browsers after 50 ms; somebody who has captured one could do so at any rate.
	finaleInterval = 40 * time.Millisecond
)

// association is a finished DTLS 1.2 association, in epoch 1 for ever.
type association struct {
	openKey, sealKey []byte
	openIV, sealIV   [4]byte
	next             uint64    // sequence number of our next record: none was used twice (RFC 9325 §7.2.1)
	finale           []byte    // our last flight, as it was sent
	repeated         time.Time // when the finale was last sent
	over             bool      // our close_notify is made
}

// exported are the fields of a dtls.State's binary form, which is a gob, that an association is made of.
type exported struct {
	LocalRandom, RemoteRandom [32]byte
	MasterSecret              []byte
	CipherSuiteID             uint16
}

// newAssociation derives the record keys of a server (RFC 5246 §6.3).
func newAssociation(state *dtls.State) (*association, error) {
	b, err := state.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("export the DTLS state: %w", err)
	}
	var x exported
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&x); err != nil {
		return nil, fmt.Errorf("read the DTLS state: %w", err)
	}
	var newHash func() hash.Hash
	var keySize int
	switch dtls.CipherSuiteID(x.CipherSuiteID) {
	case dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:
		newHash, keySize = sha256.New, 16
	case dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:
		newHash, keySize = sha512.New384, 32
	default:
		return nil, fmt.Errorf("cipher suite %#04x was not offered", x.CipherSuiteID)
	}
	k, err := prf.GenerateEncryptionKeys(x.MasterSecret, x.RemoteRandom[:], x.LocalRandom[:], 0, keySize, 4, newHash)
	if err != nil {
		return nil, fmt.Errorf("derive the record keys: %w", err)
	}
	a := &association{openKey: bytes.Clone(k.ClientWriteKey), sealKey: bytes.Clone(k.ServerWriteKey)}
	copy(a.openIV[:], k.ClientWriteIV)
	copy(a.sealIV[:], k.ServerWriteIV)
	return a, nil
}

// take reads a datagram of the peer's. It returns what to answer, if anything; and io.EOF when the peer has said
// close_notify, or another error when it has broken the association off.
func (a *association) take(b []byte, now time.Time) (answer []byte, drop Drop, ended error) {
	drop = DropUnauthentic
	for rec, rest := nextRecord(b); rec != nil; rec, rest = nextRecord(rest) {
		if recordEpoch(rec) != 1 || rec[0] != recordAlert && rec[0] != recordHandshake {
			continue // of the handshake, or data that has no meaning here
		}
		plain := a.open(rec)
		if plain == nil {
			continue
		}
		drop = DropNone
		switch {
		case rec[0] == recordHandshake:
			answer = a.repeat(now)
		case len(plain) == 2 && plain[1] == alertClose:
			return a.goodbye(), DropNone, io.EOF
		case len(plain) == 2 && plain[0] == alertFatal:
			a.over = true // RFC 5246 §7.2.2: nothing more is said
			return nil, DropNone, fmt.Errorf("the peer sent DTLS alert %d", plain[1])
		}
	}
	return answer, drop, nil
}

// repeat is for a peer that repeats its Finished: it has not got ours (RFC 6347 §4.2.4). The flight goes out as it
// was, sequence numbers and all: whoever has missed it does not take it for a replay.
func (a *association) repeat(now time.Time) []byte {
	if now.Sub(a.repeated) < finaleInterval {
		return nil
	}
	a.repeated = now
	return a.finale
}

// goodbye is a close_notify, once; nil after that.
func (a *association) goodbye() []byte {
	if a.over {
		return nil
	}
	a.over = true
	return a.seal(recordAlert, []byte{1, alertClose})
}

// seal makes a record. Its nonce is the sequence number's, so it must not come again.
func (a *association) seal(kind byte, plain []byte) []byte {
	b := make([]byte, recordHeader+gcmNonce, recordHeader+gcmNonce+len(plain)+gcmTagSize)
	b[0], b[1], b[2] = kind, 254, 253
	binary.BigEndian.PutUint64(b[3:], 1<<48|a.next)
	a.next++
	copy(b[recordHeader:], b[3:11])
	binary.BigEndian.PutUint16(b[11:], uint16(gcmNonce+len(plain)+gcmTagSize))
	aead, err := recordCipher(a.sealKey)
	if err != nil {
		return nil // never: the key has its size
	}
	nonce := recordNonce(a.sealIV, b)
	return aead.Seal(b, nonce[:], plain, recordData(b, len(plain)))
}

// open decrypts a record, or returns nil. Replays are not told: a close_notify ends the association, and a Finished
// that is repeated is one that should be.
func (a *association) open(rec []byte) []byte {
	size := len(rec) - recordHeader - gcmNonce - gcmTagSize
	aead, err := recordCipher(a.openKey)
	if size < 0 || err != nil {
		return nil
	}
	nonce := recordNonce(a.openIV, rec)
	plain, err := aead.Open(nil, nonce[:], rec[recordHeader+gcmNonce:], recordData(rec, size))
	if err != nil {
		return nil
	}
	return plain
}

// recordCipher is made anew for each record. There are two or three in an association's life, and it is 1 KB.
func recordCipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func recordNonce(iv [4]byte, rec []byte) (n [12]byte) {
	copy(n[:], iv[:])
	copy(n[4:], rec[recordHeader:recordHeader+gcmNonce])
	return n
}

// recordData is what a record's tag covers besides the text: RFC 5246 §6.2.3.3 with the sequence number of RFC 6347
// §4.1.2.1.
func recordData(rec []byte, size int) []byte {
	var d [13]byte
	copy(d[:], rec[3:11])
	copy(d[8:], rec[:3])
	binary.BigEndian.PutUint16(d[11:], uint16(size))
	return d[:]
}

// nextRecord cuts the first record off a datagram. It is nil when there is none left, or not a whole one.
func nextRecord(b []byte) (rec, rest []byte) {
	if len(b) < recordHeader {
		return nil, nil
	}
	end := recordHeader + int(binary.BigEndian.Uint16(b[11:]))
	if end > len(b) {
		return nil, nil
	}
	return b[:end], b[end:]
}

func recordEpoch(rec []byte) uint16 { return binary.BigEndian.Uint16(rec[3:]) }

// recordSeq is the 48-bit sequence number.
func recordSeq(rec []byte) uint64 { return binary.BigEndian.Uint64(rec[3:]) & (1<<48 - 1) }
