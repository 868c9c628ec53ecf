package console

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"sekisho/admin"
)

// answer keeps what the API writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// Flush does nothing: whoever streams may ask for it.
func (a *answer) Flush() {}

// passed are the headers of a browser's request that the API sees: who asks, and from where.
var passed = []string{"Cookie", "User-Agent", "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Approval"}

// send calls the API as the browser of r.
func (p *Pages) send(r *http.Request, method, path, kind string, body io.Reader, length int64) *answer {
	out := &answer{header: http.Header{}}
	in, err := http.NewRequestWithContext(r.Context(), method, "http://console"+path, body)
	if err != nil {
		p.Log.Error("the console made a bad call", "error", err)
		out.WriteHeader(http.StatusInternalServerError)
		return out
	}
	in.RequestURI, in.RemoteAddr, in.Host, in.TLS = in.URL.RequestURI(), r.RemoteAddr, r.Host, r.TLS
	for _, name := range passed {
		if v := r.Header.Values(name); v != nil {
			in.Header[name] = v
		}
	}
	if body == nil {
		in.Body = http.NoBody
	} else {
		in.Header.Set("Content-Type", kind)
		in.ContentLength = length
	}
	p.API.ServeHTTP(out, in)
	return out
}

// ask calls the API and reads its answer into out, which may be nil. The problem is nil when the API did what was asked.
func (p *Pages) ask(r *http.Request, method, path string, in, out any) *admin.Problem {
	_, problem := p.askFully(r, method, path, in, out)
	return problem
}

// askFully is ask for who needs the headers of the answer too.
func (p *Pages) askFully(r *http.Request, method, path string, in, out any) (*answer, *admin.Problem) {
	var a *answer
	if in == nil {
		a = p.send(r, method, path, "", nil, 0)
	} else {
		b, err := json.Marshal(in)
		if err != nil {
			p.Log.Error("the console could not write a call", "path", path, "error", err)
			return &answer{}, fault()
		}
		a = p.send(r, method, path, "application/json", bytes.NewReader(b), int64(len(b)))
	}
	return a, p.read(a, path, out)
}

// read makes of an answer what was asked for, or a problem.
func (p *Pages) read(a *answer, path string, out any) *admin.Problem {
	if a.status >= 300 || a.status == 0 {
		var problem admin.Problem
		if err := json.Unmarshal(a.body.Bytes(), &problem); err != nil || problem.Code == "" {
			p.Log.Error("the API answered with no problem", "path", path, "status", a.status)
			problem = *fault()
		}
		return &problem
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(a.body.Bytes(), out); err != nil {
		p.Log.Error("the API's answer could not be read", "path", path, "error", err)
		return fault()
	}
	return nil
}

func fault() *admin.Problem {
	return &admin.Problem{Status: http.StatusInternalServerError, Code: "fault"}
}

// events asks for a page of logins, newest first.
func (p *Pages) events(r *http.Request, q url.Values) (admin.EventList, *admin.Problem) {
	var list admin.EventList
	q.Set("format", "json")
	problem := p.ask(r, http.MethodGet, "/api/v1/logins?"+q.Encode(), nil, &list)
	return list, problem
}

// apiPath joins segments, each escaped, below /api/v1/.
func apiPath(segments ...string) string {
	var b strings.Builder
	b.WriteString("/api/v1")
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}
