// Package admin is the operators' HTTP API. For now it listens on a local socket, where the system says who calls.
//
//	GET  /api/v1/health                     is the service well?
//	GET  /api/v1/tokens                     list; ?after= &limit= &state= &form=
//	POST /api/v1/tokens/import              a file of seeds, all or nothing; ?dry_run= &skip_bad= ...
//	POST /api/v1/tokens/export              tokens with their seeds, as a sealed PSKC file
//	GET  /api/v1/tokens/{token}             one token; {token} is a serial or an ID
//	POST /api/v1/tokens/{token}/assign      give it to a user
//	POST /api/v1/tokens/{token}/confirm     activate it by a right code
//	POST /api/v1/tokens/{token}/revoke      take it away, from one user or from all
//	GET  /api/v1/users/{user}               one user: directory, tokens, locks
//	POST /api/v1/users/{user}/tokens        enroll a new software token; the answer alone shows its secret
//	POST /api/v1/users/{user}/erase         overwrite what is stored about a person
//	PUT  /api/v1/users/{user}/pin           set the PIN
//	POST /api/v1/users/{user}/unlock        end stops and waits
//	GET  /api/v1/names                      how a typed name is read; ?typed= &client=
//	GET  /api/v1/clients                    the gateways
//	GET  /api/v1/clients/{client}           one with its settings, and how to set up the gateway
//	POST /api/v1/clients/{client}/release-ma  let a gateway go without Message-Authenticator again
//	POST /api/v1/clock/accept               the clock is right as it stands
//	GET  /api/v1/explain                    what would a login be answered? ?user= &client= &station=
//	POST /api/v1/config/reload              read the configuration again and go by it, all or nothing
//	POST /api/v1/backup                     a sealed copy of everything; ?recipient=
//	GET  /api/v1/logins                     events; ?user= &client= &reason= &since= &before= &limit= &follow=
//	GET  /api/v1/plots                      logins by verdict and reason, times by stage; ?span=
//	GET  /api/v1/audit                      every event; ?after=
//	POST /api/v1/audit/verify               does the chain hold?
//	GET  /api/v1/mails                      mails on their way, newest first; ?state= &kind= &user= &since=
//	GET  /api/v1/mails/{mail}               one, with the mail server's answer
//	POST /api/v1/mails/{mail}/again         let one wait once more that did not arrive
//	GET  /api/openapi.json
//
// A change goes: handler -> look up names -> [authn.Act], a pure rule -> Store.Update, which saves image and event in one
// transaction -> answer. Errors are RFC 9457 problems with a stable code.
package admin

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/operator"
	"sekisho/token"
)

// Store is what the API may do with the data.
type Store interface {
	authn.Records
	// Keyed gives a keyed hash; domain keeps the uses of it apart.
	Keyed(domain byte, parts ...[]byte) [16]byte
	Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error
	// Import brings a batch in, whole or not at all, however large it is, and tells progress how many rows of how many are
	// written. authn.ErrExists: something of it is here meanwhile.
	Import(ctx context.Context, b *authn.Batch, progress func(written, rows int)) error

	AccountOf(directory, external string) authn.AccountID
	// Account gives a copy; authn.ErrNotFound when there is none.
	Account(id authn.AccountID) (*authn.Account, error)
	// Accounts lists in the order of IDs.
	Accounts(ctx context.Context, q AccountQuery) ([]*authn.Account, error)
	// FindToken gives the living token with a serial, else the one with a credential ID; zero when there is none.
	FindToken(ctx context.Context, name string) (token.ID, error)
	// FindSerial gives the living token with a serial; zero when there is none.
	FindSerial(serial string) token.ID
	// FindSeed gives the living token with a fingerprint; zero when there is none (S9).
	FindSeed(fingerprint [16]byte) token.ID
	// Token gives a copy; authn.ErrNotFound when there is none.
	Token(id token.ID) (TokenInfo, error)
	// Tokens lists in the order of IDs.
	Tokens(ctx context.Context, q TokenQuery) ([]TokenInfo, error)

	// Logins lists durable events, newest first.
	Logins(ctx context.Context, q LoginQuery) ([]authn.Event, error)
	// Follow gives every event after seq, and then each one as it becomes durable, until ctx ends.
	Follow(ctx context.Context, seq uint64) iter.Seq2[authn.Event, error]
	// Cores gives the events numbered from..to without their personal parts, newest first, until f says no.
	Cores(ctx context.Context, from, to uint64, f func(*authn.Event) bool) error
	// Seq is the number of the newest durable event.
	Seq() uint64
	// Position is the newest durable event and the chain's link there.
	Position() (seq uint64, link []byte)
	// VerifyChain walks the audit chain and compares heads that left the machine; the error names the first place that does
	// not hold.
	VerifyChain(ctx context.Context, heads []Head) (Chain, error)
	// Erase overwrites what is stored about a person: of the events of the account, zero for none, and of events and
	// accounting records of no account under one of the names. by says who does it and why, and is saved with it.
	Erase(ctx context.Context, account authn.AccountID, names [][]byte, by *authn.Event, progress func(done, total uint64)) (Erasure, error)
}

