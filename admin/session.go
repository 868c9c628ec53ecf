package admin

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/token"
)

// SessionCookie carries an operator's session. The prefix makes browsers take it from this host alone and over TLS alone.
const SessionCookie = "__Host-sekisho_admin"

// Lives of a session.
const (
	sessionIdle  = 15 * time.Minute
	sessionTotal = 8 * time.Hour
	// sessionTouch is how often its use is written down.
	sessionTouch = time.Minute
)

// domainLookup is of Store.Keyed: records are found by the keyed hash of their secret, never by the secret.
const domainLookup = 'L'

// sessionData is what a SessionRecord keeps. Its Lookup is the hash of the cookie's secret.
type sessionData struct {
	Name       string // of the operator, for lists
	Typed      string // the name they signed in with
	Door       operator.Door
	Role       operator.Role  // of OIDC: what the provider's groups gave; else zero, and the operator's record says it
	Scope      operator.Scope // with Role
	Begun      time.Time
	Seen       time.Time
	SignedIn   time.Time // by both factors; zero: never
	Proven     time.Time // by a step-up
	Spent      time.Time // the Proven that an act of class Guards has taken
	Fresh      time.Time // of OIDC: the last sign-in at the provider
	Operator   uint32    // generation of the operator's record
	Generation uint32    // of the account
	NoToken    bool
	From       string // address
	Agent      string // User-Agent, shortened
}

func (d *sessionData) ends() time.Time {
	idle, total := d.Seen.Add(sessionIdle), d.Begun.Add(sessionTotal)
	if idle.Before(total) {
		return idle
	}
	return total
}

// unpack reads what a record says.
func unpack[T any](r *authn.Record) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(r.Data, v); err != nil {
		return nil, fmt.Errorf("reading the %v record %d: %w", r.Kind, r.ID, err)
	}
	return v, nil
}

// pack makes the next image of a record.
func pack(key authn.RecordKey, former *authn.Record, v any) *authn.Record {
	next := &authn.Record{RecordKey: key}
	if former != nil {
		next.Account, next.State, next.Due, next.Lookup = former.Account, former.State, former.Due, former.Lookup
	}
	next.Data, _ = json.Marshal(v) // structs of plain fields
	return next
}

// lookup is the hash by which a record of a secret is found.
func (s *Server) lookup(kind authn.RecordKind, secret []byte) [16]byte {
	return s.Store.Keyed(domainLookup, []byte{byte(kind)}, secret)
}

// newSecret draws 256 random bits.
func newSecret() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return b
}

