package admin

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
)

// EventList is a page of events, newest first.
type EventList struct {
	Listing
	Events []Event `json:"events"`
}

var eventColumns = []column[Event]{
	{"seq", func(e *Event) string { return strconv.FormatUint(e.Seq, 10) }},
	{"at", func(e *Event) string { return e.At.UTC().Format("2006-01-02T15:04:05.000Z07:00") }},
	{"kind", func(e *Event) string { return e.Kind }},
	{"user", func(e *Event) string { return e.User }},
	{"account", func(e *Event) string { return e.Account }},
	{"client", func(e *Event) string { return e.Client }},
	{"policy", func(e *Event) string { return e.Policy }},
	{"source", func(e *Event) string { return e.Source }},
	{"station", func(e *Event) string { return e.Station }},
	{"method", func(e *Event) string { return e.Method }},
	{"verdict", func(e *Event) string { return e.Verdict }},
	{"reason", func(e *Event) string { return e.Reason }},
	{"row", func(e *Event) string { return number(e.Row) }},
	{"class", func(e *Event) string { return e.Class }},
	{"token", func(e *Event) string { return e.Token }},
	{"act", func(e *Event) string { return e.Act }},
	{"actor", func(e *Event) string { return e.Actor }},
	{"detail", func(e *Event) string { return e.Detail }},
}

// pagingOf reads what every list is asked with, for routes beside huma.
func pagingOf(r *http.Request) (p Paging, problem *Problem) {
	v := r.URL.Query()
	p.After, p.Format, p.asked = v.Get("after"), v.Get("format"), *r.URL
	bad := func(where, what string) *Problem {
		return newProblem(http.StatusUnprocessableEntity, "bad-input", "validation failed", Place{"query." + where, what})
	}
	if !slices.Contains([]string{"", "json", "csv"}, p.Format) {
		return p, bad("format", "expected value to be one of \"json, csv\"")
	}
	if p.Format == "" && acceptsSheet(r.Header.Get("Accept")) {
		p.Format = "csv"
	}
	if text := v.Get("limit"); text != "" {
		most := mostRows
		if p.sheet() {
			most = mostLines
		}
		var err error
		if p.Limit, err = strconv.Atoi(text); err != nil || p.Limit < 1 || p.Limit > most {
			return p, bad("limit", fmt.Sprintf("expected a number from 1 to %d", most))
		}
	}
	return p, nil
}

// wantsPage reports a call that asks for a page or a sheet, not for lines.
func wantsPage(r *http.Request) bool {
	v := r.URL.Query()
	return v.Has("format") || v.Has("after") || acceptsSheet(r.Header.Get("Accept")) || strings.HasPrefix(r.Header.Get("Accept"), "application/json")
}

// pageLogins answers with one page.
func (s *Server) pageLogins(w http.ResponseWriter, r *http.Request) {
	p, problem := pagingOf(r)
	if problem != nil {
		writeProblem(w, problem)
		return
	}
	v := r.URL.Query()
	v.Del("limit") // its bounds are those of pages
	filters := r.Clone(r.Context())
	filters.URL.RawQuery = v.Encode()
	q, _, problem := s.loginQuery(filters)
	if problem != nil {
		writeProblem(w, problem)
		return
	}
	scope := s.newScope(r.Context())
	top := s.Store.Seq() + 1 // what happens meanwhile stands on no page of this reading
	all, next, err := gather(&p, func(after string, n int) (page []Event, next string, err error) {
		q.Before, q.Limit = top, n
		if after != "" {
			if q.Before, err = strconv.ParseUint(after, 10, 63); err != nil || q.Before == 0 {
				return nil, "", badAfter(fmt.Errorf("%s is no number of an event", quoted(after)))
			}
		}
		events, err := s.Store.Logins(r.Context(), q)
		if err != nil {
			s.Log.Error("reading events", "error", err)
			return nil, "", newProblem(http.StatusInternalServerError, "fault", wordEventsFailed)
		}
		for i := range events {
			if e := &events[i]; scope.all.All() || e.Account != 0 && scope.covers(e.Account) {
				page = append(page, viewEvent(e))
			}
		}
		if len(events) == n && events[n-1].Seq > 1 {
			next = strconv.FormatUint(events[n-1].Seq, 10)
		}
		return page, next, nil
	})
	if err != nil {
		writeProblem(w, err.(*Problem)) //nolint:errorlint // gather gives what the function above made
		return
	}
	writeList(w, answer(&p, "logins", eventColumns, all, next, func(l Listing, all []Event) EventList { return EventList{l, all} }))
}

// writeList answers a list of a route beside huma.
func writeList[B interface{ ContentType(string) string }](w http.ResponseWriter, reply *listReply[B]) {
	kind := reply.Body.ContentType("application/json")
	for name, value := range map[string]string{"Content-Type": kind, "Link": reply.Link, "Content-Disposition": reply.Disposition} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	_ = formats()[kind].Marshal(w, reply.Body) // whoever is gone reads nothing
}

// describeLogins tells OpenAPI about a route that stands beside huma.
func describeLogins(api huma.API) {
	text := func(name, doc string) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: doc, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	flag := func(name, doc string) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: doc, Schema: &huma.Schema{Type: huma.TypeBoolean}}
	}
	schemas := api.OpenAPI().Components.Schemas
	reasons := make([]any, 0, len(authn.Reasons()))
	for _, r := range authn.Reasons() {
		reasons = append(reasons, r.String())
	}
	api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "list-logins", Method: http.MethodGet, Path: "/api/v1/logins",
		Summary: "Logins: a page, newest first, with Accept: application/json, format or after; else JSON lines, oldest first",
		Parameters: []*huma.Param{
			text("after", "next of the page before"),
			{Name: "limit", In: "query", Description: "rows; JSON: 100 unless given, at most 1000; CSV: all unless given", Schema: &huma.Schema{Type: huma.TypeInteger}},
			{Name: "format", In: "query", Description: "default: by Accept; without one, JSON lines", Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"json", "csv"}}},
			text("user", "in any spelling the directory knows, or as typed where nobody has the name"),
			text("client", "name of the gateway"),
			{Name: "reason", In: "query", Schema: &huma.Schema{Type: huma.TypeString, Enum: reasons}},
			{Name: "since", In: "query", Description: "RFC 3339", Schema: &huma.Schema{Type: huma.TypeString, Format: "date-time"}},
			flag("acts", "acts of operators too"),
			flag("all", "of lines: every one that is kept"),
			flag("follow", "of lines: go on with each one as it happens"),
		},
		Responses: map[string]*huma.Response{
			"200": {Description: "a page, a sheet, or lines", Content: map[string]*huma.MediaType{
				"application/json":     {Schema: schemas.Schema(reflect.TypeFor[EventList](), true, "")},
				"application/x-ndjson": {Schema: schemas.Schema(reflect.TypeFor[Event](), true, "")},
				"text/csv":             {Schema: &huma.Schema{Type: huma.TypeString}},
			}},
			"default": {Description: "Error", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schemas.Schema(reflect.TypeFor[Problem](), true, "")}}},
		},
	})
}
