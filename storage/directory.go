package storage

import (
	"bytes"
	"context"
	"errors"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"sekisho/authn"
)

// maxName is the longest User-Name that RADIUS carries, in octets.
const maxName = 253

// FoldName gives the one spelling under which a user of a `none` directory is kept: NFKC and Unicode case folding, without
// blanks around it. A name that is empty, too long, not UTF-8 or holds control characters is nobody's:
// [authn.ErrUnknownUser].
func FoldName(name []byte) (string, error) {
	name = bytes.TrimSpace(name)
	if len(name) == 0 || len(name) > maxName || !utf8.Valid(name) || bytes.ContainsFunc(name, unicode.IsControl) {
		return "", authn.ErrUnknownUser
	}
	if folded, ok := foldASCII(name); ok {
		return folded, nil
	}
	folded := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(string(name))))
	if folded = string(bytes.TrimSpace([]byte(folded))); folded == "" {
		return "", authn.ErrUnknownUser
	}
	return folded, nil
}

// foldASCII folds what nearly every name is without the tables of Unicode, to the same result.
func foldASCII(name []byte) (string, bool) {
	var room [maxName]byte
	for i, c := range name {
		switch {
		case c >= utf8.RuneSelf:
			return "", false
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		room[i] = c
	}
	return string(room[:len(name)]), true
}

// ownDirectory answers from the account table, for gateways that check the password themselves.
type ownDirectory struct {
	db   *DB
	name string
}

var _ authn.Directory = ownDirectory{}

// Directory gives the directory of kind `none` with that name in the config: its users are the accounts that an import
// made, External being the folded name ([FoldName]). It knows no passwords.
func (db *DB) Directory(name string) authn.Directory { return ownDirectory{db, name} }

func (d ownDirectory) Peek(name []byte, _ time.Time) (*authn.User, bool) {
	u, err := d.Lookup(context.Background(), name)
	return u, err == nil
}

func (d ownDirectory) Lookup(_ context.Context, name []byte) (*authn.User, error) {
	folded, err := FoldName(name)
	if err != nil {
		return nil, err
	}
	if d.db.AccountOf(d.name, folded) == 0 {
		return nil, authn.ErrUnknownUser
	}
	return &authn.User{Directory: d.name, ID: folded, Name: folded}, nil
}

func (d ownDirectory) Authenticate(context.Context, *authn.User, authn.Secret) (authn.BindResult, error) {
	return authn.BindResult{}, errors.New("directory " + d.name + " has no passwords: its policies need first_factor gateway, pin or none")
}

func (ownDirectory) BindTime() time.Duration     { return 0 }
func (ownDirectory) FailureLimit() authn.Lockout { return authn.Lockout{} }
