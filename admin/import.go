package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/token"
)

// One import, in order (its life in the store: storage's Import):
//
//	read      every row is read and its seed sealed at once; a bad row is noted and reading goes on
//	resolve   each name is looked up once, some at a time; a directory that does not answer ends all
//	check     serials, seeds, users and expiries are held against what is here
//	          a dry run ends here; so does a file with a fault, unless bad rows are to be left out
//	bring in  Store.Import writes the rows and makes all of them live at once
//
// The order of the acts is not held up by it (Server.acts): what was looked up is looked at again by the store, and where
// something changed meanwhile the import resolves and checks once more.

// maxImport bounds the body: 100,000 tokens are some 10 MB of text in columns and some 100 MB of PSKC.
const maxImport = 128 << 20

// importInput is the call. The body is the seed file itself, or multipart/form-data with the parts file, users, key,
// password and private_key, so that no secret ever stands in a URL.
type importInput struct {
	ContentType string   `header:"Content-Type" hidden:"true"`
	Source      string   `query:"source" maxLength:"200" doc:"name of the file, for the audit"`
	Format      string   `query:"format" enum:"auto,csv,pskc,otpauth,safenet,feitian,yubico" default:"auto"`
	Columns     []string `query:"columns" doc:"columns of a text file that its header does not name as we do: field=name or field=number"`
	Skip        []string `query:"skip_columns" doc:"columns to pass over, by name or number"`
	NoHeader    bool     `query:"no_header" doc:"the first line is a token already"`
	Encoding    string   `query:"secret_encoding" enum:"auto,hex,base32,base64" default:"auto"`
	Assume      []string `query:"assume" doc:"what to take where the file says nothing: mode=hotp, hash=SHA256, digits=8, period=60"`
	IgnoreSig   bool     `query:"ignore_signature" doc:"read a signed PSKC file without checking its signature; default: it is refused"`
	DateOrder   string   `query:"date_order" enum:"auto,mdy,dmy,ymd" default:"auto" doc:"how to read dates such as 01/02/25"`
	DateOnly    string   `query:"date_only" doc:"when a token stops whose file gives only a date, as 09:00 Asia/Tokyo; default: the configuration's"`
	Pending     bool     `query:"pending" doc:"tokens with a user open nothing before their first right code"`
	SkipBad     bool     `query:"skip_bad" doc:"bad rows are left out; default: one bad row refuses the file"`
	DryRun      bool     `query:"dry_run" doc:"report and change nothing"`
	Rows        bool     `query:"rows" doc:"report each row too"`
	Progress    bool     `query:"progress" doc:"answer in lines of JSON: {progress} while it goes on, then {report} or {problem}"`
	RawBody     []byte   `contentType:"application/octet-stream"`
}

func (s *Server) importRoute(api huma.API) {
	schema := api.OpenAPI().Components.Schemas.Schema
	answer := func(t reflect.Type, kind, text string) *huma.Response {
		return &huma.Response{Description: text, Content: map[string]*huma.MediaType{kind: {Schema: schema(t, true, "")}}}
	}
	huma.Register(api, huma.Operation{
		OperationID: "import-tokens", Method: http.MethodPost, Path: "/api/v1/tokens/import",
		MaxBodyBytes: maxImport, BodyReadTimeout: -1, // as long as the file takes; the socket is local
		Summary: "Bring the tokens of a seed file in, all or none",
		Responses: map[string]*huma.Response{
			"200":     answer(reflect.TypeFor[ImportReport](), "application/json", "what the file holds and what came in"),
			"default": answer(reflect.TypeFor[Problem](), "application/problem+json", "nothing was imported"),
		},
	}, func(ctx context.Context, in *importInput) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(c huma.Context) {
			_, w := humago.Unwrap(c)
			s.answerImport(ctx, w, in)
		}}, nil
	})
}

