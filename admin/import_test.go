package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// shelf is a store that knows what it was given, and says once or more that something changed meanwhile.
type shelf struct {
	Store
	mu       sync.Mutex
	tokens   map[token.ID]token.Token
	accounts map[authn.AccountID]*authn.Account
	changed  int // how many imports end with authn.ErrExists first
	blocked  chan struct{}
	batches  []*authn.Batch
}

func newShelf() *shelf {
	return &shelf{tokens: map[token.ID]token.Token{}, accounts: map[authn.AccountID]*authn.Account{}}
}

func (s *shelf) find(fits func(*token.Token) bool) token.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, t := range s.tokens {
		if fits(&t) {
			return id
		}
	}
	return 0
}

func (s *shelf) FindSerial(serial string) token.ID {
	return s.find(func(t *token.Token) bool { return t.Serial == serial })
}

func (s *shelf) FindSeed(f [16]byte) token.ID {
	return s.find(func(t *token.Token) bool { return t.Fingerprint == f })
}

func (s *shelf) Token(id token.ID) (TokenInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[id]
	if !ok {
		return TokenInfo{}, authn.ErrNotFound
	}
	return TokenInfo{Token: t}, nil
}

func (s *shelf) Account(id authn.AccountID) (*authn.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[id]; a != nil {
		return a, nil
	}
	return nil, authn.ErrNotFound
}

func (s *shelf) AccountOf(_, external string) authn.AccountID {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, a := range s.accounts {
		if a.External == external {
			return id
		}
	}
	return 0
}

func (s *shelf) Import(ctx context.Context, b *authn.Batch, progress func(written, rows int)) error {
	if s.blocked != nil {
		s.blocked <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed > 0 {
		s.changed--
		return fmt.Errorf("importing: %w", authn.ErrExists)
	}
	progress(len(b.Tokens), len(b.Tokens))
	for _, t := range b.Tokens {
		s.tokens[t.ID] = *t
	}
	for _, a := range b.Accounts {
		s.accounts[a.ID] = a
	}
	for _, g := range b.Grants {
		s.accounts[g.Account].Take(g.Holds)
	}
	s.batches = append(s.batches, b)
	return nil
}

// roster is a directory that counts how often, and how many at a time, it is asked.
type roster struct {
	deadDirectory
	asked, at, most atomic.Int32
	down            string // a name at which it fails
	broken          string // a name at which it panics
}

func (d *roster) Lookup(_ context.Context, name []byte) (*authn.User, error) {
	d.asked.Add(1)
	at := d.at.Add(1)
	defer d.at.Add(-1)
	for most := d.most.Load(); at > most && !d.most.CompareAndSwap(most, at); most = d.most.Load() {
	}
	time.Sleep(time.Millisecond)
	switch n := strings.ToLower(string(name)); {
	case n == d.down:
		return nil, errors.New("connection refused by 192.0.2.1")
	case n == d.broken:
		panic("the directory is broken")
	case strings.HasPrefix(n, "nobody"):
		return nil, authn.ErrUnknownUser
	case n == "twin":
		return nil, authn.ErrAmbiguousUser
	default:
		return &authn.User{Directory: "corp", ID: n, Name: n}, nil
	}
}

// importing is a service with a shelf and a roster.
func importing(t *testing.T, log io.Writer) (*Server, *shelf, *roster) {
	t.Helper()
	s, store, d := silent(t, log), newShelf(), &roster{}
	keys, err := token.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	s.Store, s.Keys, s.Forget = store, keys, func(...authn.AccountID) {}
	s.Directories[0].Directory = d
	return s, store, d
}

func post(h http.Handler, ctx context.Context, query, kind, body string) *httptest.ResponseRecorder {
	r := as(Peer{0, "root"}, "POST", "/api/v1/tokens/import?"+query, body)
	r.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(context.WithValue(ctx, peerKey{}, Peer{0, "root"})))
	return w
}

