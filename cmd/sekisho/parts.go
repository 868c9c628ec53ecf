package main

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"sekisho/admin"
	"sekisho/authn"
)

// parts are what one configuration makes. They are built as a whole and take the place of the former ones as a whole.
type parts struct {
	config      *Config
	directories authn.Directories
	login       *authn.Authenticator
	api         *admin.Server
	handler     http.Handler // of api
}

// build makes the parts of a configuration. They go on with the memory of the former ones, and with their directories
// where these are the same; without former ones handler is left to whoever serves the API first.
func (s *service) build(config *Config, former *parts, sameDirectories bool) (*parts, error) {
	p := &parts{config: config}
	if former == nil {
		former = &parts{}
	}
	replies, err := config.replyBook()
	if err != nil {
		return nil, err
	}
	if sameDirectories {
		p.directories = former.directories
	} else if p.directories, err = config.openDirectories(s.db); err != nil {
		return nil, err
	}
	own, _, _ := config.own() // checked when it was loaded
	p.login = &authn.Authenticator{
		Directories: p.directories, Store: s.db, Keys: s.db.Keys(), Policies: config.policies(),
		Replies: replies, Limits: config.limits(), Tell: config.tell(), Own: own,
		Epoch: uint32(s.db.Epoch()), Clock: s.clock.Clock, Now: time.Now, Log: s.log, Metrics: s.counters,
		Batches: true, Former: former.login,
	}
	p.api = &admin.Server{
		Store: adminStore{s.db}, Directories: p.directories, Keys: s.db.Keys(), Clients: gateways{config.Radius, s.db}, Policies: p.login.Policies, Clock: s.clock,
		Explain:   explains(config.Radius, p.login),
		Operators: admin.Operators{Names: config.Admin.Operators}, Issuer: config.Enroll.Issuer,
		DateOnly: config.dateOnly(),
		Forget:   func(accounts ...authn.AccountID) { s.radius.Forget(accounts...) },
		Health:   s.health, Reload: s.reload, Now: time.Now, Log: s.log, Former: former.api, Stopping: s.stopping,
	}
	if former.api != nil {
		p.handler = p.api.Handler()
	}
	return p, nil
}

// longestLogin is how long a login may still be under way under a configuration that was replaced, with some to spare:
// none outlives its gateway's patience, of which 30s is the most.
const longestLogin = 35 * time.Second

// retiring are directories of former configurations that logins under way may still ask. The zero value is ready.
type retiring struct {
	mu  sync.Mutex
	all []authn.Directories
}

// add closes directories when nothing can ask them any more.
func (r *retiring) add(d authn.Directories) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, d)
	time.AfterFunc(longestLogin, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		closeDirectories(d)
		r.all = slices.DeleteFunc(r.all, func(x authn.Directories) bool { return &x[0] == &d[0] })
	})
}

// closeAll closes them at once.
func (r *retiring) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.all {
		closeDirectories(d)
	}
	r.all = nil
}
