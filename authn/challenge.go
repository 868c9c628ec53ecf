package authn

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"sync"
	"time"
)

// A State (RFC 2865 §5.24) carries a dialogue's memory through the gateway and back (S18): base64url of
//
//	version (1) | nonce (12) | AES-256-GCM{issued (4) | try (1) | proof (1) | generation (4) | epoch (4)} (14 + 16)
//
// which makes 58 printable characters. Client, account and Calling-Station-Id are bound to it as additional data; the
// key changes every day. The nonce is spent by the event that ends the round, so a State works once.
const (
	stateVersion = 1
	stateLife    = 120 * time.Second
	statePlain   = 14
	stateRaw     = 1 + 12 + statePlain + 16
	// StateLength is the length of every State attribute that Sekisho issues, in octets.
	StateLength = (stateRaw*8 + 5) / 6
)

// dialogue is what a State says.
type dialogue struct {
	nonce      [12]byte
	issued     time.Time
	try        uint8 // of this answer, from 1
	proof      Proof
	generation uint32
}

// stateBinding is the additional data of a State: whose answer it may be.
type stateBinding struct {
	client  string
	account AccountID
	name    []byte // for all of its spellings; binds only where there is no account
	station []byte
}

func (b stateBinding) octets() []byte {
	out := make([]byte, 0, 64)
	out = binary.BigEndian.AppendUint32(out, uint32(len(b.client)))
	out = append(out, b.client...)
	out = binary.BigEndian.AppendUint64(out, uint64(b.account))
	if b.account == 0 {
		out = binary.BigEndian.AppendUint32(out, uint32(len(b.name)))
		out = append(out, b.name...)
	}
	return append(out, b.station...)
}

var errState = errors.New("the State is forged, expired or somebody else's")

// states seals and opens States under the key of the day.
type states struct {
	derive func(purpose string) [32]byte
	epoch  uint32

	mu   sync.Mutex
	day  int64
	aead [2]cipher.AEAD // of day and of the day before
}

// key is the AEAD of a day, today or yesterday; nil for any other.
func (s *states) key(day, today int64) (cipher.AEAD, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aead[0] == nil || s.day != today {
		for i := range s.aead {
			k := s.derive("state " + strconv.FormatInt(today-int64(i), 10))
			block, err := aes.NewCipher(k[:])
			if err != nil {
				return nil, err
			}
			if s.aead[i], err = cipher.NewGCM(block); err != nil {
				return nil, err
			}
		}
		s.day = today
	}
	switch day {
	case today:
		return s.aead[0], nil
	case today - 1:
		return s.aead[1], nil
	}
	return nil, errState
}

// seal makes the State of d with a fresh nonce, which it returns too.
func (s *states) seal(d dialogue, b stateBinding, now time.Time) (state []byte, nonce [12]byte, err error) {
	day := now.Unix() / 86_400
	aead, err := s.key(day, day)
	if err != nil {
		return nil, nonce, err
	}
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, nonce, err
	}
	raw := make([]byte, 0, stateRaw)
	raw = append(raw, stateVersion)
	raw = append(raw, nonce[:]...)
	plain := make([]byte, 0, statePlain)
	plain = binary.BigEndian.AppendUint32(plain, uint32(now.Unix()))
	plain = append(plain, d.try, byte(d.proof))
	plain = binary.BigEndian.AppendUint32(plain, d.generation)
	plain = binary.BigEndian.AppendUint32(plain, s.epoch)
	raw = aead.Seal(raw, nonce[:], plain, b.octets())
	return base64.RawURLEncoding.AppendEncode(nil, raw), nonce, nil
}

// open reads a State back. Every fault is errState: why is nobody's business outside.
func (s *states) open(state []byte, b stateBinding, now time.Time) (d dialogue, err error) {
	if len(state) != StateLength {
		return d, errState
	}
	raw := make([]byte, stateRaw)
	n, err := base64.RawURLEncoding.Strict().Decode(raw, state)
	if err != nil || n != stateRaw || raw[0] != stateVersion {
		return d, errState
	}
	today := now.Unix() / 86_400
	copy(d.nonce[:], raw[1:13])
	extra := b.octets()
	var plain []byte
	for _, day := range [2]int64{today, today - 1} {
		aead, err := s.key(day, today)
		if err != nil {
			return d, err
		}
		if plain, err = aead.Open(nil, d.nonce[:], raw[13:], extra); err == nil {
			break
		}
	}
	if len(plain) != statePlain {
		return d, errState
	}
	d.issued = time.Unix(int64(binary.BigEndian.Uint32(plain)), 0)
	d.try, d.proof = plain[4], Proof(plain[5])
	d.generation = binary.BigEndian.Uint32(plain[6:])
	age := now.Sub(d.issued)
	if age < -time.Second || age > stateLife || d.proof > Wrong || binary.BigEndian.Uint32(plain[10:]) != s.epoch {
		return d, errState
	}
	return d, nil
}

const keptPasswords = 10_000

// keeper holds passwords of dialogues whose first factor is still open, in memory, for as long as their State lives. The
// zero value is ready.
type keeper struct {
	mu   sync.Mutex
	kept map[[12]byte]keptPassword
}

type keptPassword struct {
	text  []byte
	until time.Time
}

func (k *keeper) put(nonce [12]byte, text []byte, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		k.kept = make(map[[12]byte]keptPassword)
	}
	if len(k.kept) >= keptPasswords {
		for n, p := range k.kept {
			if now.After(p.until) {
				clear(p.text)
				delete(k.kept, n)
			}
		}
		if len(k.kept) >= keptPasswords {
			return // the dialogue ends in a refusal, which is the safe side
		}
	}
	k.kept[nonce] = keptPassword{bytes.Clone(text), now.Add(stateLife)}
}

// get gives the password of a nonce; it stays until it ends, because a Discard spends nothing.
func (k *keeper) get(nonce [12]byte, now time.Time) (Secret, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, ok := k.kept[nonce]
	if !ok || now.After(p.until) {
		return Secret{}, false
	}
	return NewSecret(bytes.Clone(p.text)), true
}

// sweep forgets what has ended.
func (k *keeper) sweep(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for n, p := range k.kept {
		if now.After(p.until) {
			clear(p.text)
			delete(k.kept, n)
		}
	}
}
