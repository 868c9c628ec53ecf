package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"sekisho/authn"
)

// TestFirstLoginOverRADIUS has an operator give a code for a first login, and a gateway bring it: it opens once.
func TestFirstLoginOverRADIUS(t *testing.T) {
	r := startService(t)
	var given struct{ Code string }
	if err := r.call(t.Context(), http.MethodPost, "/api/v1/users/dave/first-login", map[string]any{"reason": "first day"}, &given); err != nil {
		t.Fatal(err)
	}
	login := func(text string) byte {
		t.Helper()
		_, raw, err := (&radiusClient{user: "dave", method: "pap", secret: authn.NewSecret([]byte(serveSecret))}).request(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := r.askFresh(t, raw)
		if len(got) == 0 {
			return 0
		}
		return got[0]
	}
	const accept, reject = 2, 3
	other := []byte(given.Code)
	other[7] = '0' + (other[7]-'0'+1)%10
	if got := login(string(other)); got != reject {
		t.Errorf("another code: packet %d", got)
	}
	if got := login(given.Code); got != accept {
		t.Errorf("the code: packet %d", got)
	}
	if got := login(given.Code); got != reject {
		t.Errorf("the code again: packet %d", got)
	}
	res, err := r.send(t.Context(), http.MethodGet, "/api/v1/logins?acts=true&limit=10", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	type line struct{ Reason, Act string }
	var events []line
	for lines := json.NewDecoder(res.Body); ; {
		var l line
		if err := lines.Decode(&l); err != nil {
			break
		}
		events = append(events, l)
	}
	at := slices.IndexFunc(events, func(l line) bool { return l.Act == "first-login.use" })
	beside := func(i int) bool { return i >= 0 && i < len(events) && events[i].Reason == "ok-first-login" }
	if at < 0 || !beside(at-1) && !beside(at+1) {
		t.Errorf("the events: %+v", events)
	}
}
