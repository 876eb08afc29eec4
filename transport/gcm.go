package transport

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"reflect"
	"unsafe"
)

// Labels of the SRTP key derivation (RFC 3711 §4.3.1).
const (
	labelRTPKey  = 0x00
	labelRTPSalt = 0x02
)

const (
	gcmKeySize  = 16
	gcmSaltSize = 12
	gcmTagSize  = 16
)

// gcmSealer seals RTP with AEAD_AES_128_GCM (RFC 7714) from a shared payload into a send slot: no copy besides the
// encryption, no allocation. It keeps no state of sequence numbers; the caller brings the extended one.
type gcmSealer struct {
	aead cipher.AEAD
	salt [gcmSaltSize]byte
	iv   [gcmSaltSize]byte // scratch: a local array would escape through the interface
	keys []byte            // what aead points to, to be touched before it is used
}

// newGCMSealer derives the session keys from a master key (16 octets) and salt (12 octets).
func newGCMSealer(masterKey, masterSalt []byte) (*gcmSealer, error) {
	if len(masterKey) != gcmKeySize || len(masterSalt) != gcmSaltSize {
		return nil, fmt.Errorf("AEAD_AES_128_GCM wants a key of %d and a salt of %d octets, not %d and %d",
			gcmKeySize, gcmSaltSize, len(masterKey), len(masterSalt))
	}
	key, err := deriveKey(masterKey, masterSalt, labelRTPKey, gcmKeySize)
	if err != nil {
		return nil, err
	}
	salt, err := deriveKey(masterKey, masterSalt, labelRTPSalt, gcmSaltSize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	s := &gcmSealer{aead: aead, keys: behind(aead)}
	copy(s.salt[:], salt)
	return s, nil
}

// behind is the memory that an interface points to, for reading: round keys and the table of GHASH, some 800 octets.
func behind(a cipher.AEAD) []byte {
	t := reflect.TypeOf(a)
	if t.Kind() != reflect.Pointer {
		return nil
	}
	return unsafe.Slice((*byte)(reflect.ValueOf(a).UnsafePointer()), t.Elem().Size())
}

// touch reads an octet of each cache line that seal will need.
func (s *gcmSealer) touch() (x byte) {
	const line = 64
	for i := 0; i < len(s.keys); i += line {
		x |= s.keys[i]
	}
	return x
}

// seal encrypts payload behind the header that slot[:headerLen] holds, and returns the packet's length.
// slot needs room for headerLen + len(payload) + 16.
func (s *gcmSealer) seal(slot []byte, headerLen int, payload []byte, seq64 uint64) int {
	// RFC 7714 §8.1: 00 00 SSRC ROC SEQ, exclusive-or salt. ROC and SEQ together are the 48-bit extended number.
	iv := &s.iv
	*iv = s.salt
	ssrc := slot[8:12]
	iv[2] ^= ssrc[0]
	iv[3] ^= ssrc[1]
	iv[4] ^= ssrc[2]
	iv[5] ^= ssrc[3]
	binary.BigEndian.PutUint32(iv[6:], binary.BigEndian.Uint32(iv[6:])^uint32(seq64>>16))
	binary.BigEndian.PutUint16(iv[10:], binary.BigEndian.Uint16(iv[10:])^uint16(seq64))
	out := s.aead.Seal(slot[:headerLen], iv[:], payload, slot[:headerLen])
	return len(out)
}

// deriveKey is the AES-CM key derivation of RFC 3711 §4.3.3 with a key derivation rate of zero.
func deriveKey(masterKey, masterSalt []byte, label byte, size int) ([]byte, error) {
	block, err := aes.NewCipher(masterKey)
	if err != nil {
		return nil, err
	}
	var x [aes.BlockSize]byte // x·2^16: the salt leaves the last two octets for the counter
	copy(x[:14], masterSalt)
	x[7] ^= label
	out := make([]byte, (size+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize)
	cipher.NewCTR(block, x[:]).XORKeyStream(out, out)
	return out[:size], nil
}
