package admin

import (
	"context"
	"strconv"
	"strings"
	"time"

	"sekisho/token"
)

// TokenList is a page of tokens.
type TokenList struct {
	Listing
	Tokens []Token `json:"tokens"`
}

var states = map[string]token.State{"in stock": token.InStock, "in use": token.InUse, "expired": token.Expired, "destroyed": token.Destroyed}

var forms = map[string]token.Form{"software": token.Software, "hardware": token.Hardware}

// tokenColumns are those of a sheet.
var tokenColumns = []column[Token]{
	{"id", func(t *Token) string { return t.ID }},
	{"serial", func(t *Token) string { return t.Serial }},
	{"credential_id", func(t *Token) string { return t.CredentialID }},
	{"name", func(t *Token) string { return t.Name }},
	{"form", func(t *Token) string { return t.Form }},
	{"mode", func(t *Token) string { return t.Mode }},
	{"hash", func(t *Token) string { return t.Hash }},
	{"digits", func(t *Token) string { return strconv.Itoa(t.Digits) }},
	{"period", func(t *Token) string { return number(t.Period) }},
	{"state", func(t *Token) string { return t.State }},
	{"start", func(t *Token) string { return t.Start }},
	{"expiry", func(t *Token) string { return t.Expiry }},
	{"drift", func(t *Token) string { return number(t.Drift) }},
	{"holders", func(t *Token) string {
		var all []string
		for _, h := range t.Holders {
			all = append(all, h.User+" ("+h.Standing+")")
		}
		return strings.Join(all, "; ")
	}},
}

// number leaves a cell empty for zero, as JSON leaves the field out.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// Expiring narrows a list to what expires within a span.
type Expiring struct {
	From   time.Time `query:"expires_from" doc:"only what expires at this moment or later; RFC 3339"`
	Before time.Time `query:"expires_before" doc:"only what expires before this moment; RFC 3339"`
}

func (x *Expiring) fits(expiry int64) bool {
	if x.From.IsZero() && x.Before.IsZero() {
		return true
	}
	return expiry != 0 && (x.From.IsZero() || expiry >= x.From.Unix()) && (x.Before.IsZero() || expiry < x.Before.Unix())
}

func (s *Server) listTokens(ctx context.Context, in *struct {
	Paging
	Expiring
	State  string `query:"state" enum:"in stock,in use,expired,destroyed"`
	Form   string `query:"form" enum:"software,hardware"`
	Serial string `query:"serial" maxLength:"128" doc:"beginning of the serial"`
	Free   bool   `query:"free" doc:"only those that nobody ever held"`
}) (*listReply[TokenList], error) {
	now, scope := s.Now(), s.newScope(ctx)
	all, next, err := gather(&in.Paging, func(after string, n int) (page []Token, next string, err error) {
		q := TokenQuery{State: states[in.State], Form: forms[in.Form], Serial: in.Serial, Free: in.Free, Now: now, Limit: n}
		if after != "" {
			if q.After, err = token.ParseID(after); err != nil {
				return nil, "", badAfter(err)
			}
		}
		found, err := s.Store.Tokens(ctx, q)
		if err != nil {
			return nil, "", s.problem(err)
		}
		for _, info := range found {
			if in.fits(info.Token.Expiry) && scope.coversAny(info.Holders) {
				page = append(page, viewInfo(info, now))
			}
		}
		if len(found) == n {
			next = found[n-1].Token.ID.String()
		}
		return page, next, nil
	})
	if err != nil {
		return nil, err
	}
	return answer(&in.Paging, "tokens", tokenColumns, all, next, func(l Listing, all []Token) TokenList { return TokenList{l, all} }), nil
}
