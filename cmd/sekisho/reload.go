package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sekisho/admin"
	"sekisho/authn"
	"sekisho/internal/conf"
)

// fixed are the keys, or sections, that hold for the life of the service. A reload names those that were changed and goes
// on with the running values; [Config.keepFixed] is the other half of this list.
var fixed = []string{"storage", "keys", "radius.listen", "radius.listen_accounting", "admin.socket", "admin.listen", "admin.url", "admin.cert_file", "admin.key_file", "admin.trusted_proxies", "metrics", "audit", "log.format", "self_service"}

// below tells whether a key is one of keys, or stands in one of them.
func below(key string, keys ...string) bool {
	return slices.ContainsFunc(keys, func(k string) bool {
		rest, ok := strings.CutPrefix(key, k)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// keepFixed takes the values of the fixed keys, and what is known about them, from the running configuration.
func (c *Config) keepFixed(running *Config) {
	c.Storage, c.Keys, c.Metrics, c.Audit = running.Storage, running.Keys, running.Metrics, running.Audit
	c.Radius.Listen, c.Radius.ListenAccounting = running.Radius.Listen, running.Radius.ListenAccounting
	c.Admin.Socket, c.Log.Format = running.Admin.Socket, running.Log.Format
	c.Admin.Listen, c.Admin.URL, c.Admin.TrustedProxies = running.Admin.Listen, running.Admin.URL, running.Admin.TrustedProxies
	c.Admin.CertFile, c.Admin.KeyFile = running.Admin.CertFile, running.Admin.KeyFile
	c.SelfService = running.SelfService
	isFixed := func(v conf.Value) bool { return below(v.Key, fixed...) }
	c.source.values = slices.DeleteFunc(slices.Clone(c.source.values), isFixed)
	for _, v := range running.source.values {
		if isFixed(v) {
			c.source.values = append(c.source.values, v)
		}
	}
}

// reload reads the configuration again, checks it as a start would, builds everything that it makes, and only then lets
// it take the place of the running one. Whatever goes wrong before that changes nothing; the error is then an
// [admin.BadConfig]. A login ends by the configuration that it began with. actor is for log and audit.
func (s *service) reload(ctx context.Context, actor string) (admin.Reloaded, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.tell(s.manager.Reloading())
	defer func() { s.tell(s.manager.Ready(s.status())) }()
	done, err := s.replaceParts()
	if err != nil {
		bad := faultsOf(err)
		for _, p := range bad {
			s.log.Error("the new configuration has a fault", "place", p.Where, "fault", p.Problem)
		}
		s.log.Error("the configuration was not reloaded; the former one goes on", "actor", actor, "faults", len(bad))
		return done, bad
	}
	for _, c := range done.Changes {
		s.log.Info("the configuration was changed", "key", c.Key, "old", c.Old, "new", c.New)
	}
	if len(done.Restart) > 0 {
		s.log.Warn("these keys were changed and wait for a restart; the running values go on", "keys", strings.Join(done.Restart, ", "))
	}
	for _, w := range done.Notes {
		s.log.Warn("the configuration has a weak spot", "warning", w)
	}
	s.log.Info("the configuration was reloaded", "actor", actor, "changes", len(done.Changes))
	if len(done.Changes) > 0 {
		s.audit(ctx, actor, done)
	}
	return done, nil
}

// replaceParts is the whole of a reload but the words about it.
func (s *service) replaceParts() (done admin.Reloaded, err error) {
	running := s.parts.Load()
	from := running.config.source
	if from.path == "" {
		return done, errors.New("this service was not started from a file")
	}
	next, warnings, err := loadConfig(from.path, from.environ)
	if err != nil {
		return done, err
	}
	sameDirectories := true
	for _, c := range conf.Diff(from.values, next.source.values) {
		if below(c.Key, fixed...) {
			done.Restart = append(done.Restart, c.Key)
			continue
		}
		sameDirectories = sameDirectories && !below(c.Key, "directory", "directories")
		done.Changes = append(done.Changes, admin.ConfigChange(c))
	}
	done.Notes = warnings
	next.keepFixed(running.config)
	p, err := s.build(next, running, sameDirectories)
	if err != nil {
		return done, err
	}
	// From here on nothing can fail but Replace, which then has changed nothing.
	if err := s.radius.Replace(next.Radius, p.login); err != nil {
		if !sameDirectories {
			closeDirectories(p.directories)
		}
		return done, err
	}
	s.parts.Store(p)
	close(running.replaced)
	s.counters.ForgetClients()
	if s.level != nil {
		s.level.Set(next.Log.level())
	}
	if !sameDirectories {
		s.retiring.add(running)
	}
	s.warnOneFactor(next)
	return done, nil
}

// faultsOf spreads an error over the places that it names.
func faultsOf(err error) (bad admin.BadConfig) {
	faults, ok := errors.AsType[conf.Faults](err)
	if !ok {
		return admin.BadConfig{{Problem: err.Error()}}
	}
	for _, f := range faults {
		bad = append(bad, admin.Place{Where: f.Where(), Problem: strings.TrimPrefix(f.Sentence(), f.Where()+": ")})
	}
	return bad
}

// mostDetail bounds the list of keys in an act, in characters.
const mostDetail = 200

// audit writes a reload into the chain. The new configuration holds already, so a store that takes nothing does not undo
// it; the log has told about it in any case.
func (s *service) audit(ctx context.Context, actor string, done admin.Reloaded) {
	keys := make([]string, len(done.Changes))
	for i, c := range done.Changes {
		keys[i] = c.Key
	}
	detail := strings.Join(keys, ", ")
	if len(detail) > mostDetail {
		detail = fmt.Sprintf("%d keys: %.*s...", len(keys), mostDetail, detail)
	}
	act := authn.Act{Actor: actor, Now: time.Now()}
	saved := make(chan error, 1)
	err := s.db.Update(authn.Keys{}, func(*authn.Held) (authn.Change, error) { return act.Note("config.reload", detail), nil },
		func(err error) { saved <- err })
	if err == nil {
		select {
		case err = <-saved:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		s.log.Error("a reload could not be recorded", "error", err)
	}
}

// reloadOnHangup reloads at each SIGHUP until ctx ends.
func (s *service) reloadOnHangup(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.hangups:
			_, _ = s.reload(ctx, "SIGHUP") // the log has its outcome
		}
	}
}

// warnOneFactor tells, at each start and reload, where the configuration accepts one factor.
func (s *service) warnOneFactor(c *Config) {
	for _, p := range c.Policies {
		if p.AcceptOneFactor != "" {
			s.log.Warn("a code alone is enough here", "policy", p.Name, "reason", p.AcceptOneFactor)
		}
	}
}
