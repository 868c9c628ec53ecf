package admin

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/operator"
)

// Every list works alike: filters of its own, then ?after= and ?limit=. A page names the key of its last row as next, and
// the whole URL of the next page in a Link header (RFC 8288), where more may follow. Keys go one way, so that rows which
// come or go meanwhile neither repeat nor hide others. ?format=csv, or Accept: text/csv, gives the same rows as a sheet.

// How many rows one call gives.
const (
	pageRows  = 100     // of JSON unless asked otherwise
	mostRows  = 1000    // of JSON
	mostLines = 100_000 // of a sheet, which is whole unless a limit is given
)

// csvType is the media type of a sheet.
const csvType = "text/csv; charset=utf-8"

// Paging is what every list is asked with.
type Paging struct {
	After  string `query:"after" maxLength:"253" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100000" doc:"rows; JSON: 100 unless given, at most 1000; CSV: all unless given"`
	Format string `query:"format" enum:"json,csv" doc:"default: csv with Accept: text/csv, else json"`

	asked url.URL
}

// Resolve serves huma: it takes the rest of the call.
func (p *Paging) Resolve(c huma.Context) []error {
	p.asked = c.URL()
	if p.Format == "" && acceptsSheet(c.Header("Accept")) {
		p.Format = "csv"
	}
	if p.Limit > mostRows && !p.sheet() {
		return []error{&huma.ErrorDetail{Location: "query.limit", Message: fmt.Sprintf("expected number <= %d", mostRows), Value: p.Limit}}
	}
	return nil
}

func (p *Paging) sheet() bool { return p.Format == "csv" }

// acceptsSheet reports that the first media type of an Accept header is that of a sheet.
func acceptsSheet(accept string) bool {
	first, _, _ := strings.Cut(accept, ",")
	kind, _, _ := strings.Cut(first, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/csv")
}

// gather reads a list as far as the call wants it. read gives at most n rows after a key, and the key of the last row it
// looked at where more may follow: a filter may leave it with fewer rows than n.
func gather[R any](p *Paging, read func(after string, n int) (page []R, next string, err error)) (all []R, next string, err error) {
	want := p.Limit
	switch {
	case want == 0 && p.sheet():
		want = mostLines
	case want == 0:
		want = pageRows
	}
	all, next = []R{}, p.After
	for {
		page, more, err := read(next, min(want-len(all), mostRows))
		if err != nil {
			return nil, "", err
		}
		all, next = append(all, page...), more
		if more == "" || len(all) >= want {
			return all, next, nil
		}
	}
}

// Listing is what the body of every list has beside its rows.
type Listing struct {
	Next string `json:"next,omitempty" doc:"give it as after for the next page; absent on the last one"`

	cells [][]string // of a sheet, its header first; nil: JSON was asked for
}

// ContentType serves huma.
func (l Listing) ContentType(json string) string {
	if l.cells != nil {
		return csvType
	}
	return json
}

// column is one column of a sheet.
type column[R any] struct {
	name string
	cell func(*R) string
}

// listReply is the answer of a list.
type listReply[B any] struct {
	Link        string `header:"Link" doc:"the next page, with rel=next"`
	Disposition string `header:"Content-Disposition" doc:"of a sheet: the name of its file"`
	Body        B
}

// answer makes the answer of a list: body puts the rows beside what every list has.
func answer[R, B any](p *Paging, name string, columns []column[R], all []R, next string, body func(Listing, []R) B) *listReply[B] {
	l, reply := Listing{Next: next}, &listReply[B]{}
	if p.sheet() {
		header := make([]string, len(columns))
		for i, c := range columns {
			header[i] = c.name
		}
		l.cells = append(make([][]string, 0, len(all)+1), header)
		for i := range all {
			line := make([]string, len(columns))
			for j, c := range columns {
				line[j] = c.cell(&all[i])
			}
			l.cells = append(l.cells, line)
		}
		reply.Disposition = `attachment; filename="` + name + `.csv"`
	}
	if next != "" {
		q := p.asked.Query()
		q.Set("after", next)
		reply.Link = "<" + p.asked.Path + "?" + q.Encode() + `>; rel="next"`
	}
	reply.Body = body(l, all)
	return reply
}

// formats are huma's with sheets. No Accept header names csvType with its parameter, so nothing but a Listing becomes one.
func formats() map[string]huma.Format {
	all := maps.Clone(huma.DefaultFormats)
	all[csvType] = huma.Format{Marshal: func(w io.Writer, v any) error {
		l, ok := v.(interface{ writeSheet(io.Writer) error })
		if !ok {
			return fmt.Errorf("%T is no list", v)
		}
		return l.writeSheet(w)
	}}
	return all
}

// writeSheet writes RFC 4180 with the mark at its start by which spreadsheets know UTF-8.
func (l Listing) writeSheet(w io.Writer) error {
	if _, err := io.WriteString(w, "\uFEFF"); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	for _, line := range l.cells {
		for i := range line {
			line[i] = harmless(line[i])
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// harmless keeps a spreadsheet from taking a cell for a formula: names come from the network. The wide signs are formulas in
// Japanese spreadsheets.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(cell)[0]) {
		return "'" + cell
	}
	return cell
}

// badAfter refuses a key that is none.
func badAfter(err error) *Problem {
	return newProblem(http.StatusUnprocessableEntity, "bad-input", wordBadKey, Place{"query.after", err.Error()})
}

// scoped tells whom the caller may see, and asks about each account once.
type scoped struct {
	s    *Server
	ctx  context.Context
	all  operator.Scope
	seen map[authn.AccountID]bool
}

func (s *Server) newScope(ctx context.Context) *scoped {
	return &scoped{s, ctx, PrincipalOf(ctx).Scope, map[authn.AccountID]bool{}}
}

func (c *scoped) covers(id authn.AccountID) bool {
	if c.all.All() {
		return true
	}
	covered, known := c.seen[id]
	if !known {
		covered = c.all.Covers(c.s.personOf(c.ctx, authn.Owner{Account: id}))
		c.seen[id] = covered
	}
	return covered
}

// coversAny reports a token that the caller may see: one of the stock, or of somebody whom they may see.
func (c *scoped) coversAny(holders []TokenHolder) bool {
	return len(holders) == 0 || slices.ContainsFunc(holders, func(h TokenHolder) bool { return c.covers(h.Account) })
}
