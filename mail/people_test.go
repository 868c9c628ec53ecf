package mail

import (
	"context"
	"errors"
	"testing"
	"time"

	"sekisho/authn"
)

// accounts and register are a store and a directory of which only looking up is asked.
type accounts map[authn.AccountID]*authn.Account

func (a accounts) Account(id authn.AccountID) (*authn.Account, error) {
	if x := a[id]; x != nil {
		return x, nil
	}
	return nil, authn.ErrNotFound
}

type register struct {
	authn.Directory
	users map[string]*authn.User
	err   error
}

func (r register) Lookup(_ context.Context, name []byte) (*authn.User, error) {
	if r.err != nil {
		return nil, r.err
	}
	if u := r.users[string(name)]; u != nil {
		return u, nil
	}
	return nil, authn.ErrUnknownUser
}

func (register) BindTime() time.Duration { return 0 }

func TestPersonOfAnAccount(t *testing.T) {
	attributes := func(pairs ...string) map[string][]string {
		all := map[string][]string{}
		for i := 0; i < len(pairs); i += 2 {
			all[pairs[i]] = append(all[pairs[i]], pairs[i+1])
		}
		return all
	}
	down := errors.New("it is down")
	d := DirectoryPeople{
		Accounts: accounts{
			1: {ID: 1, Directory: "corp", External: "id-1", Name: "hanako"}, 2: {ID: 2, Directory: "corp", External: "id-2", Name: "taro"},
			3: {ID: 3, Directory: "corp", External: "id-3", Name: "renamed"}, 4: {ID: 4, Directory: "gone", Name: "hanako"},
			5: {ID: 5, Directory: "away", Name: "hanako"}, 6: {ID: 6, Directory: "corp", External: "id-6", Name: "left"},
		},
		Directories: authn.Directories{
			{Name: "away", Directory: register{err: down}},
			{Name: "corp", Directory: register{users: map[string]*authn.User{
				"hanako":  {ID: "id-1", Name: "hanako", Attributes: attributes("name", "関所 花子", "mail", "h@lab.test", "mail", "other@lab.test", "language", "EN-us")},
				"taro":    {ID: "id-2", Name: "taro", Attributes: attributes("mail", "t@lab.test", "language", "ja-JP, en;q=0.5")},
				"renamed": {ID: "somebody else", Name: "renamed", Attributes: attributes("mail", "x@lab.test")},
			}}},
		},
	}
	for id, want := range map[authn.AccountID]struct {
		person Person
		err    error
	}{
		1: {Person{"関所 花子", "h@lab.test", "en"}, nil}, 2: {Person{"taro", "t@lab.test", "ja"}, nil},
		3: {Person{}, authn.ErrUnknownUser}, 5: {Person{}, down}, 6: {Person{}, authn.ErrUnknownUser}, 7: {Person{}, authn.ErrUnknownUser},
	} {
		if got, err := d.Person(t.Context(), id); got != want.person || !errors.Is(err, want.err) {
			t.Errorf("account %d: %+v, %v; want %+v, %v", id, got, err, want.person, want.err)
		}
	}
	// A directory that the configuration has no more may come back: the mail waits.
	if _, err := d.Person(t.Context(), 4); err == nil || errors.Is(err, authn.ErrUnknownUser) {
		t.Errorf("a directory that is not configured: %v", err)
	}
}