// TokenInfo is a token and who has an assignment of it, revoked ones included.
type TokenInfo struct {
	Token   token.Token
	Holders []TokenHolder
}

// TokenHolder is one account's assignment.
type TokenHolder struct {
	Account  authn.AccountID
	Name     string
	Standing token.Standing
	Since    int64 // Unix seconds
}

// TokenQuery narrows a listing of tokens; zero fields narrow nothing.
type TokenQuery struct {
	State  token.State // at Now: Expired counts
	Form   token.Form
	Serial string // beginning of the serial
	Free   bool   // held by nobody, and never was
	Now    time.Time
	After  token.ID // last ID of the page before
	Limit  int      // 1 to 1000
}

// AccountQuery narrows a listing of accounts; zero fields narrow nothing.
type AccountQuery struct {
	Directory string
	Name      string          // beginning of the name
	After     authn.AccountID // last ID of the page before
	Limit     int             // 1 to 1000
}

// LoginQuery narrows a listing of events; zero fields narrow nothing.
type LoginQuery struct {
	Account authn.AccountID
	Name    []byte // as typed; asked for where there is no account
	Client  string
	Reason  authn.Reason
	Acts    bool // acts of operators too
	Since   time.Time
	Before  uint64
	Limit   int // 1 to 1000
}

// picks is the query for an event that just happened.
func (q *LoginQuery) picks(e *authn.Event) bool {
	return (q.Acts || e.Kind == authn.LoginEvent) && (q.Account == 0 || e.Account == q.Account) &&
		(q.Name == nil || bytes.Equal(q.Name, e.Personal.Name)) && (q.Client == "" || e.Client == q.Client) &&
		(q.Reason == 0 || e.Reason == q.Reason) && !e.At.Before(q.Since)
}

// Keys seals and opens seeds and derives the key of PINs; token.Keys does.
type Keys interface {
	SealSeed(id token.ID, seed []byte) (token.SealedSeed, error)
	OpenSeed(dst []byte, id token.ID, s token.SealedSeed) ([]byte, error)
	Fingerprint(seed []byte) [16]byte
	Derive(purpose string) [32]byte
}

var _ Keys = (*token.Keys)(nil)

// Client is a gateway as `client list` shows it.
type Client struct {
	Name                 string   `json:"name"`
	Service              string   `json:"service,omitempty" doc:"clients of one name here count as one service"`
	Profile              string   `json:"profile"`
	Addresses            []string `json:"addresses"`
	MessageAuthenticator string   `json:"message_authenticator" doc:"required, ratchet or off"`
	Ratchet              string   `json:"ratchet_since,omitempty" doc:"since when it is required because the gateway once sent it; RFC 3339"`
	Challenge            string   `json:"challenge" doc:"none, plain or blind"`
}

// ClientDetail is a gateway as `client show` shows it.
type ClientDetail struct {
	Client
	Settings []ClientSetting `json:"settings" doc:"every key of the client but its secrets"`
	Guide    string          `json:"guide" doc:"how to set up the gateway, as Markdown with this client's values; a placeholder stands for the secret"`
}

// ClientSetting is one key of a client's configuration.
type ClientSetting struct {
	Key    string `json:"key"`
	Value  string `json:"value" doc:"empty where nothing is set"`
	Origin string `json:"origin" doc:"config, profile NAME, or default"`
}

// Clients tells about the gateways and undoes a ratchet.
type Clients interface {
	Clients() []Client
	// Login gives a client as logins see it; known is false for a name that is in no configuration.
	Login(name string) (c *authn.Client, known bool)
	// Client gives one by its name; known is false for a name that is in no configuration.
	Client(name string) (c ClientDetail, known bool)
	// ReleaseMA lets a client go without Message-Authenticator again and saves act with it. known is false for a name that
	// is in no configuration; the error is authn.ErrNotFound where nothing was ratcheted.
	ReleaseMA(ctx context.Context, name string, act *authn.Event) (known bool, err error)
}

