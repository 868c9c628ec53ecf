package radius

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/subtle"
	"hash"
	"sync"
)

var zero16 [16]byte

// sharedSecret is one secret of a client with a pool of hash states that are ready for it.
type sharedSecret struct {
	octets []byte
	pool   sync.Pool // of *digester
}

func newSharedSecret(octets []byte) *sharedSecret {
	s := &sharedSecret{octets: octets}
	s.pool.New = func() any { return &digester{md: md5.New(), mac: hmac.New(md5.New, octets)} }
	return s
}

// digester holds hash states and room for a sum. One goroutine uses it at a time.
type digester struct {
	md, mac hash.Hash
	sum     [16]byte
}

// verifyMessageAuth checks the Message-Authenticator of a packet from a client: HMAC-MD5 over the packet with the 16
// octets taken as zero (RFC 3579 section 3.2). maAt is where they begin.
func (s *sharedSecret) verifyMessageAuth(raw []byte, maAt int) bool {
	d := s.pool.Get().(*digester)
	defer s.pool.Put(d)
	d.mac.Reset()
	d.mac.Write(raw[:maAt])
	d.mac.Write(zero16[:])
	d.mac.Write(raw[maAt+16:])
	return subtle.ConstantTimeCompare(d.mac.Sum(d.sum[:0]), raw[maAt:maAt+16]) == 1
}

// verifyAccounting checks the Request Authenticator of an Accounting-Request (RFC 2866 section 3).
func (s *sharedSecret) verifyAccounting(raw []byte) bool {
	d := s.pool.Get().(*digester)
	defer s.pool.Put(d)
	d.md.Reset()
	d.md.Write(raw[:4])
	d.md.Write(zero16[:])
	d.md.Write(raw[headerLen:])
	d.md.Write(s.octets)
	return subtle.ConstantTimeCompare(d.md.Sum(d.sum[:0]), raw[4:headerLen]) == 1
}

// reveal undoes the hiding of a User-Password of at most 128 octets (RFC 2865 section 5.2); NULs are still there.
func (s *sharedSecret) reveal(to *[128]byte, authenticator, hidden []byte) []byte {
	d := s.pool.Get().(*digester)
	defer s.pool.Put(d)
	previous := authenticator
	for i := 0; i < len(hidden); i += 16 {
		d.md.Reset()
		d.md.Write(s.octets)
		d.md.Write(previous)
		subtle.XORBytes(to[i:i+16], hidden[i:i+16], d.md.Sum(d.sum[:0]))
		previous = hidden[i : i+16]
	}
	clear(d.sum[:])
	return to[:len(hidden)]
}

// signReply finishes an answer whose authenticator field holds the Request Authenticator. Where withMA is set its first
// attribute is a zeroed Message-Authenticator, which is filled in before the Response Authenticator (RFC 3579 section 3.2).
func (s *sharedSecret) signReply(b []byte, withMA bool) {
	d := s.pool.Get().(*digester)
	defer s.pool.Put(d)
	if withMA {
		d.mac.Reset()
		d.mac.Write(b)
		copy(b[headerLen+2:], d.mac.Sum(d.sum[:0]))
	}
	d.md.Reset()
	d.md.Write(b)
	d.md.Write(s.octets)
	copy(b[4:headerLen], d.md.Sum(d.sum[:0]))
}
