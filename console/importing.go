package console

import (
	"net/http"
	"net/url"

	"sekisho/admin"
)

// importPage is GET and POST /import: a seed file, what it holds, and then its tokens.
type importPage struct {
	view
	Formats []string
	Report  *admin.ImportReport
	Kinds   []faultKind
	Done    bool
}

type faultKind struct {
	Kind  string
	Count int
}

// maxImport is how large a form with a seed file may be; the API bounds the file.
const maxImport = 129 << 20

var importFormats = []string{"auto", "csv", "pskc", "otpauth", "safenet", "feitian", "yubico"}

func (p *Pages) importForm(w http.ResponseWriter, r *http.Request) {
	if v := p.open(w, r, "import"); v != nil {
		page := &importPage{view: *v, Formats: importFormats}
		page.Command = "sekisho token import FILE --dry-run"
		p.show(w, http.StatusOK, "import", page)
	}
}

// doImport is POST /import. The form goes to the API as it came: its parts are the API's, its options stand in the address.
func (p *Pages) doImport(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "import")
	if v == nil {
		return
	}
	page := &importPage{view: *v, Formats: importFormats}
	page.Here = "/import"
	q := url.Values{}
	for _, name := range []string{"dry_run", "format", "skip_bad", "pending", "date_order"} {
		if value := r.URL.Query().Get(name); value != "" {
			q.Set(name, value)
		}
	}
	page.Command = importCommand(q)
	report := &admin.ImportReport{}
	body := http.MaxBytesReader(w, r.Body, maxImport)
	a := p.send(r, http.MethodPost, "/api/v1/tokens/import?"+q.Encode(), r.Header.Get("Content-Type"), body, r.ContentLength)
	problem := p.read(a, "/api/v1/tokens/import", report)
	status := http.StatusOK
	switch {
	case problem == nil:
		page.Report, page.Done = report, !report.DryRun
	case problem.Code == "step-up":
		p.askAlone(w, v, "/import", nil)
		return
	case problem.Status == http.StatusUnauthorized:
		p.toSignIn(w, r)
		return
	default:
		page.view.Problem, page.Report, status = problemIn(v.Lang, problem), problem.Report, problem.Status
	}
	if page.Report != nil {
		for kind, n := range page.Report.ByKind {
			page.Kinds = append(page.Kinds, faultKind{kind, n})
		}
	}
	p.show(w, status, "import", page)
}

func importCommand(q url.Values) string {
	c := "sekisho token import FILE" + option("--format", q.Get("format")) + option("--date-order", q.Get("date_order"))
	for name, flag := range map[string]string{"skip_bad": " --skip-bad", "pending": " --pending", "dry_run": " --dry-run"} {
		if q.Get(name) == "true" {
			c += flag
		}
	}
	return c
}
