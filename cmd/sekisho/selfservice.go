package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"sekisho/authn"
	"sekisho/internal/conf"
	"sekisho/life"
	"sekisho/selfservice"
	"sekisho/storage"
)

// pagesClient is the name that events have for sign-ins to the pages.
const pagesClient = "self-service"

// aloneService is the service of sign-ins by the password alone, so that they find their policy.
const aloneService = pagesClient + "/password"

// pageClient is the pages as logins see a gateway.
func pageClient(alone bool) *authn.Client {
	c := &authn.Client{Name: pagesClient, Service: pagesClient, TrustStation: true, RejectDelay: time.Second, Deadline: 15 * time.Second,
		Names: authn.Names{Strip: authn.PrefixForm | authn.SuffixForm}}
	if alone {
		c.Service = aloneService
	}
	return c
}

// signIns answer the pages' sign-ins by the rules of logins, with the memory of those at gateways: what is counted or used at
// one door is so at the other.
type signIns struct {
	all   *authn.Authenticator            // names as people type them
	owner map[string]*authn.Authenticator // names as accounts of one directory have them
}

func newSignIns(login *authn.Authenticator) *signIns {
	policies := []*authn.Policy{
		{Name: pagesClient, Clients: []string{aloneService}, First: authn.Password, Alone: true},
		{Name: pagesClient, Clients: []string{pagesClient}, First: authn.Password, Joined: true, Window: login.Policies[0].Window},
	}
	with := func(ds authn.Directories) *authn.Authenticator {
		return &authn.Authenticator{Directories: ds, Store: login.Store, Keys: login.Keys, Policies: policies, Limits: login.Limits, Tell: login.Tell,
			Own: login.Own, Epoch: login.Epoch, Clock: login.Clock, Now: login.Now, Log: login.Log, Metrics: login.Metrics, Former: login}
	}
	s := &signIns{all: with(login.Directories), owner: map[string]*authn.Authenticator{}}
	for _, b := range login.Directories {
		s.owner[b.Name] = with(authn.Directories{b})
	}
	return s
}

// prover tells the pages who somebody is.
type prover struct{ s *service }

var _ selfservice.Prover = prover{}

func (p prover) Password(ctx context.Context, name string, password authn.Secret, from netip.Addr) (*selfservice.Person, error) {
	parts := p.s.parts.Load()
	return p.ask(ctx, parts, parts.signIns.all, &authn.Login{Client: pageClient(true), Name: []byte(name), Text: password}, from)
}

func (p prover) PasswordOf(ctx context.Context, account authn.AccountID, password authn.Secret, from netip.Addr) (*selfservice.Person, error) {
	acc, err := p.s.db.Account(account)
	if err != nil {
		return nil, fmt.Errorf("finding whose link it is: %w", err)
	}
	parts := p.s.parts.Load()
	a := parts.signIns.owner[acc.Directory]
	if a == nil {
		return nil, fmt.Errorf("directory %s is not configured any more", acc.Directory)
	}
	client := pageClient(true)
	client.Names = authn.Names{}
	who, err := p.ask(ctx, parts, a, &authn.Login{Client: client, Name: []byte(acc.Name), Text: password}, from)
	if who != nil && who.Account != account {
		return nil, nil // the name is somebody else's now
	}
	return who, err
}

func (p prover) Both(ctx context.Context, name string, password, code authn.Secret, from netip.Addr) (*selfservice.Person, error) {
	parts := p.s.parts.Load()
	return p.ask(ctx, parts, parts.signIns.all, &authn.Login{Client: pageClient(false), Name: []byte(name), Text: password, Code: code, HasCode: true}, from)
}

// ask answers one sign-in. A nil Person is a refusal.
func (p prover) ask(ctx context.Context, parts *parts, a *authn.Authenticator, l *authn.Login, from netip.Addr) (*selfservice.Person, error) {
	parts.calls.Add(1)
	defer parts.calls.Add(-1)
	l.Method, l.Signed, l.Arrived = authn.PAP, true, time.Now()
	l.Source = netip.AddrPortFrom(from, 0)
	if from.IsValid() {
		l.Station = []byte(from.String())
	}
	l.Packet = make([]byte, 32) // there is none; each sign-in is one of its own (S17)
	_, _ = rand.Read(l.Packet)
	answers := make(chan authn.Decision, 1)
	a.Authenticate(l, func(d authn.Decision) {
		answers <- authn.Decision{Verdict: d.Verdict, Reason: d.Reason, Account: d.Account}
	})
	var d authn.Decision
	select {
	case d = <-answers: // by the client's deadline
	case <-ctx.Done():
		return nil, fmt.Errorf("signing in: %w", ctx.Err())
	}
	switch d.Verdict {
	case authn.Accept:
		id := d.Account
		if id == 0 { // to whom nothing was ever given
			reading := l.Client.Names.Read(parts.directories, l.Name)
			u, err := parts.directories.Lookup(ctx, &reading)
			if err == nil {
				id, err = parts.desk.Open(ctx, u)
			}
			if err != nil {
				return nil, fmt.Errorf("making an account for who signed in: %w", err)
			}
		}
		acc, err := p.s.db.Account(id)
		if err != nil {
			return nil, fmt.Errorf("reading who signed in: %w", err)
		}
		return &selfservice.Person{Account: acc.ID, Name: acc.Name}, nil
	case authn.Reject:
		return nil, nil
	}
	return nil, fmt.Errorf("a sign-in was not decided: %s", d.Reason)
}