func reportOf(t *testing.T, w *httptest.ResponseRecorder) (r ImportReport) {
	t.Helper()
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// seedRows are rows of n tokens, the i-th for user(i).
func seedRows(n int, user func(i int) string) string {
	var b strings.Builder
	b.WriteString("serial,secret_hex,user\n")
	for i := range n {
		fmt.Fprintf(&b, "A%05d,%040x,%s\n", i, i+1, user(i))
	}
	return b.String()
}

// TestImportLooksEveryNameUpOnce: one look-up for a name, however often it stands in the file, some at a time and not all.
func TestImportLooksEveryNameUpOnce(t *testing.T) {
	s, store, d := importing(t, io.Discard)
	h := s.Handler()
	file := seedRows(600, func(i int) string { return fmt.Sprintf("user%d", i%200) })
	if r := reportOf(t, post(h, t.Context(), "", "text/csv", file)); r.Tokens != 600 || r.Assigned != 600 || r.Users != 200 || len(store.accounts) != 200 {
		t.Errorf("%+v, %d accounts", r, len(store.accounts))
	}
	if n, most := d.asked.Load(), d.most.Load(); n != 200 || most > lookUps || most < 2 {
		t.Errorf("%d look-ups, up to %d at a time", n, most)
	}
	// Another spelling is another look-up and the same person.
	if r := reportOf(t, post(h, t.Context(), "", "text/csv", "serial,secret_hex,user\nB1,"+strings.Repeat("5aab", 10)+",USER7\n")); r.Users != 1 || len(store.accounts) != 200 {
		t.Errorf("%+v, %d accounts", r, len(store.accounts))
	}
	if g := store.batches[1].Grants; len(g) != 1 || store.accounts[g[0].Account].Name != "user7" {
		t.Errorf("grants %+v", g)
	}
}

// TestImportEndsWithAnOutage: a directory that fails in the middle, or panics, leaves nothing, whatever else the file says.
func TestImportEndsWithAnOutage(t *testing.T) {
	for _, query := range []string{"", "skip_bad=true", "dry_run=true", "progress=true"} {
		var log bytes.Buffer
		s, store, d := importing(t, &log)
		d.down, d.broken = "user77", "user78"
		if query == "" {
			d.down = ""
		}
		w := post(s.Handler(), t.Context(), query, "text/csv", seedRows(300, func(i int) string { return fmt.Sprintf("user%d", i) }))
		if !strings.Contains(w.Body.String(), `"code":"directory-down"`) || query != "progress=true" && w.Code != 503 {
			t.Errorf("%s: %d: %s", query, w.Code, w.Body)
		}
		if len(store.batches) != 0 {
			t.Errorf("%s: something came in", query)
		}
		if query == "" && !strings.Contains(log.String(), "looking a user up met a fault") {
			t.Errorf("log: %s", log.String())
		}
	}
}

// TestImportFaults: every kind of fault with its place, all at once; the same file again is none of them.
func TestImportFaults(t *testing.T) {
	s, store, _ := importing(t, io.Discard)
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	s.Now = func() time.Time { return now }
	h := s.Handler()
	good := "serial,secret_hex,user,digits,expiry\n" +
		"H1," + strings.Repeat("5a11", 10) + ",annie,6,2026-12-01T00:00:00Z\n" +
		"H2," + strings.Repeat("5a12", 10) + ",,8,\n" +
		",1111111111111111111111111111111111111113,bob,6,2030-01-01T00:00:00Z\n"
	first := reportOf(t, post(h, t.Context(), "", "text/csv", good))
	if first.Tokens != 3 || first.Expiry != (ImportExpiry{Earliest: "2026-12-01T00:00:00Z", Latest: "2030-01-01T00:00:00Z", Soon: 1, Never: 1}) {
		t.Errorf("%+v", first)
	}
	again := reportOf(t, post(h, t.Context(), "rows=true", "text/csv", good))
	if again.Tokens != 0 || again.Here != 3 || again.Faults != 0 || again.Notes != 0 || len(store.batches) != 1 || again.Rows[1].Outcome != "here" {
		t.Errorf("again: %+v", again)
	}
	now = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) // what expired meanwhile is here all the same
	if r := reportOf(t, post(h, t.Context(), "", "text/csv", good)); r.Here != 3 || r.Faults != 0 {
		t.Errorf("after an expiry: %+v", r)
	}

	bad := "serial,secret_hex,user,digits,expiry\n" +
		"H1," + strings.Repeat("5a21", 10) + ",,6,\n" + // 2: another secret
		"H3," + strings.Repeat("5a12", 10) + ",,8,\n" + // 3: H2's secret
		"H2," + strings.Repeat("5a12", 10) + ",,6,\n" + // 4: repeats line 3's secret
		"H4," + strings.Repeat("5a24", 10) + ",nobody,6,\n" +
		"H5," + strings.Repeat("5a25", 10) + ",twin,6,\n" +
		"H6," + strings.Repeat("5a26", 10) + ",annie,6,2026-12-31T23:59:59Z\n" +
		"H7," + strings.Repeat("5a27", 10) + ",annie,6,2027-01-01T00:00:01Z\n" + // a second to go: good
		"H8,what,,6,\n"
	w := post(h, t.Context(), "", "text/csv", bad)
	p := problemOf(t, w)
	want := []string{
		`line 2, column serial: another token has the serial "H1", with another secret`,
		"line 3, column secret: token H2 has this secret already",
		"line 4: line 3 has the same secret",
		`line 5, column user: The directory knows no user "nobody"`,
		`line 6, column user: The name "twin" fits more than one user`,
		"line 7, column expiry: it expired at 2026-12-31T23:59:59Z",
		"line 9, column secret_hex: ",
	}
	if p.Code != "bad-file" || p.Status != 422 || len(p.Errors) != len(want) || p.Report == nil || p.Report.Tokens != 1 || len(store.batches) != 1 {
		t.Fatalf("%s", w.Body)
	}
	for i, e := range p.Errors {
		if got := e.Where + ": " + e.Problem; !strings.HasPrefix(got, want[i]) {
			t.Errorf("fault %d: %s, want %s", i, got, want[i])
		}
	}
	if r := reportOf(t, post(h, t.Context(), "skip_bad=true", "text/csv", bad)); r.Tokens != 1 || r.Faults != len(want) || r.ByKind[FaultExpired] != 1 ||
		r.ByKind[FaultDuplicate] != 1 || r.ByKind[FaultBadLine] != 1 || len(store.batches) != 2 {
		t.Errorf("%+v", r)
	}
	if strings.Contains(w.Body.String(), strings.Repeat("5a24", 8)) {
		t.Error("an answer shows a seed")
	}
	differs := "serial,secret_hex,digits,expiry\nH2," + strings.Repeat("5a12", 10) + ",6,\nH1," + strings.Repeat("5a11", 10) + ",6,2026-12-01T00:00:01Z\n"
	w = post(h, t.Context(), "", "text/csv", differs)
	for _, text := range []string{"token H2 is here already, with another number of digits: 8", "token H1 is here already, with another expiry: 2026-12-01T00:00:00Z"} {
		if !strings.Contains(w.Body.String(), text) {
			t.Errorf("no %q in %s", text, w.Body)
		}
	}
}

