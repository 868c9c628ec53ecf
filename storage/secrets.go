package storage

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"

	"sekisho/token"
)

const (
	saltSize = 16 // octets of salt of a personal part and of a seal
	hashSize = 16 // octets kept of the salted hash of a personal part
)

// secrets holds the keys that storage derives for itself, each for one use.
type secrets struct {
	chain    [32]byte
	personal [32]byte
	digest   [32]byte
	cut      [32]byte
}

func newSecrets(k *token.Keys) *secrets {
	return &secrets{chain: k.Derive("audit chain"), personal: k.Derive("personal data"), digest: k.Derive("request digest"),
		cut: k.Derive("audit cut")}
}

// keyedRoom is how much is hashed without an allocation: a RADIUS packet of a login and who sent it.
const keyedRoom = 1024

// keyed is HMAC-SHA256 (RFC 2104), cut to 16 octets, over the domain and each part with its length in front, so that no two
// lists of parts read alike. It is worked out in one piece on the stack: [crypto/hmac] allocates. Nothing of key or parts
// is left there.
func (s *secrets) keyed(domain byte, parts ...[]byte) [16]byte {
	var room [keyedRoom]byte
	size := sha256.BlockSize + 1
	for _, p := range parts {
		size += 8 + len(p)
	}
	b := room[:]
	if size > len(b) {
		b = make([]byte, size)
	}
	used := b[:size]
	defer clear(used)
	for i, k := range s.digest {
		b[i] = k ^ 0x36
	}
	for i := len(s.digest); i < sha256.BlockSize; i++ {
		b[i] = 0x36
	}
	b[sha256.BlockSize] = domain
	rest := b[sha256.BlockSize+1:]
	for _, p := range parts {
		binary.BigEndian.PutUint64(rest, uint64(len(p)))
		rest = rest[8+copy(rest[8:], p):]
	}
	inner := sha256.Sum256(used)
	var outer [sha256.BlockSize + sha256.Size]byte
	for i, k := range s.digest {
		outer[i] = k ^ 0x5c
	}
	for i := len(s.digest); i < sha256.BlockSize; i++ {
		outer[i] = 0x5c
	}
	copy(outer[sha256.BlockSize:], inner[:])
	sum := sha256.Sum256(outer[:])
	clear(outer[:])
	return [16]byte(sum[:16])
}

// sealer gives the AEAD of one sealed record. Each record has a key of its own, derived from its random salt, so that no
// nonce can repeat however many records there are.
func (s *secrets) sealer(salt []byte) (cipher.AEAD, error) {
	key := s.mac(nil, &s.personal, salt)
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

var zeroNonce [12]byte

// seal encrypts personal data: salt, then AES-256-GCM bound to the purpose and its number (seq of a journal row).
func (s *secrets) seal(purpose string, number uint64, plain []byte) ([]byte, error) {
	out := make([]byte, saltSize, saltSize+len(plain)+16)
	_, _ = rand.Read(out)
	aead, err := s.sealer(out)
	if err != nil {
		return nil, fmt.Errorf("sealing %s: %w", purpose, err)
	}
	return aead.Seal(out, zeroNonce[:], plain, binary.BigEndian.AppendUint64([]byte(purpose), number)), nil
}

func (s *secrets) open(purpose string, number uint64, sealed []byte) ([]byte, error) {
	if len(sealed) < saltSize {
		return nil, fmt.Errorf("opening %s %d: %w", purpose, number, errCodec)
	}
	aead, err := s.sealer(sealed[:saltSize])
	if err != nil {
		return nil, fmt.Errorf("opening %s %d: %w", purpose, number, err)
	}
	plain, err := aead.Open(nil, zeroNonce[:], sealed[saltSize:], binary.BigEndian.AppendUint64([]byte(purpose), number))
	if err != nil {
		return nil, fmt.Errorf("opening %s %d: the record was changed or belongs to other keys", purpose, number)
	}
	return plain, nil
}

// link continues the audit chain over one journal row (S24).
func (s *secrets) link(previous []byte, first uint64, count int, at int64, cores []byte) []byte {
	var head [24]byte
	binary.BigEndian.PutUint64(head[0:], first)
	binary.BigEndian.PutUint64(head[8:], uint64(count))
	binary.BigEndian.PutUint64(head[16:], uint64(at))
	return s.mac(make([]byte, 0, sha256.Size), &s.chain, previous, head[:], cores)
}

// hashing is one SHA-256 on its way with room for the block of a key.
type hashing struct {
	hash.Hash
	block [sha256.BlockSize]byte
	sum   [sha256.Size]byte
}

var hashings = sync.Pool{New: func() any { return &hashing{Hash: sha256.New()} }}

// mac appends HMAC-SHA256 (RFC 2104) of the parts, one behind the other. Unlike [crypto/hmac] it allocates nothing; it leaves
// nothing of the key behind.
func (s *secrets) mac(b []byte, key *[32]byte, parts ...[]byte) []byte {
	h := hashings.Get().(*hashing)
	defer hashings.Put(h)
	h.Reset()
	h.pad(key, 0x36)
	for _, p := range parts {
		h.Write(p)
	}
	inner := h.Sum(h.sum[:0])
	h.Reset()
	h.pad(key, 0x5c)
	h.Write(inner)
	b = h.Sum(b)
	clear(h.block[:])
	clear(h.sum[:])
	h.Reset()
	return b
}

func (h *hashing) pad(key *[32]byte, with byte) {
	for i := range h.block {
		h.block[i] = with
	}
	for i, k := range key {
		h.block[i] ^= k
	}
	h.Write(h.block[:])
}
