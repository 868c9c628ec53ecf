package mail

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sekisho/authn"
)

// DirectoryPeople is [People] by the directories.
type DirectoryPeople struct {
	Accounts interface {
		// Account gives a copy; [authn.ErrNotFound] when there is none.
		Account(id authn.AccountID) (*authn.Account, error)
	}
	Directories authn.Directories
}

var _ People = DirectoryPeople{}

// Person is [People]'s. Whoever has the name in the directory now and is somebody else gets nobody's mail.
func (d DirectoryPeople) Person(ctx context.Context, account authn.AccountID) (Person, error) {
	a, err := d.Accounts.Account(account)
	if errors.Is(err, authn.ErrNotFound) {
		return Person{}, authn.ErrUnknownUser
	}
	if err != nil {
		return Person{}, fmt.Errorf("account %v: %w", account, err)
	}
	for _, b := range d.Directories {
		if b.Name != a.Directory {
			continue
		}
		u, err := b.Directory.Lookup(ctx, []byte(a.Name))
		if err != nil {
			return Person{}, err
		}
		if u.ID != a.External {
			return Person{}, authn.ErrUnknownUser
		}
		return personOf(u), nil
	}
	return Person{}, fmt.Errorf("no directory %q is configured", a.Directory)
}

// personOf reads a user's attributes. Japanese is for everybody whose language the directory does not say.
func personOf(u *authn.User) Person {
	first := func(name string) string {
		if v := u.Attributes[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	p := Person{Name: first("name"), Address: first("mail"), Language: "ja"}
	if p.Name == "" {
		p.Name = u.Name
	}
	if strings.HasPrefix(strings.ToLower(first("language")), "en") {
		p.Language = "en"
	}
	return p
}