// Clock is the watch on the wall clock (S21).
type Clock interface {
	Doubt() bool
	// Accept ends a doubt: the wall clock is right as it stands. was tells whether there was one.
	Accept() (was bool)
}

// Server serves the API by one configuration. All fields but Former and Stopping are needed.
type Server struct {
	Store       Store
	Directories authn.Directories
	Keys        Keys
	Desk        *desk.Desk // does the acts of the life cycle
	Clients     Clients
	Policies    []*authn.Policy // as logins have them
	Clock       Clock
	Explain     Explain
	Operators   Operators
	Admission   Admission                // decides sign-ins
	Policy      operator.Policy          // what asks for a step-up or a second person
	VIP         []string                 // groups of people for whom a second person is asked sooner
	ActsPerDay  int                      // of a help desk; 0: [operator.ActsPerDay]
	URL         string                   // of the operators' pages, for links; empty: links are shown as a secret
	DateOnly    token.Moment             // when a token stops whose seed file gives only a date
	Issuer      string                   // shown by apps beside a software token's codes
	Forget      func(...authn.AccountID) // drops cached answers of accounts that an act changed (S13)
	Wake        func()                   // new mails wait
	Health      func() Health
	Reload      func(ctx context.Context, actor string) (Reloaded, error) // a BadConfig where the configuration has faults
	// Backup copies the store for a recipient, the configured one when it is empty.
	Backup   func(ctx context.Context, recipient string) (*Backup, error)
	Now      func() time.Time
	Log      *slog.Logger
	Former   *Server         // whose place this one takes: acts of both take turns
	Stopping <-chan struct{} // closed when the service stops: whoever follows logins is let go

	acts *sync.Mutex // one act at a time: what it looked up stays true until it is decided

	importing *sync.Mutex // one import at a time

	calls *calls
}

// calls is what is remembered of calls.
type calls struct {
	paces   paces
	replies replies
	tally   tally // of logins, for plots
}

// Health is the service's word on itself.
type Health struct {
	OK      bool              `json:"ok"`
	Version string            `json:"version"`
	Parts   map[string]string `json:"parts" doc:"each part's state in one word or sentence"`
}

// Handler is the API with identity, refusal and panic handling around it. Requests have to come through a connection
// that [Server.Serve] accepted.
func (s *Server) Handler() http.Handler {
	s.acts, s.importing, s.calls = new(sync.Mutex), new(sync.Mutex), new(calls)
	if s.Former != nil {
		s.acts, s.importing, s.calls, s.Former = s.Former.acts, s.Former.importing, s.Former.calls, nil
	}
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Sekisho", "1")
	config.OpenAPIPath = "/api/openapi"
	config.DocsPath, config.SchemasPath = "", ""
	config.CreateHooks = nil
	config.Formats = formats()
	api := humago.New(mux, config)
	s.tokenRoutes(api)
	s.userRoutes(api)
	s.linkRoutes(api)
	s.requestRoutes(api)
	s.nameRoutes(api)
	s.serviceRoutes(api)
	s.explainRoutes(api)
	s.auditRoutes(api, mux)
	s.sessionRoutes(api)
	s.operatorRoutes(api)
	s.keyRoutes(api)
	s.approvalRoutes(api)
	s.mailRoutes(api)
	s.plotRoutes(api)
	mux.HandleFunc("GET /api/v1/logins", s.logins)
	describeLogins(api)
	s.eraseRoute(api)
	mux.HandleFunc("POST /api/v1/backup", s.backup)
	describe(api)
	return s.guard(mux, s.paced(s.once(mux)))
}

// apply lets the store decide and save one act, and waits until it is durable. A refusal that comes with an event is
// saved before it is told.
func (s *Server) apply(ctx context.Context, keys authn.Keys, rule func(*authn.Held) (authn.Change, *authn.Refusal, error)) (*authn.Event, error) {
	var refused *authn.Refusal
	var event *authn.Event
	saved := make(chan error, 1)
	err := s.Store.Update(keys, func(h *authn.Held) (authn.Change, error) {
		var c authn.Change
		var err error
		c, refused, err = rule(h)
		if err != nil {
			return c, err
		}
		if refused != nil && c.Event == nil {
			return c, refused
		}
		event = c.Event
		return c, nil
	}, func(err error) { saved <- err })
	if err != nil {
		return nil, s.problem(err)
	}
	select {
	case err = <-saved:
	case <-ctx.Done():
		// The change goes on without its asker, and whoever looks sees it: so must the cached answers (S13).
		go func() {
			if <-saved == nil {
				s.Forget(keys.Accounts...)
			}
		}()
		err = ctx.Err()
	}
	if err != nil {
		return nil, s.problem(err)
	}
	s.Forget(keys.Accounts...)
	s.logAct(event)
	if refused != nil {
		return event, s.problem(refused)
	}
	return event, nil
}

