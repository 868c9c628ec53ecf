package directory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

// ServerReport is what one server shows to somebody who sets Sekisho up. It is made by the code that logins use.
type ServerReport struct {
	URL       string
	Connected time.Duration       // TCP and TLS together
	TLS       string              // version, such as TLS 1.3; empty in the clear
	Chain     []*x509.Certificate // as the server sends it, its own first
	SignedIn  string              // the service account; empty: nobody in particular
	Err       error               // why the server is of no use; nil: it is
	Stage     Stage               // how far it went
	Clock     time.Time           // of the server, in whole seconds, where it tells (Active Directory); zero: it does not
	ClockRead time.Time           // when it told
}

// Stage is how far a connection to a server gets.
type Stage int

// The stages, in their order.
const (
	StageConnect Stage = iota // it cannot be reached, or TLS fails
	StageTrust                // its certificate is not taken
	StageSignIn               // the service account is refused
	StageSearch               // base_dn cannot be read
	StageDone
)

// ReportServers connects to every server by itself, signs the service account in and reads base_dn.
func (l *LDAP) ReportServers(ctx context.Context) []ServerReport {
	all := make([]ServerReport, len(l.dialer.servers))
	for i := range all {
		all[i] = l.reportServer(ctx, i)
	}
	return all
}

func (l *LDAP) reportServer(ctx context.Context, number int) (r ServerReport) {
	d := &l.dialer
	r.URL = d.servers[number].url
	began := time.Now()
	c, err := d.dialServer(ctx, number)
	r.Connected = time.Since(began)
	if err != nil {
		r.Err = err
		if untrusted := l.look(ctx, number, &r); untrusted != nil {
			r.Stage, r.Err = StageTrust, untrusted
		}
		return r
	}
	defer c.drop()
	if state, ok := c.tlsState(); ok {
		r.TLS, r.Chain = tls.VersionName(state.Version), state.PeerCertificates
	}
	r.Stage = StageSignIn
	if r.Err = d.signIn(ctx, c); r.Err != nil {
		return r
	}
	r.SignedIn, r.Stage = d.BindDN, StageSearch
	on := newLine(c, d.MaxAnswer, d.Timeout)
	ask := func(req *ldap.SearchRequest) (*ldap.SearchResult, error) {
		q, err := l.queryOf(req)
		if err != nil {
			return nil, err
		}
		return on.ask(ctx, time.Now().Add(d.Timeout), &q)
	}
	if _, r.Err = ask(baseOf(d.BaseDN, "1.1")); r.Err != nil {
		return r
	}
	r.Stage = StageDone
	if res, err := ask(baseOf("", "currentTime")); err == nil && len(res.Entries) == 1 {
		r.ClockRead = time.Now()
		r.Clock = generalizedTime(value(res.Entries[0], "currentTime"))
	}
	return r
}

