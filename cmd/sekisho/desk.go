package main

import (
	"context"
	"strings"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/storage"
	"sekisho/token"
)

// desk is the life cycle on what is stored.
func (s *service) desk(config *Config, directories authn.Directories) *desk.Desk {
	d := &desk.Desk{
		Store: deskStore{adminStore{s.db}}, Directories: directories, Keys: s.db.Keys(), Rules: config.lifeRules, Limits: config.limits(),
		Home: config.SelfService.URL, Issuer: config.Enroll.Issuer,
		Forget: func(accounts ...authn.AccountID) { s.radius.Forget(accounts...) },
		Now:    time.Now, Log: s.log,
	}
	if config.SelfService.On() {
		home := strings.TrimSuffix(config.SelfService.URL, "/")
		d.Links = func(secret string) string { return home + "/a/" + secret }
	}
	return d
}

// lifeRules are the numbers of the life cycle.
func (c *Config) lifeRules() life.Rules {
	r := life.Defaults()
	r.Zone, r.Login = c.zone(), c.window()
	r.Request.Pledge = c.SelfService.PledgeVersion()
	return r
}

// zone is that of the times which people read: the one of the time at which tokens stop.
func (c *Config) zone() *time.Location { return c.dateOnly().Zone }

// deskStore gives the desk the store in its own words.
type deskStore struct{ adminStore }

var _ desk.Store = deskStore{}

func (s deskStore) Token(id token.ID) (token.Token, []authn.AccountID, error) {
	info, err := s.DB.Token(id)
	if err != nil {
		return token.Token{}, nil, err
	}
	var holders []authn.AccountID
	for _, h := range info.Holders {
		if h.Standing != token.Revoked {
			holders = append(holders, h.Account)
		}
	}
	return info.Token, holders, nil
}

func (s deskStore) Expiring(ctx context.Context, before time.Time, after token.ID) (all []token.Token, err error) {
	for len(all) == 0 {
		page, err := s.DB.Tokens(ctx, storage.TokenFilter{State: token.InUse, Now: time.Now(), After: after, Limit: 1000})
		if err != nil || len(page) == 0 {
			return nil, err
		}
		for _, info := range page {
			if after = info.Token.ID; info.Token.Expiry != 0 && info.Token.Expiry < before.Unix() {
				all = append(all, info.Token)
			}
		}
	}
	return all, nil
}
