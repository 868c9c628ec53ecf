package main

import (
	"context"
	"strings"
	"time"

	"sekisho/admin"
	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/operator"
	"sekisho/storage"
	"sekisho/token"
)

// desk is the life cycle on what is stored.
func (s *service) desk(config *Config, directories authn.Directories) *desk.Desk {
	d := &desk.Desk{
		Store: deskStore{adminStore{s.db}}, Directories: directories, Keys: s.db.Keys(), Limits: config.limits(),
		Rules: func() life.Rules {
			r := config.lifeRules()
			r.Request.Pledge = config.SelfService.PledgeVersion()
			return r
		},
		Issuer:    config.Enroll.Issuer,
		Forget:    func(accounts ...authn.AccountID) { s.radius.Forget(accounts...) },
		Operators: s.operatorsWithRoles,
		Wake:      s.mails.Wake,
		Now:       time.Now, Log: s.log,
	}
	if config.SelfService.On() {
		d.Home = strings.TrimSuffix(config.SelfService.URL, "/")
		d.Links = func(secret string) string { return d.Home + authn.LinkPath + secret }
	}
	return d
}

// lifeRoles are operators' roles as the rules of the life cycle know them. To these an auditor is an operator, whom the help desk
// does not touch.
var lifeRoles = map[operator.Role]life.Who{operator.Auditor: life.ByHelpDesk, operator.Helpdesk: life.ByHelpDesk, operator.Admin: life.ByAdmin, operator.Master: life.ByMaster}

// operatorsWithRoles are the operators as the life cycle knows them.
func (s *service) operatorsWithRoles() (all []desk.Operator, err error) {
	roles, err := admin.AllOperators(s.db)
	for account, role := range roles {
		if who := lifeRoles[role]; who != 0 {
			all = append(all, desk.Operator{Account: account, Role: who})
		}
	}
	return all, err
}

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

func (s deskStore) AccountsOf(ctx context.Context, directory string, after authn.AccountID) ([]*authn.Account, error) {
	return s.DB.Accounts(ctx, storage.AccountFilter{Directory: directory, After: after, Limit: 1000})
}

// tickEvery is how often the desk looks at what time alone asks for.
const tickEvery = 10 * time.Second

// tickDesk lets time do its part until ctx ends. It stands still while the clock is in doubt: nothing lapses and no mail goes
// out because of a jump (S21).
func (s *service) tickDesk(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.clock.Doubt() {
			continue
		}
		words := ""
		if err := s.parts.Load().desk.Tick(ctx); err != nil && ctx.Err() == nil {
			words = err.Error()
		}
		if words != "" && words != failed {
			s.log.Error("what time asks for could not be done; it is tried again", "error", words)
		}
		failed = words
	}
}
