// Package admin is the operators' HTTP API. For now it listens on a local socket, where the system says who calls.
//
//	GET  /api/v1/health                     is the service well?
//	GET  /api/v1/tokens                     list; ?after= &limit= &state= &form=
//	POST /api/v1/tokens/import              a file of seeds, all or nothing
//	GET  /api/v1/tokens/{token}             one token; {token} is a serial or an ID
//	POST /api/v1/tokens/{token}/assign      give it to a user
//	POST /api/v1/tokens/{token}/confirm     activate it by a right code
//	POST /api/v1/tokens/{token}/revoke      take it away, from one user or from all
//	GET  /api/v1/users/{user}               one user: directory, tokens, locks
//	POST /api/v1/users/{user}/tokens        enroll a new software token; the answer alone shows its secret
//	PUT  /api/v1/users/{user}/pin           set the PIN
//	POST /api/v1/users/{user}/unlock        end stops and waits
//	GET  /api/v1/clients                    the gateways
//	POST /api/v1/clients/{client}/release-ma  let a gateway go without Message-Authenticator again
//	POST /api/v1/clock/accept               the clock is right as it stands
//	GET  /api/v1/logins                     events; ?user= &client= &reason= &since= &limit= &follow=
//	GET  /api/openapi.json
//
// A change goes: handler -> look up names -> [authn.Act], a pure rule -> Store.Update, which saves image and event in one
// transaction -> answer. Errors are RFC 9457 problems with a stable code.
package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"sekisho/authn"
	"sekisho/token"
)

// Store is what the API may do with the data.
type Store interface {
	Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error
	View(keys authn.Keys, f func(*authn.Held)) error
	AccountOf(directory, external string) authn.AccountID
	// FindToken gives the living token with a serial or credential ID; zero when there is none.
	FindToken(serial string) token.ID
	// FindSeed gives the living token with a fingerprint; zero when there is none (S9).
	FindSeed(fingerprint [16]byte) token.ID
	// Tokens gives up to limit tokens with an ID above after, in the order of IDs, as they stand now. They share no memory
	// with the store.
	Tokens(after token.ID, limit int) []*token.Token
	// Holders gives the accounts that have an assignment of the token, revoked ones included.
	Holders(id token.ID) []authn.AccountID
	// Events gives the events a query picks, at most its Max, durable ones only.
	Events(ctx context.Context, q authn.EventQuery) ([]authn.Event, error)
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
	Name      string   `json:"name"`
	Service   string   `json:"service,omitempty" doc:"clients of one name here count as one service"`
	Addresses []string `json:"addresses"`
	RequireMA string   `json:"require_message_authenticator" doc:"yes, no or auto"`
	Ratchet   string   `json:"ratchet,omitempty" doc:"since when it is required because the gateway once sent it; RFC 3339"`
	Challenge string   `json:"challenge" doc:"no, plain or blind"`
}

// Clients tells about the gateways and undoes a ratchet.
type Clients interface {
	Clients() []Client
	// ReleaseMA lets a client go without Message-Authenticator again. known is false for a name that is in no
	// configuration, released where nothing was ratcheted.
	ReleaseMA(name string) (known, released bool, err error)
}

// Clock is the watch on the wall clock (S21).
type Clock interface {
	Doubt() bool
	// Accept ends a doubt: the wall clock is right as it stands. was tells whether there was one.
	Accept() (was bool)
}

// Server serves the API. All fields are needed.
type Server struct {
	Store     Store
	Directory authn.Directory
	Keys      Keys
	Clients   Clients
	Clock     Clock
	Operators Operators
	Issuer    string // shown by apps beside a software token's codes
	Health    func() Health
	Now       func() time.Time
	Log       *slog.Logger

	acts sync.Mutex // one act at a time: what it looked up stays true until it is decided
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
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Sekisho", "1")
	config.OpenAPIPath = "/api/openapi"
	config.DocsPath, config.SchemasPath = "", ""
	config.CreateHooks = nil
	api := humago.New(mux, config)
	s.tokenRoutes(api)
	s.userRoutes(api)
	s.serviceRoutes(api)
	mux.HandleFunc("GET /api/v1/logins", s.logins)
	return s.guard(mux)
}

