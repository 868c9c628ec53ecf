package storage

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"

	"sekisho/authn"
)

// saltStock draws salts from the system a few at a time. One that was handed out does not stay here: a salt dies with the
// personal part that holds it (S25).
type saltStock struct {
	room [8 * saltSize]byte
	left int // octets at the end of room
}

func (s *saltStock) salt(b []byte) []byte {
	if s.left == 0 {
		_, _ = rand.Read(s.room[:])
		s.left = len(s.room)
	}
	fresh := s.room[len(s.room)-s.left:][:saltSize]
	b = append(b, fresh...)
	clear(fresh)
	s.left -= saltSize
	return b
}

// appendPersonal writes the personal part of an event: salt, name, source, station. Nothing is written when all are
// empty.
func appendPersonal(b []byte, p *authn.Personal, salts *saltStock) ([]byte, error) {
	if len(p.Name) == 0 && !p.Source.IsValid() && len(p.Station) == 0 {
		return b, nil
	}
	if len(p.Name) > maxText || len(p.Station) > maxText {
		return nil, errors.New("personal part of an event: name and station have at most 4096 octets")
	}
	b = salts.salt(b)
	b = appendFramed(b, p.Name)
	var room [32]byte
	source, err := p.Source.AppendBinary(room[:0])
	if err != nil {
		return nil, fmt.Errorf("writing a source address: %w", err)
	}
	b = appendFramed(b, source)
	return appendFramed(b, p.Station), nil
}

// A part that was cut down later has zeros for a salt and may have a hash behind the rest. Its core still holds the hash of
// what it was; that it is ours shows in that the row of it opens (S25).
var reducedSalt [saltSize]byte

func reduced(record []byte) bool {
	return len(record) >= saltSize && [saltSize]byte(record) == reducedSalt
}

// appendReduced writes what is left of a personal part: nothing where that is nothing.
func appendReduced(b []byte, p *authn.Personal) ([]byte, error) {
	if len(p.Name) == 0 && !p.Source.IsValid() && len(p.Station) == 0 && p.Hashed == [16]byte{} {
		return b, nil
	}
	source, err := p.Source.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("writing a source address: %w", err)
	}
	b = append(b, reducedSalt[:]...)
	for _, part := range [][]byte{p.Name, source, p.Station} {
		b = appendFramed(b, part)
	}
	return append(b, p.Hashed[:]...), nil
}

// nobodysName is what stays of a name that was nobody's (S25). Letters count alike in both cases, as in most directories.
func (s *secrets) nobodysName(name []byte) [16]byte { return s.keyed('u', bytes.ToLower(name)) }

func decodePersonal(b []byte) (authn.Personal, error) {
	var p authn.Personal
	r := reader{rest: b}
	r.take(saltSize)
	p.Name = r.take(int(r.upTo(maxText)))
	source := r.take(int(r.upTo(maxText)))
	p.Station = r.take(int(r.upTo(maxText)))
	if reduced(b) {
		copy(p.Hashed[:], r.take(len(p.Hashed)))
	}
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
func personalHash(record []byte) [hashSize]byte {
	sum := sha256.Sum256(record)
	return [hashSize]byte(sum[:hashSize])
}