// TestImportKeepsTheMostTokens: one person's too many tokens are named by line; with bad rows left out the others come in.
func TestImportKeepsTheMostTokens(t *testing.T) {
	s, store, _ := importing(t, io.Discard)
	h := s.Handler()
	file := seedRows(authn.MostTokens+2, func(int) string { return "annie" })
	if p := problemOf(t, post(h, t.Context(), "", "text/csv", file)); len(p.Errors) != 2 || p.Errors[0].Where != fmt.Sprintf("line %d, column user", authn.MostTokens+2) {
		t.Errorf("%+v", p)
	}
	if r := reportOf(t, post(h, t.Context(), "skip_bad=true", "text/csv", file)); r.Tokens != authn.MostTokens || r.ByKind[FaultTooMany] != 2 {
		t.Errorf("%+v", r)
	}
	for _, a := range store.accounts {
		if len(a.Assignments) != authn.MostTokens {
			t.Errorf("%d tokens", len(a.Assignments))
		}
	}
}

// TestImportLooksAgain: what changed between check and claim is looked at once more, some times and not for ever.
func TestImportLooksAgain(t *testing.T) {
	for changes, want := range map[int]string{2: "", 3: "changed-meanwhile"} {
		s, store, _ := importing(t, io.Discard)
		store.changed = changes
		w := post(s.Handler(), t.Context(), "", "text/csv", seedRows(3, func(int) string { return "annie" }))
		if want == "" {
			reportOf(t, w)
		} else if p := problemOf(t, w); p.Code != want || p.Status != 409 {
			t.Errorf("%d changes: %s", changes, w.Body)
		}
	}
}