func secretText(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// parseSecret reads what secretText wrote; nil for anything else.
func parseSecret(text string) []byte {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != 32 {
		return nil
	}
	return b
}

// beginSession makes a session and the cookie of it. op is checked once more under the lock; spend, which may be nil, is
// what else has to hold there, and may change the operator's record.
func (s *Server) beginSession(ctx context.Context, account authn.AccountID, d sessionData,
	spend func(r *authn.Record, op *operatorData, c *authn.Change) error) (*http.Cookie, error) {
	s.sweepSessions(ctx)
	now, from := s.Now(), callerOf(ctx)
	d.Begun, d.Seen, d.From, d.Agent = now, now, from.from(), from.agent
	secret, key := newSecret(), authn.RecordKey{Kind: authn.SessionRecord, ID: uint64(token.NewID())}
	keys := authn.Keys{Accounts: []authn.AccountID{account}, Records: []authn.RecordKey{operatorKey(account), key}}
	if from.session != 0 {
		keys.Records = append(keys.Records, authn.RecordKey{Kind: authn.SessionRecord, ID: from.session})
	}
	err := s.save(keys, func(h *authn.Held) (authn.Change, error) {
		d := d
		r, acc := h.Records[0], h.Accounts[0]
		var c authn.Change
		if r == nil && d.Role == operator.Nobody || acc == nil {
			return c, errSignIn
		}
		op := &operatorData{}
		if r != nil {
			var err error
			if op, err = unpack[operatorData](r); err != nil {
				return c, err
			}
		}
		if spend != nil {
			if err := spend(r, op, &c); err != nil {
				return c, err
			}
		}
		d.Name, d.Operator, d.Generation = acc.Name, op.Generation, acc.Generation
		rec := pack(key, nil, &d)
		rec.Account, rec.Due, rec.Lookup = account, d.ends().Unix(), s.lookup(authn.SessionRecord, secret)
		c.Records = append(c.Records, rec)
		if len(h.Records) > 2 && h.Records[2] != nil {
			c.Gone = []authn.RecordKey{h.Records[2].RecordKey} // a new sign-in in the same browser ends the one before
		}
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return &http.Cookie{Name: SessionCookie, Value: secretText(secret), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}, nil
}

// endCookie takes the cookie away.
func endCookie() *http.Cookie {
	return &http.Cookie{Name: SessionCookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

// sweepSessions takes sessions away that are over.
func (s *Server) sweepSessions(ctx context.Context) {
	old, err := s.Store.Records(authn.RecordQuery{Kind: authn.SessionRecord, DueBy: s.Now().Unix(), Limit: 100})
	if err != nil || len(old) == 0 {
		return // they open nothing
	}
	keys := authn.Keys{}
	for _, r := range old {
		keys.Records = append(keys.Records, r.RecordKey)
	}
	_ = s.save(keys, func(h *authn.Held) (c authn.Change, err error) {
		for _, r := range h.Records {
			if r != nil && r.Due <= s.Now().Unix() {
				c.Gone = append(c.Gone, r.RecordKey)
			}
		}
		return c, nil
	})
}

// bySession makes a caller of a session's cookie; false for none, an ended one, or one whose operator is none any more.
func (s *Server) bySession(ctx context.Context, c *caller, value string) bool {
	secret := parseSecret(value)
	if secret == nil {
		return false
	}
	id := s.Store.RecordOf(authn.SessionRecord, s.lookup(authn.SessionRecord, secret))
	if id == 0 {
		return false
	}
	key := authn.RecordKey{Kind: authn.SessionRecord, ID: id}
	rec, err := s.Store.Record(key)
	if err != nil {
		return false
	}
	d, err := unpack[sessionData](rec)
	if err != nil {
		s.Log.Error("a session cannot be read", "error", err)
		return false
	}
	now := s.Now()
	acc, err := s.Store.Account(rec.Account)
	if err != nil || !now.Before(d.ends()) || now.Before(d.Begun.Add(-time.Minute)) {
		return false
	}
	role, scope := d.Role, d.Scope
	if d.Door != operator.OIDC {
		op, _, err := s.operator(rec.Account)
		if err != nil || op == nil || op.Generation != d.Operator {
			return false
		}
		role, scope = op.Role, op.Scope
	}
	noToken := d.NoToken
	if acc.Generation != d.Generation && !noToken {
		// Something was done about their tokens. With none left they register a new one (O10); else they sign in again.
		if noToken = d.Door == operator.Password && !s.living(acc, now); !noToken {
			return false
		}
	}
	c.account, c.session, c.typed, c.fresh = rec.Account, id, d.Typed, d.Fresh
	c.Principal = operator.Principal{Name: acc.Name, Role: role, Scope: scope, Door: d.Door, SignedIn: d.SignedIn, Proven: d.Proven,
		Spent: !d.Proven.IsZero() && d.Spent.Equal(d.Proven), NoToken: noToken}
	if now.Sub(d.Seen) >= sessionTouch {
		_ = s.changeSession(ctx, id, func(d *sessionData) error { d.Seen = now; return nil }) // what was not written ends it sooner
	}
	return true
}

// changeSession changes a session that is still there.
func (s *Server) changeSession(ctx context.Context, id uint64, f func(*sessionData) error) error {
	key := authn.RecordKey{Kind: authn.SessionRecord, ID: id}
	return s.save(authn.Keys{Records: []authn.RecordKey{key}}, func(h *authn.Held) (c authn.Change, err error) {
		if h.Records[0] == nil {
			return c, errSignIn
		}
		d, err := unpack[sessionData](h.Records[0])
		if err == nil {
			err = f(d)
		}
		if err != nil {
			return c, err
		}
		next := pack(key, h.Records[0], d)
		next.Due = d.ends().Unix()
		return authn.Change{Records: []*authn.Record{next}}, nil
	})
}

// living reports that an account holds a token that opens.
func (s *Server) living(acc *authn.Account, now time.Time) bool {
	for _, as := range acc.Assignments {
		if as.Standing != token.Active {
			continue
		}
		if info, err := s.Store.Token(as.Token); err == nil && info.Token.StateAt(now) == token.InUse {
			return true
		}
	}
	return false
}

// from is the caller's address as text.
func (c *caller) from() string {
	if c.remote.IsValid() {
		return c.remote.Addr().Unmap().WithZone("").String()
	}
	return ""
}

// errSignIn is every refusal at the sign-in.
var errSignIn = newProblem(http.StatusUnauthorized, "sign-in-refused", wordSignInRefused)

// remoteOf is the address a request comes from; zero for the local socket.
func remoteOf(r *http.Request) netip.AddrPort {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return a
}