// ImportProgress is how far an import has come.
type ImportProgress struct {
	Stage string `json:"stage" doc:"reading, looking-up or writing"`
	Done  int    `json:"done" doc:"rows, or users when looking up"`
	Of    int    `json:"of,omitempty" doc:"absent while reading"`
}

// ImportLine is one line of an answer with progress; one field is set. Report or Problem is the last line's.
type ImportLine struct {
	Progress *ImportProgress `json:"progress,omitempty"`
	Report   *ImportReport   `json:"report,omitempty"`
	Problem  *Problem        `json:"problem,omitempty"`
}

// progressEvery bounds how often progress is told.
const progressEvery = 100 * time.Millisecond

func (s *Server) answerImport(ctx context.Context, w http.ResponseWriter, in *importInput) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	tell := func(ImportProgress) {}
	if in.Progress {
		w.Header().Set("Content-Type", "application/x-ndjson")
		out := http.NewResponseController(w)
		var last time.Time
		tell = func(p ImportProgress) {
			if now := time.Now(); now.Sub(last) >= progressEvery || p.Done == p.Of {
				last = now
				_ = enc.Encode(ImportLine{Progress: &p}) // whoever is gone shows by ctx
				_ = out.Flush()
			}
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.Stopping: // the service stops; nil never comes
			cancel()
		case <-ctx.Done():
		}
	}()
	report, err := s.runImport(ctx, in, tell)
	var p *Problem
	if err != nil {
		errors.As(s.problem(err), &p)
		p.Report = report
	}
	switch {
	case in.Progress && p != nil:
		_ = enc.Encode(ImportLine{Problem: p})
	case in.Progress:
		_ = enc.Encode(ImportLine{Report: report})
	case p != nil:
		writeProblem(w, p)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = enc.Encode(report)
	}
}

// runImport does what the call asks for. With an error nothing was imported; the report then tells what was found so far.
func (s *Server) runImport(ctx context.Context, in *importInput, tell func(ImportProgress)) (*ImportReport, error) {
	defer clear(in.RawBody)
	if !in.DryRun { // a dry run needs the right alone, and the door has asked for it
		if p := s.allow(ctx, operator.Import, operator.Target{}); p != nil {
			return nil, p
		}
	}
	parts, err := in.parts()
	if err != nil {
		return nil, err
	}
	defer parts.clear()
	options, err := s.readOptions(in, parts)
	if err != nil {
		return nil, err
	}
	defer clear(options.Key)
	if !in.DryRun {
		if !s.importing.TryLock() {
			return nil, newProblem(http.StatusConflict, "import-under-way", wordImportUnderWay)
		}
		defer s.importing.Unlock()
	}
	p := &importPlan{s: s, now: s.Now(), all: in.Rows, tell: tell}
	if err := p.read(bytes.NewReader(parts.file), options); err != nil {
		return nil, err
	}
	p.mapUsers(parts.users)
	// Something may be taken between the check and the claim. It is rare, and once more settles it.
	for range 3 {
		var report *ImportReport
		if report, err = s.importOnce(ctx, in, p); !errors.Is(err, authn.ErrExists) {
			return report, err
		}
	}
	return nil, newProblem(http.StatusConflict, "changed-meanwhile", wordChangedMeanwhile)
}

func (s *Server) importOnce(ctx context.Context, in *importInput, p *importPlan) (*ImportReport, error) {
	if err := p.resolve(ctx); err != nil {
		return nil, err
	}
	p.check()
	report := p.report()
	report.DryRun = in.DryRun
	switch {
	case in.DryRun:
		return report, nil
	case report.Faults > 0 && !in.SkipBad:
		return report, newProblem(http.StatusUnprocessableEntity, "bad-file", wordBadFile(report.Faults), report.places()...)
	case report.Tokens == 0:
		return report, nil
	}
	batch, refused := s.act(ctx).Import(p.incoming(), s.here, in.Pending, authn.Shown([]byte(in.Source)))
	if refused != nil {
		return report, refused
	}
	err := s.Store.Import(ctx, batch, func(written, rows int) { p.tell(ImportProgress{"writing", written, rows}) })
	if err != nil {
		return report, err
	}
	changed := make([]authn.AccountID, len(batch.Grants))
	for i, g := range batch.Grants {
		changed[i] = g.Account
	}
	s.Forget(changed...)
	s.logAct(batch.Event)
	return report, nil
}

