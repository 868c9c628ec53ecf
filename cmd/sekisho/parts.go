package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sekisho/admin"
	"sekisho/authn"
	"sekisho/desk"
)

// parts are what one configuration makes. They are built as a whole and take the place of the former ones as a whole.
type parts struct {
	config      *Config
	directories authn.Directories
	login       *authn.Authenticator
	signIns     *signIns // to the self-service pages
	desk        *desk.Desk
	api         *admin.Server
	handler     http.Handler  // of api
	calls       *atomic.Int64 // being served, of all parts with these directories
	replaced    chan struct{} // closed when others have taken their place
}

// build makes the parts of a configuration. They go on with the memory of the former ones, and with their directories
// where these are the same; without former ones handler is left to whoever serves the API first.
func (s *service) build(config *Config, former *parts, sameDirectories bool) (*parts, error) {
	p := &parts{config: config, calls: new(atomic.Int64), replaced: make(chan struct{})}
	if former == nil {
		former = &parts{}
	}
	d, err := config.Radius.Dictionary()
	if err != nil {
		return nil, fmt.Errorf("reading the dictionaries: %w", err)
	}
	if sameDirectories {
		p.directories, p.calls = former.directories, former.calls
	} else if p.directories, err = config.openDirectories(s.db); err != nil {
		return nil, err
	}
	own, _, _ := config.own() // checked when it was loaded
	p.desk = s.desk(config, p.directories)
	p.login = &authn.Authenticator{
		Directories: p.directories, Store: s.db, Keys: s.db.Keys(), Policies: config.policies(),
		Replies: config.replyBook(d), Spares: p.desk.Spares(), Limits: config.limits(), Tell: config.tell(), Own: own,
		Epoch: uint32(s.db.Epoch()), Clock: s.clock.Clock, Now: time.Now, Log: s.log, Metrics: s.counters,
		Batches: true, Former: former.login,
	}
	p.signIns = newSignIns(p.login)
	admission := &authn.Authenticator{
		Directories: p.directories, Store: s.db, Keys: s.db.Keys(), Policies: admin.SignInPolicies(config.window()), Limits: config.limits(),
		Tell: config.tell(), Own: own, Epoch: uint32(s.db.Epoch()), Clock: s.clock.Clock, Now: time.Now, Log: s.log, Metrics: s.counters, Former: p.login,
	}
	p.api = &admin.Server{
		Admission: admission, Policy: config.Admin.policy(), VIP: config.Admin.VIPGroups, ActsPerDay: config.Admin.ActsPerDay, URL: config.Admin.URL,
		Store: adminStore{s.db}, Directories: p.directories, Keys: s.db.Keys(), Desk: p.desk, Clients: gateways{config.Radius, s.db}, Policies: p.login.Policies, Clock: s.clock,
		Explain:   explains(config.Radius, d, p.login),
		Operators: admin.Operators{Names: config.Admin.Operators}, Issuer: config.Enroll.Issuer,
		DateOnly: config.dateOnly(),
		Forget:   func(accounts ...authn.AccountID) { s.radius.Forget(accounts...) },
		Backup:   s.backup(config), Wake: s.mails.Wake,
		Health: s.health, Reload: s.reload, Now: time.Now, Log: s.log, Former: former.api, Stopping: s.stopping,
	}
	if former.api != nil {
		p.handler = p.api.Handler()
	}
	return p, nil
}

// longestLogin is how long a login may still be under way under a configuration that was replaced, with some to spare:
// none outlives its gateway's patience, of which 30s is the most.
const longestLogin = 35 * time.Second

// longestCall is how long a call of an operator may keep the directories of a configuration that was replaced: the users of
// a large seed file take minutes to look up. Whoever follows logins stays longer and asks no directory.
const longestCall = 30 * time.Minute

// retiring are parts of former configurations whose directories may still be asked. The zero value is ready.
type retiring struct {
	mu  sync.Mutex
	all []*parts
}

// add closes the parts' directories when nothing asks them any more.
func (r *retiring) add(p *parts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, p)
	r.later(p, 0)
}

// later looks again after a while, and closes the directories when the time has come.
func (r *retiring) later(p *parts, waited time.Duration) {
	time.AfterFunc(longestLogin, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if waited += longestLogin; p.calls.Load() > 0 && waited < longestCall {
			r.later(p, waited)
			return
		}
		closeDirectories(p.directories)
		r.all = slices.DeleteFunc(r.all, func(x *parts) bool { return x == p })
	})
}

// closeAll closes them at once.
func (r *retiring) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.all {
		closeDirectories(p.directories)
	}
	r.all = nil
}

// ServeHTTP serves one call of the API.
func (p *parts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.calls.Add(1)
	defer p.calls.Add(-1)
	p.handler.ServeHTTP(w, r)
}