// TestOneImportAtATime: the second one is refused while the first goes on, a dry run is not; a caller who leaves ends theirs.
func TestOneImportAtATime(t *testing.T) {
	s, store, _ := importing(t, io.Discard)
	store.blocked = make(chan struct{})
	h := s.Handler()
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan *httptest.ResponseRecorder)
	go func() { ended <- post(h, ctx, "", "text/csv", seedRows(3, func(int) string { return "" })) }()
	<-store.blocked
	file := seedRows(2, func(int) string { return "" })
	if p := problemOf(t, post(h, t.Context(), "", "text/csv", file)); p.Code != "import-under-way" {
		t.Errorf("a second import: %+v", p)
	}
	if r := reportOf(t, post(h, t.Context(), "dry_run=true", "text/csv", file)); !r.DryRun || r.Tokens != 2 {
		t.Errorf("a dry run meanwhile: %+v", r)
	}
	leave()
	if p := problemOf(t, <-ended); p.Code != "unknown-outcome" {
		t.Errorf("the first: %+v", p)
	}
	store.blocked = nil
	reportOf(t, post(h, t.Context(), "", "text/csv", file))
}

// TestImportEndsWithTheService: a stop does not wait for a long import.
func TestImportEndsWithTheService(t *testing.T) {
	s, store, _ := importing(t, io.Discard)
	stopping := make(chan struct{})
	s.Stopping, store.blocked = stopping, make(chan struct{})
	ended := make(chan *httptest.ResponseRecorder)
	h := s.Handler()
	go func() { ended <- post(h, t.Context(), "", "text/csv", seedRows(3, func(int) string { return "" })) }()
	<-store.blocked
	close(stopping)
	if w := <-ended; w.Code == 200 {
		t.Errorf("%s", w.Body)
	}
}

