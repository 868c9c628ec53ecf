package authn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// PINPurpose is what the key of all PINs is derived for: token.Keys.Derive(PINPurpose). A keyed hash is enough where the
// key lives outside the data: whoever steals the database alone cannot try PINs, and a login stays cheap (S23).
const PINPurpose = "pin"

// HashPIN gives what is kept of a PIN: an HMAC-SHA256 under the PIN key, with a salt of its own and bound to the account,
// so that equal PINs look different and a hash moved to another account matches nothing. An empty PIN is an error. Which
// PINs people may choose is [CheckPIN]'s to say.
func HashPIN(key [32]byte, account AccountID, pin []byte) (PINHash, error) {
	if len(pin) == 0 {
		return PINHash{}, errors.New("hashing a PIN: it is empty")
	}
	var h PINHash
	_, _ = rand.Read(h.Salt[:]) // never fails: the program ends where the system has no randomness
	h.Sum = h.sum(key, account, pin)
	return h, nil
}

// Matches compares a typed PIN in constant time. The zero value matches nothing, and takes the same time to say so.
func (h PINHash) Matches(key [32]byte, account AccountID, pin []byte) bool {
	sum := h.sum(key, account, pin)
	equal := hmac.Equal(sum[:], h.Sum[:])
	return equal && !h.IsZero() && len(pin) > 0
}

// sum is HMAC(key, salt | account | pin). Salt and account have fixed lengths, so no two inputs run together.
func (h *PINHash) sum(key [32]byte, account AccountID, pin []byte) (sum [32]byte) {
	m := hmac.New(sha256.New, key[:])
	m.Write(h.Salt[:])
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(account))
	m.Write(id[:])
	m.Write(pin)
	m.Sum(sum[:0])
	return sum
}

// The default bounds on the length of a PIN.
const (
	MinPIN = 4
	MaxPIN = 16
)

// CheckPIN says in one sentence why a person may not choose a PIN: it has min to max ASCII letters and digits, is not one
// character repeated, not one run up or down such as 1234, 7890, 4321 or abcd, and not the user's name, with or without
// its domain. Capital and small letters differ at login but not in these rules.
func CheckPIN(pin, userName string, min, max int) error {
	for i := range len(pin) {
		c := pin[i] | 0x20 // small letter; digits keep their value
		if (pin[i] < '0' || pin[i] > '9') && (c < 'a' || c > 'z') {
			return errors.New("the PIN may hold only the letters A to Z, a to z and the digits 0 to 9")
		}
	}
	if len(pin) == 0 || len(pin) < min || len(pin) > max {
		return fmt.Errorf("the PIN has %d characters; choose %d to %d", len(pin), min, max)
	}
	small := strings.ToLower(pin)
	if small == strings.Repeat(small[:1], len(small)) {
		return errors.New("the PIN is one character repeated; choose another one")
	}
	if isRun(small, 1) || isRun(small, -1) {
		return errors.New("the PIN is a run such as 1234 or 4321; choose another one")
	}
	if isName(small, userName) {
		return errors.New("the PIN is the user name; choose another one")
	}
	return nil
}

// isRun reports that each character follows the one before it by step, 9 and 0 being neighbours as on a keyboard.
func isRun(s string, step int) bool {
	for i := 1; i < len(s); i++ {
		from, to := s[i-1], s[i]
		if step < 0 {
			from, to = to, from
		}
		if to != from+1 && !(from == '9' && to == '0') {
			return false
		}
	}
	return true
}

// isName reports that s is the name as typed, or the name without DOMAIN\ before or @domain after it.
func isName(s, name string) bool {
	bare := name
	if i := strings.LastIndexByte(bare, '\\'); i >= 0 {
		bare = bare[i+1:]
	}
	bare, _, _ = strings.Cut(bare, "@")
	return strings.EqualFold(s, name) || strings.EqualFold(s, bare)
}
