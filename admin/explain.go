package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/token"
)

// Explain tells what logins of a name would be answered at a client; known is false for a client that is in no
// configuration. station is a Calling-Station-Id.
type Explain func(ctx context.Context, name, client, station string) (x *authn.Explanation, known bool, err error)

func (s *Server) explainRoutes(api huma.API) {
	huma.Get(api, "/api/v1/explain", s.explain)
}

// Explanation is what `explain` shows. Nothing was spent or counted for it.
type Explanation struct {
	At         time.Time       `json:"at"`
	Client     string          `json:"client"`
	Reading    []string        `json:"reading" doc:"how the name is read, a sentence each"`
	ReadingJA  []string        `json:"reading_ja"`
	User       string          `json:"user,omitempty" doc:"canonical name"`
	Directory  string          `json:"directory,omitempty"`
	Groups     []string        `json:"groups,omitempty"`
	Account    string          `json:"account,omitempty"`
	Refused    *Why            `json:"refused,omitempty" doc:"why every login is refused, whatever is typed"`
	ReplyFault string          `json:"reply_fault,omitempty" doc:"the reply attribute that is missing or wrong"`
	Policies   []PolicyFit     `json:"policies" doc:"in their order, up to the one that holds"`
	Policy     string          `json:"policy,omitempty" doc:"the one that holds"`
	First      string          `json:"first_factor,omitempty" doc:"password, pin, gateway or none"`
	Exempt     bool            `json:"exempt,omitempty" doc:"a group needs no code"`
	Unenrolled bool            `json:"unenrolled,omitempty" doc:"let in without a token, because there never was one"`
	Source     string          `json:"source,omitempty" doc:"where the station is; empty: not known or not trusted"`
	Class      string          `json:"class,omitempty" doc:"K: known source, U: unknown"`
	PIN        bool            `json:"pin" doc:"a PIN is set"`
	Tokens     []ExplainedHold `json:"tokens"`
	Stopped    bool            `json:"stopped,omitempty" doc:"the account is stopped for right codes with wrong first factors"`
	Sources    []ClassState    `json:"sources,omitempty" doc:"what is left for guesses from known and from new places"`
	Pairs      *Pot            `json:"pairs,omitempty" doc:"what is left for two codes in a row"`
	PairUntil  string          `json:"pair_until,omitempty" doc:"until then the next code completes a pair that has begun; RFC 3339"`
	Binds      string          `json:"directory_binds,omitempty" doc:"free, in flight or spent: whether a password could be asked now"`
	Cases      []ExplainedCase `json:"cases" doc:"what would be answered"`
	Reply      []ReplyLine     `json:"reply,omitempty" doc:"attributes of an Access-Accept"`
	NotTaken   []ReplyLine     `json:"reply_not_taken,omitempty" doc:"attributes that are set and not sent, because this kind of gateway takes none of them"`
}

// Why is a reason with its sentences.
type Why struct {
	Reason   string `json:"reason"`
	Sentence string `json:"sentence"`
	Japanese string `json:"sentence_ja"`
}

// PolicyFit is one policy and whether it fits.
type PolicyFit struct {
	Name   string `json:"name"`
	Client bool   `json:"client" doc:"it is for this gateway"`
	User   bool   `json:"user" doc:"it is for this person"`
}

// ExplainedHold is a token of the person and whether it opens.
type ExplainedHold struct {
	Token
	Opens bool `json:"opens"`
	Why   *Why `json:"why,omitempty" doc:"why it cannot open, or what its first right code does"`
	Used  bool `json:"present_code_used,omitempty" doc:"its present code was used; the next one is needed"`
}

// Pot is a budget of guesses.
type Pot struct {
	Spent  float64 `json:"spent" doc:"chance charged in the last 365 days"`
	Limit  float64 `json:"limit"`
	Misses int64   `json:"misses_left"`
}

// ClassState is how the sources of one class stand.
type ClassState struct {
	Class   string `json:"class"`
	Row     int    `json:"misses_in_a_row"`
	Until   string `json:"waits_until,omitempty" doc:"RFC 3339"`
	Stopped bool   `json:"stopped,omitempty"`
	Pot     Pot    `json:"pot"`
}

// ExplainedCase is one way of logging in.
type ExplainedCase struct {
	Typed string          `json:"typed" doc:"both-right, code-wrong, first-wrong or first-alone"`
	Class string          `json:"class"`
	Steps []ExplainedStep `json:"steps"`
}

// ExplainedStep is one answer.
type ExplainedStep struct {
	Verdict string `json:"verdict"`
	Why
	Row  int  `json:"row" doc:"of the login table"`
	Pair bool `json:"two_codes,omitempty"`
}

func replyLines(all []authn.Reply) (lines []ReplyLine) {
	for _, r := range all {
		lines = append(lines, ReplyLine{r.Name, authn.Shown([]byte(r.Value)), r.Rule})
	}
	return lines
}