// generalizedTime reads the form in which Active Directory tells its time (RFC 4517 section 3.3.13, in UTC); zero for
// another one.
func generalizedTime(text string) time.Time {
	for _, layout := range []string{"20060102150405Z", "20060102150405.0Z"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return time.Time{}
}

// look fetches the chain of a server that could not be connected to, and gives what is wrong with it; nil when that is
// not the reason. Nothing is sent on such a connection.
func (l *LDAP) look(ctx context.Context, number int, r *ServerReport) error {
	config := l.dialer.servers[number].tls
	if config == nil {
		return nil
	}
	anything := config.Clone()
	anything.InsecureSkipVerify = true
	c, err := l.dialer.connect(ctx, number, anything)
	if err != nil {
		return nil
	}
	defer c.drop()
	state, _ := c.tlsState()
	r.TLS, r.Chain = tls.VersionName(state.Version), state.PeerCertificates
	between := x509.NewCertPool()
	for _, c := range r.Chain[1:] {
		between.AddCert(c)
	}
	_, err = r.Chain[0].Verify(x509.VerifyOptions{Roots: config.RootCAs, Intermediates: between, DNSName: config.ServerName})
	return err
}

// baseOf reads one entry.
func baseOf(dn string, attributes ...string) *ldap.SearchRequest {
	return &ldap.SearchRequest{BaseDN: dn, Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: attributes}
}

// UserReport is what a directory tells about one user.
type UserReport struct {
	User    *authn.User
	Groups  []Membership   // by DN
	State   []string       // what the entry says about the account, each "attribute: value"
	Lockout *authn.Lockout // of the user's own password policy; nil: none, or it may not be read
	Policy  string         // DN of that policy; empty: none is named
	Entries []string       // DNs of the entries a name fits that fits several
	Walked  time.Duration  // look-up and groups
}

// Membership is one group of a user.
type Membership struct {
	DN  string
	How Found
}

// ReportUser looks a user up as a login does, past the cache. With [authn.ErrAmbiguousUser] the report has the entries.
func (l *LDAP) ReportUser(ctx context.Context, typed []byte) (*UserReport, error) {
	ctx, cancel := context.WithTimeout(ctx, l.lookupTime())
	defer cancel()
	name, err := foldName(typed)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	e, err := l.entry(ctx, name, nil)
	if errors.Is(err, authn.ErrAmbiguousUser) {
		return l.reportSeveral(ctx, name), err
	}
	if err != nil {
		return nil, err
	}
	r := &UserReport{}
	if r.User, err = l.user(e, name, began); err != nil {
		return nil, err
	}
	groups, err := l.groups(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("walking the groups: %w", err)
	}
	r.Walked = time.Since(began)
	for dn, how := range groups {
		r.Groups = append(r.Groups, Membership{dn, how})
		r.User.Groups = append(r.User.Groups, dn)
	}
	slices.Sort(r.User.Groups)
	slices.SortFunc(r.Groups, func(a, b Membership) int { return strings.Compare(a.DN, b.DN) })
	return r, l.reportState(ctx, r)
}

func (l *LDAP) reportSeveral(ctx context.Context, name string) *UserReport {
	r := &UserReport{}
	res, err := l.search(ctx, &ldap.SearchRequest{BaseDN: l.dialer.BaseDN, Scope: ldap.ScopeWholeSubtree, SizeLimit: 5,
		Filter: userFilter(l.dialer.UserFilter, name), Attributes: []string{"1.1"}})
	if err == nil || isFull(err) {
		for _, e := range res.Entries {
			r.Entries = append(r.Entries, e.DN)
		}
	}
	return r
}

// reportState reads what the entry says about the account and the policy that is its own.
func (l *LDAP) reportState(ctx context.Context, r *UserReport) error {
	shown := append([]string{"lockoutTime", "badPwdCount", "pwdFailureTime", "msDS-ResultantPSO", "pwdPolicySubentry"}, stateAttributes...)
	res, err := l.search(ctx, baseOf(r.User.DN, shown...))
	if err != nil || len(res.Entries) != 1 {
		return err
	}
	for _, a := range res.Entries[0].Attributes {
		for _, v := range plainTexts(a.Values) {
			r.State = append(r.State, a.Name+": "+v)
		}
	}
	slices.Sort(r.State)
	r.Policy = orDefault(value(res.Entries[0], "msDS-ResultantPSO"), value(res.Entries[0], "pwdPolicySubentry"))
	if r.Policy == "" {
		return nil
	}
	res, err = l.search(ctx, baseOf(r.Policy, "msDS-LockoutThreshold", "msDS-LockoutObservationWindow", "pwdMaxFailure", "pwdLockout",
		"pwdFailureCountInterval"))
	switch {
	case err != nil && isNetwork(err):
		return err
	case err != nil || len(res.Entries) != 1:
		return nil // it may not be read
	case l.dialer.active():
		r.Lockout = strictest(res.Entries, adLockout)
	default:
		r.Lockout = strictest(res.Entries, ppolicyLockout)
	}
	return nil
}

// ReportFailureLimit asks the directory when it locks a user; nil: it does not tell. What holds is [LDAP.FailureLimit].
func (l *LDAP) ReportFailureLimit(ctx context.Context) (*authn.Lockout, error) {
	ctx, cancel := context.WithTimeout(ctx, l.lookupTime())
	defer cancel()
	return l.askFailureLimit(ctx)
}
