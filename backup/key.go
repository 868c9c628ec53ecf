// Package backup seals a backup so that who steals it has nothing, and who holds the recipient's key has all of it or
// nothing: HPKE (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM over chunks of 64 KiB.
//
// The machine that makes backups knows only the recipient, a public key. Its secret half lies in the safe beside the sheet of
// the sealing key; without both a backup opens nothing.
package backup

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

const (
	recipientPrefix = "sekisho-recipient-"
	identityPrefix  = "SEKISHO-IDENTITY-"
	keySize         = 32
	sumSize         = 4 // octets of check behind a key
)

var text = base32.StdEncoding.WithPadding(base32.NoPadding)

// Recipient is the public half: what a machine needs to make backups.
type Recipient struct{ key hpke.PublicKey }

// Identity is the secret half, which opens backups. It does not print.
type Identity struct{ key hpke.PrivateKey }

// Format hides the key from fmt.
func (Identity) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

func kem() hpke.KEM { return hpke.DHKEM(ecdh.X25519()) }

// NewIdentity makes a pair of keys.
func NewIdentity() (Identity, error) {
	k, err := kem().GenerateKey()
	if err != nil {
		return Identity{}, fmt.Errorf("making a backup key: %w", err)
	}
	return Identity{k}, nil
}

// Recipient gives the public half.
func (i Identity) Recipient() Recipient { return Recipient{i.key.PublicKey()} }

// String is the text for configurations and commands.
func (r Recipient) String() string {
	return strings.ToLower(write(recipientPrefix, r.key.Bytes()))
}

// ParseRecipient reads what [Recipient.String] wrote, in either case and with blanks around it.
func ParseRecipient(s string) (Recipient, error) {
	b, err := read(recipientPrefix, s)
	if err != nil {
		return Recipient{}, fmt.Errorf("a backup recipient: %w", err)
	}
	k, err := kem().NewPublicKey(b)
	if err != nil {
		return Recipient{}, fmt.Errorf("a backup recipient: %w", err)
	}
	return Recipient{k}, nil
}

// IsZero reports that there is none.
func (r Recipient) IsZero() bool { return r.key == nil }

// write is prefix, key and check in base32.
func write(prefix string, key []byte) string {
	sum := sha256.Sum256(append([]byte(strings.ToLower(prefix)), key...))
	return prefix + text.EncodeToString(append(bytes.Clone(key), sum[:sumSize]...))
}

func read(prefix, s string) ([]byte, error) {
	s = strings.Join(strings.Fields(s), "")
	if len(s) <= len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return nil, fmt.Errorf("it begins with %s", prefix)
	}
	b, err := text.DecodeString(strings.ToUpper(s[len(prefix):]))
	if err != nil || len(b) != keySize+sumSize {
		return nil, errors.New("it was cut short or is mistyped; copy it again")
	}
	if !strings.EqualFold(write(prefix, b[:keySize]), s) {
		return nil, errors.New("its check does not fit: a character is wrong; copy it again")
	}
	return b[:keySize], nil
}

// WriteIdentity writes a new file that only its owner can read. It must not exist yet.
func WriteIdentity(path string, i Identity) error {
	secret, err := i.key.Bytes()
	if err != nil {
		return fmt.Errorf("writing a backup key: %w", err)
	}
	defer clear(secret)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing a backup key: %w", err)
	}
	_, err = fmt.Fprintf(f, "# Opens Sekisho's backups for %s\n# Keep it in the safe, never on the machine that makes the backups.\n%s\n",
		i.Recipient(), write(identityPrefix, secret))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("writing a backup key: %w", err)
	}
	return nil
}

// LoadIdentity reads a file of [WriteIdentity]. One that others than its owner and group can read is refused.
func LoadIdentity(path string) (Identity, error) {
	st, err := os.Stat(path)
	if err != nil {
		return Identity{}, fmt.Errorf("reading a backup key: %w", err)
	}
	if st.Mode()&fs.ModePerm&0o007 != 0 {
		return Identity{}, fmt.Errorf("reading a backup key: %s can be read by everybody; chmod 600 %s", path, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return Identity{}, fmt.Errorf("reading a backup key: %w", err)
	}
	defer clear(content)
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		b, err := read(identityPrefix, line)
		if err != nil {
			return Identity{}, fmt.Errorf("reading a backup key: %s: %w", path, err)
		}
		defer clear(b)
		k, err := kem().NewPrivateKey(b)
		if err != nil {
			return Identity{}, fmt.Errorf("reading a backup key: %s: %w", path, err)
		}
		return Identity{k}, nil
	}
	return Identity{}, fmt.Errorf("reading a backup key: %s holds none", path)
}