// logAct writes one line for one saved act.
func (s *Server) logAct(e *authn.Event) {
	args := []any{"act", e.Act, "actor", e.Actor, "detail", e.Detail}
	if e.Token != 0 {
		args = append(args, "token", e.Token.String())
	}
	if e.Account != 0 {
		args = append(args, "account", e.Account.String())
	}
	s.Log.Info("act", args...)
}

// simple fits rules that cannot fail to what apply wants.
func simple(rule func(*authn.Held) (authn.Change, *authn.Refusal)) func(*authn.Held) (authn.Change, *authn.Refusal, error) {
	return func(h *authn.Held) (authn.Change, *authn.Refusal, error) {
		c, r := rule(h)
		return c, r, nil
	}
}

// person is what the directory says about a name.
type person struct {
	name    string
	reading authn.NameReading
	user    *authn.User
	err     error
}

// operatorNames is how the names are read that operators and the files of an import give: by no client's rules.
var operatorNames authn.Names

// ask looks a name up. It comes before acts is locked: a directory that is slow must not hold up an act that does not need
// it (I7).
func (s *Server) ask(ctx context.Context, name string) person {
	r := operatorNames.Read(s.Directories, []byte(name))
	u, err := s.Directories.Lookup(ctx, &r)
	return person{name, r, u, err}
}

// owner finds the account of a person: through the directory, else by account ID, for people who are no longer in it and
// while it does not answer. It is a new ID, not yet saved, when they have none.
func (s *Server) owner(p person) (authn.Owner, error) {
	if p.err != nil {
		if id, perr := token.ParseID(p.name); perr == nil {
			if a, aerr := s.Store.Account(authn.AccountID(id)); aerr == nil {
				return authn.Owner{Account: a.ID}, nil
			}
		}
	}
	return s.ownerOf(p.user, p.err, p.name)
}

// userMaker is a directory whose users are those to whom something was given: one of type none.
type userMaker interface {
	// NewUser makes a user of a name that nobody has yet. Nothing is saved.
	NewUser(name []byte) (*authn.User, error)
}

// newOwner is owner for acts that may make an account: in a directory of type none they make the user too.
func (s *Server) newOwner(p person) (authn.Owner, error) {
	if b := p.reading.Branch; b != nil && errors.Is(p.err, authn.ErrUnknownUser) {
		if d, ok := b.Directory.(userMaker); ok {
			p.user, p.err = d.NewUser(p.reading.Name)
		}
	}
	return s.ownerOf(p.user, p.err, p.name)
}

func (s *Server) ownerOf(u *authn.User, err error, name string) (authn.Owner, error) {
	switch {
	case err == nil:
		id := s.Store.AccountOf(u.Directory, u.ID)
		if id == 0 {
			id = authn.AccountID(token.NewID())
		}
		return authn.Owner{Account: id, User: u}, nil
	case errors.Is(err, authn.ErrUnknownUser):
		return authn.Owner{}, newProblem(http.StatusNotFound, "unknown-user", wordUnknownUser(name))
	case errors.Is(err, authn.ErrAmbiguousUser):
		return authn.Owner{}, newProblem(http.StatusConflict, "ambiguous-user", wordAmbiguousUser(name))
	}
	s.Log.Error("the directory did not answer", "error", err)
	return authn.Owner{}, newProblem(http.StatusServiceUnavailable, "directory-down", wordDirectoryDown)
}

// token finds a token by serial, credential ID or ID.
func (s *Server) token(ctx context.Context, name string) (TokenInfo, error) {
	id, err := s.Store.FindToken(ctx, name)
	if err != nil {
		return TokenInfo{}, s.problem(err)
	}
	if id == 0 {
		id, _ = token.ParseID(name)
	}
	info, err := s.Store.Token(id)
	if errors.Is(err, authn.ErrNotFound) {
		return info, newProblem(http.StatusNotFound, "unknown-token", wordUnknownToken(name))
	}
	if err != nil {
		return info, s.problem(err)
	}
	return info, nil
}