// ReplyLine is one attribute and the rule that set it.
type ReplyLine struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Rule  string `json:"rule,omitempty" doc:"empty: the policy itself"`
}

var (
	factorWords = map[authn.FirstFactor]string{authn.Password: "password", authn.PIN: "pin", authn.Gateway: "gateway", authn.NoFactor: "none"}
	caseWords   = map[authn.CaseKind]string{authn.BothRight: "both-right", authn.CodeWrong: "code-wrong", authn.FirstWrong: "first-wrong",
		authn.FirstAlone: "first-alone"}
	slotWords = map[authn.Slots]string{authn.SlotFree: "free", authn.SlotsFlying: "in flight", authn.SlotsSpent: "spent"}
)

func (s *Server) explain(ctx context.Context, in *struct {
	User    string `query:"user" required:"true" minLength:"1" maxLength:"253" doc:"as it would be typed at the gateway"`
	Client  string `query:"client" required:"true" minLength:"1" maxLength:"253"`
	Station string `query:"station" maxLength:"253" doc:"Calling-Station-Id: the address the person comes from"`
}) (*struct{ Body Explanation }, error) {
	x, known, err := s.Explain(ctx, in.User, in.Client, in.Station)
	switch {
	case !known:
		return nil, newProblem(http.StatusNotFound, "unknown-client", wordUnknownClient(in.Client))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return nil, s.problem(err)
	case err != nil:
		s.Log.Error("a login could not be explained", "error", err)
		return nil, newProblem(http.StatusServiceUnavailable, "directory-down", wordDirectoryDown)
	}
	if x.User != nil && s.allow(ctx, operator.ReadTokens, s.target(ctx, authn.Owner{User: x.User})) != nil {
		x = &authn.Explanation{At: x.At, Reading: x.Reading, Refused: authn.UnknownUser} // as for a name that nobody has
	}
	v := viewExplanation(x)
	v.Client = in.Client
	return &struct{ Body Explanation }{v}, nil
}

func viewExplanation(x *authn.Explanation) Explanation {
	v := Explanation{At: x.At, Refused: why(x.Refused), ReplyFault: authn.Shown([]byte(x.ReplyFault)), Exempt: x.Exempt, Unenrolled: x.Unenrolled,
		PIN: x.PIN, Stopped: x.Stopped, Binds: slotWords[x.Binds], Policies: []PolicyFit{}, Tokens: []ExplainedHold{}, Cases: []ExplainedCase{}}
	v.Reading, v.ReadingJA = sentences(x.Reading)
	if x.User == nil {
		return v
	}
	v.User, v.Directory, v.Groups, v.Class = authn.Shown([]byte(x.User.Name)), x.User.Directory, x.User.Groups, x.Class.String()
	for _, p := range x.Policies {
		v.Policies = append(v.Policies, PolicyFit(p))
		if p.Client && p.User {
			break
		}
	}
	if p := x.Policy; p != nil {
		if v.Policy = p.Name; !p.Deny {
			v.First = factorWords[p.First]
		}
	}
	if x.Source.IsValid() {
		v.Source = x.Source.String()
	}
	v.Reply, v.NotTaken = replyLines(x.Reply), replyLines(x.NotTaken)
	for _, c := range x.Cases {
		e := ExplainedCase{Typed: caseWords[c.Kind], Class: c.Class.String()}
		for _, st := range c.Steps {
			e.Steps = append(e.Steps, ExplainedStep{Verdict: st.Verdict.String(), Why: *why(st.Reason), Row: int(st.Row), Pair: st.Pair})
		}
		v.Cases = append(v.Cases, e)
	}
	if x.Account == 0 {
		return v
	}
	v.Account = x.Account.String()
	for _, t := range x.Tokens {
		v.Tokens = append(v.Tokens, ExplainedHold{Token: viewToken(t.Token, x.At), Opens: t.Opens, Why: why(t.Why), Used: t.Used})
	}
	for _, c := range []authn.Class{authn.ClassKnown, authn.ClassUnknown} {
		g := x.Guards[c]
		v.Sources = append(v.Sources, ClassState{Class: c.String(), Row: int(g.Row), Until: moment(g.Until), Stopped: g.Stopped, Pot: pot(g.Pot)})
	}
	pairs := pot(x.Pairs)
	v.Pairs, v.PairUntil = &pairs, moment(x.Pending)
	return v
}

func why(r authn.Reason) *Why {
	if r == 0 {
		return nil
	}
	return &Why{r.String(), r.Sentence(), r.Japanese()}
}

func pot(p authn.PotState) Pot {
	return Pot{Spent: float64(p.Spent) * token.GuessUnit, Limit: float64(p.Limit) * token.GuessUnit, Misses: p.Misses()}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