func form(t *testing.T, parts ...string) (kind, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		if err := w.WriteField(parts[i], parts[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

// TestImportForms: the file may come beside what belongs to it, and options that make no sense are told, all of them.
func TestImportForms(t *testing.T) {
	s, _, _ := importing(t, io.Discard)
	h := s.Handler()
	file := seedRows(2, func(int) string { return "" })
	kind, body := form(t, "file", file, "users", "Serial,User\na00000,annie\n")
	if r := reportOf(t, post(h, t.Context(), "dry_run=true", kind, body)); r.Tokens != 2 || r.Assigned != 1 {
		t.Errorf("%+v", r)
	}
	w := post(h, t.Context(), "progress=true", kind, body)
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	var last ImportLine
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Report == nil || last.Report.Tokens != 2 || !strings.Contains(lines[0], `"progress"`) {
		t.Errorf("%s", w.Body)
	}

	for name, tt := range map[string]struct{ query, kind, body, want string }{
		"cut":         {"", kind, body[:len(body)-30], "it is cut short"},
		"no boundary": {"", "multipart/form-data", body, "body"},
		"an unknown part": func() (x struct{ query, kind, body, want string }) {
			x.kind, x.body = form(t, "file", file, "seed", "x")
			x.want = `"where":"seed"`
			return x
		}(),
		"two files": func() (x struct{ query, kind, body, want string }) {
			x.kind, x.body = form(t, "file", file, "file", file)
			x.want = "once at most"
			return x
		}(),
		"no file": func() (x struct{ query, kind, body, want string }) {
			x.kind, x.body = form(t, "users", "")
			x.want = `"where":"file"`
			return x
		}(),
		"a wrong key": func() (x struct{ query, kind, body, want string }) {
			x.kind, x.body = form(t, "file", file, "key", "xyz")
			x.want = `"where":"key"`
			return x
		}(),
		"wrong options": {"columns=serial&date_only=noon", "text/csv", file, `"where":"columns"`},
		"wrong format":  {"format=xls", "text/csv", file, "query.format"},
		"nothing":       {"", "text/csv", "", "bad-input"},
		"no tokens":     {"", "text/csv", "serial,secret_hex\n", "bad-file"},
		"no column":     {"", "text/csv", "a,b\n1,2\n", "bad-file"},
	} {
		if w := post(h, t.Context(), tt.query, tt.kind, tt.body); w.Code < 400 || w.Code > 422 || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: %d: %s, want %s", name, w.Code, w.Body, tt.want)
		}
	}
	if w := post(h, t.Context(), "columns=serial&date_only=noon", "text/csv", file); !strings.Contains(w.Body.String(), `"where":"date_only"`) {
		t.Errorf("one fault hides another: %s", w.Body)
	}
}

// TestNonsense: ten thousand bad rows are counted, and as many named as people read.
func TestNonsense(t *testing.T) {
	s, store, _ := importing(t, io.Discard)
	h := s.Handler()
	p := problemOf(t, post(h, t.Context(), "", "text/csv", "serial,secret_hex\n"+strings.Repeat("what,is this\n", 10_000)))
	if p.Report.Faults != 10_000 || len(p.Errors) != maxPlaces || p.Errors[99].Where != "line 101, column secret_hex" || len(store.batches) != 0 ||
		p.Detail != "Nothing was imported: the file has 10000 faults, of which the first 100 are listed." {
		t.Errorf("%d faults, %d places: %+v", p.Report.Faults, len(p.Errors), p.Errors[:2])
	}
}

func TestReadUsers(t *testing.T) {
	text := "\ufeffserial,user\nA1,annie\n \"A2\" , bob\nA1,carol\nA3\nA4,\n,dave\nA5,x,y\nA6,\"o\"\"neil\"\n\nA7,b\xff\nA8,\x1b[31mred\nA8\"x\",eve\nA8,CORP\\eve\n"
	var faults []string
	all := readUsers([]byte(text), func(line int, problem string) { faults = append(faults, fmt.Sprint(line, ": ", problem)) })
	var got []string
	for _, u := range all {
		got = append(got, fmt.Sprint(u.line, " ", u.serial, " ", u.user))
	}
	if want := `[2 A1 annie 9 A6 o"neil 14 A8 CORP\eve]`; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	want := []string{"3: its quotes", "4: line 2 has", "5: want a serial", "6: want a serial", "7: want a serial", "8: want a serial", "11: the user", "12: the user", "13: its quotes"}
	for i, f := range faults {
		if i >= len(want) || !strings.HasPrefix(f, want[i]) {
			t.Errorf("fault %d: %s", i, f)
		}
	}
}

func FuzzReadUsers(f *testing.F) {
	for _, s := range []string{"serial,user\nA1,annie\n", "A1,\"a\nb\"\n", "\"", "A1,annie\r\nA1,bob", "\ufeffA,b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := bytes.Count(text, []byte("\n")) + bytes.Count(text, []byte("\r")) + 1
		seen := map[string]bool{}
		for _, u := range readUsers(text, func(line int, problem string) {
			if line < 1 || line > lines || problem == "" {
				t.Errorf("line %d of %d: %s", line, lines, problem)
			}
		}) {
			if seen[u.serial] || u.serial == "" || u.user == "" || u.line < 1 || u.line > lines || len(u.user) > maxUserName {
				t.Errorf("%+v", u)
			}
			seen[u.serial] = true
		}
	})
}
