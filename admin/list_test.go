package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestO6List: the list of users has the columns that operators know, states of the user, filters, and the same rows as CSV
// with stable codes and RFC 3339 instants.
func TestO6List(t *testing.T) {
	h := newHouse(t)
	h.stock(4, "2027-03-31T00:00:00Z", "annie", "bob", "carol")
	h.ok("POST", "/api/v1/tokens/H2/revoke", map[string]any{}, nil)
	h.ok("POST", "/api/v1/tokens/H3/suspend", map[string]any{}, nil)
	h.ok("POST", "/api/v1/tokens/H4/assign", map[string]any{"user": "dave", "pending": true}, nil)
	states := func(path string) string {
		var l UserList
		h.ok("GET", path, nil, &l)
		var all []string
		for _, u := range l.Users {
			all = append(all, strings.Join([]string{u.User, u.State, u.Serial, u.Expiry, u.Class}, " "))
		}
		slices.Sort(all)
		return strings.Join(all, "; ")
	}
	want := "annie in-service H1 2027-03-31T00:00:00Z user; bob revoked   user; carol suspended H3 2027-03-31T00:00:00Z user; dave waiting H4 2027-03-31T00:00:00Z user"
	if got := states("/api/v1/users"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for path, want := range map[string]string{
		"?state=suspended":                        "carol",
		"?serial=h1":                              "annie",
		"?user=da":                                "dave",
		"?group=staff&state=in-service":           "annie",
		"?expires_from=2027-04-01T00:00:00Z":      "",
		"?expires_before=2027-04-01T00:00:00Z":    "annie carol dave",
		"?directory=elsewhere":                    "",
		"?directory=corp&state=revoked&serial=H2": "bob",
	} {
		var l UserList
		h.ok("GET", "/api/v1/users"+path, nil, &l)
		var names []string
		for _, u := range l.Users {
			names = append(names, u.User)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	h.clock.Store(time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC).Unix())
	if got := states("/api/v1/users?state=expired"); !strings.Contains(got, "annie expired H1 2027-03-31T00:00:00Z") {
		t.Errorf("at the instant of the expiry: %s", got)
	}
	var l UserList
	h.ok("GET", "/api/v1/users", nil, &l)
	rows := h.sheet("/api/v1/users")
	if strings.Join(rows[0], " ") != "login_id name class serial state expiry more register_from directory account" || len(rows) != len(l.Users)+1 {
		t.Fatalf("%q", rows)
	}
	for i, u := range l.Users {
		if row := rows[i+1]; row[0] != u.User || row[3] != u.Serial || row[4] != u.State || row[5] != u.Expiry || row[9] != u.Account {
			t.Errorf("the sheet says %q, the list %+v", row, u)
		}
	}
}

// TestListsPage walks each list a row at a time and all at once: the same rows, each once, and a link to the next page.
func TestListsPage(t *testing.T) {
	h := newHouse(t)
	h.stock(7, "", "annie", "bob", "carol", "dave")
	for _, user := range []string{"annie", "bob", "carol"} {
		h.ok("POST", "/api/v1/users/"+user+"/activations", map[string]any{}, nil)
	}
	for list, key := range map[string]string{"tokens": "id", "users": "account", "activations": "id", "logins?acts=true": "seq"} {
		name, filter, _ := strings.Cut(list, "?")
		rows := func(body []byte) (all []string, next string) {
			var v map[string]json.RawMessage
			if err := json.Unmarshal(body, &v); err != nil {
				t.Fatalf("%s: %v: %s", name, err, body)
			}
			_ = json.Unmarshal(v["next"], &next)
			field := name
			if name == "logins" {
				field = "events"
			}
			var items []map[string]any
			if err := json.Unmarshal(v[field], &items); err != nil {
				t.Fatalf("%s: %v: %s", name, err, body)
			}
			for _, item := range items {
				all = append(all, fmt.Sprint(item[key]))
			}
			return all, next
		}
		path := "/api/v1/" + name + "?format=json&" + filter
		w := h.call("GET", path, nil)
		whole, next := rows(w.Body.Bytes())
		if len(whole) < 3 || next != "" || w.Header().Get("Link") != "" {
			t.Fatalf("%s: %v, next %q", name, whole, next)
		}
		var walked []string
		for at, n := path+"&limit=1", 0; at != ""; n++ {
			w := h.call("GET", at, nil)
			page, next := rows(w.Body.Bytes())
			walked = append(walked, page...)
			link := strings.TrimSuffix(strings.TrimPrefix(w.Header().Get("Link"), "<"), `>; rel="next"`)
			if (next == "") != (link == "") || n > 3*len(whole) {
				t.Fatalf("%s: next %q, link %q", name, next, link)
			}
			at = link
		}
		if !slices.Equal(walked, whole) {
			t.Errorf("%s: a row at a time %v, at once %v", name, walked, whole)
		}
		if lines := h.sheet(path[:strings.Index(path, "?")] + "?" + filter); len(lines) != len(whole)+1 {
			t.Errorf("%s: %d lines as CSV, %d rows", name, len(lines), len(whole))
		}
		h.no(422, "bad-input", "GET", "/api/v1/"+name+"?after=nonsense!&"+filter, nil)
		h.no(422, "bad-input", "GET", "/api/v1/"+name+"?format=json&limit=1001&"+filter, nil)
		h.no(422, "bad-input", "GET", "/api/v1/"+name+"?format=xml&"+filter, nil)
	}
}

// TestSheetsAreHarmless: no cell is a formula to a spreadsheet, whoever chose its text.
func TestSheetsAreHarmless(t *testing.T) {
	for cell, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-2": "'-2", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "＝1": "'＝1", "": "", "a=b": "a=b", "山": "山",
	} {
		if got := harmless(cell); got != want {
			t.Errorf("%q: %q, want %q", cell, got, want)
		}
	}
	h := newHouse(t)
	var e Enrolled
	h.ok("POST", "/api/v1/users/annie/tokens", map[string]any{"name": `=HYPERLINK("http://x","y")`}, &e)
	found := false
	for _, row := range h.sheet("/api/v1/tokens?form=software") {
		found = found || row[3] == `'=HYPERLINK("http://x","y")`
	}
	if !found {
		t.Error("the name of the device is not in the sheet as text")
	}
}

// FuzzListQuery: whatever stands in the query of a list, the answer is a list or a problem that names the place.
func FuzzListQuery(f *testing.F) {
	for _, seed := range []string{"", "limit=1", "after=AAAAAAAAAAAAA", "format=csv&limit=100000", "state=in stock&form=hardware", "state=in-service",
		"expires_from=2027-01-01T00:00:00Z", "since=x&reason=ok&user=annie", "limit=-1", "after=%00&serial=%ff", "format=csv&format=json", "acts=true&after=9"} {
		f.Add(seed)
	}
	h := newHouse(f)
	h.stock(3, "2027-03-31T00:00:00Z", "annie", "bob")
	f.Fuzz(func(t *testing.T, query string) {
		for _, list := range []string{"tokens", "users", "logins", "activations", "requests", "clients"} {
			r := as(Peer{0, "root"}, "GET", "/api/v1/"+list+"?format=json", "")
			r.URL.RawQuery = query
			if list == "logins" && !wantsPage(r) {
				continue // lines, which may be followed without end
			}
			w := httptest.NewRecorder()
			h.http.ServeHTTP(w, r)
			switch kind := w.Header().Get("Content-Type"); {
			case w.Code == http.StatusOK && (kind == "application/json" || kind == csvType):
			case w.Code/100 == 4 && kind == "application/problem+json" && json.Valid(w.Body.Bytes()):
			default:
				t.Errorf("%s?%q: %d %s %.300s", list, query, w.Code, kind, w.Body)
			}
		}
	})
}
