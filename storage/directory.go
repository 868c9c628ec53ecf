package storage

import (
	"context"
	"errors"
	"time"

	"sekisho/authn"
)

// FoldName gives the one spelling under which a user of a `none` directory is kept: that of [authn.FoldName], without
// regard to case. What cannot be a name is nobody's: [authn.ErrUnknownUser].
func FoldName(name []byte) (string, error) {
	folded, err := authn.FoldName(name)
	if err != nil {
		return "", err
	}
	return authn.FoldCase(string(folded)), nil
}

// ownDirectory answers from the account table, for gateways that check the password themselves.
type ownDirectory struct {
	db   *DB
	name string
}

var (
	_ authn.Directory = ownDirectory{}
	_ authn.Peeker    = ownDirectory{}
)

// Directory gives the directory of kind `none` with that name in the config: its users are the accounts that an import
// made, External being the folded name ([FoldName]). It knows no passwords.
func (db *DB) Directory(name string) authn.Directory { return ownDirectory{db, name} }

func (d ownDirectory) Peek(name []byte, _ time.Time) (*authn.User, bool) {
	u, err := d.Lookup(context.Background(), name)
	return u, err == nil
}

// PeekInto shares the folded name with the account.
func (d ownDirectory) PeekInto(name []byte, _ time.Time, room *authn.User) (found, known bool) {
	var octets [authn.MaxName]byte
	folded, err := authn.AppendFolded(octets[:0], name)
	if err != nil {
		return false, true
	}
	st := d.db.state.Load()
	st.mu.RLock()
	slot, ok := st.userSlot(d.name, alias(folded))
	claimed := false
	var id string
	if ok {
		id, _ = st.namesOf(st.accounts.at(slot))
	} else {
		_, claimed = st.claims.users[userKey{d.name, string(folded)}]
	}
	st.mu.RUnlock()
	if !ok {
		return false, !claimed
	}
	*room = authn.User{Directory: d.name, ID: id, Name: id}
	return true, true
}

func (d ownDirectory) Lookup(_ context.Context, name []byte) (*authn.User, error) {
	u, err := d.NewUser(name)
	if err == nil && d.db.AccountOf(d.name, u.ID) == 0 {
		return nil, authn.ErrUnknownUser
	}
	return u, err
}

// NewUser is the user that an account of this name would have.
func (d ownDirectory) NewUser(name []byte) (*authn.User, error) {
	folded, err := FoldName(name)
	if err != nil {
		return nil, err
	}
	return &authn.User{Directory: d.name, ID: folded, Name: folded}, nil
}

func (d ownDirectory) Authenticate(context.Context, *authn.User, authn.Secret) (authn.BindResult, error) {
	return authn.BindResult{}, errors.New("directory " + d.name + " has no passwords: its policies need first_factor gateway, pin or none")
}

func (ownDirectory) BindTime() time.Duration     { return 0 }
func (ownDirectory) FailureLimit() authn.Lockout { return authn.Lockout{} }