// here gives the account of somebody who has one; nil else.
func (s *Server) here(id authn.AccountID) *authn.Account {
	a, err := s.Store.Account(id)
	if err != nil {
		return nil
	}
	return a
}

// importParts are the pieces of a body. They hold seeds and what opens them, so they are cleared at the end of the call.
type importParts struct{ file, users, key, password, privateKey []byte }

func (p *importParts) clear() {
	clear(p.file)
	clear(p.key)
	clear(p.password)
	clear(p.privateKey)
}

func (in *importInput) parts() (*importParts, error) {
	kind, parameters, err := mime.ParseMediaType(in.ContentType)
	if err != nil || kind != "multipart/form-data" {
		return &importParts{file: in.RawBody}, nil
	}
	p := &importParts{}
	fields := map[string]*[]byte{"file": &p.file, "users": &p.users, "key": &p.key, "password": &p.password, "private_key": &p.privateKey}
	bad := func(where, problem string) (*importParts, error) {
		p.clear()
		return nil, newProblem(http.StatusBadRequest, "bad-input", wordBadForm, Place{where, problem})
	}
	for r := multipart.NewReader(bytes.NewReader(in.RawBody), parameters["boundary"]); ; {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return bad("body", "it does not end as multipart/form-data does")
		}
		to := fields[part.FormName()]
		if to == nil || *to != nil {
			return bad(authn.Shown([]byte(part.FormName())), "want each of the parts file, users, key, password, private_key once at most, and no others")
		}
		if *to, err = io.ReadAll(part); err != nil {
			return bad(part.FormName(), "it is cut short")
		}
	}
	if p.file == nil {
		return bad("file", "it is missing")
	}
	return p, nil
}

// readOptions makes of the call what the reader of seed files takes.
func (s *Server) readOptions(in *importInput, parts *importParts) (token.ReadOptions, error) {
	o := token.ReadOptions{Skip: in.Skip, NoHeader: in.NoHeader, DateOnly: s.DateOnly, Password: parts.password, IgnoreSignature: in.IgnoreSig}
	var places []Place
	bad := func(where string, err error) {
		if err != nil {
			places = append(places, Place{where, err.Error()})
		}
	}
	var err error
	o.Format, err = token.ParseFormat(in.Format)
	bad("format", err)
	o.Encoding, err = token.ParseEncoding(in.Encoding)
	bad("secret_encoding", err)
	o.Assume, err = token.ParseAssumed(in.Assume)
	bad("assume", err)
	o.DateOrder, err = token.ParseDateOrder(in.DateOrder)
	bad("date_order", err)
	if in.DateOnly != "" {
		o.DateOnly, err = token.ParseMoment(in.DateOnly)
		bad("date_only", err)
	}
	if parts.key != nil {
		o.Key, err = token.ParseTransportKey(parts.key)
		bad("key", err)
	}
	if parts.privateKey != nil {
		o.PrivateKey, err = token.ParsePrivateKey(parts.privateKey)
		bad("private_key", err)
	}
	for _, pair := range in.Columns {
		field, column, found := strings.Cut(pair, "=")
		if !found || field == "" || column == "" {
			bad("columns", errors.New("want field=name or field=number, with commas between"))
			continue
		}
		if o.Columns == nil {
			o.Columns = map[string]string{}
		}
		o.Columns[strings.TrimSpace(field)] = strings.TrimSpace(column)
	}
	if len(places) > 0 {
		return o, newProblem(http.StatusUnprocessableEntity, "bad-input", wordBadOptions, places...)
	}
	return o, nil
}
