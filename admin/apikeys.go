package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/token"
)

// APIKey is one as lists show it; its secret is in no list.
type APIKey struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Rights  []string  `json:"rights"`
	Scope   *Scope    `json:"scope,omitempty"`
	MadeBy  string    `json:"made_by"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
	Revoked string    `json:"revoked,omitempty" doc:"RFC 3339"`
	Secret  string    `json:"secret,omitempty" doc:"shown when it is made, and never again"`
}

func viewKey(k *operator.APIKey) APIKey {
	v := APIKey{ID: token.ID(k.ID).String(), Name: k.Name, Role: k.Role.String(), Scope: viewScope(k.Scope), MadeBy: k.MadeBy, Made: k.Made, Expires: k.Expires,
		Revoked: moment(k.Revoked)}
	for _, r := range k.Only {
		v.Rights = append(v.Rights, string(r))
	}
	return v
}

func (s *Server) keyRoutes(api huma.API) {
	huma.Get(api, "/api/v1/keys", s.listKeys)
	huma.Post(api, "/api/v1/keys", s.makeKey)
	huma.Delete(api, "/api/v1/keys/{key}", s.revokeKey)
}

func (s *Server) listKeys(ctx context.Context, in *struct {
	After string `query:"after" maxLength:"20" doc:"id of the last one of the page before"`
}) (*struct {
	Body struct {
		Keys []APIKey `json:"keys"`
		Next string   `json:"next,omitempty"`
	}
}, error) {
	q := authn.RecordQuery{Kind: authn.KeyRecord, Limit: 1000}
	if in.After != "" {
		id, err := token.ParseID(in.After)
		if err != nil {
			return nil, newProblem(http.StatusUnprocessableEntity, "bad-input", capital(err.Error()))
		}
		q.After = uint64(id)
	}
	page, err := s.Store.Records(q)
	if err != nil {
		return nil, s.problem(err)
	}
	out := &struct {
		Body struct {
			Keys []APIKey `json:"keys"`
			Next string   `json:"next,omitempty"`
		}
	}{}
	out.Body.Keys = []APIKey{}
	for _, r := range page {
		k, err := unpack[operator.APIKey](r)
		if err != nil {
			return nil, s.problem(err)
		}
		if k.Scope.Within(PrincipalOf(ctx).Scope) {
			out.Body.Keys = append(out.Body.Keys, viewKey(k))
		}
	}
	if len(page) == q.Limit {
		out.Body.Next = token.ID(page[len(page)-1].ID).String()
	}
	return out, nil
}

func (s *Server) makeKey(ctx context.Context, in *struct {
	Body struct {
		Name   string   `json:"name" maxLength:"100" doc:"by which the audit calls it"`
		Rights []string `json:"rights" maxItems:"50" doc:"what it may do, one by one"`
		RoleInput
		Expires time.Time `json:"expires"`
	}
}) (*struct{ Body APIKey }, error) {
	if p := s.allow(ctx, operator.Keys, operator.Target{}); p != nil {
		return nil, p
	}
	c, act := callerOf(ctx), s.act(ctx)
	role, _ := operator.ParseRole(in.Body.Role)
	var only []operator.Right
	for _, r := range in.Body.Rights {
		only = append(only, operator.Right(r))
	}
	k, secret, no := operator.NewKey(c.Principal, in.Body.Name, role, only, in.Body.Scope.rule(), in.Body.Expires, act.Now)
	if no != nil {
		return nil, newProblem(http.StatusUnprocessableEntity, no.Code, no.Sentence)
	}
	key := authn.RecordKey{Kind: authn.KeyRecord, ID: k.ID}
	change := act.Note("key.make", token.ID(k.ID).String()+" "+authn.Shown([]byte(k.Name))+": "+joined(in.Body.Rights)+", until "+moment(k.Expires))
	change.Records = []*authn.Record{pack(key, nil, &k)}
	err := s.save(authn.Keys{Records: []authn.RecordKey{key}}, func(*authn.Held) (authn.Change, error) { return change, nil })
	if err != nil {
		return nil, s.problem(err)
	}
	s.logAct(change.Event)
	v := viewKey(&k)
	v.Secret = secret
	return &struct{ Body APIKey }{v}, nil
}

// revokeKey ends a key. It asks for no step-up: ending one opens nothing.
func (s *Server) revokeKey(ctx context.Context, in *struct {
	Key string `path:"key" maxLength:"20"`
}) (*struct{}, error) {
	c := callerOf(ctx)
	act := authn.Act{Actor: c.Name, Now: s.Now()}
	id, err := token.ParseID(in.Key)
	unknown := newProblem(http.StatusNotFound, operator.NotFound.String(), wordNotFound)
	if err != nil || id == 0 {
		return nil, unknown
	}
	key := authn.RecordKey{Kind: authn.KeyRecord, ID: uint64(id)}
	var event *authn.Event
	err = s.save(authn.Keys{Records: []authn.RecordKey{key}}, func(h *authn.Held) (authn.Change, error) {
		if h.Records[0] == nil {
			return authn.Change{}, unknown
		}
		k, err := unpack[operator.APIKey](h.Records[0])
		if err != nil {
			return authn.Change{}, err
		}
		if !k.Scope.Within(c.Scope) {
			return authn.Change{}, unknown
		}
		if !k.Revoked.IsZero() {
			return authn.Change{}, newProblem(http.StatusConflict, "key-revoked", wordKeyRevoked)
		}
		k.Revoked = act.Now
		change := act.Note("key.revoke", id.String()+" "+authn.Shown([]byte(k.Name)))
		change.Records = []*authn.Record{pack(key, h.Records[0], k)}
		event = change.Event
		return change, nil
	})
	if err != nil {
		return nil, s.problem(err)
	}
	s.logAct(event)
	return nil, nil //nolint:nilnil // no content
}

// byKey makes a caller of an API key's secret.
func (s *Server) byKey(c *caller, secret string) bool {
	id, ok := operator.KeyID(secret)
	if !ok {
		return false
	}
	r, err := s.Store.Record(authn.RecordKey{Kind: authn.KeyRecord, ID: id})
	if err != nil {
		return false
	}
	k, err := unpack[operator.APIKey](r)
	if err != nil {
		s.Log.Error("an API key cannot be read", "error", err)
		return false
	}
	c.Principal, ok = k.Open(secret, s.Now())
	c.maker = k.MadeBy
	return ok
}
