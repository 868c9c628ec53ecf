package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/operator"
)

// operatorData is what an OperatorRecord keeps. Its ID is the account's, its State the role, and its Lookup the hash of a link
// that was not used yet.
type operatorData struct {
	Name       string // canonical, when last seen
	Directory  string
	Role       operator.Role
	Scope      operator.Scope
	MadeBy     string
	Made       time.Time
	Generation uint32 // raised with role and scope: sessions of an older one are over
	Daily      operator.Daily
	LinkUntil  time.Time
}

func operatorKey(account authn.AccountID) authn.RecordKey {
	return authn.RecordKey{Kind: authn.OperatorRecord, ID: uint64(account)}
}

// operator gives an account's operator record; nil when they are none.
func (s *Server) operator(account authn.AccountID) (*operatorData, *authn.Record, error) {
	if account == 0 {
		return nil, nil, nil
	}
	r, err := s.Store.Record(operatorKey(account))
	if errors.Is(err, authn.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	d, err := unpack[operatorData](r)
	return d, r, err
}

func (d *operatorData) record(account authn.AccountID, former *authn.Record) *authn.Record {
	r := pack(operatorKey(account), former, d)
	r.Account, r.State = account, uint8(d.Role)
	return r
}

// linkLife is how long an operator's link opens.
const linkLife = time.Hour

// Operator is one as lists show them.
type Operator struct {
	Account   string    `json:"account"`
	Name      string    `json:"name"`
	Directory string    `json:"directory"`
	Role      string    `json:"role"`
	Scope     *Scope    `json:"scope,omitempty" doc:"absent: everybody"`
	MadeBy    string    `json:"made_by"`
	Made      time.Time `json:"made"`
	Token     bool      `json:"token" doc:"they hold a token that opens"`
	Today     int       `json:"acts_today" doc:"of a help desk"`
	Raised    int       `json:"raised_limit,omitempty"`
	Until     string    `json:"raised_until,omitempty"`
	Link      string    `json:"link_until,omitempty" doc:"a link to register was given out and not used yet"`
}

func (s *Server) viewOperator(account authn.AccountID, d *operatorData) Operator {
	now := s.Now()
	v := Operator{Account: account.String(), Name: authn.Shown([]byte(d.Name)), Directory: d.Directory, Role: d.Role.String(), Scope: viewScope(d.Scope),
		MadeBy: d.MadeBy, Made: d.Made}
	if acc, err := s.Store.Account(account); err == nil {
		v.Name, v.Token = authn.Shown([]byte(acc.Name)), s.living(acc, now)
	}
	if d.Daily.Day == now.In(s.zone()).Format(time.DateOnly) {
		v.Today = d.Daily.Done
	}
	if now.Before(d.Daily.Until) {
		v.Raised, v.Until = d.Daily.Raised, moment(d.Daily.Until)
	}
	if now.Before(d.LinkUntil) {
		v.Link = moment(d.LinkUntil)
	}
	return v
}

func (s *Server) operatorRoutes(api huma.API) {
	huma.Get(api, "/api/v1/operators", s.listOperators)
	huma.Post(api, "/api/v1/operators", s.addOperator)
	huma.Patch(api, "/api/v1/operators/{operator}", s.changeOperator)
	huma.Delete(api, "/api/v1/operators/{operator}", s.removeOperator)
	huma.Post(api, "/api/v1/operators/{operator}/link", s.operatorLink)
	huma.Post(api, "/api/v1/operators/{operator}/recover", s.recoverOperator)
	huma.Post(api, "/api/v1/operators/{operator}/raise", s.raiseLimit)
	huma.Get(api, "/api/v1/operators/rights", s.listRights)
}

func (s *Server) listOperators(ctx context.Context, _ *struct{}) (*struct {
	Body struct {
		Operators []Operator `json:"operators"`
	}
}, error) {
	out := &struct {
		Body struct {
			Operators []Operator `json:"operators"`
		}
	}{}
	out.Body.Operators = []Operator{}
	for q := (authn.RecordQuery{Kind: authn.OperatorRecord, Limit: 1000}); ; {
		page, err := s.Store.Records(q)
		if err != nil {
			return nil, s.problem(err)
		}
		for _, r := range page {
			d, err := unpack[operatorData](r)
			if err != nil {
				return nil, s.problem(err)
			}
			if s.sees(ctx, r.Account) {
				out.Body.Operators = append(out.Body.Operators, s.viewOperator(r.Account, d))
			}
		}
		if len(page) < q.Limit {
			return out, nil
		}
		q.After = page[len(page)-1].ID
	}
}

// Right is one right with the roles that have it.
type Right struct {
	Right  string   `json:"right"`
	Class  string   `json:"class" doc:"reads, helps, changes (asks for a step-up) or guards (asks for one each time)"`
	Roles  []string `json:"roles"`
	People bool     `json:"people_only,omitempty" doc:"no API key can have it"`
}

func (s *Server) listRights(context.Context, *struct{}) (*struct {
	Body struct {
		Rights []Right `json:"rights"`
	}
}, error) {
	out := &struct {
		Body struct {
			Rights []Right `json:"rights"`
		}
	}{}
	for _, r := range operator.Rights() {
		v := Right{Right: string(r), Class: operator.ClassOf(r).String(), Roles: []string{}, People: operator.PeopleOnly(r)}
		for _, role := range []operator.Role{operator.Master, operator.Admin, operator.Helpdesk, operator.Auditor} {
			if role.Has(r) {
				v.Roles = append(v.Roles, role.String())
			}
		}
		out.Body.Rights = append(out.Body.Rights, v)
	}
	return out, nil
}

// RoleInput is a role with its scope.
type RoleInput struct {
	Role  string `json:"role" enum:"auditor,helpdesk,admin,master"`
	Scope *Scope `json:"scope,omitempty" doc:"the people they see; absent: everybody"`
}

type operatorReply struct{ Body Operator }

func (s *Server) addOperator(ctx context.Context, in *struct {
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"253" doc:"any spelling the directory knows"`
		RoleInput
	}
}) (*operatorReply, error) {
	who := s.ask(ctx, in.Body.Name)
	s.acts.Lock()
	defer s.acts.Unlock()
	o, err := s.newOwner(who)
	if err != nil {
		return nil, err
	}
	if p := s.allowUser(ctx, operator.Operators, in.Body.Name, o); p != nil {
		return nil, p
	}
	role, _ := operator.ParseRole(in.Body.Role) // huma has checked it
	d, err := s.makeOperator(ctx, o, role, in.Body.Scope.rule(), false)
	if err != nil {
		return nil, s.problem(err)
	}
	return &operatorReply{s.viewOperator(o.Account, d)}, nil
}

// makeOperator saves a new operator. over takes the place of one who is there.
func (s *Server) makeOperator(ctx context.Context, o authn.Owner, role operator.Role, scope operator.Scope, over bool) (*operatorData, error) {
	act := s.act(ctx)
	if !scope.Within(PrincipalOf(ctx).Scope) {
		return nil, newProblem(http.StatusForbidden, "scope", wordWiderScope)
	}
	var made *operatorData
	var event *authn.Event
	keys := authn.Keys{Accounts: []authn.AccountID{o.Account}, Records: []authn.RecordKey{operatorKey(o.Account)}}
	err := s.save(keys, func(h *authn.Held) (authn.Change, error) {
		d := &operatorData{Role: role, Scope: scope, MadeBy: act.Actor, Made: act.Now, Generation: 1}
		c := act.Note("operator.add", roleDetail(role, scope))
		if old := h.Records[0]; old != nil {
			if !over {
				return authn.Change{}, newProblem(http.StatusConflict, "operator-exists", wordOperatorExists)
			}
			was, err := unpack[operatorData](old)
			if err != nil {
				return authn.Change{}, err
			}
			d.Generation, c.Event.Act = was.Generation+1, "operator.role"
		}
		switch acc := h.Accounts[0]; {
		case acc != nil:
			d.Name, d.Directory = acc.Name, acc.Directory
		case o.User != nil:
			d.Name, d.Directory = o.User.Name, o.User.Directory
			c.Accounts = []*authn.Account{{ID: o.Account, Directory: o.User.Directory, External: o.User.ID, Name: o.User.Name, Generation: 1}}
		default:
			return authn.Change{}, newProblem(http.StatusNotFound, operator.NotFound.String(), wordNotFound)
		}
		c.Event.Account, c.Records = o.Account, []*authn.Record{d.record(o.Account, h.Records[0])}
		made, event = d, c.Event
		return c, nil
	})
	if err == nil {
		s.logAct(event)
	}
	return made, err
}

func roleDetail(role operator.Role, scope operator.Scope) string {
	detail := role.String()
	if n := len(scope.Directories); n > 0 {
		detail += ", directories: " + authn.Shown([]byte(joined(scope.Directories)))
	}
	if n := len(scope.Groups); n > 0 {
		detail += ", groups: " + authn.Shown([]byte(joined(scope.Groups)))
	}
	return detail
}

// existingOperator finds an operator by any name, or account ID, and asks allow.
func (s *Server) existingOperator(ctx context.Context, right operator.Right, name string) (authn.AccountID, error) {
	o, err := s.owner(s.ask(ctx, name))
	if err != nil {
		return 0, err
	}
	if p := s.allowUser(ctx, right, name, o); p != nil {
		return 0, p
	}
	d, _, err := s.operator(o.Account)
	if err != nil {
		return 0, s.problem(err)
	}
	if d == nil {
		return 0, newProblem(http.StatusNotFound, "unknown-operator", wordUnknownOperator(name))
	}
	return o.Account, nil
}

// settleOperator changes one operator, with every master held beside them, so that of two masters who take each other's role one
// stays. next nil takes the operator away.
func (s *Server) settleOperator(ctx context.Context, account authn.AccountID, f func(*operatorData) (next *operatorData, act, detail string, err error)) (*operatorData, error) {
	act := s.act(ctx)
	masters, err := s.Store.Records(authn.RecordQuery{Kind: authn.OperatorRecord, States: []uint8{uint8(operator.Master)}, Limit: 1000})
	if err != nil {
		return nil, err
	}
	keys := authn.Keys{Accounts: []authn.AccountID{account}, Records: []authn.RecordKey{operatorKey(account)}}
	for _, r := range masters {
		if r.RecordKey != keys.Records[0] {
			keys.Records = append(keys.Records, r.RecordKey)
		}
	}
	var left *operatorData
	var event *authn.Event
	err = s.save(keys, func(h *authn.Held) (authn.Change, error) {
		r := h.Records[0]
		if r == nil {
			return authn.Change{}, newProblem(http.StatusNotFound, operator.NotFound.String(), wordNotFound)
		}
		d, err := unpack[operatorData](r)
		if err != nil {
			return authn.Change{}, err
		}
		was := d.Role
		next, name, detail, err := f(d)
		if err != nil {
			return authn.Change{}, err
		}
		if was == operator.Master && (next == nil || next.Role != operator.Master || !next.Scope.All()) &&
			!slices.ContainsFunc(h.Records[1:], func(o *authn.Record) bool { return s.fullMaster(o) }) {
			return authn.Change{}, newProblem(http.StatusConflict, "last-master", wordLastMaster)
		}
		c := act.Note(name, detail)
		c.Event.Account = account
		if next == nil {
			c.Gone = []authn.RecordKey{r.RecordKey}
		} else {
			c.Records = []*authn.Record{next.record(account, r)}
		}
		left, event = next, c.Event
		return c, nil
	})
	if err == nil {
		s.logAct(event)
	}
	return left, err
}

// fullMaster reports a held record of a master for everybody.
func (s *Server) fullMaster(r *authn.Record) bool {
	if r == nil {
		return false
	}
	d, err := unpack[operatorData](r)
	return err == nil && d.Role == operator.Master && d.Scope.All()
}

func (s *Server) changeOperator(ctx context.Context, in *struct {
	Operator string `path:"operator" maxLength:"253"`
	Body     RoleInput
}) (*operatorReply, error) {
	account, err := s.existingOperator(ctx, operator.Operators, in.Operator)
	if err != nil {
		return nil, err
	}
	role, _ := operator.ParseRole(in.Body.Role)
	scope := in.Body.Scope.rule()
	if !scope.Within(PrincipalOf(ctx).Scope) {
		return nil, newProblem(http.StatusForbidden, "scope", wordWiderScope)
	}
	d, err := s.settleOperator(ctx, account, func(d *operatorData) (*operatorData, string, string, error) {
		detail := roleDetail(d.Role, d.Scope) + " -> " + roleDetail(role, scope)
		d.Role, d.Scope = role, scope
		d.Generation++
		return d, "operator.role", detail, nil
	})
	if err != nil {
		return nil, s.problem(err)
	}
	return &operatorReply{s.viewOperator(account, d)}, nil
}

func (s *Server) removeOperator(ctx context.Context, in *struct {
	Operator string `path:"operator" maxLength:"253"`
}) (*struct{}, error) {
	account, err := s.existingOperator(ctx, operator.Operators, in.Operator)
	if err != nil {
		return nil, err
	}
	_, err = s.settleOperator(ctx, account, func(d *operatorData) (*operatorData, string, string, error) {
		return nil, "operator.remove", roleDetail(d.Role, d.Scope), nil
	})
	if err != nil {
		return nil, s.problem(err)
	}
	return nil, nil //nolint:nilnil // no content
}

// raiseLimit lifts a help desk's daily limit until a time.
func (s *Server) raiseLimit(ctx context.Context, in *struct {
	Operator string `path:"operator" maxLength:"253"`
	Body     struct {
		To    int       `json:"to" doc:"acts a day"`
		Until time.Time `json:"until" doc:"within the next 24 hours"`
	}
}) (*operatorReply, error) {
	account, err := s.existingOperator(ctx, operator.Raise, in.Operator)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	d, err := s.settleOperator(ctx, account, func(d *operatorData) (*operatorData, string, string, error) {
		daily, refused := d.Daily.Raise(in.Body.To, in.Body.Until, now)
		if refused != nil {
			return nil, "", "", newProblem(http.StatusUnprocessableEntity, refused.Code, refused.Sentence)
		}
		d.Daily = daily
		return d, "operator.raise", "until " + moment(in.Body.Until), nil
	})
	if err != nil {
		return nil, s.problem(err)
	}
	return &operatorReply{s.viewOperator(account, d)}, nil
}

// AllOperators lists operators with their accounts and roles.
func AllOperators(records authn.Records) (all map[authn.AccountID]operator.Role, err error) {
	all = map[authn.AccountID]operator.Role{}
	for q := (authn.RecordQuery{Kind: authn.OperatorRecord, Limit: 1000}); ; {
		page, err := records.Records(q)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			all[r.Account] = operator.Role(r.State)
		}
		if len(page) < q.Limit {
			return all, nil
		}
		q.After = page[len(page)-1].ID
	}
}