// Hold waits until a refusal may leave: at a whole multiple of the delay after arrival, so that its moment does not tell what
// was checked (S20).
func (p prover) Hold(ctx context.Context, arrived time.Time) {
	delay := p.s.parts.Load().signIns.all.RejectDelay(pageClient(true))
	passed := time.Since(arrived)
	select {
	case <-time.After(delay*(passed/delay+1) - passed):
	case <-ctx.Done():
	}
}

// people tells the pages a person's own things.
type people struct{ s *service }

var _ selfservice.People = people{}

func (p people) Typing(ctx context.Context, account authn.AccountID) ([]selfservice.Typing, error) {
	acc, err := p.s.db.Account(account)
	if err != nil {
		return nil, fmt.Errorf("reading an account: %w", err)
	}
	parts := p.s.parts.Load()
	parts.calls.Add(1)
	defer parts.calls.Add(-1)
	at := slices.IndexFunc(parts.directories, func(b authn.Branch) bool { return b.Name == acc.Directory })
	if at < 0 {
		return nil, nil
	}
	u, err := parts.directories[at].Directory.Lookup(ctx, []byte(acc.Name))
	if errors.Is(err, authn.ErrUnknownUser) || errors.Is(err, authn.ErrAmbiguousUser) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking the directory about a person: %w", err)
	}
	var all []selfservice.Typing
	for _, c := range parts.config.Radius.AuthnClients() {
		policy := authn.For(parts.login.Policies, &c, u)
		if policy == nil || policy.Deny || policy.Exempts(u) {
			continue
		}
		t := selfservice.Typing{Gateway: c.Service, First: policy.First, Joined: policy.Joined, CodeFirst: policy.CodeFirst}
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return one(all), nil
}

// one leaves the names of gateways out where the same is typed at all of them.
func one(all []selfservice.Typing) []selfservice.Typing {
	for i := range all {
		t := all[i]
		t.Gateway = all[0].Gateway
		if t != all[0] {
			return all
		}
	}
	if len(all) > 1 {
		all = all[:1]
	}
	if len(all) == 1 {
		all[0].Gateway = ""
	}
	return all
}

func (p people) Attempts(ctx context.Context, account authn.AccountID, most int) ([]selfservice.Attempt, error) {
	events, err := p.s.db.Logins(ctx, storage.LoginFilter{Account: account, Limit: most})
	if err != nil {
		return nil, fmt.Errorf("reading a person's logins: %w", err)
	}
	all := make([]selfservice.Attempt, len(events))
	for i, e := range events {
		if e.Client == pagesClient {
			e.Client = ""
		}
		all[i] = selfservice.Attempt{At: e.At, OK: e.Verdict == authn.Accept, Where: e.Client, JA: e.Reason.Japanese(), EN: e.Reason.Sentence()}
	}
	return all, nil
}

// selfService makes the pages' listener; nil where none is configured.
func (s *service) selfService() (*http.Server, error) {
	c := s.config.selfService()
	if !c.On() {
		return nil, nil
	}
	pages := &selfservice.Server{Config: c, Prover: prover{s}, Desk: func() selfservice.Desk { return s.parts.Load().desk }, Rules: func() life.Rules { return s.parts.Load().desk.Rules() }, People: people{s}, Sessions: s.db,
		Zone: s.config.dateOnly().Zone, Now: time.Now, Log: s.log}
	handler, err := pages.Handler()
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	if c.CertFile != "" {
		pair := &keyPair{cert: c.CertFile, key: c.KeyFile, log: s.log}
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}
	}
	return server, nil
}

// selfService is the pages' section with what it takes from the mails'.
func (c *Config) selfService() selfservice.Config {
	p := c.SelfService
	if p.Organization == "" {
		p.Organization = c.Mail.Organization
	}
	if p.HelpName == "" && p.HelpPhone == "" && p.HelpHours == "" {
		p.HelpName, p.HelpPhone, p.HelpHours = c.Mail.HelpName, c.Mail.HelpPhone, c.Mail.HelpHours
	}
	return p
}

// checkSelfService adds what only the whole configuration tells.
func (c *Config) checkSelfService(doc *conf.Doc) {
	for _, f := range c.SelfService.Check() {
		doc.Fault("self_service."+f.Key, f.Problem, f.Advice)
	}
	asks := slices.ContainsFunc(c.directories(), func(d *DirectoryConfig) bool { return d.Type != "none" })
	if c.SelfService.On() && !asks {
		doc.Fault("self_service.listen", "people sign in with the directory's password, and no directory here checks any", "give a directory of type ldap or file, or leave self_service out")
	}
}

// keyPair is a certificate whose files are read again when they have changed. One that cannot be read leaves the former one.
type keyPair struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	looked time.Time
	stamp  [2]time.Time
	pair   *tls.Certificate
}

// lookEvery is how often the files are looked at, while somebody connects.
const lookEvery = time.Second

func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pair != nil && time.Since(k.looked) < lookEvery {
		return k.pair, nil
	}
	k.looked = time.Now()
	var stamp [2]time.Time
	for i, name := range []string{k.cert, k.key} {
		if info, err := os.Stat(name); err == nil {
			stamp[i] = info.ModTime()
		}
	}
	if k.pair != nil && stamp == k.stamp {
		return k.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	switch {
	case err == nil:
		k.pair, k.stamp = &pair, stamp
	case k.pair == nil:
		return nil, fmt.Errorf("reading the certificate of the pages: %w", err)
	default:
		k.log.Error("the changed certificate of the pages cannot be read; the former one goes on", "error", err)
		k.stamp = stamp
	}
	return k.pair, nil
}
