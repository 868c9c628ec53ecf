package storage

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"net/netip"
	"sync"

	"sekisho/authn"
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
	digest   sync.Pool // of *keyedHash
}

type keyedHash struct {
	mac hash.Hash
	sum [sha256.Size]byte
	num [8]byte
}

func newSecrets(k *token.Keys) *secrets {
	s := &secrets{chain: k.Derive("audit chain"), personal: k.Derive("personal data")}
	digest := k.Derive("request digest")
	s.digest.New = func() any { return &keyedHash{mac: hmac.New(sha256.New, digest[:])} }
	return s
}

// keyed is HMAC-SHA256, cut to 16 octets, over the domain and each part with its length in front, so that no two lists of
// parts read alike.
func (s *secrets) keyed(domain byte, parts ...[]byte) [16]byte {
	h := s.digest.Get().(*keyedHash)
	defer s.digest.Put(h)
	h.mac.Reset()
	h.num[0] = domain
	h.mac.Write(h.num[:1])
	for _, p := range parts {
		binary.BigEndian.PutUint64(h.num[:], uint64(len(p)))
		h.mac.Write(h.num[:])
		h.mac.Write(p)
	}
	return [16]byte(h.mac.Sum(h.sum[:0])[:16])
}

// sealer gives the AEAD of one sealed record. Each record has a key of its own, derived from its random salt, so that no
// nonce can repeat however many records there are.
func (s *secrets) sealer(salt []byte) (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, s.personal[:])
	mac.Write(salt)
	block, err := aes.NewCipher(mac.Sum(nil))
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

// appendPersonal writes the personal part of an event: salt, name, source, station. Nothing is written when all are
// empty.
func appendPersonal(b []byte, p *authn.Personal) ([]byte, error) {
	if len(p.Name) == 0 && !p.Source.IsValid() && len(p.Station) == 0 {
		return b, nil
	}
	if len(p.Name) > maxText || len(p.Station) > maxText {
		return nil, errors.New("personal part of an event: name and station have at most 4096 octets")
	}
	n := len(b)
	b = append(b, make([]byte, saltSize)...)
	_, _ = rand.Read(b[n:])
	b = appendFramed(b, p.Name)
	var room [32]byte
	source, err := p.Source.AppendBinary(room[:0])
	if err != nil {
		return nil, fmt.Errorf("writing a source address: %w", err)
	}
	b = appendFramed(b, source)
	return appendFramed(b, p.Station), nil
}

func decodePersonal(b []byte) (authn.Personal, error) {
	var p authn.Personal
	r := reader{rest: b}
	r.take(saltSize)
	p.Name = r.take(int(r.upTo(maxText)))
	source := r.take(int(r.upTo(maxText)))
	p.Station = r.take(int(r.upTo(maxText)))
	if err := r.end(); err != nil {
		return authn.Personal{}, err
	}
	if len(source) > 0 {
		var a netip.AddrPort
		if err := a.UnmarshalBinary(source); err != nil {
			return authn.Personal{}, fmt.Errorf("%w: source address", errCodec)
		}
		p.Source = a
	}
	return p, nil
}

// personalHash is what the core keeps of a personal part (S25): its salt dies with it.
func personalHash(record []byte) []byte {
	sum := sha256.Sum256(record)
	return sum[:hashSize]
}

// link continues the audit chain over one journal row (S24).
func (s *secrets) link(previous []byte, first uint64, count int, at int64, cores []byte) []byte {
	mac := hmac.New(sha256.New, s.chain[:])
	var head [24]byte
	binary.BigEndian.PutUint64(head[0:], first)
	binary.BigEndian.PutUint64(head[8:], uint64(count))
	binary.BigEndian.PutUint64(head[16:], uint64(at))
	mac.Write(previous)
	mac.Write(head[:])
	mac.Write(cores)
	return mac.Sum(nil)
}
