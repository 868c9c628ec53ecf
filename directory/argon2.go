package directory

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Parameters of new hashes: the first choice of RFC 9106 for little memory, as OWASP gives it.
const (
	hashMemory  = 19 << 10 // KiB
	hashTime    = 2
	hashThreads = 1
	hashSalt    = 16
	hashKey     = 32
)

// Bounds of hashes that are taken. With two computations at a time they cost at most 128 MiB.
const (
	mostMemory  = 64 << 10 // KiB
	mostTime    = 10
	mostThreads = 4
)

// hashing holds a place for each argon2id computation that may run at once, in the whole process (S23).
var hashing = make(chan struct{}, 2)

// passwordHash is argon2id with its parameters.
type passwordHash struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
	salt    []byte
	sum     []byte
}

// HashPassword gives the line for the password of a user in a directory file: argon2id in the PHC string format.
func HashPassword(password string) (string, error) {
	if hopeless([]byte(password)) {
		return "", errors.New("hashing a password: it is empty, blank, or has a NUL in it")
	}
	h := passwordHash{memory: hashMemory, time: hashTime, threads: hashThreads, salt: make([]byte, hashSalt)}
	_, _ = rand.Read(h.salt) // never fails
	hashing <- struct{}{}
	defer func() { <-hashing }()
	h.sum = argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, hashKey)
	return h.String(), nil
}

// matches compares in constant time. The caller holds a place of hashing.
func (h passwordHash) matches(password []byte) bool {
	sum := argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}

// String is the PHC string format.
func (h passwordHash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
}

var errNotPHC = errors.New(`not an argon2id hash such as $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`)

// parseHash reads the PHC string format. Errors never quote it.
func parseHash(text string) (passwordHash, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return passwordHash{}, errNotPHC
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return passwordHash{}, fmt.Errorf("the hash is of another version than %d of argon2id", argon2.Version)
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return passwordHash{}, errNotPHC
	}
	memory, err1 := hashParam(params[0], "m=", 8, mostMemory)
	passes, err2 := hashParam(params[1], "t=", 1, mostTime)
	threads, err3 := hashParam(params[2], "p=", 1, mostThreads)
	salt, err4 := hashOctets(parts[4], "salt", 8, 64)
	sum, err5 := hashOctets(parts[5], "hash", 16, 64)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return passwordHash{}, err
	}
	if memory < 8*threads {
		return passwordHash{}, errors.New("the hash needs m to be at least 8 times p")
	}
	return passwordHash{memory: memory, time: passes, threads: uint8(threads), salt: salt, sum: sum}, nil
}

func hashParam(text, name string, least, most uint32) (uint32, error) {
	digits, ok := strings.CutPrefix(text, name)
	n, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil || digits != strconv.FormatUint(n, 10) {
		return 0, errNotPHC
	}
	if n < uint64(least) || n > uint64(most) {
		return 0, fmt.Errorf("the hash has %s%d; %d to %d are taken", name, n, least, most)
	}
	return uint32(n), nil
}

func hashOctets(text, what string, least, most int) ([]byte, error) {
	octets, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errNotPHC
	}
	if len(octets) < least || len(octets) > most {
		return nil, fmt.Errorf("the %s has %d octets; %d to %d are taken", what, len(octets), least, most)
	}
	return octets, nil
}
