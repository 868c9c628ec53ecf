package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"sekisho/admin"
	"sekisho/operator"
)

// batch is one act on several tokens that were ticked in the list.
type batch struct {
	Right operator.Right
	Field string // what it asks for beside a reason
	Grave bool
}

var (
	batches = map[string]batch{
		"revoke":  {operator.Revoke, "", true},
		"extend":  {operator.Extend, "to", false},
		"reserve": {operator.Assign, "group", false},
	}
	batchNames = []string{"revoke", "extend", "reserve"}
)

// askAbove is from how many users on the number has to be typed; the API has the last word.
const askAbove = 20

// batchPage is /batch/{act}: what would change, a form, and afterwards the way back.
type batchPage struct {
	view
	Name      string
	Batch     batch
	Tokens    []string
	Value     string // of the field
	Reason    string
	Effects   []admin.Effect
	From      string
	Users     int
	Confirm   bool
	Done      *admin.Revoked // what was done, and can be undone
	NothingOf bool           // nothing was ticked
}

func (p *Pages) batchRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /batch", func(w http.ResponseWriter, r *http.Request) { p.batch(w, r, false) })
	mux.HandleFunc("POST /batch/do", func(w http.ResponseWriter, r *http.Request) { p.batch(w, r, true) })
	mux.HandleFunc("POST /batch/undo", p.undoBatch)
}

// batch shows what an act on the ticked tokens would change, or does it.
func (p *Pages) batch(w http.ResponseWriter, r *http.Request, do bool) {
	v := p.open(w, r, "tokens")
	if v == nil {
		return
	}
	page := &batchPage{view: *v, Name: r.PostFormValue("act"), Tokens: r.PostForm["token"], Value: r.PostFormValue("value"), Reason: r.PostFormValue("reason")}
	var known bool
	if page.Batch, known = batches[page.Name]; !known {
		p.fail(w, r, v, &admin.Problem{Status: http.StatusBadRequest, Code: "bad-input"})
		return
	}
	page.Title, page.Here = word(v.Lang, "batch."+page.Name), "/tokens"
	if page.NothingOf = len(page.Tokens) == 0; page.NothingOf {
		p.show(w, http.StatusUnprocessableEntity, "batch", page)
		return
	}
	in := map[string]any{"tokens": page.Tokens, "reason": page.Reason}
	switch page.Batch.Field {
	case "to":
		if page.Value == "" {
			page.Value = p.Now().In(p.Zone).AddDate(0, 0, 30).Format("2006-01-02")
		}
		in["to"] = p.dayIn(page.Value)
	case "group":
		in["group"] = page.Value
	}
	if n, err := strconv.Atoi(strings.TrimSpace(r.PostFormValue("confirmed"))); err == nil {
		in["confirmed"] = n
	}
	path := "/api/v1/tokens/" + page.Name
	if !do {
		path += "?dry_run=true"
		in["reason"] = "-"
	}
	var out admin.Revoked
	problem := p.ask(r, http.MethodPost, path, in, &out)
	switch {
	case problem != nil && p.refused(w, r, v, "/tokens", problem):
	case problem != nil:
		page.view.Problem = problemIn(v.Lang, problem)
		p.show(w, problem.Status, "batch", page)
	case do:
		page.Done = &out
		p.show(w, http.StatusOK, "batch", page)
	default:
		page.Effects, page.From, page.Users = out.Effects, out.RegisterFrom, out.Users
		page.Confirm = out.Users > askAbove
		p.show(w, http.StatusOK, "batch", page)
	}
}

// undoBatch is POST /batch/undo: it takes a revocation of several back.
func (p *Pages) undoBatch(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "tokens")
	if v == nil {
		return
	}
	if err := r.ParseForm(); err != nil {
		p.fail(w, r, v, &admin.Problem{Status: http.StatusBadRequest, Code: "bad-input"})
		return
	}
	var holds []admin.RevokedHold
	for _, text := range r.PostForm["hold"] {
		account, token, _ := strings.Cut(text, ":")
		holds = append(holds, admin.RevokedHold{Account: account, Token: token})
	}
	var out admin.Undone
	problem := p.ask(r, http.MethodPost, "/api/v1/undo", map[string]any{"holds": holds}, &out)
	switch {
	case problem != nil && p.refused(w, r, v, "/tokens", problem):
	case problem != nil:
		v.Here = "/tokens"
		p.fail(w, r, v, problem)
	case len(out.Failed) > 0:
		v.Here = "/tokens"
		places := make([]admin.Place, len(out.Failed))
		for i, f := range out.Failed {
			places[i] = admin.Place{Where: f.Token, Problem: f.Sentence}
			if v.Lang == "ja" {
				places[i].Problem = f.SentenceJA
			}
		}
		p.fail(w, r, v, &admin.Problem{Status: http.StatusConflict, Code: "not-all-undone", Errors: places})
	default:
		sayNext(w, "undone", strconv.Itoa(len(holds)))
		http.Redirect(w, r, "/tokens", http.StatusSeeOther)
	}
}

// dayIn is the beginning of a day of the site's zone, as the API wants it; what is no day goes to the API as it is, which
// refuses it.
func (p *Pages) dayIn(text string) string {
	t, err := time.ParseInLocation("2006-01-02", text, p.Zone)
	if err != nil {
		return text
	}
	return t.Format(time.RFC3339)
}
