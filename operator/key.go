package operator

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// APIKey lets a program in. Of its secret only the hash is kept: 160 random bits need no slow hash.
type APIKey struct {
	ID      uint64
	Name    string // for the audit
	Hash    [32]byte
	Role    Role
	Only    []Right // what it may do; never empty
	Scope   Scope
	Made    time.Time
	MadeBy  string
	Expires time.Time
	Revoked time.Time // zero: lives
}

// LongestKey is how long a key may live.
const LongestKey = 400 * 24 * time.Hour

const keyPrefix = "sekisho_"

var keyText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewKey makes a key with the rights that by gives it, and its secret, which is shown once. It can never do more than who
// made it.
func NewKey(by Principal, name string, role Role, only []Right, scope Scope, expires, now time.Time) (APIKey, string, *Refusal) {
	switch {
	case strings.TrimSpace(name) == "" || len(name) > 100:
		return APIKey{}, "", &Refusal{"key-name", "Give the key a name of at most 100 octets by which the audit calls it."}
	case len(only) == 0:
		return APIKey{}, "", &Refusal{"key-rights", "Name the rights of the key one by one; 'sekisho operator rights' lists them."}
	case !expires.After(now) || expires.After(now.Add(LongestKey)):
		return APIKey{}, "", &Refusal{"key-expiry", fmt.Sprintf("A key lives at least a moment and at most %d days.", int(LongestKey.Hours()/24))}
	case !scope.Within(by.Scope):
		return APIKey{}, "", &Refusal{"key-scope", "The key would reach people outside your own scope."}
	case role > by.Role:
		return APIKey{}, "", &Refusal{"key-role", fmt.Sprintf("The key would have the role %v, and yours is %v.", role, by.Role)}
	}
	for _, r := range only {
		switch {
		case find(r) == nil:
			return APIKey{}, "", &Refusal{"key-rights", fmt.Sprintf("%.40q is no right; 'sekisho operator rights' lists them.", string(r))}
		case !role.Has(r) || !by.Role.Has(r) || by.Only != nil && !slices.Contains(by.Only, r):
			return APIKey{}, "", &Refusal{"key-rights", fmt.Sprintf("The right %s is not among those of the role %v and of yours.", r, role)}
		case PeopleOnly(r):
			return APIKey{}, "", &Refusal{"key-rights", fmt.Sprintf("The right %s is for people only.", r)}
		}
	}
	var b [28]byte
	_, _ = rand.Read(b[:]) // never fails
	k := APIKey{
		ID: binary.BigEndian.Uint64(b[:8]) >> 1, Name: name, Role: role, Only: slices.Clone(only), Scope: scope,
		Made: now, MadeBy: by.Name, Expires: expires,
	}
	binary.BigEndian.PutUint64(b[:8], k.ID)
	secret := keyPrefix + keyText.EncodeToString(b[:])
	k.Hash = sha256.Sum256([]byte(secret))
	return k, secret, nil
}

// KeyID reads the number of the key out of a secret; ok is false for what is none of ours.
func KeyID(secret string) (id uint64, ok bool) {
	text, ok := strings.CutPrefix(secret, keyPrefix)
	if !ok {
		return 0, false
	}
	b, err := keyText.DecodeString(text)
	if err != nil || len(b) != 28 || keyPrefix+keyText.EncodeToString(b) != secret {
		return 0, false
	}
	return binary.BigEndian.Uint64(b[:8]), true
}

// Open says who a secret stands for; ok is false when it is not this key's, or the key has ended.
func (k APIKey) Open(secret string, now time.Time) (Principal, bool) {
	sum := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(sum[:], k.Hash[:]) != 1 || !k.Revoked.IsZero() || !now.Before(k.Expires) || len(k.Only) == 0 {
		return Principal{}, false
	}
	return Principal{Name: "key:" + k.Name, Role: k.Role, Scope: k.Scope, Door: Key, Only: k.Only}, true
}
