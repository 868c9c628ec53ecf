package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

func (s *Server) campaignRoute(api huma.API) {
	huma.Get(api, "/api/v1/campaigns", s.campaign)
}

// Campaign is how far the switch of all tokens of one expiry has come (P11).
type Campaign struct {
	Listing
	Expiry   string `json:"expiry" doc:"RFC 3339"`
	Left     int64  `json:"seconds_left" doc:"until the expiry; 0: it is past"`
	Total    int    `json:"total"`
	Switched int    `json:"switched"`
	Turns    []Turn `json:"turns" doc:"operators first, those who are not switched before those who are"`
}

// Turn is where one user stands.
type Turn struct {
	User     string `json:"user"`
	Account  string `json:"account"`
	Operator bool   `json:"operator,omitempty"`
	Old      string `json:"old" doc:"serial of the token that ends"`
	New      string `json:"new,omitempty" doc:"serial of the one that waits or works in its place"`
	State    string `json:"state" doc:"switched, waiting, deferred or nothing"`
}

var turnColumns = []column[Turn]{
	{"login_id", func(t *Turn) string { return t.User }},
	{"operator", func(t *Turn) string { return strconv.FormatBool(t.Operator) }},
	{"old", func(t *Turn) string { return t.Old }},
	{"new", func(t *Turn) string { return t.New }},
	{"state", func(t *Turn) string { return t.State }},
	{"account", func(t *Turn) string { return t.Account }},
}

// campaign is GET /api/v1/campaigns: everybody who holds a token of an expiry, or held it when it ended. The whole list is
// worked out from what is, so it comes in one piece.
func (s *Server) campaign(ctx context.Context, in *struct {
	Paging
	Expires time.Time `query:"expires" required:"true" doc:"the expiry, to the second; RFC 3339"`
	State   string    `query:"state" enum:"switched,waiting,deferred,nothing"`
}) (*listReply[Campaign], error) {
	if in.After != "" || in.Limit != 0 {
		return nil, newProblem(http.StatusUnprocessableEntity, "bad-input", wordOnePiece, Place{"query", "after and limit do not go with this list"})
	}
	state, err := s.campaignState(ctx, in.Expires.Unix())
	if err != nil {
		return nil, err
	}
	c := life.CampaignOf(*state, in.Expires.Unix(), s.Now())
	out := Campaign{Expiry: moment(in.Expires), Left: int64(c.Left / time.Second), Total: c.Total, Switched: c.Switched, Turns: []Turn{}}
	names := map[life.AccountID]string{}
	for i := range state.Holders {
		names[state.Holders[i].Account] = state.Holders[i].Name
	}
	serials := map[token.ID]string{}
	for i := range state.Tokens {
		serials[state.Tokens[i].ID] = label(&state.Tokens[i])
	}
	for _, t := range c.Turns {
		v := Turn{User: authn.Shown([]byte(names[t.Account])), Account: authn.AccountID(t.Account).String(), Operator: t.Operator,
			Old: serials[t.Old], New: serials[t.New], State: "nothing"}
		switch {
		case t.Switched:
			v.State = "switched"
		case t.Deferred:
			v.State = "deferred"
		case t.New != 0:
			v.State = "waiting"
		}
		if in.State == "" || in.State == v.State {
			out.Turns = append(out.Turns, v)
		}
	}
	return answer(&in.Paging, "campaign", turnColumns, out.Turns, "", func(l Listing, _ []Turn) Campaign {
		out.Listing = l
		return out
	}), nil
}

// campaignState gathers those who hold or held a token of an expiry, as far as the caller sees them.
func (s *Server) campaignState(ctx context.Context, expiry int64) (*life.State, error) {
	state, scope := &life.State{}, s.newScope(ctx)
	people, tokens := map[authn.AccountID]bool{}, map[token.ID]bool{}
	q := TokenQuery{Now: s.Now(), Limit: mostRows}
	for {
		page, err := s.Store.Tokens(ctx, q)
		if err != nil {
			return nil, s.problem(err)
		}
		for _, info := range page {
			q.After = info.Token.ID
			if info.Token.Expiry != expiry {
				continue
			}
			for _, holder := range info.Holders {
				if people[holder.Account] || !scope.covers(holder.Account) {
					continue
				}
				people[holder.Account] = true
				h, held, _, err := s.Desk.Holder(ctx, holder.Account)
				if err != nil {
					return nil, s.problem(err)
				}
				state.Holders = append(state.Holders, h)
				for _, t := range held {
					if !tokens[t.ID] {
						tokens[t.ID] = true
						state.Tokens = append(state.Tokens, t)
					}
				}
			}
		}
		if len(page) < mostRows {
			return state, nil
		}
	}
}
