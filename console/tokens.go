package console

import (
	"net/http"
	"net/url"

	"sekisho/admin"
)

// tokensPage is GET /tokens.
type tokensPage struct {
	view
	Filter       tokenFilter
	States       []string
	Forms        []string
	Tokens       []admin.Token
	Next, CSV    string
	Narrowed     bool
	First        bool
	ShowsHolders bool
}

type tokenFilter struct{ State, Form, Serial string }

type tokenList struct {
	Tokens []admin.Token `json:"tokens"`
	Next   string        `json:"next"`
}

var (
	tokenStates = []string{"in use", "in stock", "expired", "destroyed"}
	tokenForms  = []string{"hardware", "software"}
)

func tokenFilterOf(r *http.Request) tokenFilter {
	q := r.URL.Query()
	return tokenFilter{State: q.Get("state"), Form: q.Get("form"), Serial: q.Get("serial")}
}

func (f tokenFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"state": f.State, "form": f.Form} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

func (p *Pages) tokens(w http.ResponseWriter, r *http.Request) {
	f := tokenFilterOf(r)
	if f.Serial != "" { // a serial is one token
		http.Redirect(w, r, "/tokens/"+url.PathEscape(f.Serial), http.StatusSeeOther)
		return
	}
	v := p.open(w, r, "tokens")
	if v == nil {
		return
	}
	page := &tokensPage{view: *v, Filter: f, States: tokenStates, Forms: tokenForms, Narrowed: f != tokenFilter{}}
	page.Command = "sekisho token list" + option("--state", f.State) + option("--form", f.Form)
	q := f.query()
	page.CSV = "/tokens.csv?" + q.Encode()
	after := r.URL.Query().Get("after")
	if page.First = after == ""; !page.First {
		q.Set("after", after)
	}
	var reply tokenList
	if problem := p.ask(r, http.MethodGet, "/api/v1/tokens?"+q.Encode(), nil, &reply); problem != nil {
		page.view.Problem = problemIn(v.Lang, problem)
		p.show(w, problem.Status, "tokens", page)
		return
	}
	page.Tokens = reply.Tokens
	if reply.Next != "" {
		q.Set("after", reply.Next)
		page.Next = "/tokens?" + q.Encode()
	}
	p.show(w, http.StatusOK, "tokens", page)
}

// tokenPage is GET /tokens/{token}.
type tokenPage struct {
	view
	Token admin.Token
}

func (p *Pages) token(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "token")
	if v == nil {
		return
	}
	page := &tokenPage{view: *v}
	if problem := p.ask(r, http.MethodGet, apiPath("tokens", r.PathValue("token")), nil, &page.Token); problem != nil {
		p.fail(w, r, v, problem)
		return
	}
	page.Title = word(v.Lang, "page.token") + " " + page.Token.ID
	if page.Token.Serial != "" {
		page.Title = word(v.Lang, "page.token") + " " + page.Token.Serial
	}
	page.view.Page = "tokens"
	page.Command = "sekisho token show " + shell(r.PathValue("token"))
	p.show(w, http.StatusOK, "token", page)
}

// tokenAct is POST /tokens/{token}/{act}.
func (p *Pages) tokenAct(w http.ResponseWriter, r *http.Request) {
	ref, act, user := r.PathValue("token"), r.PathValue("act"), r.PostFormValue("user")
	in := map[string]any{}
	if user != "" {
		in["user"] = user
	}
	switch act {
	case "assign":
		in["share"], in["pending"] = r.PostFormValue("share") != "", r.PostFormValue("pending") != ""
	case "confirm":
		in["code"] = r.PostFormValue("code")
	case "revoke":
	default:
		p.notFound(w, r)
		return
	}
	p.act(w, r, "tokens", http.MethodPost, apiPath("tokens", ref, act), in, nil, func() {
		sayNext(w, "token-"+act, ref)
		back(w, r)
	})
}