// guard asks who calls, refuses everybody else, and turns a panic into one failed request.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				s.Log.Error("the admin API met a fault", "path", r.URL.Path, "fault", p)
				writeProblem(w, newProblem(http.StatusInternalServerError, "fault", wordFault))
			}
		}()
		peer, ok := r.Context().Value(peerKey{}).(Peer)
		if !ok || !s.Operators.Allow(peer) {
			s.Log.Warn("the admin API refused a caller", "uid", peer.UID, "name", peer.Name)
			writeProblem(w, newProblem(http.StatusForbidden, "not-an-operator", wordNotOperator(peer)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// act is the caller's act at this moment.
func (s *Server) act(ctx context.Context) authn.Act {
	peer, _ := ctx.Value(peerKey{}).(Peer)
	return authn.Act{Actor: peer.Name, Now: s.Now()}
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
		err = ctx.Err()
	}
	if err != nil {
		return nil, s.problem(err)
	}
	s.Log.Info("act", "act", event.Act, "actor", event.Actor, "token", event.Token, "account", event.Account, "detail", event.Detail, "refused", refused != nil)
	if refused != nil {
		return event, s.problem(refused)
	}
	return event, nil
}

// simple fits rules that cannot fail to what apply wants.
func simple(rule func(*authn.Held) (authn.Change, *authn.Refusal)) func(*authn.Held) (authn.Change, *authn.Refusal, error) {
	return func(h *authn.Held) (authn.Change, *authn.Refusal, error) {
		c, r := rule(h)
		return c, r, nil
	}
}

// owner finds the person a name means: through the directory, else by account ID for people who are no longer in it. The
// account is a new ID, not yet saved, when they have none.
func (s *Server) owner(ctx context.Context, name string) (authn.Owner, error) {
	u, err := s.Directory.Lookup(ctx, []byte(name))
	if err == nil {
		id := s.Store.AccountOf(u.Directory, u.ID)
		if id == 0 {
			id = authn.AccountID(token.NewID())
		}
		return authn.Owner{Account: id, User: u}, nil
	}
	if id, perr := token.ParseID(name); perr == nil && errors.Is(err, authn.ErrUnknownUser) {
		o := authn.Owner{Account: authn.AccountID(id)}
		if a := s.account(o.Account); a != nil {
			return o, nil
		}
	}
	switch {
	case errors.Is(err, authn.ErrUnknownUser):
		return authn.Owner{}, newProblem(http.StatusNotFound, "unknown-user", wordUnknownUser(name))
	case errors.Is(err, authn.ErrAmbiguousUser):
		return authn.Owner{}, newProblem(http.StatusConflict, "ambiguous-user", wordAmbiguousUser(name))
	}
	s.Log.Error("the directory did not answer", "error", err)
	return authn.Owner{}, newProblem(http.StatusServiceUnavailable, "directory-down", wordDirectoryDown)
}

// account copies what a listing shows of an account; nil when there is none.
func (s *Server) account(id authn.AccountID) *authn.Account {
	var found *authn.Account
	err := s.Store.View(authn.Keys{Accounts: []authn.AccountID{id}}, func(h *authn.Held) {
		if len(h.Accounts) == 0 || h.Accounts[0] == nil {
			return
		}
		a := *h.Accounts[0]
		a.Assignments = append([]token.Assignment(nil), a.Assignments...)
		a.Guard.Charges = append([]authn.Charge(nil), a.Guard.Charges...)
		a.Guard.Known = nil
		a.Memory = authn.Memory{}
		found = &a
	})
	if err != nil {
		return nil
	}
	return found
}

// token finds a token by serial, credential ID or ID.
func (s *Server) token(ref string) (*token.Token, error) {
	id := s.Store.FindToken(ref)
	if id == 0 {
		id, _ = token.ParseID(ref)
	}
	var found *token.Token
	err := s.Store.View(authn.Keys{Tokens: []token.ID{id}}, func(h *authn.Held) {
		if t := h.Token(id); t != nil {
			c := *t
			c.Sealed = token.SealedSeed{}
			found = &c
		}
	})
	if err != nil {
		return nil, s.problem(err)
	}
	if found == nil {
		return nil, newProblem(http.StatusNotFound, "unknown-token", wordUnknownToken(ref))
	}
	return found, nil
}
